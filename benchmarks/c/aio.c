/* `c_aio`: what a C program with an event loop does. */
#include <stdlib.h>
#include <string.h>

#include <nng/nng.h>

#include <nng/protocol/pair0/pair.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>

#include "loop.h"

static void rtt_server(job *job)
{
    flow rep;
    prepare(&rep);
    MUST(nng_rep0_open(&rep.socket));
    listen_on(rep.socket, job->url);
    ready();
    for (int64_t count; (count = next_round()) >= 0;) {
        uint64_t start = now();
        for (int64_t i = 0; i < count; i++) {
            send_one(&rep, rep.socket, receive_one(&rep));
        }
        result(start, now(), count);
    }
    nng_close(rep.socket);
    nng_aio_free(rep.aio);
}

static void rtt_client(job *job)
{
    flow req;
    prepare(&req);
    MUST(nng_req0_open(&req.socket));
    dial_to(req.socket, job->url);
    ready();
    for (int64_t count; (count = next_round()) >= 0;) {
        nng_msg *reply = NULL;
        uint64_t start = now();
        for (int64_t i = 0; i < count; i++) {
            nng_msg_free(reply);
            send_one(&req, req.socket, make(job, i));
            reply = receive_one(&req);
            check(job, reply, i);
        }
        uint64_t end = now();
        check_whole(job, reply, count - 1);
        nng_msg_free(reply);
        result(start, end, count);
    }
    nng_close(req.socket);
    nng_aio_free(req.aio);
}

/* Both ends on the one loop. */
static void rtt_alone(job *job)
{
    flow rep, req;
    prepare(&rep);
    prepare(&req);
    MUST(nng_rep0_open(&rep.socket));
    MUST(nng_req0_open(&req.socket));
    listen_on(rep.socket, job->url);
    dial_to(req.socket, job->url);
    start_receive(&rep);
    ready();
    for (int64_t count; (count = next_round()) >= 0;) {
        uint64_t start = now();
        start_send(&req, req.socket, make(job, 0));
        for (int64_t i = 0; i < count;) {
            flow *flow = next_done();
            if (flow == &req && flow->sending) {
                start_receive(flow);
            } else if (flow == &req) {
                nng_msg *reply = nng_aio_get_msg(flow->aio);
                check(job, reply, i++);
                nng_msg_free(reply);
                if (i < count) {
                    start_send(flow, flow->socket, make(job, i));
                }
            } else if (flow->sending) {
                start_receive(flow);
            } else {
                start_send(flow, flow->socket, nng_aio_get_msg(flow->aio));
            }
        }
        result(start, now(), count);
    }
    nng_aio_stop(rep.aio);
    forget_done();
    nng_close(rep.socket);
    nng_close(req.socket);
    nng_aio_free(rep.aio);
    nng_aio_free(req.aio);
}

static void receive_stream(job *job, flow *flow)
{
    listen_on(flow->socket, job->url);
    ready();
    for (int64_t count; (count = next_round()) >= 0;) {
        uint64_t start = now();
        for (int64_t i = 0; i < count; i++) {
            nng_msg *msg = receive_one(flow);
            check(job, msg, i);
            nng_msg_free(msg);
        }
        result(start, now(), count);
    }
    nng_close(flow->socket);
    nng_aio_free(flow->aio);
}

static void send_stream(job *job, flow *flow)
{
    set_buffer(flow->socket, NNG_OPT_SENDBUF, job->buffers);
    dial_to(flow->socket, job->url);
    ready();
    for (int64_t count; (count = next_round()) >= 0;) {
        uint64_t start = now();
        for (int64_t i = 0; i < count; i++) {
            send_one(flow, flow->socket, make(job, i));
        }
        result(start, now(), count);
    }
    nng_close(flow->socket);
    nng_aio_free(flow->aio);
}

static void pull_server(job *job)
{
    flow flow;
    prepare(&flow);
    MUST(nng_pull0_open(&flow.socket));
    receive_stream(job, &flow);
}

static void push_client(job *job)
{
    flow flow;
    prepare(&flow);
    MUST(nng_push0_open(&flow.socket));
    send_stream(job, &flow);
}

static void pair_server(job *job)
{
    flow flow;
    prepare(&flow);
    MUST(nng_pair0_open(&flow.socket));
    set_buffer(flow.socket, NNG_OPT_RECVBUF, job->buffers);
    receive_stream(job, &flow);
}

static void pair_client(job *job)
{
    flow flow;
    prepare(&flow);
    MUST(nng_pair0_open(&flow.socket));
    set_buffer(flow.socket, NNG_OPT_RECVBUF, job->buffers);
    send_stream(job, &flow);
}

/* As in blocking.c: at most two bursts are on their way to any subscriber. */
static void publish(job *job)
{
    flow pub, acks;
    int64_t acked[SUBSCRIBERS], slowest;

    prepare(&pub);
    prepare(&acks);
    MUST(nng_pub0_open(&pub.socket));
    MUST(nng_pull0_open(&acks.socket));
    set_buffer(pub.socket, NNG_OPT_SENDBUF, job->buffers);
    watch_pipes(pub.socket);
    listen_on(pub.socket, job->url);
    listen_on(acks.socket, job->back);
    ready();
    await_pipes(SUBSCRIBERS);
    for (int64_t count; (count = next_round()) >= 0;) {
        uint64_t start = now();
        int64_t bursts = count / BURST;
        memset(acked, 0, sizeof(acked));
        slowest = 0;
        for (int64_t burst = 0; slowest < bursts; burst++) {
            while (slowest < bursts && slowest < burst - 1) {
                nng_msg *ack = receive_one(&acks);
                acked[*(unsigned char *) nng_msg_body(ack)]++;
                nng_msg_free(ack);
                slowest = acked[0];
                for (int i = 1; i < SUBSCRIBERS; i++) {
                    slowest = acked[i] < slowest ? acked[i] : slowest;
                }
            }
            for (int64_t i = 0; burst < bursts && i < BURST; i++) {
                send_one(&pub, pub.socket, make(job, burst * BURST + i));
            }
        }
        result(start, now(), count);
    }
    nng_close(pub.socket);
    nng_close(acks.socket);
    nng_aio_free(pub.aio);
    nng_aio_free(acks.aio);
}

static void subscribe(job *job)
{
    flow subs[SUBSCRIBERS];

    for (int i = 0; i < SUBSCRIBERS; i++) {
        flow *sub = &subs[i];
        prepare(sub);
        MUST(nng_sub0_open(&sub->socket));
        MUST(nng_push0_open(&sub->acks));
        set_buffer(sub->socket, NNG_OPT_RECVBUF, job->buffers);
        MUST(nng_socket_set(sub->socket, NNG_OPT_SUB_SUBSCRIBE, "", 0));
        dial_to(sub->socket, job->url);
        dial_to(sub->acks, job->back);
    }
    ready();
    for (int64_t count; (count = next_round()) >= 0;) {
        uint64_t start = now();
        int working = SUBSCRIBERS;
        for (int i = 0; i < SUBSCRIBERS; i++) {
            subs[i].received = 0;
            start_receive(&subs[i]);
        }
        while (working > 0) {
            flow *sub = next_done();
            if (!sub->sending) {
                nng_msg *msg = nng_aio_get_msg(sub->aio);
                check(job, msg, sub->received++);
                nng_msg_free(msg);
                if (sub->received % BURST == 0) {
                    MUST(nng_msg_alloc(&msg, 1));
                    *(char *) nng_msg_body(msg) = (char) (sub - subs);
                    start_send(sub, sub->acks, msg);
                    continue;
                }
            }
            if (sub->received < count) {
                start_receive(sub);
            } else {
                working--;
            }
        }
        result(start, now(), count);
    }
    for (int i = 0; i < SUBSCRIBERS; i++) {
        nng_close(subs[i].socket);
        nng_close(subs[i].acks);
        nng_aio_free(subs[i].aio);
    }
}

static void close_contexts(nng_socket socket, flow *flows, int count)
{
    nng_close(socket);
    for (int i = 0; i < count; i++) {
        nng_aio_free(flows[i].aio);
    }
    forget_done();
    free(flows);
}

static void concurrent_server(job *job)
{
    nng_socket rep;
    MUST(nng_rep0_open(&rep));
    listen_on(rep, job->url);
    flow *workers = open_contexts(rep, job->flows);
    for (int i = 0; i < job->flows; i++) {
        receive_in_context(&workers[i]);
    }
    ready();
    for (int64_t count; (count = next_round()) >= 0;) {
        uint64_t start = now();
        for (int64_t answered = 0; answered < count;) {
            flow *worker = next_done();
            if (worker->sending) {
                answered++;
                receive_in_context(worker);
            } else {
                send_in_context(worker, nng_aio_get_msg(worker->aio));
            }
        }
        result(start, now(), count);
    }
    close_contexts(rep, workers, job->flows);
}

static void concurrent_client(job *job)
{
    nng_socket req;
    MUST(nng_req0_open(&req));
    dial_to(req, job->url);
    flow *callers = open_contexts(req, job->flows);
    ready();
    for (int64_t count; (count = next_round()) >= 0;) {
        uint64_t start = now();
        int64_t asked = 0, answered = 0;
        for (int i = 0; i < job->flows && asked < count; i++) {
            callers[i].index = asked;
            send_in_context(&callers[i], make(job, asked++));
        }
        while (answered < count) {
            flow *caller = next_done();
            if (caller->sending) {
                receive_in_context(caller);
                continue;
            }
            nng_msg *reply = nng_aio_get_msg(caller->aio);
            check(job, reply, caller->index);
            nng_msg_free(reply);
            answered++;
            if (asked < count) {
                caller->index = asked;
                send_in_context(caller, make(job, asked++));
            }
        }
        result(start, now(), count);
    }
    close_contexts(req, callers, job->flows);
}

/* How much `flows` waiting contexts weigh; with mode `tasks`, nothing at all. */
static void idle(job *job)
{
    nng_socket rep;
    flow *workers = NULL;
    int contexts = strcmp(job->mode, "tasks") == 0 ? 0 : job->flows;

    MUST(nng_rep0_open(&rep));
    listen_on(rep, job->url);
    ready();
    for (int64_t count; (count = next_round()) >= 0;) {
        int64_t before = resident_bytes();
        workers = open_contexts(rep, contexts);
        for (int i = 0; i < contexts; i++) {
            receive_in_context(&workers[i]);
        }
        result((uint64_t) before, (uint64_t) resident_bytes(), count);
    }
    close_contexts(rep, workers, contexts);
}

int main(void)
{
    const role roles[] = {
        {"rtt", "server", rtt_server},
        {"rtt", "client", rtt_client},
        {"rtt", "alone", rtt_alone},
        {"pushpull", "server", pull_server},
        {"pushpull", "client", push_client},
        {"pair", "server", pair_server},
        {"pair", "client", pair_client},
        {"pubsub", "server", publish},
        {"pubsub", "client", subscribe},
        {"concurrent", "server", concurrent_server},
        {"concurrent", "client", concurrent_client},
        {"idle", "alone", idle},
        {NULL, NULL, NULL},
    };
    open_loop();
    return run_program("c_aio", roles);
}

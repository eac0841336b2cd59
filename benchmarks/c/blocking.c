/* `c`: blocking calls of libnng, one receive at a time. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <nng/nng.h>

#include <nng/protocol/pair0/pair.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>

#include "bench.h"

static nng_msg *receive(nng_socket socket)
{
    nng_msg *msg;
    MUST(nng_recvmsg(socket, &msg, 0));
    return msg;
}

static void answer(nng_socket rep, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        MUST(nng_sendmsg(rep, receive(rep), 0));
    }
}

static void ask(job *job, nng_socket req)
{
    for (int64_t count; (count = next_round()) >= 0;) {
        nng_msg *reply = NULL;
        uint64_t start = now();
        for (int64_t i = 0; i < count; i++) {
            nng_msg_free(reply);
            MUST(nng_sendmsg(req, make(job, i), 0));
            reply = receive(req);
            check(job, reply, i);
        }
        uint64_t end = now();
        check_whole(job, reply, count - 1);
        nng_msg_free(reply);
        result(start, end, count);
    }
}

static void rtt_server(job *job)
{
    nng_socket rep;
    MUST(nng_rep0_open(&rep));
    listen_on(rep, job->url);
    ready();
    for (int64_t count; (count = next_round()) >= 0;) {
        uint64_t start = now();
        answer(rep, count);
        result(start, now(), count);
    }
    nng_close(rep);
}

static void rtt_client(job *job)
{
    nng_socket req;
    MUST(nng_req0_open(&req));
    dial_to(req, job->url);
    ready();
    ask(job, req);
    nng_close(req);
}

static void *answer_until_closed(void *arg)
{
    nng_socket rep = *(nng_socket *) arg;
    nng_msg *msg;

    while (nng_recvmsg(rep, &msg, 0) == 0) {
        if (nng_sendmsg(rep, msg, 0) != 0) {
            nng_msg_free(msg);
        }
    }
    return NULL;
}

static void rtt_alone(job *job)
{
    nng_socket rep, req;
    pthread_t thread;

    MUST(nng_rep0_open(&rep));
    MUST(nng_req0_open(&req));
    listen_on(rep, job->url);
    dial_to(req, job->url);
    pthread_create(&thread, NULL, answer_until_closed, &rep);
    ready();
    ask(job, req);
    nng_close(rep);
    pthread_join(thread, NULL);
    nng_close(req);
}

static void receive_stream(job *job, nng_socket socket)
{
    listen_on(socket, job->url);
    ready();
    for (int64_t count; (count = next_round()) >= 0;) {
        uint64_t start = now();
        for (int64_t i = 0; i < count; i++) {
            nng_msg *msg = receive(socket);
            check(job, msg, i);
            nng_msg_free(msg);
        }
        result(start, now(), count);
    }
    nng_close(socket);
}

static void send_stream(job *job, nng_socket socket)
{
    set_buffer(socket, NNG_OPT_SENDBUF, job->buffers);
    dial_to(socket, job->url);
    ready();
    for (int64_t count; (count = next_round()) >= 0;) {
        uint64_t start = now();
        for (int64_t i = 0; i < count; i++) {
            MUST(nng_sendmsg(socket, make(job, i), 0));
        }
        result(start, now(), count);
    }
    nng_close(socket);
}

static void pull_server(job *job)
{
    nng_socket socket;
    MUST(nng_pull0_open(&socket));
    receive_stream(job, socket);
}

static void push_client(job *job)
{
    nng_socket socket;
    MUST(nng_push0_open(&socket));
    send_stream(job, socket);
}

static void pair_server(job *job)
{
    nng_socket socket;
    MUST(nng_pair0_open(&socket));
    set_buffer(socket, NNG_OPT_RECVBUF, job->buffers);
    receive_stream(job, socket);
}

static void pair_client(job *job)
{
    nng_socket socket;
    MUST(nng_pair0_open(&socket));
    set_buffer(socket, NNG_OPT_RECVBUF, job->buffers);
    send_stream(job, socket);
}

/* Every subscriber acknowledges each burst; at most two are on their way to any of them. */
static void publish(job *job)
{
    nng_socket pub, acks;
    int64_t acked[SUBSCRIBERS], slowest;

    MUST(nng_pub0_open(&pub));
    MUST(nng_pull0_open(&acks));
    set_buffer(pub, NNG_OPT_SENDBUF, job->buffers);
    watch_pipes(pub);
    listen_on(pub, job->url);
    listen_on(acks, job->back);
    ready();
    await_pipes(SUBSCRIBERS);
    for (int64_t count; (count = next_round()) >= 0;) {
        uint64_t start = now();
        int64_t bursts = count / BURST;
        memset(acked, 0, sizeof(acked));
        slowest = 0;
        for (int64_t burst = 0; slowest < bursts; burst++) {
            while (slowest < bursts && slowest < burst - 1) {
                nng_msg *ack = receive(acks);
                acked[*(unsigned char *) nng_msg_body(ack)]++;
                nng_msg_free(ack);
                slowest = acked[0];
                for (int i = 1; i < SUBSCRIBERS; i++) {
                    slowest = acked[i] < slowest ? acked[i] : slowest;
                }
            }
            for (int64_t i = 0; burst < bursts && i < BURST; i++) {
                MUST(nng_sendmsg(pub, make(job, burst * BURST + i), 0));
            }
        }
        result(start, now(), count);
    }
    nng_close(pub);
    nng_close(acks);
}

typedef struct {
    job *job;
    nng_socket sub, acks;
    int64_t count;
    char number;
} subscriber;

static void *receive_topic(void *arg)
{
    subscriber *self = arg;

    for (int64_t i = 0; i < self->count; i++) {
        nng_msg *msg = receive(self->sub);
        check(self->job, msg, i);
        nng_msg_free(msg);
        if ((i + 1) % BURST == 0) {
            MUST(nng_msg_alloc(&msg, 1));
            *(char *) nng_msg_body(msg) = self->number;
            MUST(nng_sendmsg(self->acks, msg, 0));
        }
    }
    return NULL;
}

static void subscribe(job *job)
{
    subscriber all[SUBSCRIBERS];
    pthread_t threads[SUBSCRIBERS];

    for (int i = 0; i < SUBSCRIBERS; i++) {
        all[i].job = job;
        all[i].number = (char) i;
        MUST(nng_sub0_open(&all[i].sub));
        MUST(nng_push0_open(&all[i].acks));
        set_buffer(all[i].sub, NNG_OPT_RECVBUF, job->buffers);
        MUST(nng_socket_set(all[i].sub, NNG_OPT_SUB_SUBSCRIBE, "", 0));
        dial_to(all[i].sub, job->url);
        dial_to(all[i].acks, job->back);
    }
    ready();
    for (int64_t count; (count = next_round()) >= 0;) {
        uint64_t start = now();
        for (int i = 0; i < SUBSCRIBERS; i++) {
            all[i].count = count;
            pthread_create(&threads[i], NULL, receive_topic, &all[i]);
        }
        for (int i = 0; i < SUBSCRIBERS; i++) {
            pthread_join(threads[i], NULL);
        }
        result(start, now(), count);
    }
    for (int i = 0; i < SUBSCRIBERS; i++) {
        nng_close(all[i].sub);
        nng_close(all[i].acks);
    }
}

/* Open two sockets, connect them, pass one message, close both. */
static void cycle(job *job)
{
    ready();
    for (int64_t count; (count = next_round()) >= 0;) {
        uint64_t start = now();
        for (int64_t i = 0; i < count; i++) {
            nng_socket server, client;
            MUST(nng_pair0_open(&server));
            MUST(nng_pair0_open(&client));
            listen_on(server, job->url);
            dial_to(client, job->url);
            MUST(nng_sendmsg(client, make(job, i), 0));
            nng_msg *msg = receive(server);
            check(job, msg, i);
            nng_msg_free(msg);
            nng_close(client);
            nng_close(server);
        }
        result(start, now(), count);
    }
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
        {"cycle", "alone", cycle},
        {NULL, NULL, NULL},
    };
    return run_program("c", roles);
}

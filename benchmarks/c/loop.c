#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "loop.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static flow *finished, *taken;
static int wakeup_fd, poller;

/* [nng] */
static void on_done(void *arg)
{
    flow *flow = arg;
    uint64_t one = 1;

    pthread_mutex_lock(&lock);
    bool was_empty = finished == NULL;
    flow->next = finished;
    finished = flow;
    pthread_mutex_unlock(&lock);
    if (was_empty && write(wakeup_fd, &one, sizeof(one)) < 0) {
        abort();
    }
}

flow *next_done(void)
{
    struct epoll_event event;
    uint64_t count;
    flow *flow;

    while (taken == NULL) {
        if (epoll_wait(poller, &event, 1, -1) == 1 && read(wakeup_fd, &count, sizeof(count)) > 0) {
            pthread_mutex_lock(&lock);
            taken = finished;
            finished = NULL;
            pthread_mutex_unlock(&lock);
        }
    }
    flow = taken;
    taken = flow->next;
    must(nng_aio_result(flow->aio), flow->sending ? "send" : "receive");
    return flow;
}

void prepare(flow *flow)
{
    memset(flow, 0, sizeof(*flow));
    MUST(nng_aio_alloc(&flow->aio, on_done, flow));
}

void start_send(flow *flow, nng_socket socket, nng_msg *msg)
{
    flow->sending = true;
    nng_aio_set_msg(flow->aio, msg);
    nng_send_aio(socket, flow->aio);
}

void start_receive(flow *flow)
{
    flow->sending = false;
    nng_recv_aio(flow->socket, flow->aio);
}

void send_one(flow *flow, nng_socket socket, nng_msg *msg)
{
    start_send(flow, socket, msg);
    next_done();
}

nng_msg *receive_one(flow *flow)
{
    start_receive(flow);
    next_done();
    return nng_aio_get_msg(flow->aio);
}

void receive_in_context(flow *flow)
{
    flow->sending = false;
    nng_ctx_recv(flow->context, flow->aio);
}

void send_in_context(flow *flow, nng_msg *msg)
{
    flow->sending = true;
    nng_aio_set_msg(flow->aio, msg);
    nng_ctx_send(flow->context, flow->aio);
}

flow *open_contexts(nng_socket socket, int count)
{
    flow *flows = calloc((size_t) count, sizeof(*flows));
    for (int i = 0; i < count; i++) {
        prepare(&flows[i]);
        MUST(nng_ctx_open(&flows[i].context, socket));
    }
    return flows;
}

void open_loop(void)
{
    struct epoll_event event = {.events = EPOLLIN};

    wakeup_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    poller = epoll_create1(EPOLL_CLOEXEC);
    expect(
        wakeup_fd >= 0 && poller >= 0 &&
            epoll_ctl(poller, EPOLL_CTL_ADD, wakeup_fd, &event) == 0,
        "epoll");
}

void forget_done(void) { taken = finished = NULL; }

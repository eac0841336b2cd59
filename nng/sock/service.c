/* A service: the workers of a pool of contexts, and their replies. How workers share the work is
 * Python's business.
 *
 * Replies go out on an aio without a callback: what nng accepts at once costs no other thread. One
 * that has to wait for its connection stays with its context and holds no worker: backlog.c. */
#include <limits.h>
#include <stdlib.h>

#include "sock/context_pool.h"

/* [nng] Looks at connections that have more unread replies than they may. */
static void on_tick(void *arg)
{
    tnng_lane *lane = arg;
    nng_pipe pipes[64];
    int count = 0;

    tnng_lock(&lane->lock);
    lane->pool->ticking = false;
    tnng_backlogs_collect(lane->pool);
    if (!lane->closed) {
        count = tnng_backlogs_end_slow(lane, pipes, 64);
    }
    tnng_pool_dispatch(lane);
    pthread_mutex_unlock(&lane->lock);
    for (int i = 0; i < count; i++) {
        nng_pipe_close(pipes[i]);
    }
    tnng_lane_release(lane);
}

/* [nng] A reply of a connection with many has gone, or ended with its connection or its context. */
static void on_replied(void *arg)
{
    tnng_pool_slot *slot = arg;
    tnng_lane *lane = slot->lane;
    nng_msg *msg = nng_aio_get_msg(slot->notified_reply);

    nng_aio_set_msg(slot->notified_reply, NULL);
    if (msg != NULL) {
        nng_msg_free(msg);
    }
    tnng_lock(&lane->lock);
    slot->notifies = false;
    tnng_backlog_moved(lane->pool, slot->pipe);
    tnng_pool_dispatch(lane);
    pthread_mutex_unlock(&lane->lock);
    tnng_lane_release(lane);
}

/* [caller] The pool's only service. L3: the clock does nothing but sleep, and how a sleep ended is
 * never asked. */
static int attach(tnng_service *service, int max_unread)
{
    tnng_lane *lane = service->lane;
    tnng_pool *pool = lane->pool;
    int code = lane->closed ? NNG_ECLOSED : pool->service != NULL ? NNG_EBUSY : 0;

    if (code == 0 && pool->clock == NULL &&
        (code = nng_aio_alloc(&pool->clock, on_tick, lane)) == 0) {
        nng_aio_set_timeout(pool->clock, NNG_DURATION_INFINITE);
    }
    if (code == 0) {
        service->number = ++pool->services;
        pool->service = service;
        pool->max_unread = max_unread;
        tnng_pool_serve(lane);
    }
    return code;
}

int tnng_service_open(tnng_service **out, tnng_lane *of_socket, int workers, int max_unread)
{
    tnng_service *service = calloc(1, sizeof(*service));
    int code = 0;

    if (service == NULL) {
        return NNG_ENOMEM;
    }
    service->workers = workers;
    if ((service->lane = of_socket->pool_lane) != NULL) {
        tnng_lane_hold(service->lane);
    } else if ((code = tnng_pool_open(&service->lane, of_socket->socket)) != 0) {
        free(service);
        return code;
    }
    tnng_lock(&service->lane->lock);
    code = attach(service, max_unread);
    pthread_mutex_unlock(&service->lane->lock);
    if (code != 0) {
        tnng_service_free(service);
        return code;
    }
    *out = service; /* the caller's cell, which owns what is in it */
    return 0;
}

/* [caller] No new request is taken: receives are cancelled, and what comes back all the same is
 * handed out. Then each call for the next request gets TNNG_DRAINED. */
void tnng_service_drain(tnng_service *service)
{
    TNNG_GUARD_FORK();
    tnng_lock(&service->lane->lock);
    service->draining = true;
    if (service->lane->pool->persistent == 0) {
        for (tnng_pool_slot *slot = service->lane->pool->posted.first; slot != NULL;
             slot = slot->next) {
            nng_aio_cancel(slot->receive);
        }
    }
    tnng_pool_dispatch(service->lane);
    pthread_mutex_unlock(&service->lane->lock);
}

static void abandon_all(tnng_service *service, pool_queue *queue)
{
    tnng_pool *pool = service->lane->pool;
    tnng_pool_slot *slot;

    while ((slot = tnng_pool_pop(queue)) != NULL) {
        service->counts.abandoned++;
        tnng_backlog_answered(pool, slot);
        tnng_pool_idle(pool, slot);
    }
}

/* [caller] The service leaves the pool: what was not answered is given up. */
static void detach(tnng_service *service)
{
    tnng_pool *pool = service->lane->pool;

    if (pool->service == service) {
        tnng_backlogs_give_up(pool);
        abandon_all(service, &service->taken);
        abandon_all(service, &service->requests.ready);
        tnng_pool_end_waiting(&service->requests, NNG_ECLOSED);
        pool->max_unread = INT_MAX;
        pool->service = NULL;
        tnng_pool_dispatch(service->lane);
    }
}

void tnng_service_close(tnng_service *service)
{
    TNNG_GUARD_FORK();
    tnng_lock(&service->lane->lock);
    detach(service);
    pthread_mutex_unlock(&service->lane->lock);
    if (service->lane->pool->persistent == 0) {
        tnng_lane_close(service->lane);
    }
}

void tnng_service_free(tnng_service *service)
{
    TNNG_GUARD_FORK();
    tnng_service_close(service);
    tnng_lane_release(service->lane);
    free(service);
}

/* [caller] A callback is worth its thread when many replies of the connection wait. */
static bool is_to_be_notified(tnng_pool *pool, tnng_pool_slot *slot)
{
    return tnng_backlog_is_long(pool, slot->pipe) &&
           (slot->notified_reply != NULL ||
               nng_aio_alloc(&slot->notified_reply, on_replied, slot) == 0);
}

/* [caller] 0 when nng has the reply, else the message is the caller's again. Of an aio with a
 * callback only the callback says that it is free again. The pointer of the other one is empty a
 * moment before it is idle, which nng_aio_wait waits for. */
static int submit_reply(tnng_pool *pool, tnng_pool_slot *slot, nng_msg *msg)
{
    int code = 0;

    slot->notifies = is_to_be_notified(pool, slot);
    if (slot->notifies) {
        tnng_lane_hold(slot->lane);
    } else if (slot->reply != NULL) {
        nng_aio_wait(slot->reply);
    } else if (nng_aio_alloc(&slot->reply, NULL, NULL) != 0) {
        return NNG_ENOMEM;
    }
    nng_aio *aio = slot->notifies ? slot->notified_reply : slot->reply;
    nng_aio_set_timeout(aio, NNG_DURATION_INFINITE);
    nng_aio_set_msg(aio, msg);
    tnng_wakes_hold();
    nng_ctx_send(slot->context, aio);
    tnng_wakes_go();
    if (!slot->notifies && nng_aio_get_msg(aio) != NULL && (code = nng_aio_result(aio)) != 0) {
        nng_aio_set_msg(aio, NULL);
    }
    return code;
}

/* [caller] */
static int reply(tnng_lane *context, nng_msg *msg)
{
    tnng_lane *lane = context->pool_lane;
    tnng_pool *pool = lane->pool;
    tnng_pool_slot *slot = context->slot;
    size_t size = nng_msg_len(msg);
    int code;

    if (slot == NULL) {
        return NNG_ESTATE;
    }
    nng_msg_header_clear(msg);
    if ((code = submit_reply(pool, slot, msg)) != 0) {
        return code;
    }
    tnng_count_sent(lane->socket, size);
    tnng_pipe_expect(lane->socket, slot->pipe);
    context->slot = NULL;
    tnng_pool_remove(&pool->service->taken, slot);
    pool->service->counts.answered++;
    bool waits = slot->notifies || nng_aio_get_msg(slot->reply) != NULL;
    if (waits) {
        tnng_backlog_add(lane, slot);
    }
    tnng_backlog_answered(pool, slot);
    if (!waits) {
        tnng_pool_idle(pool, slot);
    }
    return 0;
}

/* [caller] Answers the request, and with `chain` takes the next. Never waits for the connection. */
static int worker_send(tnng_lane *worker, nng_msg *msg, bool chain, const tnng_call *call)
{
    nng_msg *request = NULL;
    int code = NNG_ECLOSED;

    tnng_pool_lock(worker);
    if (tnng_pool_is_open(worker) && (code = reply(worker, msg)) == 0) {
        msg = NULL;
        if (chain) {
            code = tnng_pool_receive(worker, call, &request);
        }
    }
    tnng_pool_unlock(worker);
    if (code != TNNG_PARKED) {
        tnng_answer(call->result, code, msg != NULL ? msg : request);
    }
    return tnng_submitted(call->port, chain ? &worker->origin : NULL, code);
}

static const tnng_lane_kind worker_kind = {.receive = tnng_pooled_receive,
    .send = worker_send,
    .give_back = tnng_pooled_give_back,
    .shut = tnng_pooled_shut,
    .free = tnng_pooled_free};

int tnng_service_worker(tnng_service *service, tnng_lane **out)
{
    int code = tnng_lane_open(out, service->lane->socket, false);

    if (code == 0) {
        tnng_lock(&(*out)->lock);
        if ((*out)->pool_lane == NULL) {
            (*out)->pool_lane = service->lane;
            tnng_lane_hold(service->lane);
        }
        (*out)->service = service->number;
        (*out)->kind = &worker_kind;
        (*out)->is_context = true;
        pthread_mutex_unlock(&(*out)->lock);
    }
    return code;
}

void tnng_end_request(tnng_lane *worker, bool answered)
{
    TNNG_GUARD_FORK();
    tnng_pool_lock(worker);
    if (tnng_pool_is_open(worker)) {
        tnng_pool_end_request(worker, answered);
    }
    tnng_pool_unlock(worker);
}

void tnng_service_count(tnng_service *service, tnng_service_counts *counts)
{
    TNNG_GUARD_FORK();
    tnng_lock(&service->lane->lock);
    tnng_backlogs_collect(service->lane->pool);
    *counts = service->counts;
    counts->ready = service->requests.ready.count + service->parked_count;
    counts->taken = service->taken.count;
    counts->replying = service->lane->pool->replying_count;
    tnng_pool_dispatch(service->lane);
    pthread_mutex_unlock(&service->lane->lock);
}

uint32_t tnng_service_take_slow(tnng_service *service)
{
    uint32_t pipe = 0;

    TNNG_GUARD_FORK(0);
    tnng_lock(&service->lane->lock);
    if (service->slow_untold > 0) {
        uint64_t nth = service->counts.slow - (uint64_t) service->slow_untold--;
        pipe = service->slow_pipes[nth % SLOW_REMEMBERED];
    }
    pthread_mutex_unlock(&service->lane->lock);
    return pipe;
}

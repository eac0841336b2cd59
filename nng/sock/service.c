/* A service: the workers of a pool of contexts, and their replies. Python decides which worker
 * receives.
 *
 * Replies go out on an aio without a callback: what nng accepts at once costs no other thread. One
 * that has to wait for its connection stays with its context and holds no worker: backlog.c. */
#include <stdlib.h>

#include "sock/context_pool.h"

/* [nng] A reply of a connection with many has gone, or ended with its connection or its context. */
static void service_on_replied(void *arg)
{
    tnng_pool_slot *slot = arg;
    tnng_ctx *pool_ctx = slot->pool_ctx;
    nng_msg *msg = nng_aio_get_msg(slot->notified_reply);

    nng_aio_set_msg(slot->notified_reply, NULL);
    if (msg != NULL) {
        nng_msg_free(msg);
    }
    tnng_lock(&pool_ctx->lock);
    slot->notifies = false;
    tnng_backlog_moved(pool_ctx->pool, slot->pipe);
    tnng_pool_dispatch(pool_ctx);
    pthread_mutex_unlock(&pool_ctx->lock);
    tnng_ctx_unref(pool_ctx);
}

int tnng_service_open(tnng_service **out, tnng_ctx *of_socket, int workers, int max_unread)
{
    tnng_service *service = calloc(1, sizeof(*service));
    int code = 0;

    if (service == NULL) {
        return NNG_ENOMEM;
    }
    service->workers = workers;
    service->max_unread = max_unread;
    service->max_resumed = workers > 1 ? workers / 2 : 1;
    if ((service->pool_ctx = of_socket->pool_ctx) != NULL) {
        tnng_ctx_ref(service->pool_ctx);
    } else if ((code = tnng_pool_open(&service->pool_ctx, of_socket->socket)) != 0) {
        free(service);
        return code;
    }
    tnng_lock(&service->pool_ctx->lock);
    code = tnng_pool_attach(service);
    pthread_mutex_unlock(&service->pool_ctx->lock);
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
    tnng_lock(&service->pool_ctx->lock);
    service->draining = true;
    if (service->pool_ctx->pool->persistent == 0) {
        for (tnng_pool_slot *slot = service->pool_ctx->pool->posted.first; slot != NULL;
            slot = slot->next) {
            tnng_ctx_cancel_aio(service->pool_ctx, slot->receive);
        }
    }
    tnng_pool_dispatch(service->pool_ctx);
    pthread_mutex_unlock(&service->pool_ctx->lock);
}

static void service_abandon_all(tnng_service *service, pool_queue *queue)
{
    tnng_pool *pool = service->pool_ctx->pool;
    tnng_pool_slot *slot;

    while ((slot = tnng_pool_pop(queue)) != NULL) {
        service->counts.abandoned++;
        tnng_backlog_answered(pool, slot);
        tnng_pool_idle(pool, slot);
    }
}

/* [caller] The service leaves the pool: what was not answered is given up. */
void tnng_service_close(tnng_service *service)
{
    tnng_ctx *pool_ctx = service->pool_ctx;

    TNNG_GUARD_FORK();
    tnng_lock(&pool_ctx->lock);
    if (pool_ctx->pool->service == service) {
        tnng_backlogs_give_up(pool_ctx->pool);
        service_abandon_all(service, &service->taken);
        service_abandon_all(service, &service->requests.ready);
        tnng_pool_end_waiting(&service->requests, NNG_ECLOSED);
        pool_ctx->pool->service = NULL;
        tnng_pool_dispatch(pool_ctx);
    }
    pthread_mutex_unlock(&pool_ctx->lock);
    if (pool_ctx->pool->persistent == 0) {
        tnng_ctx_close(pool_ctx);
    }
}

void tnng_service_free(tnng_service *service)
{
    TNNG_GUARD_FORK();
    tnng_service_close(service);
    tnng_ctx_unref(service->pool_ctx);
    free(service);
}

/* [caller] A callback is worth its thread when many replies of the connection wait. */
static bool service_is_to_be_notified(tnng_pool *pool, tnng_pool_slot *slot)
{
    return tnng_backlog_is_long(pool, slot->pipe) &&
           (slot->notified_reply != NULL ||
               nng_aio_alloc(&slot->notified_reply, service_on_replied, slot) == 0);
}

/* [caller] 0 when nng has the reply, else the message is the caller's again. Of an aio with a
 * callback only the callback says that it is free again. The pointer of the other one is empty a
 * moment before it is idle, which nng_aio_wait waits for. */
static int service_submit_reply(tnng_pool *pool, tnng_pool_slot *slot, nng_msg *msg)
{
    int code = 0;

    slot->notifies = service_is_to_be_notified(pool, slot);
    if (slot->notifies) {
        tnng_ctx_ref(slot->pool_ctx);
    } else if (slot->reply != NULL) {
        nng_aio_wait(slot->reply);
    } else if (nng_aio_alloc(&slot->reply, NULL, NULL) != 0) {
        return NNG_ENOMEM;
    }
    nng_aio *aio = slot->notifies ? slot->notified_reply : slot->reply;
    nng_aio_set_timeout(aio, NNG_DURATION_INFINITE);
    nng_aio_set_msg(aio, msg);
    tnng_wakeups_defer_begin();
    nng_ctx_send(slot->context, aio);
    tnng_wakeups_defer_end();
    if (!slot->notifies && nng_aio_get_msg(aio) != NULL && (code = nng_aio_result(aio)) != 0) {
        nng_aio_set_msg(aio, NULL);
    }
    return code;
}

/* [caller] */
static int service_reply(tnng_ctx *ctx, nng_msg *msg)
{
    tnng_ctx *pool_ctx = ctx->pool_ctx;
    tnng_pool *pool = pool_ctx->pool;
    tnng_pool_slot *slot = ctx->slot;
    size_t size = nng_msg_len(msg);
    int code;

    if (slot == NULL) {
        return NNG_ESTATE;
    }
    nng_msg_header_clear(msg);
    if ((code = service_submit_reply(pool, slot, msg)) != 0) {
        return code;
    }
    tnng_stats_add_sent(pool_ctx->socket, size);
    tnng_pipe_expect_reply(pool_ctx->socket, slot->pipe);
    ctx->slot = NULL;
    tnng_pool_remove(&pool->service->taken, slot);
    pool->service->counts.answered++;
    bool waits = slot->notifies || nng_aio_get_msg(slot->reply) != NULL;
    if (waits) {
        tnng_backlog_add(pool_ctx, slot);
    }
    tnng_backlog_answered(pool, slot);
    if (!waits) {
        tnng_pool_idle(pool, slot);
    }
    return 0;
}

/* [caller] Answers the request, and with `chain` takes the next. Never waits for the connection. */
static int service_worker_send(tnng_ctx *worker, nng_msg **msg, bool chain, const tnng_call *call)
{
    int code = NNG_ECLOSED;

    tnng_pool_lock(worker);
    if (tnng_pool_is_open(worker) && (code = service_reply(worker, *msg)) == 0) {
        *msg = NULL;
        code = chain ? tnng_pool_recv(worker, call, msg) : 0;
    }
    tnng_pool_unlock(worker);
    return code;
}

static const tnng_ctx_kind worker_kind = {.recv = tnng_pooled_recv,
    .send = service_worker_send,
    .unget = tnng_pooled_unget,
    .shutdown = tnng_pooled_shutdown,
    .close = tnng_ctx_nothing,
    .free = tnng_ctx_nothing};

int tnng_service_worker(tnng_service *service, tnng_ctx **out)
{
    int code = tnng_ctx_open(out, service->pool_ctx->socket, false);

    if (code == 0) {
        tnng_lock(&(*out)->lock);
        if ((*out)->pool_ctx == NULL) {
            (*out)->pool_ctx = service->pool_ctx;
            tnng_ctx_ref(service->pool_ctx);
        }
        (*out)->service = service->number;
        (*out)->kind = &worker_kind;
        pthread_mutex_unlock(&(*out)->lock);
    }
    return code;
}

void tnng_end_request(tnng_ctx *worker, bool answered)
{
    TNNG_GUARD_FORK();
    tnng_pool_lock(worker);
    if (tnng_pool_is_open(worker)) {
        tnng_pool_end_request(worker, answered);
    }
    tnng_pool_unlock(worker);
}

void tnng_service_stats_read(tnng_service *service, tnng_service_stats *counts)
{
    TNNG_GUARD_FORK();
    tnng_lock(&service->pool_ctx->lock);
    tnng_backlogs_collect(service->pool_ctx->pool);
    *counts = service->counts;
    counts->ready = service->requests.ready.count + service->parked_count;
    counts->taken = service->taken.count;
    counts->replying = service->pool_ctx->pool->replying_count;
    tnng_pool_dispatch(service->pool_ctx);
    pthread_mutex_unlock(&service->pool_ctx->lock);
}

uint32_t tnng_service_take_slow(tnng_service *service)
{
    uint32_t pipe = 0;

    TNNG_GUARD_FORK(0);
    tnng_lock(&service->pool_ctx->lock);
    if (service->slow_unreported > 0) {
        uint64_t nth = service->counts.slow - (uint64_t) service->slow_unreported--;
        pipe = service->slow_pipes[nth % SLOW_REMEMBERED];
    }
    pthread_mutex_unlock(&service->pool_ctx->lock);
    return pipe;
}

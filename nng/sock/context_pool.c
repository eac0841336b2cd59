/* A pool of nng contexts that receive requests. A request waits here together with the context it
 * came in, which is the way back for the reply.
 *
 * A service on Rep0 opens a pool of its own, and as many receives are posted as it has free
 * workers. A Respondent0 socket has one pool, whose receives are always posted (C3, pooled.c). Its
 * calls take what is ready; a service takes all of it while it runs. */
#include <stdlib.h>

#include "sock/context_pool.h"

enum {
    PERSISTENT = 64,       /* surveys that may arrive between two callbacks */
    MAX_READY = 1024,      /* surveys no call has asked for; beyond it the oldest is dropped, */
    MAX_FOR_WORKERS = 128, /* as of those that wait for a worker, */
    LARGE_FROM = 128,      /* and from so many on what is beyond LARGE bytes */
    LARGE = 16 * 1024 * 1024,
};

/* [any] Surveys that were not asked for in time. */
static void pool_drop_surplus(tnng_ctx *pool_ctx, pool_queue *queue)
{
    tnng_pool *pool = pool_ctx->pool;
    int max = queue == &pool->requests.ready ? MAX_READY : MAX_FOR_WORKERS;

    while (queue->count > max || (queue->count > LARGE_FROM && queue->bytes > LARGE)) {
        tnng_pool_slot *slot = tnng_pool_pop(queue);
        atomic_fetch_add(&pool_ctx->socket->traffic.dropped, 1);
        pool_ctx->socket->hooks->messages_dropped(pool_ctx->socket, false);
        if (queue != &pool->requests.ready) {
            pool->service->counts.abandoned++;
            tnng_backlog_answered(pool, slot);
        }
        tnng_pool_idle(pool, slot);
    }
}

/* [any] The slot has a request. What comes while a service on Respondent0 drains is for others. */
static void pool_enqueue(tnng_ctx *pool_ctx, tnng_pool_slot *slot)
{
    tnng_pool *pool = pool_ctx->pool;
    tnng_service *service = pool->service;
    pool_queue *queue = &pool->requests.ready;

    if (service != NULL && !(service->draining && pool->persistent > 0)) {
        queue = &service->requests.ready;
        service->counts.received++;
        if (tnng_backlog_parks(pool_ctx, slot)) {
            return;
        }
    }
    tnng_pool_push(queue, slot);
    if (pool->persistent > 0) {
        pool_drop_surplus(pool_ctx, queue);
    }
}

/* [nng] Requests go on in the order of submission, which is the order nng received them in,
 * whichever callback came first. N2: the message decides, not the result. */
static void pool_on_received(void *arg)
{
    tnng_pool_slot *slot = arg;
    tnng_ctx *pool_ctx = slot->pool_ctx;
    tnng_pool *pool = pool_ctx->pool;

    tnng_lock(&pool_ctx->lock);
    slot->pending = false;
    while ((slot = pool->posted.first) != NULL && !slot->pending) {
        tnng_pool_remove(&pool->posted, slot);
        slot->msg = nng_aio_get_msg(slot->receive);
        nng_aio_set_msg(slot->receive, NULL);
        if (slot->msg == NULL || pool_ctx->closed) {
            tnng_pool_idle(pool, slot);
        } else {
            slot->pipe = tnng_msg_pipe(slot->msg);
            pool_enqueue(pool_ctx, slot);
        }
    }
    tnng_pool_dispatch(pool_ctx);
    pthread_mutex_unlock(&pool_ctx->lock);
    tnng_ctx_unref(pool_ctx);
}

/* [any] NULL when there is no memory. */
tnng_pool_slot *tnng_pool_take_idle(tnng_ctx *pool_ctx)
{
    tnng_pool *pool = pool_ctx->pool;
    tnng_pool_slot *slot = tnng_pool_pop(&pool->idle);

    if (slot == NULL && (slot = calloc(1, sizeof(*slot))) != NULL) {
        slot->pool_ctx = pool_ctx;
        slot->sibling = pool->all;
        pool->all = slot;
        TNNG_LIST_APPEND(&pool->free_backlogs, &slot->backlog_memory);
    }
    return slot;
}

/* [any] False when memory is lacking. */
static bool pool_post(tnng_ctx *pool_ctx)
{
    tnng_pool *pool = pool_ctx->pool;
    tnng_pool_slot *slot = tnng_pool_take_idle(pool_ctx);

    if (slot == NULL) {
        return false;
    }
    if ((slot->receive == NULL && nng_aio_alloc(&slot->receive, pool_on_received, slot) != 0) ||
        (slot->context.id == 0 && nng_ctx_open(&slot->context, pool_ctx->socket->nng) != 0)) {
        tnng_pool_idle(pool, slot);
        return false;
    }
    nng_aio_set_timeout(slot->receive, NNG_DURATION_INFINITE);
    slot->pending = true;
    tnng_pool_push(&pool->posted, slot);
    tnng_ctx_ref(pool_ctx);
    nng_aio_set_msg(slot->receive, NULL);
    tnng_wakeups_defer_begin();
    nng_ctx_recv(slot->context, slot->receive);
    tnng_wakeups_defer_end();
    return true;
}

static int pool_target(const tnng_pool *pool)
{
    const tnng_service *service = pool->service;

    if (pool->persistent > 0 || service == NULL || service->draining) {
        return pool->persistent;
    }
    return service->workers - service->taken.count - service->requests.ready.count;
}

/* [any] False when nothing will come, because memory is lacking. */
bool tnng_pool_post_missing(tnng_ctx *pool_ctx)
{
    int target = pool_target(pool_ctx->pool);

    while (!pool_ctx->closed && pool_ctx->pool->posted.count < target && pool_post(pool_ctx)) {
    }
    return target <= 0 || pool_ctx->pool->posted.count > 0;
}

/* [any] ctx->lock held. A worker has the slot until it has answered. Another context takes the
 * nng context out of it, and leaves its own, which gives up a survey that was not answered when it
 * is posted again. */
nng_msg *tnng_pool_hand_out(pool_requests *requests, tnng_ctx *ctx)
{
    tnng_pool *pool = ctx->pool_ctx->pool;
    tnng_pool_slot *slot = tnng_pool_pop(&requests->ready);
    nng_msg *msg = slot->msg;

    if (!slot->accounted) {
        tnng_stats_add_received(ctx->socket, nng_msg_len(msg));
    }
    slot->accounted = false;
    slot->msg = NULL;
    if (ctx->service != 0) {
        ctx->slot = slot;
        tnng_pool_push(&pool->service->taken, slot);
    } else {
        nng_ctx previous = ctx->nng;
        ctx->nng = slot->context;
        ctx->has_request = true;
        ctx->reply_pipe = slot->pipe;
        slot->context = previous;
        tnng_pool_idle(pool, slot);
    }
    return msg;
}

/* [any] The worker's request, if it has one, is over without a reply. */
void tnng_pool_end_request(tnng_ctx *ctx, bool answered)
{
    tnng_pool *pool = ctx->pool_ctx->pool;
    tnng_pool_slot *slot = ctx->slot;

    if (slot != NULL) {
        ctx->slot = NULL;
        tnng_pool_remove(&pool->service->taken, slot);
        (*(answered ? &pool->service->counts.answered : &pool->service->counts.abandoned))++;
        tnng_backlog_answered(pool, slot);
        tnng_pool_idle(pool, slot);
    }
}

bool tnng_service_is_drained(const tnng_service *service)
{
    const tnng_pool *pool = service->pool_ctx->pool;

    return service->draining && service->requests.ready.count == 0 && service->parked_count == 0 &&
           (pool->persistent > 0 || pool->posted.count == 0);
}

/* [any] A call that waits gets a request, or this code. */
void tnng_pool_finish(pool_requests *requests, tnng_op *op, int code)
{
    tnng_ctx *ctx = ((tnng_ctx_op *) op)->origin;

    TNNG_LIST_REMOVE(&requests->waiting, op);
    tnng_lock(&ctx->lock);
    ctx->waiters = 0;
    nng_msg *msg = code == 0 ? tnng_pool_hand_out(requests, ctx) : NULL;
    pthread_mutex_unlock(&ctx->lock);
    tnng_op_finish(op, code, msg);
}

/* [any] */
void tnng_pool_end_waiting(pool_requests *requests, int code)
{
    while (requests->waiting.first != NULL) {
        tnng_pool_finish(requests, requests->waiting.first, code);
    }
}

/* [any] Hands out what is ready, then posts the receives that are missing. Python lets one worker
 * wait at a time. Threads wait together; the one that came last has the shortest wait. */
void tnng_pool_dispatch(tnng_ctx *pool_ctx)
{
    tnng_pool *pool = pool_ctx->pool;
    pool_requests *requests = &pool->requests;
    tnng_service *service = pool->service;

    while (requests->ready.count > 0 && requests->waiting.first != NULL) {
        tnng_pool_finish(requests, requests->waiting.first, 0);
    }
    if (service != NULL) {
        requests = &service->requests;
        while (requests->ready.count > 0 && requests->waiting.last != NULL) {
            tnng_pool_finish(requests, requests->waiting.last, 0);
        }
        if (tnng_service_is_drained(service)) {
            tnng_pool_end_waiting(requests, TNNG_DRAINED);
        }
        if (service->slow_unreported > 0 && requests->waiting.last != NULL) {
            tnng_pool_finish(requests, requests->waiting.last, TNNG_SLOW);
        }
    }
    tnng_pool_post_missing(pool_ctx);
    tnng_pollfd_update(pool_ctx, pool->requests.ready.count > 0);
}

/* [caller] A service has come, the only one, and takes what came before it too. */
int tnng_pool_attach(tnng_service *service)
{
    tnng_ctx *pool_ctx = service->pool_ctx;
    tnng_pool *pool = pool_ctx->pool;
    pool_queue ready = pool->requests.ready;
    tnng_pool_slot *slot;

    if (pool_ctx->closed || pool->service != NULL) {
        return pool_ctx->closed ? NNG_ECLOSED : NNG_EBUSY;
    }
    service->number = ++pool->services;
    pool->service = service;
    pool->requests.ready = (pool_queue){0};
    while ((slot = tnng_pool_pop(&ready)) != NULL) {
        pool_enqueue(pool_ctx, slot);
    }
    tnng_pool_dispatch(pool_ctx);
    return 0;
}

/* [nng] Looks at connections that have more unread replies than they may. */
static void pool_on_tick(void *arg)
{
    tnng_ctx *pool_ctx = arg;

    tnng_lock(&pool_ctx->lock);
    pool_ctx->pool->ticking = false;
    tnng_backlogs_collect(pool_ctx->pool);
    if (!pool_ctx->closed) {
        tnng_backlogs_end_slow(pool_ctx);
    }
    tnng_pool_dispatch(pool_ctx);
    pthread_mutex_unlock(&pool_ctx->lock);
    tnng_ctx_unref(pool_ctx);
}

/* [caller] No call can begin any more. */
static void pool_shutdown(tnng_ctx *pool_ctx)
{
    tnng_lock(&pool_ctx->lock);
    tnng_pool_end_waiting(&pool_ctx->pool->requests, NNG_ECLOSED);
    if (pool_ctx->pool->service != NULL) {
        tnng_pool_end_waiting(&pool_ctx->pool->service->requests, NNG_ECLOSED);
    }
    tnng_pollfd_update(pool_ctx, true);
    pthread_mutex_unlock(&pool_ctx->lock);
}

/* [any] nng_close ends the contexts itself, and may not meet this on its way. */
static void pool_close(tnng_ctx *pool_ctx)
{
    struct tnng_contexts *contexts = pool_ctx->socket->contexts;

    tnng_lock(&pool_ctx->lock);
    nng_aio_cancel(pool_ctx->pool->clock);
    tnng_pool_slot *all = pool_ctx->pool->all; /* closed: no slot is added any more */
    pthread_mutex_unlock(&pool_ctx->lock);
    pthread_mutex_lock(&contexts->close_lock);
    for (tnng_pool_slot *slot = all; slot != NULL && !contexts->gone; slot = slot->sibling) {
        nng_ctx_close(slot->context);
    }
    pthread_mutex_unlock(&contexts->close_lock);
}

static void pool_reap(nng_aio *aio)
{
    if (aio != NULL) {
        nng_aio_reap(aio);
    }
}

static void pool_free_slot(tnng_pool_slot *slot)
{
    nng_msg *msg;

    if (slot->reply != NULL) {
        /* Its context has closed, so it is not with nng; a reply that never went is ours again. */
        nng_aio_wait(slot->reply);
        if ((msg = nng_aio_get_msg(slot->reply)) != NULL) {
            nng_aio_set_msg(slot->reply, NULL);
            nng_msg_free(msg);
        }
    }
    pool_reap(slot->receive);
    pool_reap(slot->reply);
    pool_reap(slot->notified_reply);
    if (slot->msg != NULL) {
        nng_msg_free(slot->msg);
    }
    free(slot);
}

/* [any] The pool has no reference left: only replies whose contexts have closed are with nng. */
static void pool_free(tnng_ctx *pool_ctx)
{
    for (tnng_pool_slot *next, *slot = pool_ctx->pool->all; slot != NULL; slot = next) {
        next = slot->sibling;
        pool_free_slot(slot);
    }
    nng_aio_reap(pool_ctx->pool->clock);
    free(pool_ctx->pool);
}

static const tnng_ctx_kind pool_kind = {.dispatch = tnng_pool_dispatch,
    .shutdown = pool_shutdown,
    .close = pool_close,
    .free = pool_free};

/* [caller] Of a Respondent0 before its first endpoint, so that no survey is ever unread. L3: the
 * clock does nothing but sleep, and how a sleep ended is never asked. */
int tnng_pool_open(tnng_ctx **out, tnng_socket *socket)
{
    tnng_pool *pool = calloc(1, sizeof(*pool));
    int code = pool == NULL ? NNG_ENOMEM : tnng_ctx_open(out, socket, false);

    if (code == 0 && (code = nng_aio_alloc(&pool->clock, pool_on_tick, *out)) != 0) {
        tnng_ctx_destroy(*out);
    }
    if (code != 0) {
        free(pool);
        return code;
    }
    nng_aio_set_timeout(pool->clock, NNG_DURATION_INFINITE);
    pool->persistent = (socket->traits & TRAIT_CONTEXT_POOL) ? PERSISTENT : 0;
    tnng_lock(&(*out)->lock);
    (*out)->kind = &pool_kind;
    (*out)->pool = pool;
    (*out)->traits = TRAIT_RECV;
    tnng_pool_dispatch(*out);
    pthread_mutex_unlock(&(*out)->lock);
    return 0;
}

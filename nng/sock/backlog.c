/* Connections that do not read their replies. nng's REP and RESPONDENT write one reply of a
 * connection at a time; the next ones wait in nng, each with its context, and hold no worker. What
 * one connection can hold is bounded: when `max_unread` of its replies wait, its next requests are
 * parked, and answered as it reads. So a client that reads more slowly than it is answered is
 * slowed down, and a client that takes no reply for SLOW_AFTER while it asks for more is
 * disconnected. With more than MANY_PARKED requests it must have taken one within FLOOD_AFTER: a
 * client with thousands of requests in flight does, one that floods without reading does not. More
 * than MAX_PARKED requests, or MAX_PARKED_BYTES, are never held.
 *
 * That nng has passed on a reply is seen when the backlog of its client is looked at: the client's
 * next request or reply came, a later reply of its went, or the clock ticks. Only the later half of
 * its unread replies has a callback, so that a reply which waits for a moment costs no other
 * thread. A client that has left is looked at by none of these; so whenever twice as many replies
 * wait as after the last look at all backlogs, all are looked at. */
#include "sock/context_pool.h"

enum {
    SLOW_AFTER = 1000, /* milliseconds */
    TICK = 50,
    FLOOD_AFTER = 100, /* milliseconds */
    MANY_PARKED = 1024,
    MAX_PARKED = 16384,
    MAX_PARKED_BYTES = 64 << 20,
    LEAST_UNREAD = 64,
};

static int64_t backlog_now(void) { return tnng_now() / 1000000; }

static backlog **backlog_bucket(tnng_pool *pool, uint32_t pipe)
{
    return &pool->buckets[pipe % BACKLOG_BUCKETS];
}

/* [any] NULL when the connection has read all its replies. */
static backlog *backlog_find(tnng_pool *pool, uint32_t pipe)
{
    backlog *each = pool->backlogs.first == NULL ? NULL : *backlog_bucket(pool, pipe);

    while (each != NULL && each->pipe != pipe) {
        each = each->bucket_next;
    }
    return each;
}

/* [any] Never fails: each slot has room for one, and each connection with one has a slot. */
static backlog *backlog_new(tnng_pool *pool, uint32_t pipe)
{
    backlog *new = pool->free_backlogs.first;

    TNNG_LIST_REMOVE(&pool->free_backlogs, new);
    *new =
        (backlog){.bucket_next = *backlog_bucket(pool, pipe), .pipe = pipe, .moved = backlog_now()};
    TNNG_LIST_APPEND(&pool->backlogs, new);
    *backlog_bucket(pool, pipe) = new;
    return new;
}

static void backlog_free_if_empty(tnng_pool *pool, backlog *backlog)
{
    if (backlog->unread.count == 0 && backlog->parked.count == 0 && backlog->resumed == 0) {
        TNNG_SLIST_REMOVE(backlog_bucket(pool, backlog->pipe), backlog, bucket_next);
        TNNG_LIST_REMOVE(&pool->backlogs, backlog);
        TNNG_LIST_APPEND(&pool->free_backlogs, backlog);
    }
}

/* [any] Replies that have gone free their contexts. */
static void backlog_collect(tnng_pool *pool, backlog *backlog)
{
    tnng_pool_slot *slot;

    while ((slot = backlog->unread.first) != NULL && !slot->notifies &&
           (slot->reply == NULL || nng_aio_get_msg(slot->reply) == NULL)) {
        tnng_pool_pop(&backlog->unread);
        backlog->moved = backlog_now();
        pool->replying_count--;
        tnng_pool_idle(pool, slot);
    }
}

/* [any] Parked requests go on when there is room for their replies. */
static void backlog_resume(tnng_pool *pool, backlog *backlog)
{
    tnng_service *service = pool->service; /* there is one while anything is parked */

    while (backlog->parked.count > 0 && backlog->resumed < service->max_resumed &&
           backlog->unread.count + backlog->resumed < service->max_unread) {
        tnng_pool_slot *slot = tnng_pool_pop(&backlog->parked);
        service->parked_count--;
        backlog->resumed++;
        slot->resumed = true;
        tnng_pool_push(&service->requests.ready, slot);
    }
}

static void backlog_collect_and_resume(tnng_pool *pool, backlog *backlog)
{
    backlog_collect(pool, backlog);
    backlog_resume(pool, backlog);
    backlog_free_if_empty(pool, backlog);
}

void tnng_backlogs_collect(tnng_pool *pool)
{
    for (backlog *next, *each = pool->backlogs.first; each != NULL; each = next) {
        next = each->next;
        backlog_collect_and_resume(pool, each);
    }
}

/* [nng] A reply of this connection has gone, or ended. */
void tnng_backlog_moved(tnng_pool *pool, uint32_t pipe)
{
    backlog *backlog = backlog_find(pool, pipe);

    if (backlog != NULL) {
        backlog_collect_and_resume(pool, backlog);
    }
}

/* [any] The request of a slot is answered, or given up. */
void tnng_backlog_answered(tnng_pool *pool, tnng_pool_slot *slot)
{
    backlog *backlog;

    if (slot->resumed && (backlog = backlog_find(pool, slot->pipe)) != NULL) {
        backlog->resumed--;
        backlog_resume(pool, backlog);
        backlog_free_if_empty(pool, backlog);
    }
    slot->resumed = false;
}

static bool backlog_is_over(tnng_pool *pool, backlog *backlog)
{
    return backlog->ended || backlog->parked.count > 0 ||
           (pool->service != NULL && backlog->unread.count > pool->service->max_unread);
}

/* [any] */
static void backlog_tick_if_needed(tnng_ctx *pool_ctx, backlog *backlog)
{
    if (!pool_ctx->pool->ticking && !pool_ctx->closed && backlog_is_over(pool_ctx->pool, backlog)) {
        pool_ctx->pool->ticking = true;
        tnng_ctx_ref(pool_ctx);
        nng_sleep_aio(TICK, pool_ctx->pool->clock);
    }
}

/* [any] The requests of a connection that waited for it to read are given up. */
static void backlog_give_up(tnng_pool *pool, backlog *backlog)
{
    tnng_pool_slot *slot;

    while ((slot = tnng_pool_pop(&backlog->parked)) != NULL) {
        pool->service->parked_count--;
        pool->service->counts.abandoned++;
        tnng_pool_idle(pool, slot);
    }
}

void tnng_backlogs_give_up(tnng_pool *pool)
{
    for (backlog *each = pool->backlogs.first; each != NULL; each = each->next) {
        backlog_give_up(pool, each);
    }
}

/* [nng] The connection is closed; its replies go with it. */
static void backlog_end(tnng_ctx *pool_ctx, backlog *backlog)
{
    tnng_service *service = pool_ctx->pool->service;
    tnng_pipe *pipe;

    backlog_give_up(pool_ctx->pool, backlog);
    backlog->ended = true;
    service->slow_pipes[service->counts.slow++ % SLOW_REMEMBERED] = backlog->pipe;
    if (service->slow_unreported < SLOW_REMEMBERED) {
        service->slow_unreported++;
    }
    if (tnng_pipe_find(pool_ctx->socket, backlog->pipe, &pipe)) {
        tnng_pipe_close(pipe, TNNG_REASON_SLOW);
        tnng_pipe_unref(pipe);
    }
}

/* [nng] Ends those that do not read. */
void tnng_backlogs_end_slow(tnng_ctx *pool_ctx)
{
    tnng_pool *pool = pool_ctx->pool;
    int64_t time = backlog_now();

    for (backlog *each = pool->backlogs.first; each != NULL; each = each->next) {
        if (!each->ended && backlog_is_over(pool, each) &&
            each->unread.count >= pool->service->max_unread && time - each->moved >= SLOW_AFTER) {
            backlog_end(pool_ctx, each);
        }
        backlog_tick_if_needed(pool_ctx, each);
    }
}

/* [caller] Whether it matters when the next reply goes, because many wait. */
bool tnng_backlog_is_long(tnng_pool *pool, uint32_t pipe)
{
    backlog *backlog = backlog_find(pool, pipe);

    if (backlog == NULL) {
        return false;
    }
    backlog_collect(pool, backlog);
    bool is_long =
        backlog->unread.count > 0 && backlog->unread.count >= pool->service->max_unread / 2;
    backlog_free_if_empty(pool, backlog);
    return is_long;
}

/* [caller] nng has a reply that waits for its connection. Requests may become ready. */
void tnng_backlog_add(tnng_ctx *pool_ctx, tnng_pool_slot *slot)
{
    tnng_pool *pool = pool_ctx->pool;
    backlog *backlog = backlog_find(pool, slot->pipe);

    if (backlog == NULL) {
        backlog = backlog_new(pool, slot->pipe);
    } else if (backlog->unread.count == 0) {
        backlog->moved = backlog_now();
    }
    tnng_pool_push(&backlog->unread, slot);
    pool->replying_count++;
    backlog_tick_if_needed(pool_ctx, backlog);
    if (pool->replying_count >= pool->collect_at) {
        tnng_backlogs_collect(pool);
        pool->collect_at = 2 * pool->replying_count + LEAST_UNREAD;
    }
}

/* [nng] Whether a request waits here until its client has read, or is not wanted any more. It never
 * overtakes another one. */
bool tnng_backlog_parks(tnng_ctx *pool_ctx, tnng_pool_slot *slot)
{
    tnng_pool *pool = pool_ctx->pool;
    backlog *backlog = backlog_find(pool, slot->pipe);

    if (backlog == NULL) {
        return false;
    }
    if (backlog->ended) {
        pool->service->counts.abandoned++;
        tnng_pool_idle(pool, slot);
        return true;
    }
    backlog_collect(pool, backlog);
    backlog_resume(pool, backlog);
    if (backlog->parked.count == 0 && backlog->unread.count < pool->service->max_unread) {
        backlog_free_if_empty(pool, backlog);
        return false;
    }
    tnng_pool_push(&backlog->parked, slot);
    pool->service->parked_count++;
    if (backlog->parked.count > MAX_PARKED || backlog->parked.bytes > MAX_PARKED_BYTES ||
        (backlog->parked.count > MANY_PARKED && backlog_now() - backlog->moved >= FLOOD_AFTER)) {
        backlog_end(pool_ctx, backlog);
    }
    backlog_tick_if_needed(pool_ctx, backlog);
    return true;
}

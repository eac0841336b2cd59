/* Contexts whose requests come from a pool: those of Respondent0, and the workers of a service.
 *
 * C3: before nng 1.10 (issue 1959) a survey that lies unread in nng when its connection goes leaves
 * a dangling pipe behind, which the next receive follows: a peer can crash the process with two
 * surveys and a reset. So a Respondent0 socket has a pool of contexts whose receives are always
 * posted. A call takes a survey from the pool with its context, the way back, and leaves its own
 * there. This may go when 1.10 is the oldest nng. */
#include "sock/context_pool.h"

/* [caller] Locks the pool of a context, and the context. */
void tnng_pool_lock(tnng_ctx *ctx)
{
    tnng_lock(&ctx->pool_ctx->lock);
    tnng_lock(&ctx->lock);
}

/* [caller] Unlocks them, and hands out what has become possible. */
void tnng_pool_unlock(tnng_ctx *ctx)
{
    pthread_mutex_unlock(&ctx->lock);
    tnng_pool_dispatch(ctx->pool_ctx);
    pthread_mutex_unlock(&ctx->pool_ctx->lock);
}

/* A worker whose service has ended gets nothing any more. */
static bool pooled_is_served(const tnng_ctx *ctx)
{
    const tnng_service *service = ctx->pool_ctx->pool->service;

    return ctx->service == 0 || (service != NULL && service->number == ctx->service);
}

/* [caller] False when the context, its pool, or the service it works for has ended. */
bool tnng_pool_is_open(const tnng_ctx *ctx)
{
    return !ctx->closed && !ctx->pool_ctx->closed && pooled_is_served(ctx);
}

static pool_requests *pooled_requests_of(const tnng_ctx *ctx)
{
    tnng_pool *pool = ctx->pool_ctx->pool;

    return ctx->service == 0 ? &pool->requests : &pool->service->requests;
}

static int pooled_cancel(tnng_op *op)
{
    tnng_ctx *ctx = ((tnng_ctx_op *) op)->origin, *pool_ctx = ctx->pool_ctx;
    int outcome = TNNG_CANCEL_LATE;

    tnng_lock(&pool_ctx->lock);
    if (op->stage != OP_FINISHED) {
        tnng_op_list_remove(&pooled_requests_of(ctx)->waiting, op);
        tnng_lock(&ctx->lock);
        ctx->waiters = 0;
        pthread_mutex_unlock(&ctx->lock);
        outcome = TNNG_CANCEL_DONE;
    }
    pthread_mutex_unlock(&pool_ctx->lock);
    return outcome;
}

static const tnng_op_kind receive_kind = {
    .cancel = pooled_cancel, .reclaim = tnng_recv_reclaim, .free = tnng_ctx_op_free};

/* [caller] The next request: now, or through the completion queue. */
int tnng_pool_recv(tnng_ctx *ctx, const tnng_call *call, nng_msg **msg)
{
    tnng_ctx *pool_ctx = ctx->pool_ctx;
    tnng_pool *pool = pool_ctx->pool;
    pool_requests *requests = pooled_requests_of(ctx);
    tnng_ctx_op *op;
    int code;

    if (ctx->service != 0) {
        tnng_pool_end_request(ctx, false);
        if (pool->service->slow_untold > 0) {
            return TNNG_SLOW;
        }
    }
    if (requests->ready.count > 0) {
        *msg = tnng_pool_hand_out(requests, ctx);
        return 0;
    }
    if (ctx->service != 0 && tnng_service_is_drained(pool->service)) {
        return TNNG_DRAINED;
    }
    if (call->cq == NULL) {
        return NNG_EAGAIN;
    }
    if (!tnng_pool_post_missing(pool_ctx)) {
        return NNG_ENOMEM;
    }
    if ((op = tnng_ctx_op_new(pool_ctx, &receive_kind, call, &code)) == NULL) {
        return code;
    }
    op->op.stage = OP_WAITING;
    op->origin = ctx;
    tnng_ctx_ref(ctx);
    tnng_op_list_append(&requests->waiting, &op->op);
    ctx->waiters = 1;
    ctx->has_request = false;
    return tnng_op_park(&op->op, call->result);
}

/* [caller] Undoes tnng_pool_hand_out. */
static void pooled_restore(tnng_ctx *ctx, nng_msg *msg)
{
    tnng_ctx *pool_ctx = ctx->pool_ctx;
    tnng_pool *pool = pool_ctx->pool;
    tnng_pool_slot *slot = ctx->service != 0 ? ctx->slot : tnng_pool_take_idle(pool_ctx);
    pool_queue *ready = &pool->requests.ready;

    if (slot == NULL) {
        nng_msg_free(msg);
        return;
    }
    if (ctx->service != 0) {
        ctx->slot = NULL;
        tnng_pool_remove(&pool->service->taken, slot);
        ready = &pool->service->requests.ready;
    } else {
        nng_ctx empty = slot->context;
        slot->context = ctx->nng;
        slot->pipe = ctx->reply_pipe;
        ctx->nng = empty;
        ctx->has_request = false;
    }
    slot->msg = msg;
    slot->accounted = true;
    tnng_pool_push_first(ready, slot);
}

/* [caller] The call that waits for a request is over, and so is the request that was taken. */
static void pooled_cancel_call(tnng_ctx *ctx)
{
    pool_requests *requests = pooled_requests_of(ctx);

    for (tnng_op *op = requests->waiting.first; op != NULL; op = op->next) {
        if (((tnng_ctx_op *) op)->origin == ctx) {
            tnng_pool_finish(requests, op, NNG_ECLOSED);
            break;
        }
    }
    tnng_lock(&ctx->lock);
    tnng_pool_end_request(ctx, false);
    pthread_mutex_unlock(&ctx->lock);
}

/* [caller] One call at a time, and none while a reply is being sent. */
int tnng_pooled_receive(tnng_ctx *ctx, const tnng_call *call)
{
    nng_msg *msg = NULL;
    int code;

    tnng_pool_lock(ctx);
    if (!tnng_pool_is_open(ctx)) {
        code = NNG_ECLOSED;
    } else if (ctx->waiters > 0 || ctx->sending > 0) {
        code = NNG_EBUSY;
    } else {
        code = tnng_pool_recv(ctx, call, &msg);
    }
    tnng_pool_unlock(ctx);
    return code == TNNG_PARKED ? code : tnng_result_set(call->result, code, msg);
}

/* [caller] The request goes back to the front with its context. Both are gone when that has closed.
 */
void tnng_pooled_give_back(tnng_ctx *ctx, nng_msg *msg)
{
    tnng_pool_lock(ctx);
    if (tnng_pool_is_open(ctx)) {
        pooled_restore(ctx, msg);
    } else {
        nng_msg_free(msg);
    }
    tnng_pool_unlock(ctx);
}

/* [caller] */
void tnng_pooled_shut(tnng_ctx *ctx)
{
    tnng_lock(&ctx->pool_ctx->lock);
    if (pooled_is_served(ctx)) {
        pooled_cancel_call(ctx);
    }
    pthread_mutex_unlock(&ctx->pool_ctx->lock);
}

void tnng_pooled_free(tnng_ctx *ctx) { tnng_ctx_unref(ctx->pool_ctx); }

/* [job] nng_close has ended all contexts. */
static void pooled_respondent_closed(tnng_socket *socket)
{
    struct tnng_contexts *contexts = socket->contexts;

    pthread_mutex_lock(&contexts->lock);
    tnng_ctx *pool = contexts->pool;
    contexts->pool = NULL;
    pthread_mutex_unlock(&contexts->lock);
    if (pool != NULL) {
        pool->kind->close(pool);
        tnng_ctx_unref(pool);
    }
}

static const tnng_ctx_kind respondent_kind = {.recv = tnng_pooled_receive,
    .unget = tnng_pooled_give_back,
    .shutdown = tnng_pooled_shut,
    .free = tnng_pooled_free,
    .socket_closed = pooled_respondent_closed};

/* [caller] Before the first endpoint, so that no survey is ever unread. */
int tnng_respondent_open(tnng_socket *socket)
{
    int code = tnng_pool_open(&socket->contexts->pool, socket);

    socket->contexts->kind = &respondent_kind;
    return code;
}

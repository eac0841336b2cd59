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

/* NULL: the context is the worker of a service that has ended. */
static pool_requests *pooled_requests_of(const tnng_ctx *ctx)
{
    tnng_pool *pool = ctx->pool_ctx->pool;
    tnng_service *service = pool->service;

    if (ctx->service == 0) {
        return &pool->requests;
    }
    return service != NULL && service->number == ctx->service ? &service->requests : NULL;
}

/* [caller] False when the context, its pool, or the service it works for has ended. */
bool tnng_pool_is_open(const tnng_ctx *ctx)
{
    return !ctx->closed && !ctx->pool_ctx->closed && pooled_requests_of(ctx) != NULL;
}

static int pooled_cancel(tnng_op *op)
{
    tnng_ctx *ctx = ((tnng_ctx_op *) op)->origin;
    int outcome = TNNG_CANCEL_LATE;

    tnng_pool_lock(ctx);
    if (op->stage != OP_FINISHED) {
        TNNG_LIST_REMOVE(&pooled_requests_of(ctx)->waiting, op);
        ctx->waiters = 0;
        outcome = TNNG_CANCEL_DONE;
    }
    tnng_pool_unlock(ctx);
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
        if (pool->service->slow_unreported > 0) {
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
    TNNG_LIST_APPEND(&requests->waiting, &op->op);
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

/* [caller] One call at a time, and none while a reply is being sent. */
int tnng_pooled_recv(tnng_ctx *ctx, const tnng_call *call, bool ask_nng, nng_msg **msg)
{
    int code;

    (void) ask_nng; /* nng holds no request */
    tnng_pool_lock(ctx);
    if (!tnng_pool_is_open(ctx)) {
        code = NNG_ECLOSED;
    } else if (ctx->waiters > 0 || ctx->sending > 0) {
        code = NNG_EBUSY;
    } else {
        code = tnng_pool_recv(ctx, call, msg);
    }
    tnng_pool_unlock(ctx);
    return code;
}

/* [caller] The request goes back to the front with its context. Both are gone when that has closed.
 */
void tnng_pooled_unget(tnng_ctx *ctx, nng_msg *msg)
{
    tnng_pool_lock(ctx);
    if (tnng_pool_is_open(ctx)) {
        pooled_restore(ctx, msg);
    } else {
        nng_msg_free(msg);
    }
    tnng_pool_unlock(ctx);
}

/* [caller] The call that waits for a request is over, and so is the request that was taken. */
void tnng_pooled_shutdown(tnng_ctx *ctx)
{
    tnng_lock(&ctx->pool_ctx->lock);
    pool_requests *requests = pooled_requests_of(ctx);
    if (requests != NULL) {
        tnng_op *op = requests->waiting.first;
        while (op != NULL && ((tnng_ctx_op *) op)->origin != ctx) {
            op = op->next;
        }
        if (op != NULL) {
            tnng_pool_finish(requests, op, NNG_ECLOSED);
        }
        tnng_lock(&ctx->lock);
        tnng_pool_end_request(ctx, false);
        pthread_mutex_unlock(&ctx->lock);
    }
    pthread_mutex_unlock(&ctx->pool_ctx->lock);
}

static const tnng_ctx_kind respondent_kind = {.recv = tnng_pooled_recv,
    .send = tnng_ctx_send,
    .unget = tnng_pooled_unget,
    .shutdown = tnng_pooled_shutdown,
    .close = tnng_ctx_nothing,
    .free = tnng_ctx_nothing};

/* [caller] Before the first endpoint, so that no survey is ever unread. */
int tnng_respondent_open(tnng_socket *socket)
{
    int code = tnng_pool_open(&socket->contexts->pool, socket);

    socket->contexts->kind = &respondent_kind;
    return code;
}

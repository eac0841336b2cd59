/* Sends that have to wait. Each has its own aio, and is really cancelled; its caller waits for the
 * callback, because only that tells whose the message is. */
#include "sock/sock.h"

/* [any] ctx->lock held: nng has taken a message. */
void tnng_send_accepted(tnng_ctx *ctx, size_t size)
{
    tnng_stats_add_sent(ctx->socket, size);
    if (ctx->traits & TRAIT_REPLIES) {
        tnng_pipe_expect_reply(ctx->socket, ctx->reply_pipe);
    }
}

static nng_aio *send_aio(tnng_ctx_op *op) { return op->inline_reply ? op->ctx->try_send : op->aio; }

/* [any] A send that had to wait is decided. */
void tnng_send_finish(tnng_ctx_op *op)
{
    tnng_ctx *ctx = op->ctx;
    nng_aio *aio = send_aio(op);
    bool detached;

    TNNG_PAUSE("send.callback");
    tnng_lock(&ctx->lock);
    if (op->op.cq == NULL) {
        nng_aio_set_msg(aio, NULL);
        pthread_mutex_unlock(&ctx->lock);
        tnng_op_free(&op->op);
        tnng_ctx_unref(ctx);
        return;
    }
    int code = nng_aio_result(aio);
    nng_msg *msg = nng_aio_get_msg(aio);
    nng_aio_set_msg(aio, NULL);
    if (op->cancel_requested && msg == NULL && TNNG_SIMULATE("N2")) {
        code = NNG_ECANCELED;
    }
    ctx->sending--;
    detached = op->detached;
    /* N2: a late cancel rewrites the result, so a message that is gone was sent. */
    if (code == 0 || (msg == NULL && !TNNG_WITHOUT("N2"))) {
        tnng_send_accepted(ctx, op->size);
        msg = NULL;
        ctx->request_sent = !op->chain;
        code = op->cancel_requested && op->chain && !TNNG_WITHOUT("CHAIN") ? TNNG_SENT : 0;
    } else if (msg != NULL && !(ctx->traits & TRAIT_RAW_HEADER)) {
        nng_msg_header_clear(msg);
    }
    if (detached) {
        if (msg != NULL) {
            nng_msg_free(msg);
        }
    } else if (code == 0 && op->chain && !ctx->closed) {
        tnng_ctx_park_recv(ctx, op);
    } else {
        tnng_op_finish(&op->op, code == 0 && op->chain ? NNG_ECLOSED : code, msg);
    }
    if (ctx->pollfd != NULL) {
        tnng_ctx_dispatch(ctx);
    }
    pthread_mutex_unlock(&ctx->lock);
    if (detached) {
        tnng_op_free(&op->op);
    }
    tnng_ctx_unref(ctx);
}

/* [nng] */
static void send_callback(void *arg) { tnng_send_finish(arg); }

/* [caller] Once a send that a receive follows has been sent, it waits as a receive does. */
static int send_op_cancel(tnng_op *of)
{
    tnng_ctx_op *op = (tnng_ctx_op *) of;
    tnng_ctx *ctx = op->ctx;
    int outcome = TNNG_CANCEL_LATE;

    tnng_lock(&ctx->lock);
    if (of->stage == OP_SENDING) {
        op->cancel_requested = true;
        tnng_ctx_cancel_aio(ctx, send_aio(op));
        outcome = TNNG_CANCEL_PENDING;
    } else if (of->stage == OP_WAITING) {
        outcome = tnng_ctx_cancel_recv(ctx, op);
    }
    pthread_mutex_unlock(&ctx->lock);
    return outcome;
}

/* [caller] */
static bool send_op_detach(tnng_op *of)
{
    tnng_ctx_op *op = (tnng_ctx_op *) of;
    tnng_ctx *ctx = op->ctx;

    tnng_lock(&ctx->lock);
    bool with_nng = of->stage == OP_SENDING;
    if (with_nng) {
        op->detached = op->cancel_requested = true;
        tnng_ctx_cancel_aio(ctx, send_aio(op));
    }
    pthread_mutex_unlock(&ctx->lock);
    return with_nng;
}

static const tnng_op_kind send_kind = {.cancel = send_op_cancel,
    .detach = send_op_detach,
    .reclaim = tnng_recv_reclaim,
    .free = tnng_ctx_op_free};

/* [caller] An op for a call that parks, or NULL with the reason in *code. */
tnng_ctx_op *tnng_send_op_new(tnng_ctx *ctx, const tnng_call *call, bool chain, int *code)
{
    tnng_ctx_op *op = tnng_ctx_op_new(ctx, &send_kind, call, code);

    if (op != NULL) {
        op->chain = chain;
    }
    return op;
}

/* [caller] The send goes to nng with a callback; the lock is held until nng has it. 0 when it turns
 * out to be sent already: Rep0 and Respondent0 empty the aio when they accept a reply, which they
 * do at once unless the connection is busy with another. Then no call waits for the callback,
 * which only tidies up. */
int tnng_send_submit(tnng_ctx *ctx, tnng_ctx_op *op, nng_msg *msg)
{
    if (op->aio == NULL && nng_aio_alloc(&op->aio, send_callback, op) != 0) {
        tnng_ctx_op_recycle(op);
        return NNG_ENOMEM;
    }
    nng_aio_set_timeout(op->aio, NNG_DURATION_INFINITE);
    op->op.stage = OP_SENDING;
    op->size = nng_msg_len(msg);
    ctx->sending++;
    tnng_ctx_ref(ctx);
    TNNG_PAUSE("send.before_submit");
    tnng_submit_send(ctx, op->aio, msg);
    TNNG_PAUSE("send.after_submit");
    bool taken = (ctx->traits & TRAIT_REPLIES) && nng_aio_get_msg(op->aio) == NULL;
    if (taken) {
        ctx->sending--;
        tnng_op_detach_waiter(&op->op);
        return 0;
    }
    return TNNG_PARKED;
}

/* The calls that receive: what they look at, when they wait, and what they give back. The ring they
 * look at is in sock/recv.c. */
#include "sock/sock.h"

/* [caller] A call that does not wait on a context that asks. Nothing has been posted since the
 * request when no call has waited, so what nng has is looked at: on Req0 a zero-timeout receive
 * changes nothing when there is no answer (1.5.2 to 1.12), and says NNG_ESTATE when nothing was
 * asked. N3: on Surveyor0 it would block; but there receives stay posted as long as the survey
 * lasts. */
static int recv_poll_reply(tnng_ctx *ctx, nng_msg **msg)
{
    int code;

    if (ctx->traits & TRAIT_SURVEYS) {
        return ctx->prefetch == 0 ? NNG_ESTATE : NNG_ETIMEDOUT;
    }
    code = tnng_ctx_try_recv(ctx, msg);
    if (code == 0) {
        ctx->request_sent = false;
        tnng_stats_add_received(ctx->socket, nng_msg_len(*msg));
    }
    return code;
}

/* Whether a call answers at once: it has no completion queue, or its thread gave it no time. */
static bool recv_is_poll(const tnng_cq *cq) { return cq == NULL || tnng_waiter_is_poll(cq); }

static int recv_cancel(tnng_op *op)
{
    tnng_ctx *ctx = ((tnng_ctx_op *) op)->ctx;
    int outcome = TNNG_CANCEL_LATE;

    tnng_lock(&ctx->lock);
    if (op->stage != OP_FINISHED) {
        outcome = tnng_ctx_cancel_recv(ctx, (tnng_ctx_op *) op);
    }
    pthread_mutex_unlock(&ctx->lock);
    return outcome;
}

/* [caller] The next call gets the message. */
void tnng_recv_reclaim(tnng_op *op)
{
    const tnng_ctx_op *of = (tnng_ctx_op *) op;

    tnng_unget(of->origin != NULL ? of->origin : of->ctx, op->msg);
}

const tnng_op_kind tnng_recv_kind = {
    .cancel = recv_cancel, .reclaim = tnng_recv_reclaim, .free = tnng_ctx_op_free};

/* [caller] What a kind of context has for `recv`. */
int tnng_ctx_recv(tnng_ctx *ctx, const tnng_call *call, bool ask_nng, nng_msg **msg)
{
    tnng_ctx_op *op;
    int code;

    tnng_lock(&ctx->lock);
    if (ctx->closed) {
        code = NNG_ECLOSED;
    } else if ((ctx->traits & TRAIT_SINGLE_CALL) &&
               (ctx->waiters > 0 || (ctx->sending > 0 && TNNG_FIX_IS_ON(C2)))) {
        /* C2: on Req0 this also keeps a receive from being posted before its send has completed. */
        code = NNG_EBUSY;
    } else {
        code = tnng_ctx_recv_now(ctx, SIZE_MAX, msg);
    }
    if (code == NNG_ETIMEDOUT && ask_nng && (ctx->traits & TRAIT_SEND_SUPERSEDES) &&
        ctx->head == NULL && !ctx->survey_ended) {
        code = recv_poll_reply(ctx, msg);
    }
    if (code == NNG_ETIMEDOUT && !ctx->survey_ended) {
        if (call->cq == NULL) {
            code = NNG_EAGAIN;
        } else if (!ask_nng && (op = tnng_ctx_op_new(ctx, &tnng_recv_kind, call, &code)) != NULL) {
            code = tnng_op_park(&op->op, call->result);
            tnng_ctx_park_recv(ctx, op);
        }
    }
    pthread_mutex_unlock(&ctx->lock);
    return code;
}

static int recv_run(tnng_ctx *ctx, const tnng_call *call, bool ask_nng)
{
    nng_msg *msg = NULL;
    int code;

    TNNG_GUARD_FORK(tnng_result_set(call->result, TNNG_FORKED, NULL));
    if (!(ctx->traits & TRAIT_RECV)) {
        return tnng_result_set(call->result, NNG_ENOTSUP, NULL);
    }
    if ((code = ctx->kind->recv(ctx, call, ask_nng, &msg)) != TNNG_PARKED) {
        tnng_result_set(call->result, code, msg);
    }
    return tnng_waiter_submitted(call->cq, &ctx->origin, code);
}

int tnng_recv(tnng_ctx *ctx, tnng_cq *cq, uint64_t tag, tnng_result *result)
{
    return recv_run(ctx, &(tnng_call){cq, tag, result}, recv_is_poll(cq));
}

/* [caller] The fast path of calls that wait when this finds nothing. They do not ask nng for an
 * answer to a request, which is nearly never there so soon. */
nng_msg *tnng_recv_nowait(tnng_ctx *ctx)
{
    tnng_result result;

    return recv_run(ctx, &(tnng_call){.result = &result}, false) == 0 ? result.msg : NULL;
}

/* [caller] Time is up. Cancelling a receive ends the survey inside nng. */
void tnng_end_survey(tnng_ctx *ctx)
{
    TNNG_GUARD_FORK();
    tnng_lock(&ctx->lock);
    ctx->prefetch = 0;
    ctx->survey_ended = true;
    ctx->request_sent = false;
    for (tnng_slot *slot = ctx->head; slot != NULL; slot = slot->next) {
        if (slot->pending && !slot->cancelled) {
            slot->cancelled = true;
            tnng_ctx_cancel_aio(ctx, slot->aio);
        }
    }
    pthread_mutex_unlock(&ctx->lock);
}

/* [caller] Puts a message back to the front: the next call gets it. */
void tnng_ctx_unget(tnng_ctx *ctx, nng_msg *msg)
{
    tnng_lock(&ctx->lock);
    tnng_ctx_push_front(ctx, msg, true);
    tnng_ctx_dispatch(ctx);
    if (!(ctx->traits & TRAIT_PERSISTENT_RECV)) {
        tnng_ctx_cancel_excess(ctx);
    }
    pthread_mutex_unlock(&ctx->lock);
}

void tnng_unget(tnng_ctx *ctx, nng_msg *msg)
{
    TNNG_GUARD_FORK();
    ctx->kind->unget(ctx, msg);
}

/* [caller] */
void tnng_origin_unget(tnng_origin *origin, nng_msg *msg) { tnng_unget((tnng_ctx *) origin, msg); }

int tnng_ctx_set_prefetch(tnng_ctx *ctx, int messages)
{
    TNNG_GUARD_FORK(TNNG_FORKED);
    tnng_lock(&ctx->lock);
    int before = ctx->prefetch;
    ctx->prefetch = messages;
    tnng_ctx_cancel_excess(ctx);
    tnng_ctx_dispatch(ctx);
    /* No receive is posted, and none will be until a call comes. */
    int code = messages > 0 && ctx->live == 0 && !ctx->closed ? NNG_ENOMEM : 0;
    if (code != 0) {
        ctx->prefetch = before;
    }
    pthread_mutex_unlock(&ctx->lock);
    return code;
}

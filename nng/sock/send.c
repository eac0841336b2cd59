/* The calls that send: what they look at, and when they wait. What nng accepts at once never parks;
 * a send that must wait is in send_op.c. */
#include "sock/sock.h"

/* How many receives stay posted for the replies to a survey. */
enum { REPLIES_AHEAD = 16 };

/* [caller] One zero-timeout send on an aio without a callback. The result code decides: Pub0 leaves
 * its message pointer dangling, and Req0 has it in its own hands for a while. */
static int send_try(tnng_ctx *ctx, nng_msg *msg)
{
    tnng_stream *stream = ctx->nng.id != 0 ? NULL : &ctx->stream;

    if (ctx->try_send == NULL) {
        if (nng_aio_alloc(&ctx->try_send, NULL, NULL) != 0) {
            return NNG_ENOMEM;
        }
        nng_aio_set_timeout(ctx->try_send, NNG_DURATION_ZERO);
    }
    tnng_wakeups_stream_begin(stream, true);
    tnng_submit_send(ctx, ctx->try_send, msg);
    nng_aio_set_msg(ctx->try_send, NULL);
    int code = nng_aio_result(ctx->try_send);
    tnng_wakeups_stream_end(stream, code == 0);
    return code;
}

/* [caller] ctx->lock held: may this call be made at all, before nng sees anything of it? */
static int send_check(tnng_ctx *ctx)
{
    if (ctx->closed) {
        return NNG_ECLOSED;
    }
    if ((ctx->traits & TRAIT_SINGLE_CALL) &&
        (ctx->sending > 0 || (ctx->waiters > 0 && !(ctx->traits & TRAIT_SEND_SUPERSEDES)))) {
        return NNG_EBUSY;
    }
    if ((ctx->traits & TRAIT_REPLIES) && !ctx->has_request) {
        return NNG_ESTATE;
    }
    return 0;
}

/* [caller] ctx->lock held. 0: sent. NNG_EAGAIN: it would have to wait and may not. */
static int send_or_park(tnng_ctx *ctx, nng_msg *msg, bool chain, const tnng_call *call)
{
    tnng_ctx_op *op;
    int code = ctx->traits & TRAIT_TRY_SEND ? send_try(ctx, msg) : NNG_ETIMEDOUT;

    if (!chain && tnng_reply_is_inline(ctx)) {
        return tnng_reply_inline(ctx, msg, call);
    }
    if (code == NNG_ETIMEDOUT && call->cq == NULL) {
        return NNG_EAGAIN;
    }
    if (code == NNG_ETIMEDOUT && (op = tnng_send_op_new(ctx, call, chain, &code)) != NULL) {
        code = tnng_send_submit(ctx, op, msg);
        if ((ctx->traits & TRAIT_REPLIES) && (code == 0 || code == TNNG_PARKED)) {
            tnng_reply_note(ctx->socket, code == TNNG_PARKED);
        }
        if (code == TNNG_PARKED) {
            tnng_op_park(&op->op, call->result);
        }
    }
    return code;
}

/* [caller] `*msg` becomes NULL when nng has taken it, whatever the answer. */
static int send_start(tnng_ctx *ctx, nng_msg **msg, bool chain, const tnng_call *call)
{
    tnng_ctx_op *op;
    size_t size = nng_msg_len(*msg);
    int code = send_check(ctx);

    if (code != 0) {
        return code;
    }
    if (call->cq == NULL && (chain || !(ctx->traits & TRAIT_TRY_SEND))) {
        return NNG_EAGAIN;
    }
    if (call->cq != NULL && tnng_owner_is_other(ctx->socket, call->cq)) {
        return NNG_EBUSY;
    }
    if ((ctx->traits & TRAIT_SURVEYS) && !tnng_survey_begin(ctx->socket)) {
        return NNG_EAGAIN;
    }
    if (!(ctx->traits & TRAIT_RAW_HEADER)) {
        nng_msg_header_clear(*msg);
    }
    if (ctx->traits & TRAIT_SEND_SUPERSEDES) {
        ctx->prefetch = 0;
        tnng_ctx_supersede(ctx);
    }
    ctx->has_request = false;
    code = send_or_park(ctx, *msg, chain, call);
    if (code == 0) {
        *msg = NULL;
        tnng_send_accepted(ctx, size);
        ctx->request_sent = !chain;
    }
    if (ctx->traits & TRAIT_SURVEYS) {
        tnng_survey_end(ctx->socket);
    }
    if (code == 0) {
        if (ctx->traits & TRAIT_SURVEYS) {
            ctx->survey_ended = false;
            ctx->prefetch = REPLIES_AHEAD;
            tnng_ctx_dispatch(ctx);
        }
        if (chain && (op = tnng_send_op_new(ctx, call, true, &code)) != NULL) {
            code = tnng_op_park(&op->op, call->result);
            tnng_ctx_park_recv(ctx, op);
        }
    } else if (code != TNNG_PARKED && !(ctx->traits & TRAIT_RAW_HEADER)) {
        nng_msg_header_clear(*msg);
    }
    if (ctx->pollfd != NULL && code != TNNG_PARKED) {
        tnng_ctx_dispatch(ctx);
    }
    return code;
}

/* [caller] What a kind of context has for `send`. */
int tnng_ctx_send(tnng_ctx *ctx, nng_msg **msg, bool chain, const tnng_call *call)
{
    if (!(ctx->traits & TRAIT_SEND) || (chain && (ctx->traits & TRAIT_CONTEXT_POOL))) {
        return NNG_ENOTSUP;
    }
    tnng_lock(&ctx->lock);
    int code = send_start(ctx, msg, chain, call);
    pthread_mutex_unlock(&ctx->lock);
    return code;
}

/* [caller] What a worker receives after its reply is a request, and goes back to the pool when the
 * caller cannot take it. */
static int send_run(tnng_ctx *ctx, nng_msg *msg, bool chain, const tnng_call *call)
{
    TNNG_GUARD_FORK(tnng_result_set(call->result, TNNG_FORKED, msg));
    int code = ctx->kind->send(ctx, &msg, chain, call);

    if (code != TNNG_PARKED) {
        tnng_result_set(call->result, code, msg);
    }
    return tnng_waiter_submitted(call->cq, ctx->service != 0 ? &ctx->origin : NULL, code);
}

/* [caller] The message is this call's own once it has been taken, and only then written to. */
int tnng_send(tnng_ctx *ctx, tnng_message_ref *ref, int64_t pipe, tnng_cq *cq, uint64_t tag,
    tnng_result *result)
{
    nng_msg *msg = NULL;
    int code = tnng_message_ref_take(ref, &msg);

    if (code != 0) {
        return tnng_result_set(result, code, NULL);
    }
    if (pipe >= 0) {
        nng_msg_set_pipe(msg, (nng_pipe){(uint32_t) pipe});
    }
    return send_run(ctx, msg, false, &(tnng_call){cq, tag, result});
}

/* [caller] The bytes never reach nng's message when it cannot be made, or when the caller does not
 * want it back. */
static int send_run_bytes(
    tnng_ctx *ctx, const char *data, size_t size, bool chain, const tnng_call *call)
{
    nng_msg *msg = tnng_msg_new(data, size);
    int code = msg == NULL ? tnng_result_set(call->result, NNG_ENOMEM, NULL)
                           : send_run(ctx, msg, chain, call);

    if (code != TNNG_PARKED && code != 0 && call->result->msg != NULL) {
        nng_msg_free(call->result->msg);
        call->result->msg = NULL;
    }
    return code;
}

int tnng_send_bytes(
    tnng_ctx *ctx, const char *data, size_t size, tnng_cq *cq, uint64_t tag, tnng_result *result)
{
    return send_run_bytes(ctx, data, size, false, &(tnng_call){cq, tag, result});
}

int tnng_send_bytes_nowait(tnng_ctx *ctx, const char *data, size_t size)
{
    tnng_result result;

    if (!tnng_forked() && tnng_owner_is_other(ctx->socket, NULL)) {
        return NNG_EAGAIN;
    }
    return send_run_bytes(ctx, data, size, false, &(tnng_call){.result = &result});
}

int tnng_send_recv_bytes(
    tnng_ctx *ctx, const char *data, size_t size, tnng_cq *cq, uint64_t tag, tnng_result *result)
{
    return send_run_bytes(ctx, data, size, true, &(tnng_call){cq, tag, result});
}

/* [caller] */
int tnng_send_many(tnng_ctx *ctx, const char *data, const uint32_t *sizes, int count, int *sent)
{
    int code;

    *sent = 0;
    TNNG_GUARD_FORK(TNNG_FORKED);
    tnng_lock(&ctx->lock);
    code = send_check(ctx);
    while (code == 0 && *sent < count) {
        nng_msg *msg = tnng_msg_new(data, sizes[*sent]);
        code = msg == NULL ? NNG_ENOMEM : send_try(ctx, msg);
        if (code == 0) {
            tnng_send_accepted(ctx, sizes[*sent]);
            data += sizes[(*sent)++];
        } else if (msg != NULL) {
            nng_msg_free(msg);
        }
    }
    pthread_mutex_unlock(&ctx->lock);
    tnng_wakeups_flush();
    return code == NNG_ETIMEDOUT ? NNG_EAGAIN : code;
}

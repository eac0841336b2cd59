/* Replies of Rep0 and Respondent0 without a callback.
 *
 * nng takes nearly every reply at once. With a callback that still wakes one of its task threads,
 * so a reply first goes on an aio that has none: the context's own. Only when the connection is
 * busy with another reply does it wait in nng, and then nothing would tell us of its end: a helper
 * thread waits for it. So that this stays rare, a socket that met a busy connection uses the aio
 * with a callback for a while, and one such thread at most runs for a socket.
 *
 * N1: nng 1.9 to 1.11 can return from nng_aio_wait before the end, but only after a cancel. So the
 * message and the result decide here too; to wait only makes sure that nng is done with the aio. */
#include <time.h>

#include "sock/sock.h"

/* So many replies in a row must have been taken at once before the next goes without a callback. */
enum { CALM = 64 };

static bool reply_is_pending(nng_aio *aio)
{
    return nng_aio_get_msg(aio) != NULL && nng_aio_result(aio) == 0;
}

/* [any] */
static void reply_wait(nng_aio *aio)
{
    nng_aio_wait(aio);
    while (reply_is_pending(aio)) {
        /* N1: it has been cancelled, and the end is about to come. */
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

/* [job] Waits for a reply that met a busy connection, then does what a callback would do. */
static void *reply_thread(void *arg)
{
    tnng_ctx_op *op = arg;
    tnng_socket *socket = op->ctx->socket;
    nng_aio *aio = op->ctx->try_send;

    tnng_socket_ref(socket);
    reply_wait(aio);
    tnng_send_finish(op);
    atomic_store(&socket->sends->reply_waits, false);
    tnng_socket_unref(socket);
    return NULL;
}

/* [caller] Whether the next reply goes without a callback. */
bool tnng_reply_is_inline(tnng_ctx *ctx)
{
    return (ctx->traits & TRAIT_REPLIES) && atomic_load(&ctx->socket->sends->busy_replies) <= 0 &&
           !atomic_load(&ctx->socket->sends->reply_waits);
}

/* [caller] What became of a reply when it was submitted: it had to wait, or it was taken. */
void tnng_reply_note(tnng_socket *socket, bool waits)
{
    if (waits) {
        atomic_store(&socket->sends->busy_replies, CALM);
    } else if (atomic_load(&socket->sends->busy_replies) > 0) {
        atomic_fetch_sub(&socket->sends->busy_replies, 1);
    }
}

/* [caller] 0 when nng took the message, else its error, and the message is the caller's again. */
static int reply_collect(nng_aio *aio)
{
    bool taken = nng_aio_get_msg(aio) == NULL;

    nng_aio_set_msg(aio, NULL);
    return taken ? 0 : nng_aio_result(aio);
}

/* [caller] ctx->lock held. Submits a reply without a callback: 0 when nng has it, or
 * TNNG_PARKED. */
int tnng_reply_inline(tnng_ctx *ctx, nng_msg *msg, const tnng_call *call)
{
    tnng_ctx_op *op;
    size_t size = nng_msg_len(msg);
    int code = 0;

    if (ctx->try_send == NULL) {
        if (nng_aio_alloc(&ctx->try_send, NULL, NULL) != 0) {
            return NNG_ENOMEM;
        }
        nng_aio_set_timeout(ctx->try_send, NNG_DURATION_INFINITE);
    } else {
        /* The message leaves the aio a moment before nng is done with it. */
        nng_aio_wait(ctx->try_send);
    }
    TNNG_PAUSE("send.before_submit");
    tnng_submit_send(ctx, ctx->try_send, msg);
    TNNG_PAUSE("send.after_submit");
    if (!reply_is_pending(ctx->try_send)) {
        return reply_collect(ctx->try_send);
    }
    tnng_reply_note(ctx->socket, true);
    if ((op = tnng_send_op_new(ctx, call, false, &code)) != NULL) {
        op->op.stage = OP_SENDING;
        op->inline_reply = true;
        op->size = size;
        ctx->sending++;
        tnng_ctx_ref(ctx);
        atomic_store(&ctx->socket->sends->reply_waits, true);
        if (tnng_thread_start(reply_thread, op)) {
            return tnng_op_park(&op->op, call->result);
        }
        atomic_store(&ctx->socket->sends->reply_waits, false);
        ctx->sending--;
        tnng_ctx_op_recycle(op);
        code = NNG_ENOMEM;
    }
    /* No thread can wait for it: it is taken back, unless it went in the last moment. */
    nng_aio_cancel(ctx->try_send);
    reply_wait(ctx->try_send);
    return reply_collect(ctx->try_send) == 0 ? 0 : code;
}

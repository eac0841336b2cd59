/* The end of a context, and of a socket. */
#include "sock/sock.h"

/* [any] The gate. Every submit happens under ctx->lock after a look at `closed`: once this
 * returns, no operation can begin, and none is in the middle of being submitted (C5). */
static void close_contexts(tnng_ctx *ctx)
{
    tnng_lock(&ctx->lock);
    ctx->closed = TNNG_FIX_IS_ON(C5);
    tnng_ctx_supersede(ctx);
    pthread_mutex_unlock(&ctx->lock);
    ctx->kind->shutdown(ctx);
}

/* [any] Just before nng closes it: until then operations can be cancelled. */
static void close_leave_to_nng(tnng_ctx *ctx)
{
    tnng_lock(&ctx->lock);
    ctx->left_to_nng = TNNG_FIX_IS_ON(C12);
    pthread_mutex_unlock(&ctx->lock);
}

/* [caller] Ends a context. nng completes what it still has with an error; the callbacks clean up.
 */
void tnng_ctx_close(tnng_ctx *ctx)
{
    TNNG_GUARD_FORK();
    close_contexts(ctx);
    if (ctx->nng.id != 0 || ctx->pool != NULL) {
        close_leave_to_nng(ctx);
    }
    ctx->kind->close(ctx);
    /* nng_close ends the contexts itself, and may not meet this on its way. */
    pthread_mutex_lock(&ctx->socket->contexts->close_lock);
    if (ctx->nng.id != 0 && !ctx->socket->contexts->gone) {
        nng_ctx_close(ctx->nng);
    }
    pthread_mutex_unlock(&ctx->socket->contexts->close_lock);
}

/* [caller] */
void tnng_ctx_destroy(tnng_ctx *ctx)
{
    if (!tnng_forked()) {
        tnng_ctx_close(ctx);
        tnng_ctx_unref(ctx);
    }
}

/* [job] */
static int close_run(tnng_job *job)
{
    tnng_socket *socket = job->socket;

    TNNG_PAUSE("close.before");
    pthread_mutex_lock(&socket->endpoints->lock);
    if (!socket->endpoints->closed) {
        pthread_mutex_lock(&socket->contexts->close_lock);
        socket->contexts->gone = true;
        pthread_mutex_unlock(&socket->contexts->close_lock);
        tnng_dials_wait_connecting(socket, NULL);
        tnng_dialers_remove_all(socket);
        tnng_causes_unregister(socket, 0, false);
        tnng_lock(&socket->contexts->lock);
        for (tnng_ctx *ctx = socket->contexts->first; ctx != NULL; ctx = ctx->next) {
            close_leave_to_nng(ctx);
        }
        pthread_mutex_unlock(&socket->contexts->lock);
        TNNG_PAUSE("close.left_to_nng");
        nng_close(socket->nng);
        socket->endpoints->closed = true;
        tnng_push_socket_closed(socket);
        if (socket->contexts->pool != NULL) { /* no context is opened any more that asks for it */
            tnng_ctx_destroy(socket->contexts->pool);
        }
    }
    pthread_mutex_unlock(&socket->endpoints->lock);
    tnng_listener_names_wait(socket, 0);
    tnng_pollfd_shutdown(socket);
    TNNG_PAUSE("close.after");
    return 0;
}

const tnng_job_kind tnng_close_job = {.run = close_run, .once = true};

/* [caller] No context of the socket can begin a call from now on, and waiting calls end with
 * NNG_ECLOSED; nng_close itself is a job. A loop that does not own the socket may call this, so the
 * call parks without tnng_owner_enter. */
int tnng_socket_close(tnng_socket *socket, tnng_cq *cq, uint64_t tag, tnng_result *result)
{
    struct tnng_contexts *contexts = socket->contexts;

    TNNG_GUARD_FORK(tnng_result_set(result, TNNG_FORKED, NULL));
    tnng_lock(&contexts->lock);
    bool again = contexts->closing;
    contexts->closing = true;
    for (tnng_ctx *ctx = again ? NULL : contexts->first; ctx != NULL; ctx = ctx->next) {
        close_contexts(ctx);
    }
    pthread_mutex_unlock(&contexts->lock);
    tnng_pipes_shutdown(socket);
    if (cq != NULL) {
        tnng_owner_add(socket);
    }
    return tnng_job_submit(&contexts->close, &(tnng_call){cq, tag, result});
}

/* [caller] */
void tnng_socket_destroy(tnng_socket *socket)
{
    tnng_result ignored;

    if (!tnng_forked()) {
        tnng_socket_close(socket, NULL, 0, &ignored);
        tnng_socket_unref(socket);
    }
}

/* A context: where messages travel, the socket itself or one of its contexts. It owns the aios, and
 * lives until its last operation has called back. */
#include <stdlib.h>

#include "sock/sock.h"

int tnng_ctx_open(tnng_ctx **out, tnng_socket *socket, bool context)
{
    struct tnng_contexts *contexts = socket->contexts;
    tnng_ctx *ctx;
    int code = 0;

    TNNG_GUARD_FORK(TNNG_FORKED);
    if (context && !(socket->traits & TRAIT_CONTEXTS)) {
        return NNG_ENOTSUP;
    }
    if ((ctx = calloc(1, sizeof(*ctx))) == NULL) {
        return NNG_ENOMEM;
    }
    tnng_lock(&contexts->lock);
    /* C5: no context, and so no submit, begins once the socket is closing. */
    if (contexts->closing) {
        code = NNG_ECLOSED;
    } else if (context && !(socket->traits & TRAIT_CONTEXT_POOL)) {
        code = nng_ctx_open(&ctx->nng, socket->nng);
    }
    if (code == 0) {
        atomic_init(&ctx->origin.refs, 1);
        ctx->origin.hooks = socket->hooks;
        pthread_mutex_init(&ctx->lock, NULL);
        ctx->kind = contexts->kind;
        ctx->traits = socket->traits;
        ctx->socket = socket;
        tnng_socket_ref(socket);
        if ((ctx->pool_ctx = contexts->pool) != NULL) {
            tnng_ctx_ref(ctx->pool_ctx);
        }
        TNNG_LIST_APPEND(contexts, ctx);
        *out = ctx;
    } else {
        free(ctx);
    }
    pthread_mutex_unlock(&contexts->lock);
    return code;
}

uint32_t tnng_ctx_id(tnng_ctx *ctx) { return ctx->nng.id; }

/* [any] The last one out may be a callback on one of these very aios, so they are freed by nng's
 * reaper, which waits until no callback runs. L3: none of them ever slept, so none of them lies
 * about a timeout. */
void tnng_ctx_free(tnng_origin *origin)
{
    tnng_ctx *ctx = (tnng_ctx *) origin;
    struct tnng_contexts *contexts = ctx->socket->contexts;
    tnng_slot *slot;
    tnng_op *op;

    tnng_lock(&contexts->lock);
    TNNG_LIST_REMOVE(contexts, ctx);
    pthread_mutex_unlock(&contexts->lock);
    while ((slot = ctx->head) != NULL) {
        /* Nothing is in flight any more: what stands here was taken and never asked for. */
        ctx->head = slot->next;
        if (slot->msg != NULL) {
            nng_msg_free(slot->msg);
        }
        slot->next = ctx->free_list;
        ctx->free_list = slot;
    }
    while ((slot = ctx->free_list) != NULL) {
        ctx->free_list = slot->next;
        if (slot->aio != NULL) {
            nng_aio_reap(slot->aio);
        }
        free(slot);
    }
    while ((op = ctx->idle_ops) != NULL) {
        ctx->idle_ops = op->next;
        if (((tnng_ctx_op *) op)->aio != NULL) {
            nng_aio_reap(((tnng_ctx_op *) op)->aio);
        }
        free(op);
    }
    ctx->kind->free(ctx);
    if (ctx->pool_ctx != NULL) {
        tnng_ctx_unref(ctx->pool_ctx);
    }
    nng_aio_free(ctx->try_send);
    nng_aio_free(ctx->try_recv);
    pthread_mutex_destroy(&ctx->lock);
    tnng_socket_unref(ctx->socket);
    free(ctx);
}

/* [any] ctx->lock held, as for whatever is submitted. */
void tnng_submit_send(tnng_ctx *ctx, nng_aio *aio, nng_msg *msg)
{
    nng_aio_set_msg(aio, msg);
    tnng_wakeups_defer_begin();
    tnng_drops_begin(ctx->socket);
    if (ctx->nng.id != 0) {
        nng_ctx_send(ctx->nng, aio);
    } else {
        nng_send_aio(ctx->socket->nng, aio);
    }
    tnng_drops_end();
    tnng_wakeups_defer_end();
}

/* [any] ctx->lock held. */
void tnng_submit_recv(tnng_ctx *ctx, nng_aio *aio)
{
    /* N1, N2: whatever was in the aio must not be taken for a message of this receive. */
    nng_aio_set_msg(aio, NULL);
    tnng_wakeups_defer_begin();
    if (ctx->nng.id != 0) {
        nng_ctx_recv(ctx->nng, aio);
    } else {
        nng_recv_aio(ctx->socket->nng, aio);
    }
    tnng_wakeups_defer_end();
}

void tnng_ctx_nothing(tnng_ctx *ctx) { (void) ctx; }

/* [caller] */
int tnng_ctx_prefetched(tnng_ctx *ctx)
{
    int held = 0;

    TNNG_GUARD_FORK(0);
    tnng_lock(&ctx->lock);
    for (tnng_slot *slot = ctx->head; slot != NULL; slot = slot->next) {
        held += slot->msg != NULL && !slot->superseded;
    }
    pthread_mutex_unlock(&ctx->lock);
    return held;
}

/* [nng] A send that is under way holds the lock of its context. */
void tnng_contexts_wait_sends(tnng_socket *socket)
{
    tnng_lock(&socket->contexts->lock);
    for (tnng_ctx *ctx = socket->contexts->first; ctx != NULL; ctx = ctx->next) {
        tnng_lock(&ctx->lock);
        pthread_mutex_unlock(&ctx->lock);
    }
    pthread_mutex_unlock(&socket->contexts->lock);
}

tnng_ctx_op *tnng_ctx_op_new(
    tnng_ctx *ctx, const tnng_op_kind *kind, const tnng_call *call, int *code)
{
    tnng_ctx_op *op = (tnng_ctx_op *) ctx->idle_ops;

    if (!tnng_owner_enter(ctx->socket, call->cq)) {
        *code = NNG_EBUSY;
        return NULL;
    }
    if (op != NULL) {
        ctx->idle_ops = op->op.next;
        *op = (tnng_ctx_op){.aio = op->aio};
    } else if ((op = calloc(1, sizeof(*op))) == NULL) {
        tnng_owner_exit(ctx->socket);
        *code = NNG_ENOMEM;
        return NULL;
    }
    tnng_op_init(&op->op, kind, ctx->socket, call);
    tnng_ctx_ref(ctx);
    op->ctx = ctx;
    return op;
}

void tnng_ctx_op_recycle(tnng_ctx_op *op)
{
    tnng_op_detach_waiter(&op->op);
    op->op.next = op->ctx->idle_ops;
    op->ctx->idle_ops = &op->op;
    tnng_ctx_unref(op->ctx);
}

void tnng_ctx_op_free(tnng_op *op)
{
    tnng_ctx *ctx = ((tnng_ctx_op *) op)->ctx, *origin = ((tnng_ctx_op *) op)->origin;

    if (origin != NULL) {
        tnng_ctx_unref(origin);
    }
    tnng_lock(&ctx->lock);
    op->next = ctx->idle_ops;
    ctx->idle_ops = op;
    pthread_mutex_unlock(&ctx->lock);
    tnng_ctx_unref(ctx);
}

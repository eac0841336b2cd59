/* A lane: where messages travel, the socket itself or one of its contexts. It owns the aios, and
 * lives until its last operation has called back. */
#include <stdlib.h>

#include "sock/sock.h"

int tnng_lane_open(tnng_lane **out, tnng_socket *socket, bool context)
{
    struct tnng_contexts *contexts = socket->contexts;
    tnng_lane *lane;
    int code = 0;

    TNNG_GUARD_FORK(TNNG_FORKED);
    if (context && !(socket->traits & HAS_CONTEXTS)) {
        return NNG_ENOTSUP;
    }
    if ((lane = calloc(1, sizeof(*lane))) == NULL) {
        return NNG_ENOMEM;
    }
    pthread_mutex_lock(&contexts->lock);
    /* C5: no lane, and so no submit, begins once the socket is closing. */
    if (contexts->closing) {
        code = NNG_ECLOSED;
    } else if (context && !(socket->traits & SPARE_CONTEXTS)) {
        code = nng_ctx_open(&lane->context, socket->nng);
    }
    if (code == 0) {
        atomic_init(&lane->origin.refs, 1);
        lane->origin.hooks = socket->hooks;
        pthread_mutex_init(&lane->lock, NULL);
        lane->kind = contexts->kind;
        lane->traits = socket->traits;
        lane->is_context = context || (socket->traits & SPARE_CONTEXTS);
        lane->socket = socket;
        tnng_socket_hold(socket);
        if ((lane->pool_lane = contexts->pool) != NULL) {
            tnng_lane_hold(lane->pool_lane);
        }
        TNNG_LIST_APPEND(contexts, lane);
        *out = lane;
    } else {
        free(lane);
    }
    pthread_mutex_unlock(&contexts->lock);
    return code;
}

uint32_t tnng_lane_id(tnng_lane *lane) { return lane->context.id; }

/* [any] The last one out may be a callback on one of these very aios, so they are freed by nng's
 * reaper, which waits until no callback runs. L3: none of them ever slept, so none of them lies
 * about a timeout. */
void tnng_lane_free(tnng_origin *origin)
{
    tnng_lane *lane = (tnng_lane *) origin;
    struct tnng_contexts *contexts = lane->socket->contexts;
    tnng_slot *slot;
    tnng_op *op;

    pthread_mutex_lock(&contexts->lock);
    TNNG_LIST_REMOVE(contexts, lane);
    pthread_mutex_unlock(&contexts->lock);
    while ((slot = lane->head) != NULL) {
        /* Nothing is in flight any more: what stands here was taken and never asked for. */
        lane->head = slot->next;
        if (slot->msg != NULL) {
            nng_msg_free(slot->msg);
        }
        slot->next = lane->spare;
        lane->spare = slot;
    }
    while ((slot = lane->spare) != NULL) {
        lane->spare = slot->next;
        if (slot->aio != NULL) {
            nng_aio_reap(slot->aio);
        }
        free(slot);
    }
    while ((op = lane->idle_ops) != NULL) {
        lane->idle_ops = op->next;
        if (((tnng_lane_op *) op)->aio != NULL) {
            nng_aio_reap(((tnng_lane_op *) op)->aio);
        }
        free(op);
    }
    if (lane->kind != NULL && lane->kind->free != NULL) {
        lane->kind->free(lane);
    }
    nng_aio_free(lane->try_send);
    nng_aio_free(lane->try_receive);
    pthread_mutex_destroy(&lane->lock);
    tnng_socket_release(lane->socket);
    free(lane);
}

/* [any] lane->lock held, as for whatever is submitted. */
void tnng_submit_send(tnng_lane *lane, nng_aio *aio, nng_msg *msg)
{
    nng_aio_set_msg(aio, msg);
    tnng_wakes_hold();
    if (lane->is_context) {
        nng_ctx_send(lane->context, aio);
    } else {
        nng_send_aio(lane->socket->nng, aio);
    }
    tnng_wakes_go();
}

/* [any] lane->lock held. */
void tnng_submit_receive(tnng_lane *lane, nng_aio *aio)
{
    /* N1, N2: whatever was in the aio must not be taken for a message of this receive. */
    nng_aio_set_msg(aio, NULL);
    tnng_wakes_hold();
    if (lane->is_context) {
        nng_ctx_recv(lane->context, aio);
    } else {
        nng_recv_aio(lane->socket->nng, aio);
    }
    tnng_wakes_go();
}

/* [caller] */
int tnng_lane_held(tnng_lane *lane)
{
    int held = 0;

    TNNG_GUARD_FORK(0);
    tnng_lock(&lane->lock);
    for (tnng_slot *slot = lane->head; slot != NULL; slot = slot->next) {
        held += slot->msg != NULL && !slot->superseded;
    }
    pthread_mutex_unlock(&lane->lock);
    return held;
}

/* [nng] A send that is under way holds the lock of its lane. */
void tnng_lanes_wait_for_sends(tnng_socket *socket)
{
    pthread_mutex_lock(&socket->contexts->lock);
    for (tnng_lane *lane = socket->contexts->first; lane != NULL; lane = lane->next) {
        tnng_lock(&lane->lock);
        pthread_mutex_unlock(&lane->lock);
    }
    pthread_mutex_unlock(&socket->contexts->lock);
}

tnng_lane_op *tnng_lane_op_new(
    tnng_lane *lane, const tnng_op_kind *kind, const tnng_call *call, int *code)
{
    tnng_lane_op *op = (tnng_lane_op *) lane->idle_ops;

    if (!tnng_owner_enter(lane->socket, call->port)) {
        *code = NNG_EBUSY;
        return NULL;
    }
    if (op != NULL) {
        lane->idle_ops = op->op.next;
        *op = (tnng_lane_op){.aio = op->aio};
    } else if ((op = calloc(1, sizeof(*op))) == NULL) {
        tnng_owner_leave(lane->socket);
        *code = NNG_ENOMEM;
        return NULL;
    }
    tnng_op_init(&op->op, kind, lane->socket, call);
    tnng_lane_hold(lane);
    op->lane = lane;
    return op;
}

void tnng_lane_op_drop(tnng_lane_op *op)
{
    tnng_op_forget_caller(&op->op);
    op->op.next = op->lane->idle_ops;
    op->lane->idle_ops = &op->op;
    tnng_lane_release(op->lane);
}

void tnng_lane_op_free(tnng_op *op)
{
    tnng_lane *lane = ((tnng_lane_op *) op)->lane, *home = ((tnng_lane_op *) op)->home;

    if (home != NULL) {
        tnng_lane_release(home);
    }
    tnng_lock(&lane->lock);
    op->next = lane->idle_ops;
    lane->idle_ops = op;
    pthread_mutex_unlock(&lane->lock);
    tnng_lane_release(lane);
}

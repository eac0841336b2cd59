/* A lane: where messages travel, the socket itself or one of its contexts. It owns the aios, and
 * lives until its last operation has called back. */
#include <stdlib.h>

#include "internal.h"

int tnng_lane_open(tnng_lane **out, tnng_socket *socket, bool context)
{
    tnng_lane *lane;
    int code = 0;

    if (tnng_forked()) {
        return TNNG_FORKED;
    }
    if (context && !(socket->traits & HAS_CONTEXTS)) {
        return NNG_ENOTSUP;
    }
    if ((lane = calloc(1, sizeof(*lane))) == NULL) {
        return NNG_ENOMEM;
    }
    pthread_mutex_lock(&socket->lock);
    /* C5: no lane, and so no submit, begins once the socket is closing. */
    if (socket->closing) {
        code = NNG_ECLOSED;
    } else if (context && !(socket->traits & SPARE_CONTEXTS)) {
        code = nng_ctx_open(&lane->context, socket->nng);
    }
    if (code == 0) {
        atomic_init(&lane->refs, 1);
        pthread_mutex_init(&lane->lock, NULL);
        lane->traits = socket->traits;
        lane->is_context = context || (socket->traits & SPARE_CONTEXTS);
        lane->socket = socket;
        tnng_socket_hold(socket);
        lane->next = socket->lanes;
        if (lane->next != NULL) {
            lane->next->previous = lane;
        }
        socket->lanes = lane;
        *out = lane;
    } else {
        free(lane);
    }
    pthread_mutex_unlock(&socket->lock);
    return code;
}

uint32_t tnng_lane_id(tnng_lane *lane) { return lane->context.id; }

void tnng_lane_hold(tnng_lane *lane) { atomic_fetch_add(&lane->refs, 1); }

static void unlink_lane(tnng_lane *lane)
{
    tnng_socket *socket = lane->socket;

    pthread_mutex_lock(&socket->lock);
    if (lane->previous != NULL) {
        lane->previous->next = lane->next;
    } else {
        socket->lanes = lane->next;
    }
    if (lane->next != NULL) {
        lane->next->previous = lane->previous;
    }
    pthread_mutex_unlock(&socket->lock);
}

/* [any] The last one out may be a callback on one of these very aios, so they are freed by nng's
 * reaper, which waits until no callback runs. L3: none of them ever slept, so none of them lies
 * about a timeout. */
void tnng_lane_release(tnng_lane *lane)
{
    tnng_slot *slot;
    tnng_op *op;

    if (tnng_forked() || atomic_fetch_sub(&lane->refs, 1) != 1) {
        return;
    }
    unlink_lane(lane);
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
        if (op->aio != NULL) {
            nng_aio_reap(op->aio);
        }
        free(op);
    }
    if (lane->desk != NULL) {
        tnng_desk_free(lane->desk);
    }
    nng_aio_free(lane->try_send);
    nng_aio_free(lane->try_receive);
    pthread_mutex_destroy(&lane->lock);
    tnng_socket_release(lane->socket);
    free(lane);
}

/* [any] The gate. Every submit happens under lane->lock after a look at `closed`: once this
 * returns, no operation can begin, and none is in the middle of being submitted (C5). */
void tnng_lane_shut(tnng_lane *lane)
{
    tnng_lock(&lane->lock);
    lane->closed = TNNG_FIX_IS_ON(C5);
    tnng_lane_supersede(lane);
    pthread_mutex_unlock(&lane->lock);
    if (lane->traits & SPARE_CONTEXTS) {
        tnng_source_forget(lane);
    }
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

/* [caller] Ends a context. nng completes what it still has with an error; the callbacks clean up.
 */
void tnng_lane_close(tnng_lane *lane)
{
    if (tnng_forked()) {
        return;
    }
    tnng_lane_shut(lane);
    if (lane->desk != NULL) {
        tnng_desk_end(lane);
    }
    /* nng_close ends the contexts itself, and may not meet this on its way. */
    pthread_mutex_lock(&lane->socket->contexts_lock);
    if (lane->is_context && lane->context.id != 0 && !lane->socket->contexts_gone) {
        nng_ctx_close(lane->context);
    }
    pthread_mutex_unlock(&lane->socket->contexts_lock);
}

/* [caller] */
void tnng_lane_drop(tnng_lane *lane)
{
    if (!tnng_forked()) {
        tnng_lane_close(lane);
        tnng_lane_release(lane);
    }
}

/* [caller] */
int tnng_lane_held(tnng_lane *lane)
{
    int held = 0;

    if (tnng_forked()) {
        return 0;
    }
    tnng_lock(&lane->lock);
    for (tnng_slot *slot = lane->head; slot != NULL; slot = slot->next) {
        held += slot->msg != NULL && !slot->superseded;
    }
    pthread_mutex_unlock(&lane->lock);
    return held;
}

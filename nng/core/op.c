/* The life of one call that a caller waits for: made when it parks, finished once, freed when its
 * result is collected, when its caller leaves, or, after the caller has gone, by what finishes it.
 */
#include <stdlib.h>

#include "core/core.h"

/* [any] Every call that waits there ends with this code; under the lock of the list. */
void tnng_op_list_finish(tnng_op_list *list, int code)
{
    for (tnng_op *op; (op = list->first) != NULL;) {
        TNNG_LIST_REMOVE(list, op);
        tnng_op_finish(op, code, NULL);
    }
}

/* Threads share a socket with each other, and a loop shares with no other. */
static bool op_is_for_cq(const tnng_owner *owner, const tnng_cq *cq)
{
    bool exclusive = cq != NULL && cq->exclusive;

    return owner->parked == 0 || owner->cq == (exclusive ? cq : NULL);
}

/* [caller] A socket belongs to the loop that waits on it: false when another loop does. */
bool tnng_owner_enter(tnng_socket *socket, tnng_cq *cq)
{
    tnng_owner *owner = &socket->owner;

    pthread_mutex_lock(&owner->lock);
    bool free_for_us = op_is_for_cq(owner, cq);
    if (free_for_us) {
        owner->cq = cq->exclusive ? cq : NULL;
        owner->parked++;
    }
    pthread_mutex_unlock(&owner->lock);
    return free_for_us;
}

/* [caller] One more call is parked, whichever loop owns the socket. */
void tnng_owner_add(tnng_socket *socket)
{
    pthread_mutex_lock(&socket->owner.lock);
    socket->owner.parked++;
    pthread_mutex_unlock(&socket->owner.lock);
}

/* [caller] The same question as that of tnng_owner_enter without moving in. */
bool tnng_owner_is_other(tnng_socket *socket, const tnng_cq *cq)
{
    pthread_mutex_lock(&socket->owner.lock);
    bool another = !op_is_for_cq(&socket->owner, cq);
    pthread_mutex_unlock(&socket->owner.lock);
    return another;
}

void tnng_owner_exit(tnng_socket *socket)
{
    pthread_mutex_lock(&socket->owner.lock);
    socket->owner.parked--;
    pthread_mutex_unlock(&socket->owner.lock);
}

/* [caller] Of memory that is there, and zero. The op is counted as parked until it is freed. */
void tnng_op_init(tnng_op *op, const tnng_op_kind *kind, tnng_socket *socket, const tnng_call *call)
{
    op->kind = kind;
    op->socket = socket;
    op->tag = call->tag;
    tnng_cq_ref(op->cq = call->cq);
}

/* [any] No caller waits for this op any more. */
void tnng_op_detach_waiter(tnng_op *op)
{
    if (op->cq != NULL) {
        tnng_owner_exit(op->socket);
        tnng_cq_unref(op->cq);
        op->cq = NULL;
    }
}

/* [any] For the kinds that have a reference to the socket, and the memory of the op. */
void tnng_op_free_memory(tnng_op *op)
{
    tnng_socket_unref(op->socket);
    free(op);
}

/* [any] With no lock held. */
void tnng_op_free(tnng_op *op)
{
    tnng_op_detach_waiter(op);
    op->kind->free(op);
}

/* [any] With the lock of the op's stage held; it is the last thing done to the op by what finishes
 * it. */
void tnng_op_finish(tnng_op *op, int code, nng_msg *msg)
{
    op->stage = OP_FINISHED;
    op->code = code;
    op->msg = msg;
    tnng_cq_post(op->cq, op);
}

int tnng_result_set(tnng_result *result, int code, nng_msg *msg)
{
    result->code = code;
    result->msg = msg;
    result->op = NULL;
    if (msg != NULL) {
        result->pipe = tnng_msg_pipe(msg);
        result->body = nng_msg_body(msg);
        result->size = nng_msg_len(msg);
    }
    return code;
}

int tnng_op_park(tnng_op *op, tnng_result *result)
{
    result->op = op;
    result->msg = NULL;
    return result->code = TNNG_PARKED;
}

/* [caller] Clears the descriptor and copies out at most `max` finished calls. While calls
 * stay, the queue stays notified. */
int tnng_cq_take(tnng_cq *cq, tnng_result *results, int max)
{
    tnng_op *op, *next;
    int count = tnng_cq_collect(cq, max, &op);

    for (int i = 0; i < count; i++, op = next) {
        next = op->next;
        results[i].tag = op->tag;
        tnng_result_set(&results[i], op->code, op->msg);
        tnng_op_free(op);
    }
    return count;
}

/* [caller] Cancels a parked call, whose result has not been taken from the queue. */
int tnng_op_cancel(tnng_op *op)
{
    TNNG_GUARD_FORK(TNNG_CANCEL_DONE); /* it will never end here */
    int outcome = op->kind->cancel(op);
    if (outcome == TNNG_CANCEL_LATE) {
        tnng_count_cancel_completed();
    } else {
        tnng_count_cancel_pending();
    }
    if (outcome == TNNG_CANCEL_DONE) {
        tnng_op_free(op);
    }
    return outcome;
}

/* [caller] The caller will never come for the result: a coroutine that was destroyed while parked.
 */
void tnng_op_detach(tnng_op *op)
{
    TNNG_GUARD_FORK();
    if (op->kind->detach != NULL && op->kind->detach(op)) {
        return;
    }
    if (tnng_op_cancel(op) == TNNG_CANCEL_LATE && tnng_cq_remove(op->cq, op)) {
        if (op->msg != NULL && op->code == 0 && op->kind->reclaim != NULL) {
            op->kind->reclaim(op);
        } else if (op->msg != NULL) {
            nng_msg_free(op->msg);
        }
        tnng_op_free(op);
    }
}

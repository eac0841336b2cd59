/* The life of one call somebody waits for: made when it parks, finished once, freed when its result
 * is collected, when its caller leaves, or, after the caller has gone, by whoever finishes it. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

void tnng_ops_append(tnng_ops *list, tnng_op *op)
{
    op->next = NULL;
    op->previous = list->last;
    if (list->last == NULL) {
        list->first = op;
    } else {
        list->last->next = op;
    }
    list->last = op;
}

void tnng_ops_remove(tnng_ops *list, tnng_op *op)
{
    if (op->previous == NULL) {
        list->first = op->next;
    } else {
        op->previous->next = op->next;
    }
    if (op->next == NULL) {
        list->last = op->previous;
    } else {
        op->next->previous = op->previous;
    }
    op->next = op->previous = NULL;
}

/* Threads share a socket with each other, and a loop shares with nobody. */
static bool is_for_us(tnng_socket *socket, tnng_port *port)
{
    return socket->parked == 0 || socket->owner == (port->exclusive ? port : NULL);
}

/* [caller] A socket belongs to the loop that waits on it: false when another loop does. */
bool tnng_owner_enter(tnng_socket *socket, tnng_port *port)
{
    pthread_mutex_lock(&socket->owner_lock);
    bool free_for_us = is_for_us(socket, port);
    if (free_for_us) {
        socket->owner = port->exclusive ? port : NULL;
        socket->parked++;
    }
    pthread_mutex_unlock(&socket->owner_lock);
    return free_for_us;
}

/* [caller] The same question without moving in. */
bool tnng_owner_is_another(tnng_socket *socket, tnng_port *port)
{
    pthread_mutex_lock(&socket->owner_lock);
    bool another = !is_for_us(socket, port);
    pthread_mutex_unlock(&socket->owner_lock);
    return another;
}

/* [caller] The same without a port to compare. */
bool tnng_owner_is_there(tnng_socket *socket)
{
    pthread_mutex_lock(&socket->owner_lock);
    bool there = socket->parked > 0 && socket->owner != NULL;
    pthread_mutex_unlock(&socket->owner_lock);
    return there;
}

void tnng_owner_leave(tnng_socket *socket)
{
    pthread_mutex_lock(&socket->owner_lock);
    socket->parked--;
    pthread_mutex_unlock(&socket->owner_lock);
}

/* [caller] With lane->lock held when there is a lane. The op is counted as parked until it is
 * freed. NULL when there is no memory. */
tnng_op *tnng_op_new(tnng_lane *lane, tnng_socket *socket, tnng_port *port, uint64_t tag)
{
    tnng_op *op = NULL;
    nng_aio *aio = NULL;

    if (lane != NULL && lane->idle_ops != NULL) {
        op = lane->idle_ops;
        lane->idle_ops = op->next;
        aio = op->aio;
        memset(op, 0, sizeof(*op));
        op->aio = aio;
    } else if ((op = calloc(1, sizeof(*op))) == NULL) {
        return NULL;
    }
    tnng_op_init(op, lane, socket, port, tag);
    return op;
}

/* [caller] The same for memory that is there, and zero. */
void tnng_op_init(
    tnng_op *op, tnng_lane *lane, tnng_socket *socket, tnng_port *port, uint64_t tag)
{
    op->tag = tag;
    if (port != NULL) {
        tnng_port_hold(port);
        op->port = port;
    }
    if (lane != NULL) {
        tnng_lane_hold(lane);
        op->lane = lane;
    }
    if (socket != NULL) {
        tnng_socket_hold(socket);
        op->socket = socket;
    }
}

/* [any] Nobody waits for this op any more. */
void tnng_op_forget_caller(tnng_op *op)
{
    if (op->port != NULL) {
        tnng_owner_leave(op->lane != NULL ? op->lane->socket : op->socket);
        tnng_port_release(op->port);
        op->port = NULL;
    }
}

/* [any] With no lock held. */
void tnng_op_free(tnng_op *op)
{
    tnng_lane *lane = op->lane;

    tnng_op_forget_caller(op);
    if (op->socket != NULL) {
        tnng_socket_release(op->socket);
    }
    if (op->home != NULL) {
        tnng_lane_release(op->home);
    }
    if (lane != NULL) {
        tnng_lock(&lane->lock);
        op->next = lane->idle_ops;
        lane->idle_ops = op;
        pthread_mutex_unlock(&lane->lock);
        tnng_lane_release(lane);
    } else {
        free(op);
    }
}

/* [any] With the lock of the op's stage held; it is the last thing done to the op by who finishes
 * it. */
void tnng_op_finish(tnng_op *op, int code, nng_msg *msg)
{
    op->stage = OP_FINISHED;
    op->code = code;
    op->msg = msg;
    tnng_port_post(op->port, op);
}

int tnng_answer(tnng_result *result, int code, nng_msg *msg)
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

int tnng_park(tnng_op *op, tnng_result *result)
{
    result->op = op;
    result->msg = NULL;
    return result->code = TNNG_PARKED;
}

/* [caller] Asks for the end of a parked call. Only while the port has not given out its result. */
int tnng_op_cancel(tnng_op *op)
{
    tnng_lane *lane = op->lane;
    int outcome;

    if (tnng_forked()) {
        return TNNG_LEFT; /* it will never end here */
    }
    if (lane == NULL) {
        outcome = op->job != NULL ? tnng_job_leave(op) : tnng_pipe_leave(op);
    } else {
        tnng_lock(&lane->lock);
        if (op->stage == OP_FINISHED) {
            outcome = TNNG_LATE;
        } else if (op->stage == OP_SENDING) {
            outcome = tnng_send_leave(lane, op);
        } else {
            outcome = tnng_lane_leave(lane, op);
        }
        pthread_mutex_unlock(&lane->lock);
    }
    if (outcome == TNNG_LATE) {
        tnng_count_cancel_completed();
    } else {
        tnng_count_cancel_pending();
    }
    if (outcome == TNNG_LEFT) {
        tnng_op_free(op);
    }
    return outcome;
}

/* [caller] The caller will never come for the result: a coroutine that was destroyed while parked.
 */
void tnng_op_abandon(tnng_op *op)
{
    tnng_lane *lane = op->lane;
    bool with_nng = false;

    if (tnng_forked()) {
        return;
    }
    if (lane != NULL) {
        tnng_lock(&lane->lock);
        with_nng = op->stage == OP_SENDING;
        if (with_nng) {
            op->abandoned = true;
            tnng_send_leave(lane, op);
        }
        pthread_mutex_unlock(&lane->lock);
    }
    if (!with_nng && tnng_op_cancel(op) == TNNG_LATE && tnng_port_unpost(op->port, op)) {
        if (op->msg != NULL && lane != NULL && lane->desk != NULL) {
            tnng_desk_give_back(lane, -1, op->msg);
        } else if (op->msg != NULL && op->code == 0) {
            tnng_give_back(op->home != NULL ? op->home : lane, op->msg);
        } else if (op->msg != NULL) {
            nng_msg_free(op->msg);
        }
        tnng_op_free(op);
    }
}

/* Calls that wait for connections: for a number of them, or for what happens to them. */
#include <stdlib.h>

#include "conn/conn.h"

typedef struct {
    tnng_op op;
    tnng_op_list *list; /* the list it waits in */
    int target;         /* for so many peers */
} pipes_op;

static int pipe_wait_cancel(tnng_op *op)
{
    tnng_socket *socket = op->socket;
    int outcome = TNNG_CANCEL_LATE;

    pthread_mutex_lock(&socket->pipes->lock);
    if (op->stage == OP_WAITING) {
        TNNG_LIST_REMOVE(((pipes_op *) op)->list, op);
        outcome = TNNG_CANCEL_DONE;
    }
    pthread_mutex_unlock(&socket->pipes->lock);
    return outcome;
}

static const tnng_op_kind pipes_kind = {.cancel = pipe_wait_cancel, .free = tnng_op_free_memory};

/* [caller] */
int tnng_pipes_park(tnng_socket *socket, tnng_op_list *list, const tnng_call *call, int target)
{
    pipes_op *waits;

    if (!tnng_owner_enter(socket, call->cq)) {
        return tnng_result_set(call->result, NNG_EBUSY, NULL);
    }
    if ((waits = calloc(1, sizeof(*waits))) == NULL) {
        tnng_owner_exit(socket);
        return tnng_result_set(call->result, NNG_ENOMEM, NULL);
    }
    tnng_socket_ref(socket);
    tnng_op_init(&waits->op, &pipes_kind, socket, call);
    waits->op.stage = OP_WAITING;
    waits->target = target;
    waits->list = list;
    TNNG_LIST_APPEND(list, &waits->op);
    return tnng_op_park(&waits->op, call->result);
}

/* [any] Every call whose number of peers is reached. */
void tnng_pipes_wake(tnng_socket *socket)
{
    struct tnng_pipe_table *pipes = socket->pipes;

    for (tnng_op *next, *op = pipes->waiting.first; op != NULL; op = next) {
        next = op->next;
        if (pipes->closed || ((pipes_op *) op)->target <= pipes->connected) {
            TNNG_LIST_REMOVE(&pipes->waiting, op);
            tnng_op_finish(op, pipes->closed ? NNG_ECLOSED : 0, NULL);
        }
    }
}

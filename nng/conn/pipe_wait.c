/* Calls that wait for connections: for a number of them, or for what happens to them. */
#include <stdlib.h>

#include "conn/conn.h"

typedef struct {
    tnng_op op;
    tnng_ops *among; /* the list it waits in */
    int wanted;      /* for so many peers */
} pipes_op;

static int pipes_cancel(tnng_op *op)
{
    tnng_socket *socket = op->socket;
    int outcome = TNNG_LATE;

    pthread_mutex_lock(&socket->pipes->lock);
    if (op->stage == OP_WAITING) {
        TNNG_LIST_REMOVE(((pipes_op *) op)->among, op);
        outcome = TNNG_LEFT;
    }
    pthread_mutex_unlock(&socket->pipes->lock);
    return outcome;
}

static void pipes_free(tnng_op *op)
{
    tnng_socket_release(op->socket);
    free(op);
}

static const tnng_op_kind pipes_kind = {.cancel = pipes_cancel, .free = pipes_free};

/* [caller] */
int tnng_pipes_park(tnng_socket *socket, tnng_ops *among, const tnng_call *call, int wanted)
{
    pipes_op *waits;

    if (!tnng_owner_enter(socket, call->port)) {
        return tnng_answer(call->result, NNG_EBUSY, NULL);
    }
    if ((waits = calloc(1, sizeof(*waits))) == NULL) {
        tnng_owner_leave(socket);
        return tnng_answer(call->result, NNG_ENOMEM, NULL);
    }
    tnng_socket_hold(socket);
    tnng_op_init(&waits->op, &pipes_kind, socket, call);
    waits->op.stage = OP_WAITING;
    waits->wanted = wanted;
    waits->among = among;
    tnng_ops_append(among, &waits->op);
    return tnng_park(&waits->op, call->result);
}

/* [any] Every call whose number of peers is reached. */
void tnng_pipes_wake(tnng_socket *socket)
{
    struct tnng_pipe_table *pipes = socket->pipes;

    for (tnng_op *next, *op = pipes->waiting.first; op != NULL; op = next) {
        next = op->next;
        if (pipes->closed || ((pipes_op *) op)->wanted <= pipes->connected) {
            tnng_ops_remove(&pipes->waiting, op);
            tnng_op_finish(op, pipes->closed ? NNG_ECLOSED : 0, NULL);
        }
    }
}

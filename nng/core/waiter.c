/* How a thread waits. A call it submits is waited for in place for a moment, so that most calls are
 * one call of C; what takes longer is waited for by tnng_waiter_wait, in steps that the thread's
 * Python code can interrupt. All of this file runs on the waiter's own thread. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/core.h"

enum { SECOND = 1000000000 };

bool tnng_waiter_open(tnng_waiter **out)
{
    tnng_waiter *waiter = calloc(1, sizeof(*waiter));

    if (waiter == NULL || (waiter->port = tnng_port_new()) == NULL) {
        free(waiter);
        return false;
    }
    waiter->port->waiter = waiter;
    waiter->patience = TNNG_MOMENT;
    *out = waiter;
    return true;
}

/* [caller] The messages of the last call: those that were handed out are freed, the others go back
 * to the front of their lane, the first one last. */
static void settle_messages(tnng_waiter *waiter)
{
    tnng_origin *home = waiter->taken ? NULL : waiter->home;

    for (int i = waiter->count; i >= 0; i--) {
        nng_msg **msg = i > 0 ? &waiter->batch[i - 1] : &waiter->held;
        if (*msg != NULL && home != NULL) {
            home->hooks->give_back(home, *msg);
        } else if (*msg != NULL) {
            tnng_msg_done(*msg);
        }
        *msg = NULL;
    }
    waiter->count = 0;
    waiter->taken = false;
    if (waiter->home != NULL) {
        tnng_origin_unref(waiter->home);
        waiter->home = NULL;
    }
}

static void come_home(tnng_waiter *waiter, tnng_origin *home)
{
    settle_messages(waiter);
    if (home != NULL) {
        tnng_origin_ref(home);
        waiter->home = home;
    }
}

void tnng_waiter_free(tnng_waiter *waiter)
{
    TNNG_GUARD_FORK();
    tnng_waiter_undo(waiter);
    if (waiter->result.msg != NULL && waiter->result.code != 0) {
        nng_msg_free(waiter->result.msg);
    }
    waiter->port->waiter = NULL;
    tnng_port_close(waiter->port);
    free(waiter->batch);
    free(waiter->sizes);
    free(waiter->packed);
    free(waiter);
}

/* [caller] With port->lock held, which it gives up. */
static int collect(tnng_waiter *waiter)
{
    tnng_port *port = waiter->port;
    tnng_op *op = port->done.first;

    if (op == NULL) {
        pthread_mutex_unlock(&port->lock);
        return TNNG_PARKED;
    }
    port->done = (tnng_ops){0}; /* a waiter has one call at a time */
    pthread_mutex_unlock(&port->lock);
    tnng_answer(&waiter->result, op->code, op->msg);
    if (op->code == 0) {
        waiter->held = op->msg;
    }
    tnng_op_free(op);
    return waiter->result.code;
}

static int wait_for_bell(tnng_waiter *waiter, int64_t until)
{
    tnng_port *port = waiter->port;

    pthread_mutex_lock(&port->lock);
    while (port->done.first == NULL && tnng_cond_wait(&port->rung, &port->lock, until)) {
    }
    return collect(waiter);
}

/* [caller] The wait is over when a call finished, a signal came (both make read_fd readable, or
 * interrupt the poll), or the time is up. */
static int wait_for_readable(tnng_waiter *waiter, int64_t until, int read_fd, int write_fd)
{
    tnng_port *port = waiter->port;
    struct pollfd polled = {read_fd, POLLIN, 0};

    pthread_mutex_lock(&port->lock);
    if (port->done.first == NULL) {
        port->polled_fd = write_fd;
        pthread_mutex_unlock(&port->lock);
        int64_t left = until < 0 ? 0 : until - tnng_now();
        struct timespec time = {left / SECOND, left % SECOND};
        if (left >= 0) {
            ppoll(&polled, 1, until < 0 ? NULL : &time, NULL);
        }
        pthread_mutex_lock(&port->lock);
        port->polled_fd = -1;
    }
    return collect(waiter);
}

int tnng_waiter_wait(tnng_waiter *waiter, int64_t until, int read_fd, int write_fd)
{
    TNNG_GUARD_FORK(waiter->result.code = TNNG_FORKED);
    if (waiter->result.code != TNNG_PARKED) {
        return waiter->result.code;
    }
    return read_fd < 0 ? wait_for_bell(waiter, until)
                       : wait_for_readable(waiter, until, read_fd, write_fd);
}

int tnng_waiter_leave(tnng_waiter *waiter)
{
    tnng_result *result = &waiter->result;

    if (result->code != TNNG_PARKED || tnng_forked()) {
        return result->code;
    }
    if (tnng_op_cancel(result->op) == TNNG_LEFT) {
        tnng_answer(result, NNG_ETIMEDOUT, NULL);
    } else {
        wait_for_bell(waiter, -1);
        if (result->code == NNG_ECANCELED || result->code == TNNG_SENT) {
            result->code = NNG_ETIMEDOUT;
        }
    }
    return result->code;
}

void tnng_waiter_undo(tnng_waiter *waiter)
{
    TNNG_GUARD_FORK();
    tnng_waiter_leave(waiter);
    settle_messages(waiter);
}

bool tnng_waiter_is_impatient(const tnng_port *port)
{
    return port->waiter != NULL && port->waiter->patience == 0;
}

int tnng_submitted(tnng_port *port, tnng_origin *home, int code)
{
    tnng_waiter *waiter = port == NULL ? NULL : port->waiter;

    if (code == TNNG_PARKED && tnng_before_wait != NULL) {
        tnng_before_wait();
    }
    if (waiter == NULL) {
        return code;
    }
    come_home(waiter, home); /* while nng works */
    if (code == TNNG_PARKED && waiter->patience == 0) {
        code = tnng_waiter_leave(waiter);
    } else if (code == TNNG_PARKED) {
        code = wait_for_bell(waiter, tnng_now() + waiter->patience);
    } else if (code == 0) {
        waiter->held = waiter->result.msg;
    }
    waiter->patience = TNNG_MOMENT;
    return code;
}

int tnng_call_over(const tnng_call *call, int code)
{
    return tnng_submitted(call->port, NULL, tnng_answer(call->result, code, NULL));
}

/* [caller] Before a batch, which comes after the message the waiter holds, if it holds one. False
 * when there is no memory. */
bool tnng_waiter_make_room(tnng_waiter *waiter, tnng_origin *home)
{
    if (waiter->packed == NULL) {
        waiter->batch = calloc(TNNG_BATCH, sizeof(*waiter->batch));
        waiter->sizes = calloc(TNNG_BATCH, sizeof(*waiter->sizes));
        waiter->packed = malloc(TNNG_BATCH_BYTES);
    }
    if (waiter->batch == NULL || waiter->sizes == NULL || waiter->packed == NULL) {
        return false;
    }
    if (waiter->taken || waiter->held == NULL) {
        come_home(waiter, home);
    }
    return true;
}

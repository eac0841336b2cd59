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

    if (waiter == NULL || (waiter->cq = tnng_cq_new()) == NULL) {
        free(waiter);
        return false;
    }
    waiter->cq->waiter = waiter;
    waiter->spin_ns = TNNG_SPIN_LIMIT;
    *out = waiter;
    return true;
}

/* [caller] The messages of the last call: those that were handed out are freed, the others go back
 * to the front of their context, the first one last. */
static void waiter_dispose(tnng_waiter *waiter)
{
    tnng_origin *origin = waiter->committed ? NULL : waiter->origin;

    for (int i = waiter->count; i >= 0; i--) {
        nng_msg **msg = i > 0 ? &waiter->batch[i - 1] : &waiter->received;
        if (*msg != NULL && origin != NULL) {
            origin->hooks->unget(origin, *msg);
        } else if (*msg != NULL) {
            tnng_msg_recycle(*msg);
        }
        *msg = NULL;
    }
    waiter->count = 0;
    waiter->committed = false;
    if (waiter->origin != NULL) {
        tnng_origin_unref(waiter->origin);
        waiter->origin = NULL;
    }
}

static void waiter_set_origin(tnng_waiter *waiter, tnng_origin *origin)
{
    waiter_dispose(waiter);
    if (origin != NULL) {
        tnng_origin_ref(origin);
        waiter->origin = origin;
    }
}

void tnng_waiter_free(tnng_waiter *waiter)
{
    TNNG_GUARD_FORK();
    tnng_waiter_rollback(waiter);
    if (waiter->result.msg != NULL && waiter->result.code != 0) {
        nng_msg_free(waiter->result.msg);
    }
    waiter->cq->waiter = NULL;
    tnng_cq_close(waiter->cq);
    free(waiter->batch);
    free(waiter->sizes);
    free(waiter->packed);
    free(waiter);
}

/* [caller] With cq->lock held, which it gives up. */
static int waiter_collect(tnng_waiter *waiter)
{
    tnng_cq *cq = waiter->cq;
    tnng_op *op = cq->done.first;

    if (op == NULL) {
        pthread_mutex_unlock(&cq->lock);
        return TNNG_PARKED;
    }
    cq->done = (tnng_op_list){0}; /* a waiter has one call at a time */
    pthread_mutex_unlock(&cq->lock);
    tnng_result_set(&waiter->result, op->code, op->msg);
    if (op->code == 0) {
        waiter->received = op->msg;
    }
    tnng_op_free(op);
    return waiter->result.code;
}

static int waiter_wait_notified(tnng_waiter *waiter, int64_t until)
{
    tnng_cq *cq = waiter->cq;

    pthread_mutex_lock(&cq->lock);
    while (cq->done.first == NULL && tnng_cond_wait(&cq->notified, &cq->lock, until)) {
    }
    return waiter_collect(waiter);
}

/* [caller] The wait is over when a call finished, a signal came (both make read_fd readable, or
 * interrupt the poll), or the time is up. */
static int waiter_wait_readable(tnng_waiter *waiter, int64_t until, int read_fd, int write_fd)
{
    tnng_cq *cq = waiter->cq;
    struct pollfd polled = {read_fd, POLLIN, 0};

    pthread_mutex_lock(&cq->lock);
    if (cq->done.first == NULL) {
        cq->polled_fd = write_fd;
        pthread_mutex_unlock(&cq->lock);
        int64_t left = until < 0 ? 0 : until - tnng_now();
        struct timespec time = {left / SECOND, left % SECOND};
        if (left >= 0) {
            ppoll(&polled, 1, until < 0 ? NULL : &time, NULL);
        }
        pthread_mutex_lock(&cq->lock);
        cq->polled_fd = -1;
    }
    return waiter_collect(waiter);
}

int tnng_waiter_wait(tnng_waiter *waiter, int64_t until, int read_fd, int write_fd)
{
    TNNG_GUARD_FORK(waiter->result.code = TNNG_FORKED);
    if (waiter->result.code != TNNG_PARKED) {
        return waiter->result.code;
    }
    return read_fd < 0 ? waiter_wait_notified(waiter, until)
                       : waiter_wait_readable(waiter, until, read_fd, write_fd);
}

int tnng_waiter_cancel(tnng_waiter *waiter)
{
    tnng_result *result = &waiter->result;

    if (result->code != TNNG_PARKED || tnng_forked()) {
        return result->code;
    }
    if (tnng_op_cancel(result->op) == TNNG_CANCEL_DONE) {
        tnng_result_set(result, NNG_ETIMEDOUT, NULL);
    } else {
        waiter_wait_notified(waiter, -1);
        if (result->code == NNG_ECANCELED || result->code == TNNG_SENT) {
            result->code = NNG_ETIMEDOUT;
        }
    }
    return result->code;
}

void tnng_waiter_rollback(tnng_waiter *waiter)
{
    TNNG_GUARD_FORK();
    tnng_waiter_cancel(waiter);
    waiter_dispose(waiter);
}

bool tnng_waiter_is_poll(const tnng_cq *cq)
{
    return cq->waiter != NULL && cq->waiter->spin_ns == 0;
}

int tnng_waiter_submitted(tnng_cq *cq, tnng_origin *origin, int code)
{
    tnng_waiter *waiter = cq == NULL ? NULL : cq->waiter;

    if (code == TNNG_PARKED && tnng_before_wait != NULL) {
        tnng_before_wait();
    }
    if (waiter == NULL) {
        return code;
    }
    waiter_set_origin(waiter, origin); /* while nng works */
    if (code == TNNG_PARKED && waiter->spin_ns == 0) {
        code = tnng_waiter_cancel(waiter);
    } else if (code == TNNG_PARKED) {
        code = waiter_wait_notified(waiter, tnng_now() + waiter->spin_ns);
    } else if (code == 0) {
        waiter->received = waiter->result.msg;
    }
    waiter->spin_ns = TNNG_SPIN_LIMIT;
    return code;
}

int tnng_call_finish(const tnng_call *call, int code)
{
    return tnng_waiter_submitted(call->cq, NULL, tnng_result_set(call->result, code, NULL));
}

/* [caller] Before a batch, which comes after the message the waiter holds, if it holds one. False
 * when there is no memory. */
bool tnng_waiter_reserve_batch(tnng_waiter *waiter, tnng_origin *origin)
{
    if (waiter->packed == NULL) {
        waiter->batch = calloc(TNNG_BATCH, sizeof(*waiter->batch));
        waiter->sizes = calloc(TNNG_BATCH, sizeof(*waiter->sizes));
        waiter->packed = malloc(TNNG_BATCH_BYTES);
    }
    if (waiter->batch == NULL || waiter->sizes == NULL || waiter->packed == NULL) {
        return false;
    }
    if (waiter->committed || waiter->received == NULL) {
        waiter_set_origin(waiter, origin);
    }
    return true;
}

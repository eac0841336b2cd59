/* A completion queue: the finished calls of one event loop, or of one waiting thread, that it has
 * not taken yet. A queue has a descriptor (an eventfd), or a token, or only a condition variable.
 * It is notified once per batch: when the list stops being empty. A task that waits for the
 * descriptor then takes everything that has finished, for the other waiting tasks too. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/core.h"

static void (*notify_hook)(uint64_t token);

void tnng_set_notify_hook(void (*hook)(uint64_t)) { notify_hook = hook; }

int tnng_cq_fd(tnng_cq *cq) { return cq->wakeup_fd.read_fd; }

void tnng_cq_ref(tnng_cq *cq) { atomic_fetch_add(&cq->refs, 1); }

void tnng_cq_unref(tnng_cq *cq)
{
    if (atomic_fetch_sub(&cq->refs, 1) == 1) {
        pthread_cond_destroy(&cq->notified);
        pthread_mutex_destroy(&cq->lock);
        free(cq);
    }
}

/* [job] Calls Python for a queue with a token, on a thread of its own and without a lock: so no
 * thread of nng waits for the GIL, and no finaliser of Python meets a lock of the shim. */
static void *cq_notify_thread(void *arg)
{
    tnng_cq *cq = arg;

    tnng_thread_set_name("trionng:notify");
    pthread_mutex_lock(&cq->lock);
    while (cq->token != 0) {
        if (cq->notify_pending) {
            uint64_t token = cq->token;
            cq->notify_pending = false;
            pthread_mutex_unlock(&cq->lock);
            notify_hook(token);
            pthread_mutex_lock(&cq->lock);
        } else {
            pthread_cond_wait(&cq->notified, &cq->lock);
        }
    }
    pthread_mutex_unlock(&cq->lock);
    tnng_cq_unref(cq);
    return NULL;
}

/* [any] With cq->lock held; the caller then signals `notified`, best without the lock, which the
 * thread that wakes takes first. */
static void cq_notify(tnng_cq *cq)
{
    cq->notify_pending = true;
    if (cq->polled_fd >= 0) {
        while (write(cq->polled_fd, "", 1) < 0 && errno == EINTR) {
        }
    }
    tnng_wakeup_fd_notify(&cq->wakeup_fd);
}

/* [caller] A queue without a descriptor: a thread waits for `notified`, in monotonic time. */
tnng_cq *tnng_cq_new(void)
{
    tnng_cq *cq = calloc(1, sizeof(*cq));

    if (cq == NULL) {
        return NULL;
    }
    cq->wakeup_fd = (tnng_wakeup_fd){-1, -1};
    cq->polled_fd = -1;
    atomic_init(&cq->refs, 1);
    pthread_mutex_init(&cq->lock, NULL);
    tnng_cond_init(&cq->notified);
    return cq;
}

int tnng_cq_open(tnng_cq **out, bool exclusive, uint64_t token)
{
    tnng_cq *cq = tnng_cq_new();
    int code = 0;

    if (cq == NULL) {
        return NNG_ENOMEM;
    }
    cq->exclusive = exclusive;
    cq->token = token;
    if (token == 0) {
        code = tnng_wakeup_fd_open(&cq->wakeup_fd);
    } else {
        tnng_cq_ref(cq);
        if (!tnng_thread_start(cq_notify_thread, cq)) {
            tnng_cq_unref(cq);
            code = TNNG_NO_THREADS;
        }
    }
    if (code != 0) {
        tnng_cq_unref(cq);
        return code;
    }
    *out = cq;
    return 0;
}

/* [any] Adds a finished call. `op` may be gone when this returns. */
void tnng_cq_post(tnng_cq *cq, tnng_op *op)
{
    tnng_cq_ref(cq); /* the taker of `op` releases the op's reference */
    pthread_mutex_lock(&cq->lock);
    bool was_empty = cq->done.first == NULL;
    TNNG_LIST_APPEND(&cq->done, op);
    if (was_empty) {
        cq_notify(cq);
    }
    pthread_mutex_unlock(&cq->lock);
    if (was_empty) {
        pthread_cond_broadcast(&cq->notified);
    }
    tnng_cq_unref(cq);
}

/* [caller] Removes one finished call; false when it was taken already. */
bool tnng_cq_remove(tnng_cq *cq, tnng_op *op)
{
    bool found = false;

    pthread_mutex_lock(&cq->lock);
    for (tnng_op *each = cq->done.first; each != NULL && !found; each = each->next) {
        found = each == op;
    }
    if (found) {
        TNNG_LIST_REMOVE(&cq->done, op);
    }
    pthread_mutex_unlock(&cq->lock);
    return found;
}

/* [caller] Clears the descriptor and takes the first finished calls, at most `max`; returns how
 * many. */
int tnng_cq_collect(tnng_cq *cq, int max, tnng_op **first)
{
    int count = 0;

    pthread_mutex_lock(&cq->lock);
    tnng_wakeup_fd_clear(&cq->wakeup_fd);
    tnng_op *next = *first = cq->done.first;
    for (; next != NULL && count < max; next = next->next) {
        count++;
    }
    cq->done.first = next;
    if (next == NULL) {
        cq->done.last = NULL;
    } else {
        next->previous = NULL;
        cq_notify(cq);
        pthread_cond_broadcast(&cq->notified);
    }
    pthread_mutex_unlock(&cq->lock);
    return count;
}

/* [caller] The loop has ended: no notification follows. Pending calls keep the memory until they
 * finish. */
void tnng_cq_close(tnng_cq *cq)
{
    pthread_mutex_lock(&cq->lock);
    tnng_wakeup_fd_close(&cq->wakeup_fd);
    cq->token = 0;
    pthread_cond_broadcast(&cq->notified);
    pthread_mutex_unlock(&cq->lock);
    tnng_cq_unref(cq);
}

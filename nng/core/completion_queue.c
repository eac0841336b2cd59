/* A port: the bell of one event loop (or waiting thread) and the list of finished calls it has not
 * collected. The bell rings once per batch, when the list stops being empty. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/core.h"

static void (*ring_hook)(uint64_t token);

void tnng_set_ring_hook(void (*hook)(uint64_t)) { ring_hook = hook; }

int tnng_port_fd(tnng_port *port) { return port->bell.read_fd; }

void tnng_port_hold(tnng_port *port) { atomic_fetch_add(&port->refs, 1); }

void tnng_port_release(tnng_port *port)
{
    if (atomic_fetch_sub(&port->refs, 1) == 1) {
        pthread_cond_destroy(&port->rung);
        pthread_mutex_destroy(&port->lock);
        free(port);
    }
}

/* [job] The token bell's own thread: Python is called here, so that no thread of nng ever waits for
 * the GIL, and no finaliser that Python may run meanwhile meets a lock of ours. */
static void *ring_python(void *arg)
{
    tnng_port *port = arg;

    tnng_name_thread("trionng:ring");
    pthread_mutex_lock(&port->lock);
    while (port->token != 0) {
        if (port->alarm) {
            uint64_t token = port->token;
            port->alarm = false;
            pthread_mutex_unlock(&port->lock);
            ring_hook(token);
            pthread_mutex_lock(&port->lock);
        } else {
            pthread_cond_wait(&port->rung, &port->lock);
        }
    }
    pthread_mutex_unlock(&port->lock);
    tnng_port_release(port);
    return NULL;
}

/* [any] With port->lock held. */
static void ring(tnng_port *port)
{
    port->alarm = true;
    if (port->polled_fd >= 0) {
        while (write(port->polled_fd, "", 1) < 0 && errno == EINTR) {
        }
    }
    tnng_wakeup_fd_notify(&port->bell);
    pthread_cond_broadcast(&port->rung);
}

/* [caller] One without a descriptor: it can be waited for with `rung`, in monotonic time. */
tnng_port *tnng_port_new(void)
{
    tnng_port *port = calloc(1, sizeof(*port));

    if (port == NULL) {
        return NULL;
    }
    port->bell = (tnng_wakeup_fd){-1, -1};
    port->polled_fd = -1;
    atomic_init(&port->refs, 1);
    pthread_mutex_init(&port->lock, NULL);
    tnng_cond_init(&port->rung);
    return port;
}

int tnng_port_open(tnng_port **out, bool exclusive, uint64_t token)
{
    tnng_port *port = tnng_port_new();
    int code = 0;

    if (port == NULL) {
        return NNG_ENOMEM;
    }
    port->exclusive = exclusive;
    port->token = token;
    if (token == 0) {
        code = tnng_wakeup_fd_open(&port->bell);
    } else {
        tnng_port_hold(port);
        if (!tnng_run_thread(ring_python, port)) {
            tnng_port_release(port);
            code = TNNG_NO_THREADS;
        }
    }
    if (code != 0) {
        tnng_port_release(port);
        return code;
    }
    *out = port;
    return 0;
}

/* [any] Hands a finished call to the loop it belongs to. `op` may be gone when this returns. */
void tnng_port_post(tnng_port *port, tnng_op *op)
{
    tnng_port_hold(port); /* what takes `op` drops its reference */
    pthread_mutex_lock(&port->lock);
    bool was_empty = port->done.first == NULL;
    TNNG_LIST_APPEND(&port->done, op);
    if (was_empty) {
        ring(port);
    }
    pthread_mutex_unlock(&port->lock);
    tnng_port_release(port);
}

/* [caller] Takes one finished call off the list again; false when it was collected already. */
bool tnng_port_unpost(tnng_port *port, tnng_op *op)
{
    bool found = false;

    pthread_mutex_lock(&port->lock);
    for (tnng_op *each = port->done.first; each != NULL && !found; each = each->next) {
        found = each == op;
    }
    if (found) {
        TNNG_LIST_REMOVE(&port->done, op);
    }
    pthread_mutex_unlock(&port->lock);
    return found;
}

/* [caller] Clears the bell and takes the first finished calls, at most `max`; answers how many. */
int tnng_port_collect(tnng_port *port, int max, tnng_op **first)
{
    int count = 0;

    pthread_mutex_lock(&port->lock);
    tnng_wakeup_fd_clear(&port->bell);
    tnng_op *next = *first = port->done.first;
    for (; next != NULL && count < max; next = next->next) {
        count++;
    }
    port->done.first = next;
    if (next == NULL) {
        port->done.last = NULL;
    } else {
        next->previous = NULL;
        ring(port);
    }
    pthread_mutex_unlock(&port->lock);
    return count;
}

/* [caller] The loop is over: no ring after this. Calls still out keep the memory until they are
 * done. */
void tnng_port_close(tnng_port *port)
{
    pthread_mutex_lock(&port->lock);
    tnng_wakeup_fd_close(&port->bell);
    port->token = 0;
    pthread_cond_broadcast(&port->rung);
    pthread_mutex_unlock(&port->lock);
    tnng_port_release(port);
}

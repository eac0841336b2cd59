/* A port: the bell of one event loop (or waiting thread) and the list of finished calls it has not
 * collected. The bell rings once per batch, when the list stops being empty. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/eventfd.h>
#endif

#include "internal.h"

static void (*ring_hook)(uint64_t token);

void tnng_set_ring_hook(void (*hook)(uint64_t)) { ring_hook = hook; }

/* [caller] An eventfd where there is one, else a socket pair. */
int tnng_bell_open(int *read_fd, int *write_fd)
{
#ifdef __linux__
    *read_fd = *write_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return *read_fd < 0 ? NNG_ENOFILES : 0;
#else
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) {
        return NNG_ENOFILES;
    }
    for (int i = 0; i < 2; i++) {
        fcntl(ends[i], F_SETFD, FD_CLOEXEC);
        fcntl(ends[i], F_SETFL, O_NONBLOCK);
    }
    *read_fd = ends[0];
    *write_fd = ends[1];
    return 0;
#endif
}

int tnng_port_fd(tnng_port *port) { return port->read_fd; }

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

/* [any] With port->lock held. A full bell has been rung already, so a failed write is no loss. */
static void ring(tnng_port *port)
{
    uint64_t one = 1;

    port->alarm = true;
    if (port->polled_fd >= 0) {
        while (write(port->polled_fd, "", 1) < 0 && errno == EINTR) {
        }
    }
    if (port->write_fd >= 0) {
        while (write(port->write_fd, &one, sizeof(one)) < 0 && errno == EINTR) {
        }
    }
    pthread_cond_broadcast(&port->rung);
}

/* [caller] One without a descriptor: it can be waited for with `rung`, in monotonic time. */
tnng_port *tnng_port_new(void)
{
    tnng_port *port = calloc(1, sizeof(*port));

    if (port == NULL) {
        return NULL;
    }
    port->read_fd = port->write_fd = port->polled_fd = -1;
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
        code = tnng_bell_open(&port->read_fd, &port->write_fd);
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
    tnng_port_hold(port); /* whoever takes `op` drops its reference */
    pthread_mutex_lock(&port->lock);
    bool was_empty = port->first == NULL;
    op->next = NULL;
    op->previous = port->last;
    if (was_empty) {
        port->first = op;
    } else {
        port->last->next = op;
    }
    port->last = op;
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
    tnng_ops list;

    pthread_mutex_lock(&port->lock);
    for (tnng_op *each = port->first; each != NULL && !found; each = each->next) {
        found = each == op;
    }
    if (found) {
        list = (tnng_ops){port->first, port->last};
        tnng_ops_remove(&list, op);
        port->first = list.first;
        port->last = list.last;
    }
    pthread_mutex_unlock(&port->lock);
    return found;
}

/* [caller] Clears the bell and copies out at most `max` finished calls. What stays keeps the bell
 * rung. */
int tnng_port_take(tnng_port *port, tnng_result *results, int max)
{
    int count = 0;
    uint64_t drained[8];
    tnng_op *op, *next;

    pthread_mutex_lock(&port->lock);
    if (port->read_fd >= 0) {
        while (
            read(port->read_fd, drained, sizeof(drained)) > 0 && port->read_fd != port->write_fd) {
        }
    }
    op = port->first;
    for (next = op; next != NULL && count < max; next = next->next) {
        count++;
    }
    port->first = next;
    if (next == NULL) {
        port->last = NULL;
    } else {
        next->previous = NULL;
        ring(port);
    }
    pthread_mutex_unlock(&port->lock);

    for (int i = 0; i < count; i++) {
        next = op->next;
        results[i].tag = op->tag;
        tnng_answer(&results[i], op->code, op->msg);
        tnng_op_free(op);
        op = next;
    }
    return count;
}

/* [caller] The loop is over: no ring after this. Calls still out keep the memory until they are
 * done. */
void tnng_port_close(tnng_port *port)
{
    pthread_mutex_lock(&port->lock);
    if (port->read_fd >= 0) {
        close(port->read_fd);
    }
    if (port->write_fd >= 0 && port->write_fd != port->read_fd) {
        close(port->write_fd);
    }
    port->read_fd = port->write_fd = -1;
    port->token = 0;
    pthread_cond_broadcast(&port->rung);
    pthread_mutex_unlock(&port->lock);
    tnng_port_release(port);
}

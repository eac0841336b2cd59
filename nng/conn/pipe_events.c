/* Subscriptions to what happens to a socket's connections. A subscriber gets one event for each
 * connection of that moment, and then what happens, under the one lock under which it happens: no
 * gap, nothing twice. A reader that falls behind keeps what it has not read, and is told after it
 * that there was more. */
#include <stdlib.h>

#include "conn/conn.h"

typedef struct tnng_event {
    struct tnng_event *next, *previous;
    int kind, reason;
    tnng_pipe *pipe; /* a counted reference */
} tnng_event;

struct tnng_events {
    tnng_socket *socket;          /* a counted reference */
    tnng_events *next, *previous; /* in pipes->subscriptions; under pipes->lock, as the rest */
    tnng_event *first, *last;
    uint32_t unread, limit;
    bool overflowed; /* there was no room for an event; nothing is added after it */
    bool closed;     /* not in pipes->subscriptions any more */
    tnng_op_list
        waiting; /* each looks for itself: a call cancelled now keeps the event from none */
};

static void events_append(tnng_events *events, int kind, int reason, tnng_pipe *pipe)
{
    tnng_event *event = NULL;

    if (!events->overflowed && events->unread < events->limit) {
        event = calloc(1, sizeof(*event));
    }
    if (event == NULL) {
        events->overflowed = true;
        return;
    }
    tnng_pipe_ref(pipe);
    event->kind = kind;
    event->reason = reason;
    event->pipe = pipe;
    TNNG_LIST_APPEND(events, event);
    events->unread++;
}

static tnng_event *events_pop(tnng_events *events)
{
    tnng_event *event = events->first;

    TNNG_LIST_REMOVE(events, event);
    events->unread--;
    return event;
}

/* [nng] */
void tnng_events_publish(tnng_socket *socket, int kind, tnng_pipe *pipe)
{
    for (tnng_events *each = socket->pipes->closed ? NULL : socket->pipes->subscriptions.first;
        each != NULL; each = each->next) {
        events_append(each, kind, kind == TNNG_CONNECTED ? TNNG_REASON_NONE : pipe->reason, pipe);
        tnng_op_list_finish(&each->waiting, 0);
    }
    tnng_report_event(pipe, kind);
}

/* [caller] The socket closes: what is unread can still be read. */
void tnng_events_shutdown(tnng_socket *socket)
{
    for (tnng_events *each = socket->pipes->subscriptions.first; each != NULL; each = each->next) {
        tnng_op_list_finish(&each->waiting, 0);
    }
}

int tnng_events_open(tnng_socket *socket, uint32_t capacity, tnng_events **out)
{
    tnng_events *events;

    TNNG_GUARD_FORK(TNNG_FORKED);
    if ((events = calloc(1, sizeof(*events))) == NULL) {
        return NNG_ENOMEM;
    }
    tnng_socket_ref(socket);
    events->socket = socket;
    pthread_mutex_lock(&socket->pipes->lock);
    events->limit = UINT32_MAX - (uint32_t) socket->pipes->connected > capacity
                        ? capacity + (uint32_t) socket->pipes->connected
                        : UINT32_MAX;
    for (tnng_pipe *pipe = socket->pipes->first; pipe != NULL; pipe = pipe->next) {
        if (pipe->connected && !socket->pipes->closed) {
            events_append(events, TNNG_CONNECTED, TNNG_REASON_NONE, pipe);
        }
    }
    TNNG_LIST_APPEND(&socket->pipes->subscriptions, events);
    pthread_mutex_unlock(&socket->pipes->lock);
    *out = events;
    return 0;
}

int tnng_events_wait(tnng_events *events, tnng_cq *cq, uint64_t tag, tnng_result *result)
{
    tnng_socket *socket = events->socket;
    int code;

    TNNG_GUARD_FORK(tnng_result_set(result, TNNG_FORKED, NULL));
    pthread_mutex_lock(&socket->pipes->lock);
    if (events->closed) {
        code = tnng_result_set(result, NNG_ECLOSED, NULL);
    } else if (events->first != NULL || events->overflowed || socket->pipes->closed) {
        code = tnng_result_set(result, 0, NULL);
    } else {
        code = tnng_pipes_park(socket, &events->waiting, &(tnng_call){cq, tag, result}, 0);
    }
    pthread_mutex_unlock(&socket->pipes->lock);
    return tnng_waiter_submitted(cq, NULL, code);
}

int tnng_events_take(tnng_events *events, int *kind, int *reason, tnng_pipe **pipe)
{
    tnng_socket *socket = events->socket;
    tnng_event *event = NULL;
    int code = NNG_EAGAIN;

    TNNG_GUARD_FORK(TNNG_FORKED);
    pthread_mutex_lock(&socket->pipes->lock);
    if (events->first != NULL) {
        event = events_pop(events);
        code = 0;
    } else if (events->overflowed) {
        code = TNNG_EVENTS_LOST;
    } else if (events->closed || socket->pipes->closed) {
        code = NNG_ECLOSED;
    }
    pthread_mutex_unlock(&socket->pipes->lock);
    if (event != NULL) {
        *kind = event->kind;
        *reason = event->reason;
        *pipe = event->pipe; /* its reference is the caller's now */
        free(event);
    }
    return code;
}

void tnng_events_close(tnng_events *events)
{
    tnng_socket *socket = events->socket;
    tnng_event *unread = NULL;

    TNNG_GUARD_FORK();
    pthread_mutex_lock(&socket->pipes->lock);
    if (!events->closed) {
        events->closed = true;
        TNNG_LIST_REMOVE(&socket->pipes->subscriptions, events);
        unread = events->first;
        events->first = events->last = NULL;
        events->unread = 0;
        tnng_op_list_finish(&events->waiting, NNG_ECLOSED);
    }
    pthread_mutex_unlock(&socket->pipes->lock);
    for (tnng_event *next; unread != NULL; unread = next) {
        next = unread->next;
        tnng_pipe_unref(unread->pipe);
        free(unread);
    }
}

void tnng_events_destroy(tnng_events *events)
{
    TNNG_GUARD_FORK();
    tnng_events_close(events);
    tnng_socket_unref(events->socket);
    free(events);
}

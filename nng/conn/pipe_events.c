/* Subscriptions to what happens to a socket's connections. Who subscribes gets one event for each
 * connection of that moment, and then what happens, under the one lock under which it happens: no
 * gap, nothing twice. A reader that falls behind keeps what it has not read, and is told after it
 * that there was more. */
#include <stdlib.h>

#include "conn/dials.h"

static void append(tnng_events *events, int kind, int reason, tnng_pipe *pipe)
{
    tnng_event *event = NULL;

    if (!events->lost && events->unread < events->limit) {
        event = calloc(1, sizeof(*event));
    }
    if (event == NULL) {
        events->lost = true;
        return;
    }
    tnng_pipe_hold(pipe);
    event->kind = kind;
    event->reason = reason;
    event->pipe = pipe;
    if (events->last == NULL) {
        events->first = event;
    } else {
        events->last->next = event;
    }
    events->last = event;
    events->unread++;
}

static tnng_event *pop(tnng_events *events)
{
    tnng_event *event = events->first;

    events->first = event->next;
    if (events->first == NULL) {
        events->last = NULL;
    }
    events->unread--;
    return event;
}

/* [any] Everybody who waits looks for himself: a call that is cancelled at this moment keeps the
 * event from nobody. */
static void wake(tnng_events *events, int code)
{
    for (tnng_op *op; (op = events->waiting.first) != NULL;) {
        tnng_ops_remove(&events->waiting, op);
        tnng_op_finish(op, code, NULL);
    }
}

/* [nng] */
void tnng_events_tell(tnng_socket *socket, int kind, tnng_pipe *pipe)
{
    for (tnng_events *each = socket->pipes_closed ? NULL : socket->subscriptions; each != NULL;
         each = each->next) {
        append(each, kind, kind == TNNG_CONNECTED ? TNNG_BY_NOTHING : pipe->reason, pipe);
        wake(each, 0);
    }
}

/* [caller] The socket closes: what is unread can still be read. */
void tnng_events_shut(tnng_socket *socket)
{
    for (tnng_events *each = socket->subscriptions; each != NULL; each = each->next) {
        wake(each, 0);
    }
}

int tnng_events_open(tnng_socket *socket, uint32_t capacity, tnng_events **out)
{
    tnng_events *events;

    if (tnng_forked()) {
        return TNNG_FORKED;
    }
    if ((events = calloc(1, sizeof(*events))) == NULL) {
        return NNG_ENOMEM;
    }
    tnng_socket_hold(socket);
    events->socket = socket;
    pthread_mutex_lock(&socket->pipes_lock);
    events->limit = UINT32_MAX - (uint32_t) socket->connected > capacity
                        ? capacity + (uint32_t) socket->connected
                        : UINT32_MAX;
    for (tnng_pipe *pipe = socket->pipes; pipe != NULL; pipe = pipe->next) {
        if (pipe->connected && !socket->pipes_closed) {
            append(events, TNNG_CONNECTED, TNNG_BY_NOTHING, pipe);
        }
    }
    events->next = socket->subscriptions;
    if (events->next != NULL) {
        events->next->previous = events;
    }
    socket->subscriptions = events;
    pthread_mutex_unlock(&socket->pipes_lock);
    *out = events;
    return 0;
}

int tnng_events_wait(tnng_events *events, tnng_port *port, uint64_t tag, tnng_result *result)
{
    tnng_socket *socket = events->socket;
    int code;

    if (tnng_forked()) {
        return tnng_answer(result, TNNG_FORKED, NULL);
    }
    pthread_mutex_lock(&socket->pipes_lock);
    if (events->closed) {
        code = tnng_answer(result, NNG_ECLOSED, NULL);
    } else if (events->first != NULL || events->lost || socket->pipes_closed) {
        code = tnng_answer(result, 0, NULL);
    } else {
        code = tnng_park_for_pipes(socket, &events->waiting, port, tag, result, 0);
    }
    pthread_mutex_unlock(&socket->pipes_lock);
    return tnng_submitted(port, NULL, code);
}

int tnng_events_take(tnng_events *events, int *kind, int *reason, tnng_pipe **pipe)
{
    tnng_socket *socket = events->socket;
    tnng_event *event = NULL;
    int code = NNG_EAGAIN;

    if (tnng_forked()) {
        return TNNG_FORKED;
    }
    pthread_mutex_lock(&socket->pipes_lock);
    if (events->first != NULL) {
        event = pop(events);
        code = 0;
    } else if (events->lost) {
        code = TNNG_EVENTS_LOST;
    } else if (events->closed || socket->pipes_closed) {
        code = NNG_ECLOSED;
    }
    pthread_mutex_unlock(&socket->pipes_lock);
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

    if (tnng_forked()) {
        return;
    }
    pthread_mutex_lock(&socket->pipes_lock);
    if (!events->closed) {
        events->closed = true;
        if (events->previous == NULL) {
            socket->subscriptions = events->next;
        } else {
            events->previous->next = events->next;
        }
        if (events->next != NULL) {
            events->next->previous = events->previous;
        }
        unread = events->first;
        events->first = events->last = NULL;
        events->unread = 0;
        wake(events, NNG_ECLOSED);
    }
    pthread_mutex_unlock(&socket->pipes_lock);
    for (tnng_event *next; unread != NULL; unread = next) {
        next = unread->next;
        tnng_pipe_drop(unread->pipe);
        free(unread);
    }
}

void tnng_events_drop(tnng_events *events)
{
    if (tnng_forked()) {
        return;
    }
    tnng_events_close(events);
    tnng_socket_release(events->socket);
    free(events);
}

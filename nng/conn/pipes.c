/* The connections of a socket. nng's callbacks come from several threads in any order; of one pipe
 * this much is made certain here: connected is seen at most once, and disconnected only after it. A
 * pipe that goes before it was connected was rejected, and a connect reported after that is
 * forgotten. The pipe of a message counts as connected, even when nng is late to say so. */
#include <stdlib.h>

#include "conn/conn.h"

static bool pipes_single_peer(const tnng_socket *socket)
{
    return socket->protocol_number == TNNG_PAIR0 || socket->protocol_number == TNNG_PAIR1;
}

/* [nng] Before the pipe is used: what can be read of it now, and not any more when it is gone. */
static void pipes_on_offered(nng_pipe id, nng_pipe_ev event, void *arg)
{
    tnng_socket *socket = arg;
    tnng_pipe *pipe = tnng_pipe_new(id);

    (void) event;
    if (pipe == NULL) {
        /* Without an entry no call could ever find it. */
        pthread_mutex_lock(&socket->pipes->lock);
        tnng_dial_fail(socket, nng_pipe_dialer(id).id, NNG_ENOMEM);
        pthread_mutex_unlock(&socket->pipes->lock);
        nng_pipe_close(id);
        return;
    }
    pipe->accepted_before = atomic_load(&socket->traffic.accepted);
    pipe->received_before = atomic_load(&socket->traffic.received);
    pthread_mutex_lock(&socket->pipes->lock);
    bool admitted = tnng_pipe_is_admitted(socket, &pipe->info);
    if (!admitted) {
        /* Told now and never entered: not every nng reports the end of one that is refused here. */
        atomic_store(&pipe->gone, true);
        pipe->reason = TNNG_REASON_ADMISSION;
        socket->pipes->rejected++;
        tnng_events_publish(socket, TNNG_REJECTED, pipe);
        tnng_report_peer(socket, pipe, 0);
    }
    pipe->already_paired = pipes_single_peer(socket) && socket->pipes->connected > 0;
    int code = admitted ? tnng_pipe_table_add(socket, pipe) : NNG_EPERM;
    if (code == NNG_ENOMEM) {
        tnng_dial_fail(socket, pipe->info.dialer, code);
    }
    pthread_mutex_unlock(&socket->pipes->lock);
    if (code != 0) {
        nng_pipe_close(id);
        tnng_pipe_unref(pipe);
    }
}

/* [any] With pipes->lock held. */
static void pipes_set_connected(tnng_socket *socket, tnng_pipe *pipe)
{
    pipe->connected = true;
    socket->pipes->connected++;
    tnng_events_publish(socket, TNNG_CONNECTED, pipe);
    tnng_dial_pipe_changed(socket, pipe);
    if (pipe->info.dialer != 0) {
        tnng_dial_connected(pipe);
    }
    tnng_pipes_wake(socket);
}

/* [any] With pipes->lock held: one that has gone lately. nng counts its ids up and begins anew
 * after 2^31 of them, so no other pipe has an id of those remembered. */
static tnng_pipe *pipes_recall(tnng_socket *socket, uint32_t id)
{
    for (int i = 0; i < PIPES_REMEMBERED; i++) {
        if (socket->pipes->recent[i] != NULL && socket->pipes->recent[i]->info.id == id) {
            return socket->pipes->recent[i];
        }
    }
    return NULL;
}

/* [nng] */
static void pipes_on_connected(nng_pipe id, nng_pipe_ev event, void *arg)
{
    tnng_socket *socket = arg;

    (void) event;
    TNNG_PAUSE("pipe.added");
    tnng_cause_take(id.id, false);
    pthread_mutex_lock(&socket->pipes->lock);
    tnng_pipe *pipe = tnng_pipe_table_find(socket, id.id);
    if (pipe != NULL && !pipe->connected) {
        pipes_set_connected(socket, pipe);
    } else if (pipe == NULL && (pipe = pipes_recall(socket, id.id)) != NULL && !pipe->connected &&
               pipe->reason == TNNG_REASON_PROTOCOL) {
        pipe->reason = TNNG_REASON_REFUSED; /* so it was not the protocol: it went away at once */
        tnng_dial_pipe_changed(socket, pipe);
    }
    pthread_mutex_unlock(&socket->pipes->lock);
    tnng_pair_peer_gained(socket);
}

/* [any] */
bool tnng_has_peer(tnng_socket *socket)
{
    pthread_mutex_lock(&socket->pipes->lock);
    bool connected = socket->pipes->connected > 0;
    pthread_mutex_unlock(&socket->pipes->lock);
    return connected;
}

/* [nng] With pipes->lock held: why it ended, or never could be used, as far as that is known. */
static int pipes_reason_of(tnng_socket *socket, tnng_pipe *pipe)
{
    int closed_for = atomic_load(&pipe->close_reason);
    tnng_cause cause = tnng_cause_take(pipe->info.id, true);

    if (closed_for != 0) {
        return closed_for - 1;
    }
    if (cause.oversize) {
        return TNNG_REASON_OVERSIZE;
    }
    if (pipe->connected) {
        return TNNG_REASON_NONE;
    }
    if (cause.peer != 0 && cause.peer != socket->peer_number) {
        return TNNG_REASON_PROTOCOL;
    }
    if (pipe->already_paired || (pipes_single_peer(socket) && socket->pipes->connected > 0)) {
        return TNNG_REASON_ALREADY_PAIRED;
    }
    return tnng_causes_are_known() ? TNNG_REASON_NONE : TNNG_REASON_PROTOCOL;
}

/* [nng] On the reaper's thread. */
static void pipes_on_gone(nng_pipe id, nng_pipe_ev event, void *arg)
{
    tnng_socket *socket = arg;
    uint32_t dialer = 0;
    int brief = -1;

    (void) event;
    TNNG_PAUSE("pipe.gone");
    tnng_push_peer_lost(socket, id.id);
    pthread_mutex_lock(&socket->pipes->lock);
    bool counts = !socket->pipes->closed;
    pthread_mutex_unlock(&socket->pipes->lock);
    if (counts) {
        socket->hooks->pipe_lost(socket);
    }
    pthread_mutex_lock(&socket->pipes->lock);
    tnng_pipe *pipe = tnng_pipe_table_find(socket, id.id);
    if (pipe != NULL) {
        tnng_pipe_table_remove(socket, pipe);
        pipe->reason = pipes_reason_of(socket, pipe);
        if (pipe->info.dialer != 0 && counts) {
            bool heard = atomic_load(&socket->traffic.received) != pipe->received_before;
            brief = tnng_dial_disconnected(pipe, heard);
            dialer = pipe->info.dialer;
        }
        tnng_events_publish(socket, pipe->connected ? TNNG_DISCONNECTED : TNNG_REJECTED, pipe);
        /* A brief peer may have had messages although nng was late to say that it came. */
        uint64_t given = pipe->counts_given ? pipe->tx.given : pipe->tx.written;
        socket->pipes->lost_pipes += pipe->connected || given > 0;
        socket->pipes->lost_given += given;
        socket->pipes->lost_written += pipe->tx.written;
        if (pipe->connected) {
            socket->pipes->connected--;
        } else if (pipe->reason != TNNG_REASON_OVERSIZE) {
            socket->pipes->rejected++;
        }
        socket->pipes->oversize += pipe->reason == TNNG_REASON_OVERSIZE;
        tnng_dial_pipe_changed(socket, pipe);
        if (counts) {
            tnng_report_peer(socket, pipe, 0);
        }
    }
    pthread_mutex_unlock(&socket->pipes->lock);
    if (brief >= 0) {
        tnng_dial_set_backoff(dialer, brief);
    }
    if (!tnng_has_peer(socket)) {
        tnng_pair_peer_lost(socket);
    }
}

/* [nng] nng makes no pipe of such a connection, so all that can be told is that there was one. */
static void pipes_on_handshake_failed(tnng_socket *socket, uint32_t listener, int code)
{
    tnng_pipe *pipe = tnng_pipe_new_empty();

    if (pipe == NULL) {
        return;
    }
    pipe->info.listener = listener;
    pipe->reason = TNNG_REASON_HANDSHAKE;
    atomic_store(&pipe->gone, true);
    pthread_mutex_lock(&socket->pipes->lock);
    if (!socket->pipes->closed) {
        socket->pipes->rejected++;
        tnng_events_publish(socket, TNNG_REJECTED, pipe);
        tnng_report_peer(socket, pipe, code);
    }
    pthread_mutex_unlock(&socket->pipes->lock);
    tnng_pipe_unref(pipe);
}

/* [caller] `pipes` is zero. */
void tnng_pipes_open(tnng_socket *socket, struct tnng_pipe_table *pipes)
{
    pthread_mutex_init(&pipes->lock, NULL);
    tnng_cond_init(&pipes->changed);
    socket->pipes = pipes;
}

/* [caller] Before the first endpoint, so that no pipe is missed. */
int tnng_pipes_subscribe(tnng_socket *socket)
{
    static const tnng_causes_hooks causes = {
        .dial_failed = tnng_dial_failed, .handshake_failed = pipes_on_handshake_failed};

    tnng_causes_init(&causes);
    int code = nng_pipe_notify(socket->nng, NNG_PIPE_EV_ADD_PRE, pipes_on_offered, socket);
    if (code == 0) {
        code = nng_pipe_notify(socket->nng, NNG_PIPE_EV_ADD_POST, pipes_on_connected, socket);
    }
    if (code == 0) {
        code = nng_pipe_notify(socket->nng, NNG_PIPE_EV_REM_POST, pipes_on_gone, socket);
    }
    return code;
}

/* [any] The socket is about to go. */
void tnng_pipes_free(tnng_socket *socket)
{
    tnng_pipe_table_free(socket);
    tnng_admission_rules_free(socket);
    free(socket->pipes->reported_peers);
    pthread_mutex_destroy(&socket->pipes->lock);
    pthread_cond_destroy(&socket->pipes->changed);
}

/* [caller] The socket closes: the waits for a peer end. */
void tnng_pipes_shutdown(tnng_socket *socket)
{
    pthread_mutex_lock(&socket->pipes->lock);
    socket->pipes->closed = true;
    tnng_pipes_wake(socket);
    tnng_events_shutdown(socket);
    pthread_cond_broadcast(&socket->pipes->changed);
    pthread_mutex_unlock(&socket->pipes->lock);
}

int tnng_pipes(tnng_socket *socket, tnng_pipe **pipes, int max)
{
    int count = 0;

    TNNG_GUARD_FORK(0);
    pthread_mutex_lock(&socket->pipes->lock);
    for (tnng_pipe *pipe = socket->pipes->first; pipe != NULL; pipe = pipe->next) {
        if (pipe->connected) {
            if (count < max) {
                tnng_pipe_ref(pipe);
                pipes[count] = pipe;
            }
            count++;
        }
    }
    pthread_mutex_unlock(&socket->pipes->lock);
    return count;
}

int tnng_pipe_count(tnng_socket *socket)
{
    TNNG_GUARD_FORK(0);
    pthread_mutex_lock(&socket->pipes->lock);
    int count = socket->pipes->connected;
    pthread_mutex_unlock(&socket->pipes->lock);
    return count;
}

/* [caller] With pipes->lock held: the pipe of a message, which may be read when its connection has
 * gone. */
static tnng_pipe *pipes_find_or_recall(tnng_socket *socket, uint32_t id)
{
    tnng_pipe *pipe = tnng_pipe_table_find(socket, id);

    if (pipe != NULL && !pipe->connected) {
        pipes_set_connected(socket, pipe);
    }
    return pipe != NULL ? pipe : pipes_recall(socket, id);
}

uint64_t tnng_pipe_serial(tnng_socket *socket, uint32_t id)
{
    TNNG_GUARD_FORK(0);
    pthread_mutex_lock(&socket->pipes->lock);
    tnng_pipe *pipe = pipes_find_or_recall(socket, id);
    uint64_t serial = pipe == NULL ? 0 : pipe->info.serial;
    pthread_mutex_unlock(&socket->pipes->lock);
    return serial;
}

bool tnng_pipe_find(tnng_socket *socket, uint32_t id, tnng_pipe **out)
{
    TNNG_GUARD_FORK(false);
    pthread_mutex_lock(&socket->pipes->lock);
    tnng_pipe *pipe = pipes_find_or_recall(socket, id);
    if (pipe != NULL) {
        tnng_pipe_ref(pipe);
        *out = pipe;
    }
    pthread_mutex_unlock(&socket->pipes->lock);
    return pipe != NULL;
}

/* [caller] With a context's lock held: one more reply is on its way through this pipe. */
void tnng_pipe_expect_reply(tnng_socket *socket, uint32_t id)
{
    pthread_mutex_lock(&socket->pipes->lock);
    tnng_pipe *pipe = tnng_pipe_table_find(socket, id);
    if (pipe != NULL) {
        pipe->replies_expected++;
    }
    pthread_mutex_unlock(&socket->pipes->lock);
}

int tnng_wait_pipes(tnng_socket *socket, int count, tnng_cq *cq, uint64_t tag, tnng_result *result)
{
    const tnng_call call = {cq, tag, result};
    struct tnng_pipe_table *pipes = socket->pipes;
    int code;

    TNNG_GUARD_FORK(tnng_result_set(result, TNNG_FORKED, NULL));
    pthread_mutex_lock(&pipes->lock);
    if (pipes->closed) {
        code = tnng_result_set(result, NNG_ECLOSED, NULL);
    } else if (pipes->connected >= count) {
        code = tnng_result_set(result, 0, NULL);
    } else {
        code = tnng_pipes_park(socket, &pipes->waiting, &call, count);
    }
    pthread_mutex_unlock(&pipes->lock);
    return tnng_waiter_submitted(cq, NULL, code);
}

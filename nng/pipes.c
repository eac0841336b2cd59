/* The table of a socket's pipes. nng's callbacks come from several threads in any order; of one
 * pipe this much is made certain here: connected is seen at most once, and disconnected only after
 * it. A pipe that goes before it was connected was rejected, and a connect reported after that is
 * forgotten. */
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>

#include "internal.h"

static void copy_addr(tnng_addr *out, const nng_sockaddr *in)
{
    memset(out, 0, sizeof(*out));
    out->family = in->s_family;
    switch (in->s_family) {
    case NNG_AF_INET:
        out->port = ntohs(in->s_in.sa_port);
        out->size = 4;
        memcpy(out->data, &in->s_in.sa_addr, 4);
        break;
    case NNG_AF_INET6:
        out->port = ntohs(in->s_in6.sa_port);
        out->scope = in->s_in6.sa_scope;
        out->size = 16;
        memcpy(out->data, in->s_in6.sa_addr, 16);
        break;
    case NNG_AF_IPC:
    case NNG_AF_INPROC:
        out->size = (uint32_t) strnlen(in->s_ipc.sa_path, sizeof(out->data));
        memcpy(out->data, in->s_ipc.sa_path, out->size);
        break;
    case NNG_AF_ABSTRACT:
        out->size = in->s_abstract.sa_len > 107 ? 107 : in->s_abstract.sa_len;
        memcpy(out->data, in->s_abstract.sa_name, out->size);
        break;
    }
}

int tnng_get_addr(int on, uint32_t id, const char *name, tnng_addr *value)
{
    nng_sockaddr addr;
    int code = NNG_ENOTSUP;

    if (tnng_forked()) {
        return TNNG_FORKED;
    }
    if (on == TNNG_ON_PIPE) {
        code = nng_pipe_get_addr((nng_pipe){id}, name, &addr);
    } else if (on == TNNG_ON_DIALER) {
        code = nng_dialer_get_addr((nng_dialer){id}, name, &addr);
    } else if (on == TNNG_ON_LISTENER) {
        code = nng_listener_get_addr((nng_listener){id}, name, &addr);
    }
    if (code == 0) {
        copy_addr(value, &addr);
    }
    return code;
}

static tnng_pipe **find(tnng_socket *socket, uint32_t id)
{
    tnng_pipe **link = &socket->pipes;
    while (*link != NULL && (*link)->info.id != id) {
        link = &(*link)->next;
    }
    return link;
}

static void tell_dialer(tnng_socket *socket, tnng_pipe *pipe)
{
    for (tnng_op *op = socket->dialing.first; op != NULL; op = op->next) {
        if (op->endpoint == pipe->info.dialer) {
            op->posted |= pipe->connected;
            op->rejected |= !pipe->connected;
        }
    }
    pthread_cond_broadcast(&socket->pipes_changed);
}

/* [nng] Before the pipe is used: its addresses can be read now, and not any more when it is gone.
 */
static void on_offered(nng_pipe id, nng_pipe_ev event, void *arg)
{
    tnng_socket *socket = arg;
    tnng_pipe *pipe = calloc(1, sizeof(*pipe));
    nng_dialer dialer = nng_pipe_dialer(id);
    nng_listener listener = nng_pipe_listener(id);

    (void) event;
    if (pipe == NULL) {
        nng_pipe_close(id); /* without an entry nobody could ever see it */
        return;
    }
    pipe->info.id = (uint32_t) nng_pipe_id(id);
    pipe->info.dialer = nng_dialer_id(dialer) > 0 ? dialer.id : 0;
    pipe->info.listener = nng_listener_id(listener) > 0 ? listener.id : 0;
    tnng_get_addr(TNNG_ON_PIPE, id.id, NNG_OPT_LOCADDR, &pipe->info.local);
    tnng_get_addr(TNNG_ON_PIPE, id.id, NNG_OPT_REMADDR, &pipe->info.remote);
    pipe->before = atomic_load(&socket->accepted);
    pthread_mutex_lock(&socket->pipes_lock);
    pipe->next = socket->pipes;
    socket->pipes = pipe;
    pthread_mutex_unlock(&socket->pipes_lock);
}

/* [any] With pipes_lock held: everybody whose number of peers is reached. */
static void wake_pipe_waiters(tnng_socket *socket)
{
    for (tnng_op *next, *op = socket->pipe_waiting.first; op != NULL; op = next) {
        next = op->next;
        if (socket->pipes_closed || op->wanted <= socket->connected) {
            tnng_ops_remove(&socket->pipe_waiting, op);
            tnng_op_finish(op, socket->pipes_closed ? NNG_ECLOSED : 0, NULL);
        }
    }
}

/* [nng] */
static void on_connected(nng_pipe id, nng_pipe_ev event, void *arg)
{
    tnng_socket *socket = arg;

    (void) event;
    pthread_mutex_lock(&socket->pipes_lock);
    tnng_pipe *pipe = *find(socket, id.id);
    if (pipe != NULL) {
        pipe->connected = true;
        socket->connected++;
        tell_dialer(socket, pipe);
        wake_pipe_waiters(socket);
    }
    pthread_mutex_unlock(&socket->pipes_lock);
}

/* [nng] On the reaper's thread. */
static void on_gone(nng_pipe id, nng_pipe_ev event, void *arg)
{
    tnng_socket *socket = arg;
    uint64_t sent = 0;

    (void) event;
    TNNG_PAUSE("pipe.gone");
    pthread_mutex_lock(&socket->pipes_lock);
    bool counts = !socket->pipes_closed;
    pthread_mutex_unlock(&socket->pipes_lock);
    if (counts) {
        sent = tnng_pipe_sent(id.id);
    }
    pthread_mutex_lock(&socket->pipes_lock);
    tnng_pipe **link = find(socket, id.id), *pipe = *link;
    if (pipe != NULL) {
        *link = pipe->next;
        if (pipe->connected) {
            socket->connected--;
            socket->lost_pipes++;
            socket->lost_pipes_sent += sent;
        } else {
            socket->rejected++;
            tell_dialer(socket, pipe);
        }
        free(pipe);
    }
    pthread_mutex_unlock(&socket->pipes_lock);
}

/* [caller] Before the first endpoint, so that no pipe is missed. */
int tnng_pipes_watch(tnng_socket *socket)
{
    int code = nng_pipe_notify(socket->nng, NNG_PIPE_EV_ADD_PRE, on_offered, socket);
    if (code == 0) {
        code = nng_pipe_notify(socket->nng, NNG_PIPE_EV_ADD_POST, on_connected, socket);
    }
    if (code == 0) {
        code = nng_pipe_notify(socket->nng, NNG_PIPE_EV_REM_POST, on_gone, socket);
    }
    return code;
}

/* [caller] The socket closes: nobody waits for a peer any more. */
void tnng_pipes_shut(tnng_socket *socket)
{
    pthread_mutex_lock(&socket->pipes_lock);
    socket->pipes_closed = true;
    wake_pipe_waiters(socket);
    pthread_cond_broadcast(&socket->pipes_changed);
    pthread_mutex_unlock(&socket->pipes_lock);
}

/* [any] After nng_close no callback runs; what is left in the table then is only memory. */
void tnng_pipes_free(tnng_socket *socket)
{
    for (tnng_pipe *pipe; (pipe = socket->pipes) != NULL;) {
        socket->pipes = pipe->next;
        free(pipe);
    }
}

int tnng_pipes(tnng_socket *socket, tnng_pipe_info *infos, int max)
{
    int count = 0;

    if (tnng_forked()) {
        return 0;
    }
    pthread_mutex_lock(&socket->pipes_lock);
    for (tnng_pipe *pipe = socket->pipes; pipe != NULL; pipe = pipe->next) {
        if (pipe->connected) {
            if (count < max) {
                infos[count] = pipe->info;
            }
            count++;
        }
    }
    pthread_mutex_unlock(&socket->pipes_lock);
    return count;
}

int tnng_pipe_count(tnng_socket *socket) { return tnng_pipes(socket, NULL, 0); }

uint64_t tnng_pipes_rejected(tnng_socket *socket)
{
    pthread_mutex_lock(&socket->pipes_lock);
    uint64_t rejected = socket->rejected;
    pthread_mutex_unlock(&socket->pipes_lock);
    return rejected;
}

int tnng_pipe_close(tnng_socket *socket, uint32_t id)
{
    (void) socket;
    return tnng_forked() ? TNNG_FORKED : nng_pipe_close((nng_pipe){id});
}

/* [caller] With a lane's lock held: one more reply is on its way through this pipe. */
void tnng_pipe_expect(tnng_socket *socket, uint32_t id)
{
    pthread_mutex_lock(&socket->pipes_lock);
    tnng_pipe *pipe = *find(socket, id);
    if (pipe != NULL) {
        pipe->expected++;
    }
    pthread_mutex_unlock(&socket->pipes_lock);
}

int tnng_wait_pipes(
    tnng_socket *socket, int count, tnng_port *port, uint64_t tag, tnng_result *result)
{
    tnng_op *op;
    int code;

    if (tnng_forked()) {
        return tnng_answer(result, TNNG_FORKED, NULL);
    }
    pthread_mutex_lock(&socket->pipes_lock);
    if (socket->pipes_closed) {
        code = tnng_answer(result, NNG_ECLOSED, NULL);
    } else if (socket->connected >= count) {
        code = tnng_answer(result, 0, NULL);
    } else if (!tnng_owner_enter(socket, port)) {
        code = tnng_answer(result, NNG_EBUSY, NULL);
    } else if ((op = tnng_op_new(NULL, socket, port, tag)) == NULL) {
        tnng_owner_leave(socket);
        code = tnng_answer(result, NNG_ENOMEM, NULL);
    } else {
        op->stage = OP_WAITING;
        op->wanted = count;
        tnng_ops_append(&socket->pipe_waiting, op);
        code = tnng_park(op, result);
    }
    pthread_mutex_unlock(&socket->pipes_lock);
    return tnng_submitted(port, NULL, code);
}

/* [caller] */
int tnng_pipe_leave(tnng_op *op)
{
    tnng_socket *socket = op->socket;
    int outcome = TNNG_LATE;

    pthread_mutex_lock(&socket->pipes_lock);
    if (op->stage == OP_WAITING) {
        tnng_ops_remove(&socket->pipe_waiting, op);
        outcome = TNNG_LEFT;
    }
    pthread_mutex_unlock(&socket->pipes_lock);
    return outcome;
}

/* What is remembered of each connection, and the table of those a socket has. A record is counted
 * memory: the table holds one reference, every unread event and every object of Python one more. */
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>

#include "conn/conn.h"

static atomic_uint_fast64_t serials;
static atomic_int in_process;

/* Of all sockets: what a snapshot of nng's statistics has to walk. */
int tnng_pipes_in_process(void) { return atomic_load(&in_process); }

static void pipe_table_copy_addr(tnng_addr *out, const nng_sockaddr *in)
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

    TNNG_GUARD_FORK(TNNG_FORKED);
    if (on == TNNG_ON_PIPE) {
        code = nng_pipe_get_addr((nng_pipe){id}, name, &addr);
    } else if (on == TNNG_ON_DIALER) {
        code = nng_dialer_get_addr((nng_dialer){id}, name, &addr);
    } else if (on == TNNG_ON_LISTENER) {
        code = nng_listener_get_addr((nng_listener){id}, name, &addr);
    }
    if (code == 0) {
        pipe_table_copy_addr(value, &addr);
    }
    return code;
}

static int32_t pipe_table_flag(nng_pipe id, const char *name)
{
    bool value = false;

    return nng_pipe_get_bool(id, name, &value) == 0 ? value : -1;
}

/* F1: what inproc and ws have written nng does not count. */
static void pipe_table_read_transport(tnng_pipe *pipe)
{
    char *url = NULL;

    if (nng_pipe_get_string((nng_pipe){pipe->info.id}, NNG_OPT_URL, &url) == 0) {
        pipe->is_ws = strncmp(url, "ws", 2) == 0;
        pipe->counts_written = !pipe->is_ws && strncmp(url, "inproc", 6) != 0;
        nng_strfree(url);
    }
}

/* [nng] With nothing known of it. NULL when there is no memory. */
tnng_pipe *tnng_pipe_new_empty(void)
{
    tnng_pipe *pipe = calloc(1, sizeof(*pipe));

    if (pipe != NULL) {
        atomic_init(&pipe->refs, 1);
        atomic_init(&pipe->gone, false);
        atomic_init(&pipe->close_reason, 0);
        pipe->made_at = tnng_now();
        pipe->info.serial = atomic_fetch_add(&serials, 1) + 1;
        pipe->info.tcp_nodelay = pipe->info.tcp_keepalive = pipe->info.tls_verified = -1;
    }
    return pipe;
}

/* [nng] In ADD_PRE, where only getters may be called. NULL when there is no memory. */
tnng_pipe *tnng_pipe_new(nng_pipe id)
{
    tnng_pipe *pipe = tnng_pipe_new_empty();
    nng_dialer dialer = nng_pipe_dialer(id);
    nng_listener listener = nng_pipe_listener(id);

    if (pipe == NULL) {
        return NULL;
    }
    tnng_pipe_info *info = &pipe->info;
    info->id = id.id;
    info->dialer = nng_dialer_id(dialer) > 0 ? dialer.id : 0;
    info->listener = nng_listener_id(listener) > 0 ? listener.id : 0;
    tnng_get_addr(TNNG_ON_PIPE, id.id, NNG_OPT_LOCADDR, &info->local);
    tnng_get_addr(TNNG_ON_PIPE, id.id, NNG_OPT_REMADDR, &info->remote);
    tnng_handshake_timeout_stop(&info->local, &info->remote);
    /* What a pipe has not, nng reads of its socket, and that has these whatever the transport. */
    bool is_tcp = info->remote.family == NNG_AF_INET || info->remote.family == NNG_AF_INET6;
    info->tcp_nodelay = is_tcp ? pipe_table_flag(id, NNG_OPT_TCP_NODELAY) : -1;
    info->tcp_keepalive = is_tcp ? pipe_table_flag(id, NNG_OPT_TCP_KEEPALIVE) : -1;
    info->tls_verified = pipe_table_flag(id, NNG_OPT_TLS_VERIFIED);
    tnng_tls_names_read(id, info);
    pipe_table_read_transport(pipe);
    info->has_peer_ids = nng_pipe_get_uint64(id, NNG_OPT_IPC_PEER_UID, &info->uid) == 0 &&
                         nng_pipe_get_uint64(id, NNG_OPT_IPC_PEER_GID, &info->gid) == 0 &&
                         nng_pipe_get_uint64(id, NNG_OPT_IPC_PEER_PID, &info->pid) == 0;
    return pipe;
}

const tnng_pipe_info *tnng_pipe_get_info(tnng_pipe *pipe) { return &pipe->info; }

bool tnng_pipe_is_gone(tnng_pipe *pipe) { return atomic_load(&pipe->gone); }

/* [caller] Until its last callback has returned nng keeps the id, and gives it to no other pipe. */
int tnng_pipe_close(tnng_pipe *pipe, int reason)
{
    TNNG_GUARD_FORK(TNNG_FORKED);
    atomic_store(&pipe->close_reason, 1 + reason);
    return atomic_load(&pipe->gone) ? 0 : nng_pipe_close((nng_pipe){pipe->info.id});
}

void tnng_pipe_ref(tnng_pipe *pipe) { atomic_fetch_add(&pipe->refs, 1); }

/* [any] */
void tnng_pipe_unref(tnng_pipe *pipe)
{
    if (atomic_fetch_sub(&pipe->refs, 1) == 1) {
        tnng_tls_names_free(&pipe->info);
        free(pipe);
    }
}

static tnng_pipe **pipe_table_bucket(tnng_socket *socket, uint32_t id)
{
    return &socket->pipes->buckets[id & (socket->pipes->bucket_count - 1)];
}

tnng_pipe *tnng_pipe_table_find(tnng_socket *socket, uint32_t id)
{
    tnng_pipe *pipe = socket->pipes->bucket_count == 0 ? NULL : *pipe_table_bucket(socket, id);

    while (pipe != NULL && pipe->info.id != id) {
        pipe = pipe->bucket_next;
    }
    return pipe;
}

/* [nng] Without memory for more buckets the chains only get longer. */
static int pipe_table_grow(tnng_socket *socket)
{
    unsigned count = socket->pipes->bucket_count == 0 ? 8 : socket->pipes->bucket_count * 2;
    tnng_pipe **buckets;

    if (socket->pipes->count < socket->pipes->bucket_count) {
        return 0;
    }
    if ((buckets = calloc(count, sizeof(*buckets))) == NULL) {
        return socket->pipes->bucket_count == 0 ? NNG_ENOMEM : 0;
    }
    free(socket->pipes->buckets);
    socket->pipes->buckets = buckets;
    socket->pipes->bucket_count = count;
    for (tnng_pipe *pipe = socket->pipes->first; pipe != NULL; pipe = pipe->next) {
        tnng_pipe **bucket = pipe_table_bucket(socket, pipe->info.id);
        pipe->bucket_next = *bucket;
        *bucket = pipe;
    }
    return 0;
}

/* [nng] The table takes the caller's reference over. */
int tnng_pipe_table_add(tnng_socket *socket, tnng_pipe *pipe)
{
    int code = pipe_table_grow(socket);

    if (code != 0) {
        return code;
    }
    tnng_pipe **bucket = pipe_table_bucket(socket, pipe->info.id);
    pipe->bucket_next = *bucket;
    *bucket = pipe;
    TNNG_LIST_APPEND(socket->pipes, pipe);
    socket->pipes->count++;
    atomic_fetch_add(&in_process, 1);
    if (tnng_tx_begin(socket, pipe->info.id)) {
        pipe->counts_given = true;
        pipe->counts_written |= pipe->is_ws;
    } else if (tnng_tx_is_counted()) {
        pipe->counts_written = false;
    }
    return 0;
}

/* [nng] It has gone. It stays valid for the caller: the newest of those remembered. */
void tnng_pipe_table_remove(tnng_socket *socket, tnng_pipe *pipe)
{
    tnng_pipe **place = &socket->pipes->recent[socket->pipes->recent_next];

    tnng_tx_end(pipe->info.id, &pipe->tx);
    TNNG_SLIST_REMOVE(pipe_table_bucket(socket, pipe->info.id), pipe, bucket_next);
    TNNG_LIST_REMOVE(socket->pipes, pipe);
    pipe->bucket_next = NULL;
    socket->pipes->count--;
    atomic_fetch_sub(&in_process, 1);
    atomic_store(&pipe->gone, true);
    if (*place != NULL) {
        tnng_pipe_unref(*place);
    }
    *place = pipe;
    socket->pipes->recent_next = (socket->pipes->recent_next + 1) % PIPES_REMEMBERED;
}

/* [any] With the socket's last reference: after nng_close no callback runs. */
void tnng_pipe_table_free(tnng_socket *socket)
{
    for (tnng_pipe *pipe; (pipe = socket->pipes->first) != NULL;) {
        socket->pipes->first = pipe->next;
        atomic_store(&pipe->gone, true);
        atomic_fetch_sub(&in_process, 1);
        tnng_tx_end(pipe->info.id, &pipe->tx);
        tnng_pipe_unref(pipe);
    }
    for (int i = 0; i < PIPES_REMEMBERED; i++) {
        if (socket->pipes->recent[i] != NULL) {
            tnng_pipe_unref(socket->pipes->recent[i]);
        }
    }
    free(socket->pipes->buckets);
}

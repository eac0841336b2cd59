/* C10: peers of Pair0 and Pair1 that leave while their messages arrive. nng forgets the connection,
 * and can then still note that the socket's connection holds a message (all versions). The next
 * receive follows a null pointer, or uses what the next connection is busy with. It does not when
 * a posted receive takes that message.
 *
 * So a receive is posted when the peer has gone, which is before nng forgets the connection, and
 * stays until nng has freed the connection and the next peer is there. One more is posted although
 * others are pending: an earlier message may be on its way to each of those. One for each peer is
 * enough: a closed connection brings one message more at most. What it brings keeps its place in
 * the ring.
 *
 * nng's reaper frees the connection, right after it has told that the connection has gone. An aio
 * of the shim that is given to the reaper then, and is busy, tells when that is done: the reaper
 * cancels it next. */
#include "fixes/fixes.h"

static bool pair_may_crash(const tnng_socket *socket)
{
    int number = socket->protocol_number;

    return (number == TNNG_PAIR0 || number == TNNG_PAIR1) && TNNG_FIX_IS_ON(C10);
}

/* [nng] The reaper, when it has freed a connection. */
static void pair_on_freed(nng_aio *task, void *arg, int code)
{
    tnng_socket *socket = arg;

    atomic_fetch_sub(&socket->unfreed_pipes, 1);
    socket->hooks->set_persistent(socket, false);
    tnng_socket_unref(socket);
    nng_aio_finish(task, code);
}

/* [nng] The reaper, before nng forgets the connection. */
void tnng_pair_peer_lost(tnng_socket *socket)
{
    nng_aio *task;

    if (!pair_may_crash(socket)) {
        return;
    }
    if (nng_aio_alloc(&task, NULL, NULL) == 0) {
        atomic_fetch_add(&socket->unfreed_pipes, 1);
        tnng_socket_ref(socket);
        nng_aio_begin(task);
        nng_aio_defer(task, pair_on_freed, socket);
        nng_aio_reap(task);
    }
    socket->hooks->set_persistent(socket, true);
}

/* [nng] Another one has taken its place. */
void tnng_pair_peer_gained(tnng_socket *socket)
{
    if (pair_may_crash(socket)) {
        socket->hooks->set_persistent(socket, false);
    }
}

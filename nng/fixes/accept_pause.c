/* S5: a ws listener spins when it cannot accept. When descriptors or memory run out, the HTTP
 * server of nng calls accept again at once, and that fails at once: one thread uses a whole
 * processor. (All 1.x; tcp, ipc and tls pause.) Fix: an accept that follows a failure for lack of
 * resources does not start. It ends with a timeout PAUSE_MILLISECONDS later; the server's callback
 * then accepts again.
 *
 * M6: a listener accepts few connections at once. nng passes a backlog of 128 to listen. A unix
 * socket refuses the next connection with EAGAIN; TCP delays it by a second. Fix: the backlog is
 * SOMAXCONN. conn/dial_attempts.c waits for the listener of another process that has no room.
 *
 * S5 may go when `http_server_acccb` pauses, M6 when nng listens with SOMAXCONN. */
#include <sys/socket.h>

#include "fixes/fixes.h"

enum { PAUSE_MILLISECONDS = 10 };

/* [nng] */
static void accept_pause_end(nng_aio *aio, void *arg, int code)
{
    (void) arg;
    nng_aio_finish(aio, code);
}

/* [nng] [job] [caller] */
void __wrap_nng_stream_listener_accept(nng_stream_listener *listener, nng_aio *aio)
{
    int before = nng_aio_result(aio);

    if ((before == NNG_ENOFILES || before == NNG_ENOMEM) && TNNG_FIX_IS_ON(S5)) {
        nng_aio_set_timeout(aio, PAUSE_MILLISECONDS);
        if (nng_aio_begin(aio)) {
            nng_aio_defer(aio, accept_pause_end, NULL);
        }
        return;
    }
    if (before == NNG_ETIMEDOUT) {
        nng_aio_set_timeout(aio, NNG_DURATION_INFINITE);
    }
    nng_stream_listener_accept(listener, aio);
}

/* [job] [caller] */
int __wrap_listen(int fd, int backlog)
{
    return listen(fd, backlog < SOMAXCONN && TNNG_FIX_IS_ON(M6) ? SOMAXCONN : backlog);
}

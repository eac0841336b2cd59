/* S5: a ws listener that cannot accept. When there are no descriptors, or no memory, the HTTP
 * server under ws and wss asks for the next connection at once, which fails at once: a thread
 * spins. (All 1.x; tcp, ipc and tls pause.)
 *
 * So does the shim: an accept that follows one which failed for want of something does not begin,
 * but ends as timed out a little later. Its callback asks again, and that accept is made.
 *
 * M6: a full backlog. nng listens with room for 128 connections that have not been accepted. A
 * unix socket refuses the next one with EAGAIN, and TCP lets it wait for a second. The system's
 * own limit counts instead; `conn/dial.c` waits for a listener of another's that is full.
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

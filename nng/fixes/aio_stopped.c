/* H1: a connection that closes in the middle of a message blocks every later nng_close. A transport
 * reads a message in steps with one aio: the length, then the rest; it writes a long message in the
 * same way. When the connection closes between two steps, the aio is stopped. Before nng 2.0 the
 * submit of a stopped aio returns without a callback. The protocol's operation is then never
 * finished, nng's only reaper waits for it, and every nng_close of the process waits for the
 * reaper. A peer that is killed under load causes this, and so does a close.
 *
 * Fix: nng_stream_recv and nng_stream_send are wrapped. The result of the aio says that it is
 * stopped; the wrapper finishes the aio, as nng 2.0 does. The error is "connection reset", not
 * "closed": steps of a handshake end here too, and a listener that sees "closed" stops accepting.
 *
 * Why the test is safe: only a stop leaves the result "canceled" behind. The submitters (tcp, ipc,
 * tls, ws, http) hold a lock that an abort and the callback of these aios need, so neither runs
 * between the submit and the test. A stop needs no lock; the transports stop an aio after a close,
 * which left "closed" behind, http when it has nothing to read or write for, and TLS when its aios
 * are closed or unused.
 *
 * This may go when every nng in use is 2.0. */
#include "fixes/fixes.h"

#ifdef TNNG_LINKED_IN

static void aio_stopped_finish(nng_aio *aio)
{
    if (nng_aio_result(aio) == NNG_ECANCELED && TNNG_FIX_IS_ON(H1)) {
        tnng_ws_unsent_free(aio);
        nng_aio_finish(aio, NNG_ECONNRESET);
    }
}

/* [nng] */
void __wrap_nng_stream_recv(nng_stream *stream, nng_aio *aio)
{
    tnng_ws_unreceived_mark(aio);
    nng_stream_recv(stream, aio);
    aio_stopped_finish(aio);
    tnng_ws_peer_gone_check(stream, aio);
}

/* [nng] */
void __wrap_nng_stream_send(nng_stream *stream, nng_aio *aio)
{
    tnng_tx_mark(aio);
    tnng_ws_unsent_mark(aio);
    nng_stream_send(stream, aio);
    aio_stopped_finish(aio);
}

#endif

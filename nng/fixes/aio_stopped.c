/* H1: connections that are closed in the middle of a message. A transport reads a message in steps,
 * with an aio of its own: the length, then the rest, and writes a long one in the same way. When
 * the connection is closed between two steps, that aio is stopped already, and before nng 2.0 a
 * stopped aio that is submitted again just returns: no callback comes. The call of the protocol
 * above is then never finished, and nng's only reaper waits for it for ever, and with it every
 * nng_close of the process. A peer that is killed under load is enough, and so is a close.
 *
 * No call of nng ends such a wait. But the step is submitted through a function of another file of
 * libnng, and a stopped aio can be told by its result: here its callback is called after all, as
 * nng 2.0 does it. The error says that the peer has gone, not that we have closed: steps of
 * a handshake end here too, and a listener that hears of a close never accepts anybody again.
 *
 * Nothing else leaves that result (canceled) behind. Whoever submits (tcp, ipc, tls, ws, their http
 * and TLS layers) holds a lock under which alone these aios are aborted, and which their callbacks
 * take first; so neither an abort nor the callback comes between. Only stops come without that
 * lock. Those of the transports follow a close, which has left "closed" behind; http stops its aios
 * when it has nobody left to read or write for, and TLS when it has closed them, or not used them.
 *
 * This may go when every nng in use is 2.0. */
#include "fixes/fixes.h"

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

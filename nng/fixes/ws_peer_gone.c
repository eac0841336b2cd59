/* L5: a ws connection stays when its peer has gone. A ws connection reads ahead: while the socket
 * has not taken a message, nng may have read the end of the connection behind it. Receives that
 * wait at that moment are finished with an error; a later receive is put on the list, where nothing
 * happens to it (`ws_str_recv` does not test whether the connection is closed). So the pipe stays
 * for good, with its descriptor, and on a Pair1 with the only place. (All 1.x, listeners and
 * dialers.)
 *
 * Fix: nng_stream_recv is wrapped (aio_stopped.c, which calls this file). The aio of a ws
 * connection has no place for data, because ws passes messages. Setting an option tells whether the
 * connection is closed. The wrapper then aborts a receive that is still on the list; what was read
 * before the end has been passed to it by then.
 *
 * This may go when `ws_str_recv` of every nng in use tests `ws->closed`. */
#include "fixes/fixes.h"

#ifdef TNNG_LINKED_IN

void nni_aio_get_iov(nng_aio *, unsigned *, nng_iov **);
int nni_aio_list_active(nng_aio *);

/* [nng] After the receive was begun, with the lock of its pipe held. */
void tnng_ws_peer_gone_check(nng_stream *stream, nng_aio *aio)
{
    unsigned places;
    nng_iov *data;

    nni_aio_get_iov(aio, &places, &data);
    if (places == 0 && nni_aio_list_active(aio) && TNNG_FIX_IS_ON(L5) &&
        nng_stream_set_bool(stream, "tnng:closed", true) == NNG_ECLOSED) {
        nng_aio_abort(aio, NNG_ECONNSHUT);
    }
}

#endif

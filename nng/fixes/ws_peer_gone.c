/* L5: ws connections whose peer has gone. A ws connection reads ahead: when the socket has not
 * taken a message yet, nng may have read the end of the connection behind it. The receives that
 * wait then are ended, but one that comes later is only put on the list, where nothing ever
 * happens to it (`ws_str_recv` does not look whether the connection is closed). So the pipe stays
 * for good, with its descriptor, and on a Pair1 with the only place. (All 1.x, listeners and
 * dialers.)
 *
 * libnng's calls of nng_stream_recv come to aio_stopped.c, and from there here. A connection of
 * ws is known by the aio, which has no place for data: ws gives messages. It says that it is
 * closed when an option is set. A receive that is still on its list then is ended; what was read
 * before the end has been given to it by then.
 *
 * This may go when `ws_str_recv` of every nng in use looks at `ws->closed`. */
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

#else

void tnng_ws_peer_gone_check(nng_stream *stream, nng_aio *aio)
{
    (void) stream;
    (void) aio;
}

#endif

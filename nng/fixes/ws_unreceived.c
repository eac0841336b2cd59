/* L7: a message leaks when a ws connection closes just after it arrived. The stream attaches the
 * message to the transport's aio and finishes it. From 1.12 on an abort rewrites the result of an
 * aio that is finished and whose callback has not run (N2, here within nng). The transport aborts
 * this aio when its pipe closes. Its callback then sees an error and does not free the message.
 *
 * Fix: receives of ws streams are recognised (they have no place for data, because ws passes
 * messages), the aio gets a mark, and loses the message of an earlier receive, which was passed on.
 * nni_aio_abort is wrapped: a marked aio with an error and a message was finished before, so the
 * wrapper frees the message.
 *
 * Why this is safe: the transport aborts with the lock of its connection held, and the callback
 * takes that lock before it looks at the aio. Where the callback was first, the transport aborts
 * nothing.
 *
 * This may go when no nng in use rewrites results. */
#include "fixes/fixes.h"

static atomic_uint_fast64_t unreceived;

/* [caller] For tests. */
uint64_t tnng_ws_unreceived(void) { return atomic_load(&unreceived); }

#ifdef TNNG_LINKED_IN

void nni_aio_abort(nng_aio *, int);
void nni_aio_get_iov(nng_aio *, unsigned *, nng_iov **);

/* The input of an aio that holds the mark, as in ws_unsent.c: an aio sends or receives. */
enum { MARK = 2 };

static char mark;

/* [nng] Before a stream gets the aio, with the lock of its pipe held. */
void tnng_ws_unreceived_mark(nng_aio *aio)
{
    unsigned places;
    nng_iov *data;

    nni_aio_get_iov(aio, &places, &data);
    if (places == 0) {
        nng_aio_set_msg(aio, NULL);
        nng_aio_set_input(aio, MARK, &mark);
    }
}

/* [any] An aio without the mark may be gone when the abort returns. */
void __wrap_nni_aio_abort(nng_aio *aio, int code)
{
    bool marked = nng_aio_get_input(aio, MARK) == &mark;

    nni_aio_abort(aio, code);
    if (marked && nng_aio_result(aio) != 0 && nng_aio_get_msg(aio) != NULL) {
        atomic_fetch_add(&unreceived, 1);
        if (TNNG_FIX_IS_ON(L7)) {
            nng_msg_free(nng_aio_get_msg(aio));
            nng_aio_set_msg(aio, NULL);
        }
    }
}

#else

void tnng_ws_unreceived_mark(nng_aio *aio) { (void) aio; }

#endif

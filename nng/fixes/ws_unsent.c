/* L6: a message leaks when ws cannot write it. The ws transport moves the message from the
 * protocol's aio to its own aio, and passes that to its stream. When the write succeeds, the stream
 * frees the message. When it fails (the connection closes, or the send is cancelled), the message
 * stays in the aio and is never freed. (All 1.x.)
 *
 * Fix: the aio is recognised when it is submitted: no other transport passes a message to a stream.
 * It gets a mark. When the stream finishes a marked aio with an error, the wrapper frees the
 * message first; the stream has copied what it had to write, and the protocol has released the
 * message.
 *
 * This may go when wstran_pipe_send_cb of every nng in use frees the message of a failed send. */
#include "fixes/fixes.h"

static atomic_uint_fast64_t unsent;

/* [caller] For tests. */
uint64_t tnng_ws_unsent(void) { return atomic_load(&unsent); }

#ifdef TNNG_LINKED_IN

void nni_aio_finish_error(nng_aio *, int);

/* The input of an aio that holds the mark; libnng uses the first ones, tx_counts.c the last. */
enum { MARK = 2 };

static char mark;

/* [nng] Before a stream gets the aio. */
void tnng_ws_unsent_mark(nng_aio *aio)
{
    if (nng_aio_get_msg(aio) != NULL) {
        nng_aio_set_input(aio, MARK, &mark);
    }
}

/* [nng] Before the aio ends with an error. */
void tnng_ws_unsent_free(nng_aio *aio)
{
    nng_msg *msg = nng_aio_get_input(aio, MARK) == &mark ? nng_aio_get_msg(aio) : NULL;

    if (msg != NULL) {
        atomic_fetch_add(&unsent, 1);
        if (TNNG_FIX_IS_ON(L6)) {
            nng_aio_set_msg(aio, NULL);
            nng_msg_free(msg);
        }
    }
}

/* [any] */
void __wrap_nni_aio_finish_error(nng_aio *aio, int code)
{
    tnng_ws_unsent_free(aio);
    nni_aio_finish_error(aio, tnng_causes_on_finish_error(aio, code));
}

#endif

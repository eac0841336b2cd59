/* L2: a message leaks when a send meets a closing connection. The protocol passes the message to
 * the transport in an aio. When the connection closes, this aio is stopped; the transport calls
 * nni_aio_begin, gets an error, and returns. No callback runs, so the protocol never learns of it
 * and the message is never freed. (Before 1.6, issue 1713.)
 *
 * Fix: protocols pass messages through nni_pipe_send, and transports call nni_aio_begin; both are
 * wrapped. A refusal in the thread that is inside nni_pipe_send, for the aio it passes, is this
 * error: the wrapper frees the message, as nng 1.6 does.
 *
 * This may go when 1.6 is the oldest nng. */
#include "fixes/fixes.h"

static atomic_uint_fast64_t refused;

/* [caller] For tests. */
uint64_t tnng_sends_refused(void) { return atomic_load(&refused); }

#ifdef TNNG_LINKED_IN

int nni_aio_begin(nng_aio *);

static _Thread_local nng_aio *given; /* what this thread gives to a connection just now */

/* [any] Around the protocol's call; NULL after it. */
void tnng_send_refused_watch(nng_aio *aio) { given = aio; }

static void send_refused_free_message(nng_aio *aio)
{
    nng_msg *msg = nng_aio_get_msg(aio);

    if (aio != given || msg == NULL) {
        return;
    }
    atomic_fetch_add(&refused, 1);
    if (TNNG_FIX_IS_ON(L2)) {
        nng_aio_set_msg(aio, NULL);
        nng_msg_free(msg);
    }
}

/* [any] */
int __wrap_nni_aio_begin(nng_aio *aio)
{
    int code = nni_aio_begin(aio);

    if (__builtin_expect(code != 0, false)) {
        send_refused_free_message(aio);
    }
    return code;
}

#endif

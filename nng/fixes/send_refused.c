/* L2: messages given to a connection that closes. The protocol gives the message to the transport
 * in an aio. When the connection is being closed, that aio has been stopped; the transport asks
 * whether it may begin, hears no, and just returns. No callback comes, so the protocol never learns
 * of it, and the message is never freed. (Before 1.6, issue 1713.)
 *
 * A protocol gives messages to connections through one function, and a transport asks through
 * another; both are of another file of libnng than their callers. A refusal that is heard by the
 * thread that is giving, for the aio it is giving, is this error: there the message is freed, as
 * nng 1.6 does it.
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

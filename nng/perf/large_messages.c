/* Large messages are not cleared before they are filled.
 *
 * Theory. nng clears the memory of each message that it makes, and fills it afterwards: a transport
 * with what it reads from the connection, the shim with what is to be sent. For 1 MiB that takes
 * as long as a copy, at both ends. A message is given to a protocol only when all of its body has
 * been read, so no program sees memory that was not filled.
 *
 * nni_msg_alloc, which all transports call, is wrapped, and what it asks of nni_zalloc meanwhile on
 * the same thread. Below CLEAR_TO, where the allocator hands memory out that is warm, nothing
 * changes; nor for other memory of nng, which must be zero.
 *
 * Where libnng is a shared library, nothing is wrapped and all memory is cleared. */
#include <stdbool.h>
#include <stddef.h>

#include <nng/nng.h>

#include "testing/testing.h"

#ifdef TNNG_LINKED_IN

enum { CLEAR_TO = 16 * 1024 };

int nni_msg_alloc(nng_msg **, size_t);
void *nni_zalloc(size_t);
void *nni_alloc(size_t);

static _Thread_local bool will_be_filled;

/* [any] */
int __wrap_nni_msg_alloc(nng_msg **msg, size_t size)
{
    will_be_filled = size >= CLEAR_TO && !TNNG_WITHOUT("LARGE_MESSAGES");
    int code = nni_msg_alloc(msg, size);
    will_be_filled = false;
    return code;
}

/* [any] The message itself, which is small, is cleared. */
void *__wrap_nni_zalloc(size_t size)
{
    return will_be_filled && size >= CLEAR_TO ? nni_alloc(size) : nni_zalloc(size);
}

#endif

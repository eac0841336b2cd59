/* Messages are made in one allocation and one copy.
 *
 * Large ones cost more than that: the allocator gives their memory back to the system, and to get
 * it again, page by page, takes several times as long as to copy it. So one large message whose
 * content was copied out is kept for the next send. */
#include <string.h>

#include "core/core.h"

/* Below, the allocator keeps the memory itself; above, it would be too much to keep unused. */
enum { RECYCLE_FROM = 64 * 1024, RECYCLE_TO = 4 * 1024 * 1024 };

static _Atomic(nng_msg *) recycled;

/* [caller] Frees a message that no caller looks at any more, or keeps it. */
void tnng_msg_recycle(nng_msg *msg)
{
    size_t size = nng_msg_len(msg);

    if (size >= RECYCLE_FROM && size <= RECYCLE_TO && !tnng_forked()) {
        msg = atomic_exchange(&recycled, msg);
    }
    if (msg != NULL) {
        nng_msg_free(msg);
    }
}

/* [any] The recycled message with a body of `size` bytes, if it has room and is not far too large.
 */
static nng_msg *message_reuse(size_t size)
{
    nng_msg *msg = size < RECYCLE_FROM || tnng_forked() ? NULL : atomic_exchange(&recycled, NULL);

    if (msg != NULL && (nng_msg_len(msg) < size || nng_msg_len(msg) / 2 > size)) {
        nng_msg_free(msg);
        return NULL;
    }
    if (msg != NULL) {
        nng_msg_chop(msg, nng_msg_len(msg) - size);
        nng_msg_header_clear(msg);
        nng_msg_set_pipe(msg, (nng_pipe) NNG_PIPE_INITIALIZER);
    }
    return msg;
}

/* C4: nng_msg_insert writes past the heap before nng 1.6 (another error stays until 1.9); nothing
 * here inserts or appends. */
nng_msg *tnng_msg_new(const char *data, size_t size)
{
    nng_msg *msg;

    if (TNNG_WITHOUT("C4")) {
        return nng_msg_alloc(&msg, 0) == 0 && nng_msg_insert(msg, data, size) == 0 ? msg : NULL;
    }
    msg = message_reuse(size);
    if (msg == NULL && nng_msg_alloc(&msg, size) != 0) {
        return NULL;
    }
    if (size > 0) {
        memcpy(nng_msg_body(msg), data, size);
    }
    return msg;
}

const char *tnng_msg_chars(nng_msg *msg) { return nng_msg_body(msg); }

uint32_t tnng_msg_pipe(const nng_msg *msg)
{
    int id = nng_pipe_id(nng_msg_get_pipe(msg));
    return id > 0 ? (uint32_t) id : 0;
}

/* Messages are made in one allocation and one copy. */
#include <string.h>

#include "internal.h"

/* C4: nng_msg_insert writes past the heap before nng 1.6 (another error stays until 1.9); nothing
 * here inserts or appends. */
nng_msg *tnng_msg_new(const char *data, size_t size)
{
    nng_msg *msg;

    if (TNNG_WITHOUT("C4")) {
        return nng_msg_alloc(&msg, 0) == 0 && nng_msg_insert(msg, data, size) == 0 ? msg : NULL;
    }
    if (nng_msg_alloc(&msg, size) != 0) {
        return NULL;
    }
    if (size > 0) {
        memcpy(nng_msg_body(msg), data, size);
    }
    return msg;
}

const char *tnng_msg_chars(nng_msg *msg) { return nng_msg_body(msg); }

nng_msg *tnng_msg_copy(const nng_msg *msg)
{
    nng_msg *copy;
    return nng_msg_dup(&copy, msg) == 0 ? copy : NULL;
}

void tnng_msg_set_pipe(nng_msg *msg, uint32_t pipe) { nng_msg_set_pipe(msg, (nng_pipe){pipe}); }

int tnng_msg_set_header(nng_msg *msg, const char *data, size_t size)
{
    nng_msg_header_clear(msg);
    return nng_msg_header_append(msg, data, size);
}

uint32_t tnng_msg_pipe(const nng_msg *msg)
{
    int id = nng_pipe_id(nng_msg_get_pipe(msg));
    return id > 0 ? (uint32_t) id : 0;
}

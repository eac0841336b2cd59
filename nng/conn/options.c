/* One setter and one getter a type, for whatever has options. */
#include <string.h>

#include "conn/conn.h"

/* `pipe` is what the call on a pipe is. */
#define OPTION(verb, kind, type, pipe)                                                             \
    int tnng_##verb##_##kind(int on, uint32_t id, const char *name, type value)                    \
    {                                                                                              \
        switch (tnng_forked() ? -1 : on) {                                                         \
        case TNNG_ON_SOCKET:                                                                       \
            return nng_socket_##verb##_##kind((nng_socket){id}, name, value);                      \
        case TNNG_ON_CONTEXT:                                                                      \
            return nng_ctx_##verb##_##kind((nng_ctx){id}, name, value);                            \
        case TNNG_ON_DIALER:                                                                       \
            return nng_dialer_##verb##_##kind((nng_dialer){id}, name, value);                      \
        case TNNG_ON_LISTENER:                                                                     \
            return nng_listener_##verb##_##kind((nng_listener){id}, name, value);                  \
        case TNNG_ON_PIPE:                                                                         \
            return pipe;                                                                           \
        default:                                                                                   \
            return TNNG_FORKED;                                                                    \
        }                                                                                          \
    }
#define ON_PIPE(kind) nng_pipe_get_##kind((nng_pipe){id}, name, value)

static int tnng_get_string(int on, uint32_t id, const char *name, char **value);

OPTION(set, int, int, NNG_ENOTSUP)
OPTION(set, bool, bool, NNG_ENOTSUP)
OPTION(set, ms, nng_duration, NNG_ENOTSUP)
OPTION(set, size, size_t, NNG_ENOTSUP)
OPTION(set, string, const char *, NNG_ENOTSUP)
OPTION(get, int, int *, ON_PIPE(int))
OPTION(get, bool, bool *, ON_PIPE(bool))
OPTION(get, ms, nng_duration *, ON_PIPE(ms))
OPTION(get, size, size_t *, ON_PIPE(size))
OPTION(get, uint64, uint64_t *, ON_PIPE(uint64))
OPTION(get, string, char **, ON_PIPE(string))

int tnng_copy_string(
    int on, uint32_t id, const char *name, char *value, size_t size, size_t *needed)
{
    char *text;
    int code = tnng_get_string(on, id, name, &text);

    if (code == 0) {
        *needed = strlen(text);
        if (size > 0) {
            strncpy(value, text, size - 1);
            value[size - 1] = '\0';
        }
        nng_strfree(text);
    }
    return code;
}

int tnng_set_bytes(int on, uint32_t id, const char *name, const void *value, size_t size)
{
    TNNG_GUARD_FORK(TNNG_FORKED);
    return on == TNNG_ON_CONTEXT ? nng_ctx_set((nng_ctx){id}, name, value, size)
                                 : nng_socket_set((nng_socket){id}, name, value, size);
}

enum { NO_LIMIT = 0xFFFFFFFFu };

/* S1: "no limit" is the largest limit nng accepts, 4 GiB; with none a peer can make it abort. nng
 * counts the protocol's header as well, so `room` bytes are added for it. */
int tnng_set_max_message(int on, uint32_t id, size_t bytes, size_t room)
{
    if (bytes == 0 || bytes > NO_LIMIT - room) {
        bytes = TNNG_FIX_IS_ON(S1) ? NO_LIMIT : 0;
    } else {
        bytes += room;
    }
    return tnng_set_size(on, id, NNG_OPT_RECVMAXSZ, bytes);
}

/* [caller] What is left of nng's limit for the user's message; 0 is no limit. */
int tnng_get_max_message(int on, uint32_t id, size_t *bytes, size_t room)
{
    int code = tnng_get_size(on, id, NNG_OPT_RECVMAXSZ, bytes);

    if (code == 0) {
        *bytes = *bytes >= NO_LIMIT || *bytes < room ? 0 : *bytes - room;
    }
    return code;
}

/* A socket: opening, the defaults that keep old versions of nng safe, and what is freed with its
 * last reference. Here all parts of it come together. */
#include <stdlib.h>

#include "sock/sock.h"

#include <nng/protocol/survey0/survey.h>

/* All its memory. */
typedef struct {
    tnng_socket socket;
    struct tnng_endpoints endpoints;
    struct tnng_pipe_table pipes;
    struct tnng_contexts contexts;
    struct tnng_sends sends;
    struct tnng_pollfds pollfds;
} whole;

static int socket_set_safe_defaults(nng_socket socket, int protocol, bool raw)
{
    int code = 0;

    /* S1: without a limit a peer can announce a message that nng dies of. 1 MiB is pynng's default
     * too. */
    if (TNNG_FIX_IS_ON(S1)) {
        code = nng_socket_set_size(
            socket, NNG_OPT_RECVMAXSZ, 1024 * 1024 + tnng_protocol_header_room(protocol, raw));
    }
    /* C7: before nng 1.7 a survey that expires while another is sent locks up the timer thread
     * (fixed by removing it). Surveys never expire in nng; how long one lasts is decided above. */
    if (code == 0 && protocol == TNNG_SURVEYOR0 && !raw && TNNG_FIX_IS_ON(C7)) {
        code = nng_socket_set_ms(socket, NNG_OPT_SURVEYOR_SURVEYTIME, INT32_MAX);
    }
    return code;
}

/* [any] */
static void socket_free(tnng_socket *socket)
{
    tnng_endpoints_free(socket);
    tnng_job_free_preallocated_op(&socket->contexts->close);
    tnng_pipes_free(socket);
    tnng_pollfd_free(socket);
    pthread_mutex_destroy(&socket->contexts->lock);
    pthread_mutex_destroy(&socket->contexts->close_lock);
    pthread_mutex_destroy(&socket->sends->survey_lock);
    pthread_mutex_destroy(&socket->owner.lock);
    free(socket);
}

static const tnng_socket_hooks hooks = {
    .free = socket_free,
    .free_origin = tnng_ctx_free,
    .unget = tnng_origin_unget,
    .pipe_lost = tnng_flush_pipe_lost,
    .set_persistent = tnng_contexts_set_persistent,
    .wait_for_sends = tnng_contexts_wait_sends,
    .messages_dropped = tnng_report_drops,
};

/* What most contexts do. */
static const tnng_ctx_kind ctx_kind = {
    .recv = tnng_ctx_recv,
    .send = tnng_ctx_send,
    .unget = tnng_ctx_unget,
    .dispatch = tnng_ctx_dispatch,
    .shutdown = tnng_ctx_nothing,
    .close = tnng_ctx_nothing,
    .free = tnng_ctx_nothing,
};

/* NULL: there is no memory. */
static tnng_socket *socket_new(int protocol, bool raw)
{
    whole *memory = calloc(1, sizeof(*memory));
    tnng_socket *socket = &memory->socket;

    if (memory == NULL) {
        return NULL;
    }
    atomic_init(&socket->refs, 1);
    socket->hooks = &hooks;
    socket->protocol_number = protocol;
    socket->traits = tnng_protocol_traits(protocol, raw);
    socket->raw = raw;
    socket->contexts = &memory->contexts;
    socket->contexts->kind = &ctx_kind;
    socket->sends = &memory->sends;
    socket->pollfds = &memory->pollfds;
    socket->pollfds->send_fd = -1;
    tnng_job_init(&socket->contexts->close, &tnng_close_job, socket, NULL);
    tnng_job_init(&socket->sends->flush_job, &tnng_flush_job, socket, NULL);
    pthread_mutex_init(&socket->contexts->lock, NULL);
    pthread_mutex_init(&socket->contexts->close_lock, NULL);
    pthread_mutex_init(&socket->sends->survey_lock, NULL);
    pthread_mutex_init(&socket->owner.lock, NULL);
    tnng_endpoints_open(socket, &memory->endpoints);
    tnng_pipes_open(socket, &memory->pipes);
    if (!tnng_job_preallocate_op(&socket->contexts->close)) {
        socket_free(socket);
        return NULL;
    }
    return socket;
}

int tnng_socket_open(tnng_socket **out, int protocol, bool raw)
{
    const tnng_protocol *kind = &tnng_protocols[protocol];
    int (*open)(nng_socket *) = raw ? kind->open_raw : kind->open;
    tnng_socket *socket;
    int code;

    if ((code = tnng_init(tnng_threads_needed())) != 0) {
        return code;
    }
    if (open == NULL) {
        return NNG_ENOTSUP;
    }
    if ((socket = socket_new(protocol, raw)) == NULL) {
        return NNG_ENOMEM;
    }
    if ((code = open(&socket->nng)) != 0) {
        tnng_socket_unref(socket);
        return code;
    }
    tnng_wakeups_init();
    if ((code = socket_set_safe_defaults(socket->nng, protocol, raw)) != 0 ||
        (code = nng_socket_get_int(socket->nng, NNG_OPT_PEER, &socket->peer_number)) != 0 ||
        (code = tnng_pipes_subscribe(socket)) != 0 ||
        ((socket->traits & TRAIT_CONTEXT_POOL) && (code = tnng_respondent_open(socket)) != 0)) {
        nng_close(socket->nng);
        tnng_socket_unref(socket);
        return code;
    }
    *out = socket;
    return 0;
}

uint32_t tnng_socket_id(tnng_socket *socket) { return socket->nng.id; }

size_t tnng_socket_header_room(tnng_socket *socket)
{
    bool raw = (socket->traits & TRAIT_RAW_HEADER) != 0;

    return tnng_protocol_header_room(socket->protocol_number, raw);
}

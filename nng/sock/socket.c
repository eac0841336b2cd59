/* A socket: opening, the defaults that keep old versions of nng safe, and the end of it. */
#include <stdlib.h>
#include <string.h>

#include "conn/dials.h"

#include <nng/protocol/bus0/bus.h>
#include <nng/protocol/pair0/pair.h>
#include <nng/protocol/pair1/pair.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <nng/protocol/survey0/respond.h>
#include <nng/protocol/survey0/survey.h>

/* N3: Surveyor0 has no TRY_RECEIVE, from nng 1.7 on a zero-timeout receive there blocks. Rep0 and
 * Respondent0 have no TRY_SEND: one that fails has used up the reply's route. */
const tnng_protocol tnng_protocols[] = {
    [TNNG_PAIR0] = {"pair0", nng_pair0_open, nng_pair0_open_raw,
        CAN_SEND | CAN_RECEIVE | TRY_SEND | TRY_RECEIVE},
    [TNNG_PAIR1] = {"pair1", nng_pair1_open, nng_pair1_open_raw,
        CAN_SEND | CAN_RECEIVE | TRY_SEND | TRY_RECEIVE},
    [TNNG_PAIR1_POLY] = {"pair1", nng_pair1_open_poly, NULL,
        CAN_SEND | CAN_RECEIVE | TRY_SEND | TRY_RECEIVE | CHOOSES_PIPE},
    [TNNG_PUB0] = {"pub0", nng_pub0_open, nng_pub0_open_raw, CAN_SEND | TRY_SEND},
    [TNNG_SUB0] = {"sub0", nng_sub0_open, nng_sub0_open_raw,
        CAN_RECEIVE | HAS_CONTEXTS | STANDING | TRY_RECEIVE},
    [TNNG_PUSH0] = {"push0", nng_push0_open, nng_push0_open_raw, CAN_SEND | TRY_SEND},
    [TNNG_PULL0] = {"pull0", nng_pull0_open, nng_pull0_open_raw, CAN_RECEIVE | TRY_RECEIVE},
    [TNNG_REQ0] = {"req0", nng_req0_open, nng_req0_open_raw,
        CAN_SEND | CAN_RECEIVE | HAS_CONTEXTS | STANDING | ONE_AT_A_TIME | SUPERSEDES | TRY_SEND},
    [TNNG_REP0] = {"rep0", nng_rep0_open, nng_rep0_open_raw,
        CAN_SEND | CAN_RECEIVE | HAS_CONTEXTS | ONE_AT_A_TIME | ANSWERS | TRY_RECEIVE},
    [TNNG_SURVEYOR0] = {"surveyor0", nng_surveyor0_open, nng_surveyor0_open_raw,
        CAN_SEND | CAN_RECEIVE | HAS_CONTEXTS | STANDING | ONE_AT_A_TIME | SUPERSEDES | SURVEYS |
            TRY_SEND},
    [TNNG_RESPONDENT0] = {"respondent0", nng_respondent0_open, nng_respondent0_open_raw,
        CAN_SEND | CAN_RECEIVE | HAS_CONTEXTS | ONE_AT_A_TIME | ANSWERS | SPARE_CONTEXTS},
    [TNNG_BUS0] = {"bus0", nng_bus0_open, nng_bus0_open_raw,
        CAN_SEND | CAN_RECEIVE | TRY_SEND | TRY_RECEIVE},
};

/* Raw sockets have no conversation: whatever comes, comes with its header, and goes out with it. */
enum { DIRECTIONS = CAN_SEND | CAN_RECEIVE, RAW_TRAITS = TRY_SEND | TRY_RECEIVE | KEEPS_HEADER };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_bool forked;

static void mark_forked(void) { atomic_store(&forked, true); }

static void watch_forks(void) { pthread_atfork(NULL, NULL, mark_forked); }

/* nng aborts a forked child that uses it, so nothing of it is touched there. */
bool tnng_forked(void) { return atomic_load(&forked); }

/* [caller] Before nng is used: 0, or why it cannot be. */
int tnng_begin(void)
{
    pthread_once(&once, watch_forks);
    return tnng_forked() ? TNNG_FORKED : tnng_workers_begin();
}

static size_t header_room(int protocol, bool raw)
{
    switch (protocol) {
    case TNNG_PAIR1:
    case TNNG_PAIR1_POLY:
        return 4;
    case TNNG_REQ0:
    case TNNG_REP0:
    case TNNG_SURVEYOR0:
    case TNNG_RESPONDENT0:
        /* What a raw socket hands on has a word more for each device it came through. */
        return raw ? 64 : 4;
    default:
        return 0;
    }
}

static int make_safe(nng_socket socket, int protocol, bool raw)
{
    int code = 0;

    /* S1: without a limit a peer can announce a message that nng dies of. 1 MiB is pynng's default
     * too. */
    if (TNNG_FIX_IS_ON(S1)) {
        code = nng_socket_set_size(
            socket, NNG_OPT_RECVMAXSZ, 1024 * 1024 + header_room(protocol, raw));
    }
    /* C7: before nng 1.7 a survey that expires while another is sent locks up the timer thread
     * (fixed by removing it). Surveys never expire in nng; how long one lasts is decided above. */
    if (code == 0 && protocol == TNNG_SURVEYOR0 && !raw && TNNG_FIX_IS_ON(C7)) {
        code = nng_socket_set_ms(socket, NNG_OPT_SURVEYOR_SURVEYTIME, INT32_MAX);
    }
    return code;
}

int tnng_socket_open(tnng_socket **out, int protocol, bool raw)
{
    const tnng_protocol *kind = &tnng_protocols[protocol];
    int (*open)(nng_socket *) = raw ? kind->open_raw : kind->open;
    tnng_socket *socket;
    int code;

    if ((code = tnng_begin()) != 0) {
        return code;
    }
    if (open == NULL) {
        return NNG_ENOTSUP;
    }
    if ((socket = calloc(1, sizeof(*socket))) == NULL) {
        return NNG_ENOMEM;
    }
    tnng_job_init(&socket->close, tnng_run_socket_close, socket, NULL);
    tnng_job_init(&socket->look, tnng_run_look, socket, NULL);
    socket->look.anew = true; /* one that runs may have looked already */
    socket->close.once = true;
    code = tnng_job_make_reserve(&socket->close) ? open(&socket->nng) : NNG_ENOMEM;
    if (code != 0) {
        tnng_job_free_reserve(&socket->close);
        free(socket);
        return code;
    }
    tnng_wakes_begin();
    atomic_init(&socket->refs, 1);
    atomic_init(&socket->accepted, 0);
    socket->protocol = kind;
    socket->send_fd = -1;
    socket->traits = raw ? (kind->traits & DIRECTIONS) | RAW_TRAITS : kind->traits;
    if (!TNNG_FIX_IS_ON(C3)) {
        socket->traits &= ~SPARE_CONTEXTS;
    }
    atomic_init(&socket->busy_replies, 0);
    atomic_init(&socket->reply_waits, false);
    socket->protocol_number = protocol;
    pthread_mutex_init(&socket->lock, NULL);
    pthread_mutex_init(&socket->endpoint_lock, NULL);
    pthread_mutex_init(&socket->pipes_lock, NULL);
    pthread_mutex_init(&socket->survey_lock, NULL);
    pthread_mutex_init(&socket->owner_lock, NULL);
    pthread_mutex_init(&socket->contexts_lock, NULL);
    tnng_cond_init(&socket->pipes_changed);
    if ((code = make_safe(socket->nng, protocol, raw)) != 0 ||
        (code = nng_socket_get_int(socket->nng, NNG_OPT_PEER, &socket->peer_number)) != 0 ||
        (code = tnng_pipes_watch(socket)) != 0) {
        nng_close(socket->nng);
        tnng_socket_release(socket);
        return code;
    }
    if ((socket->traits & SPARE_CONTEXTS) && (code = tnng_source_open(socket)) != 0) {
        nng_close(socket->nng);
        tnng_socket_release(socket);
        return code;
    }
    *out = socket;
    return 0;
}

uint32_t tnng_socket_id(tnng_socket *socket) { return socket->nng.id; }

size_t tnng_socket_header_room(tnng_socket *socket)
{
    return header_room(socket->protocol_number, (socket->traits & KEEPS_HEADER) != 0);
}

void tnng_socket_hold(tnng_socket *socket) { atomic_fetch_add(&socket->refs, 1); }

void tnng_socket_release(tnng_socket *socket)
{
    if (tnng_forked() || atomic_fetch_sub(&socket->refs, 1) != 1) {
        return;
    }
    tnng_endpoints_free(socket);
    tnng_job_free_reserve(&socket->close);
    tnng_table_free(socket);
    tnng_ready_free(socket);
    free(socket->told);
    pthread_mutex_destroy(&socket->lock);
    pthread_mutex_destroy(&socket->endpoint_lock);
    tnng_rules_free(socket);
    pthread_mutex_destroy(&socket->pipes_lock);
    pthread_mutex_destroy(&socket->survey_lock);
    pthread_mutex_destroy(&socket->owner_lock);
    pthread_mutex_destroy(&socket->contexts_lock);
    pthread_cond_destroy(&socket->pipes_changed);
    free(socket);
}

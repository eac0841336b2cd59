/* The protocols: how nng opens a socket of each, and what a call on one may do. */
#include "sock/sock.h"

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

/* Raw sockets have no conversation: whatever comes, comes with its header, and goes out with it. */
enum {
    TRAITS_DIRECTIONS = TRAIT_SEND | TRAIT_RECV,
    TRAITS_TRY = TRAIT_TRY_SEND | TRAIT_TRY_RECV,
    TRAITS_BOTH = TRAITS_DIRECTIONS | TRAITS_TRY,
    TRAITS_RAW = TRAITS_TRY | TRAIT_RAW_HEADER,
};

/* N3: Surveyor0 has no TRAIT_TRY_RECV, from nng 1.7 on a zero-timeout receive there blocks. Rep0
 * and Respondent0 have no TRAIT_TRY_SEND: one that fails has used up the reply's route. */
const tnng_protocol tnng_protocols[] = {
    [TNNG_PAIR0] = {"pair0", nng_pair0_open, nng_pair0_open_raw, TRAITS_BOTH},
    [TNNG_PAIR1] = {"pair1", nng_pair1_open, nng_pair1_open_raw, TRAITS_BOTH},
    [TNNG_PAIR1_POLY] = {"pair1", nng_pair1_open_poly, NULL, TRAITS_BOTH | TRAIT_CHOOSES_PIPE},
    [TNNG_PUB0] = {"pub0", nng_pub0_open, nng_pub0_open_raw, TRAIT_SEND | TRAIT_TRY_SEND},
    [TNNG_SUB0] = {"sub0", nng_sub0_open, nng_sub0_open_raw,
        TRAIT_RECV | TRAIT_CONTEXTS | TRAIT_PERSISTENT_RECV | TRAIT_TRY_RECV},
    [TNNG_PUSH0] = {"push0", nng_push0_open, nng_push0_open_raw, TRAIT_SEND | TRAIT_TRY_SEND},
    [TNNG_PULL0] = {"pull0", nng_pull0_open, nng_pull0_open_raw, TRAIT_RECV | TRAIT_TRY_RECV},
    [TNNG_REQ0] = {"req0", nng_req0_open, nng_req0_open_raw,
        TRAITS_DIRECTIONS | TRAIT_CONTEXTS | TRAIT_PERSISTENT_RECV | TRAIT_SINGLE_CALL |
            TRAIT_SEND_SUPERSEDES | TRAIT_TRY_SEND},
    [TNNG_REP0] = {"rep0", nng_rep0_open, nng_rep0_open_raw,
        TRAITS_DIRECTIONS | TRAIT_CONTEXTS | TRAIT_SINGLE_CALL | TRAIT_REPLIES | TRAIT_TRY_RECV},
    [TNNG_SURVEYOR0] = {"surveyor0", nng_surveyor0_open, nng_surveyor0_open_raw,
        TRAITS_DIRECTIONS | TRAIT_CONTEXTS | TRAIT_PERSISTENT_RECV | TRAIT_SINGLE_CALL |
            TRAIT_SEND_SUPERSEDES | TRAIT_SURVEYS | TRAIT_TRY_SEND},
    [TNNG_RESPONDENT0] = {"respondent0", nng_respondent0_open, nng_respondent0_open_raw,
        TRAITS_DIRECTIONS | TRAIT_CONTEXTS | TRAIT_SINGLE_CALL | TRAIT_REPLIES |
            TRAIT_CONTEXT_POOL},
    [TNNG_BUS0] = {"bus0", nng_bus0_open, nng_bus0_open_raw, TRAITS_BOTH},
};

unsigned tnng_protocol_traits(int protocol, bool raw)
{
    unsigned traits = tnng_protocols[protocol].traits;

    traits = raw ? (traits & TRAITS_DIRECTIONS) | TRAITS_RAW : traits;
    return TNNG_FIX_IS_ON(C3) ? traits : traits & ~TRAIT_CONTEXT_POOL;
}

size_t tnng_protocol_header_room(int protocol, bool raw)
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

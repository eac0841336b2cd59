/* Room for surveys. nng keeps eight surveys for each connection that is still writing, and drops
 * what comes beyond, without a word: a burst from many contexts loses most of itself. So a survey
 * begins only when every connection has room for it; otherwise the caller is told to try again.
 *
 * No peer may hold the others up. A connection that was full for PATIENCE, and took less than a
 * queueful meanwhile, is not waited for any more until it has caught up: it misses surveys, as nng
 * means it.
 *
 * F1 says what a connection was given, so the rest of what it is due waits, or was dropped. Without
 * F1 what tcp, ipc and tls have written serves, while the connections of the process are few; where
 * nothing is known, surveys go in small groups with a pause between them. */
#include "sock/sock.h"

enum { QUEUE = 8 }; /* of nng, in all 1.x */

#define PATIENCE INT64_C(500000000) /* nanoseconds */
#define PAUSE    INT64_C(2000000)

/* With pipes->lock held. */
static uint64_t survey_queued(tnng_socket *socket, tnng_pipe *pipe)
{
    uint64_t due =
        atomic_load(&socket->traffic.accepted) - pipe->accepted_before - pipe->surveys_missed;
    /* Not one more, which is being written: nng counts it before the next one leaves its queue. */
    uint64_t gone = pipe->tx.written;

    if (pipe->counts_given) {
        tnng_tx_read(pipe->info.id, &pipe->tx);
        gone = pipe->tx.given;
    } else if (!pipe->counts_written || tnng_tx_is_counted()) {
        return 0;
    }
    if (due <= gone) {
        return 0;
    }
    if (due - gone > QUEUE) {
        pipe->surveys_missed += due - gone - QUEUE; /* there is no place where those could be */
        return QUEUE;
    }
    return due - gone;
}

/* With pipes->lock held: whether to wait for a connection without room. */
static bool survey_is_worth_waiting(tnng_pipe *pipe, int64_t now)
{
    uint64_t gone = pipe->counts_given ? pipe->tx.given : pipe->tx.written;

    if (pipe->full_since == 0 || gone - pipe->full_at >= QUEUE) {
        pipe->full_since = now;
        pipe->full_at = gone;
    }
    return now - pipe->full_since < PATIENCE;
}

/* With survey_lock held: for how many surveys all have room. */
static int survey_room_now(tnng_socket *socket)
{
    uint64_t most = 0;
    int64_t now = tnng_now();
    bool unknown = false;

    pthread_mutex_lock(&socket->pipes->lock);
    for (tnng_pipe *pipe = socket->pipes->first; pipe != NULL; pipe = pipe->next) {
        uint64_t waiting = survey_queued(socket, pipe);
        unknown |= !pipe->counts_given;
        if (waiting == 0) {
            pipe->full_since = 0;
        } else if (waiting < QUEUE || survey_is_worth_waiting(pipe, now)) {
            most = waiting > most ? waiting : most;
        }
    }
    pthread_mutex_unlock(&socket->pipes->lock);
    if (unknown && now - socket->sends->surveyed_at < PAUSE) {
        return 0;
    }
    socket->sends->surveyed_at = now;
    return QUEUE - (int) most;
}

/* [caller] ctx->lock held. True: a survey may be sent now, and tnng_survey_end must follow. */
bool tnng_survey_begin(tnng_socket *socket)
{
    tnng_lock(&socket->sends->survey_lock);
    if (socket->sends->survey_room == 0) {
        tnng_flush_refresh(socket);
        socket->sends->survey_room = survey_room_now(socket);
    }
    if (socket->sends->survey_room == 0) {
        pthread_mutex_unlock(&socket->sends->survey_lock);
        return false;
    }
    socket->sends->survey_room--;
    return true;
}

/* [caller] It has been sent, and counted, or it has failed. */
void tnng_survey_end(tnng_socket *socket) { pthread_mutex_unlock(&socket->sends->survey_lock); }

/* What the connections have written. nng has no linger, and says nothing of its queues. What each
 * connection was given and has written is counted by F1; then a look costs some steps for each.
 *
 * Without F1 there are nng's own counters: messages that tcp, ipc and tls have written. One look
 * costs a snapshot of everything nng counts in the process, seven numbers a connection. It is read
 * once, and each connection found in the socket's table. With more than a few connections in the
 * process such a look is a job, so that it blocks no event loop. */
#include <string.h>

#include "sock/sock.h"

/* So many connections in the process are looked at by the caller itself: some ten microseconds. */
enum { FEW = 32 };

static bool flush_stat_is(nng_stat *stat, const char *name)
{
    return strcmp(nng_stat_name(stat), name) == 0;
}

/* With pipes->lock held: notes what one connection has written, if it is one of the socket's. */
static void flush_read_pipe(tnng_socket *socket, nng_stat *scope)
{
    tnng_pipe *pipe = NULL;

    for (nng_stat *each = nng_stat_child(scope); each != NULL; each = nng_stat_next(each)) {
        if (pipe == NULL && flush_stat_is(each, "id")) {
            if ((pipe = tnng_pipe_table_find(socket, (uint32_t) nng_stat_value(each))) == NULL) {
                return;
            }
        } else if (pipe != NULL && flush_stat_is(each, "tx_msgs")) {
            pipe->tx.written = nng_stat_value(each);
        } else if (pipe != NULL && flush_stat_is(each, "tx_bytes")) {
            pipe->tx.written_bytes = nng_stat_value(each);
        }
    }
}

/* [any] M1: nng_stat_find_socket finds the wrong one before nng 1.6, so the tree is walked, and
 * connections are known by their own id. */
static int flush_read_stats(tnng_socket *socket)
{
    nng_stat *root;
    int code = nng_stats_get(&root);

    if (code != 0) {
        return code;
    }
    pthread_mutex_lock(&socket->pipes->lock);
    for (nng_stat *each = nng_stat_child(root); each != NULL; each = nng_stat_next(each)) {
        if (flush_stat_is(each, "pipe")) {
            flush_read_pipe(socket, each);
        }
    }
    pthread_mutex_unlock(&socket->pipes->lock);
    nng_stats_free(root);
    return 0;
}

/* nng drops for a peer that is slow, so what matters is what each has written since it came. */
static bool flush_broadcasts(tnng_socket *socket)
{
    int protocol = socket->protocol_number;

    return protocol == TNNG_PUB0 || protocol == TNNG_BUS0 || protocol == TNNG_SURVEYOR0;
}

/* What was accepted for a connection that is not there, or has no room, is dropped. */
static bool flush_routes(tnng_socket *socket)
{
    int protocol = socket->protocol_number;

    return protocol == TNNG_PAIR1_POLY ||
           (!(socket->traits & TRAIT_REPLIES) &&
               (protocol == TNNG_REP0 || protocol == TNNG_RESPONDENT0));
}

static bool flush_is_cheap(void) { return tnng_tx_is_counted() || tnng_pipes_in_process() <= FEW; }

/* [any] What nng's statistics say, where they are needed and cost little. */
void tnng_flush_refresh(tnng_socket *socket)
{
    if (!tnng_tx_is_counted() && tnng_pipes_in_process() <= FEW) {
        flush_read_stats(socket);
    }
}

/* [nng] On nng's only reaper thread, before a connection is forgotten: what it had written by then.
 * When thousands of clients leave a server at once a snapshot for each would cost the square of
 * their number; then the last look counts. */
void tnng_flush_pipe_lost(tnng_socket *socket)
{
    if (atomic_load(&socket->traffic.accepted) > 0 && !(socket->traits & TRAIT_REPLIES) &&
        !flush_broadcasts(socket)) {
        tnng_flush_refresh(socket);
    }
}

static uint64_t flush_excess(uint64_t number, uint64_t floor)
{
    return number > floor ? number - floor : 0;
}

/* What a look adds up. */
typedef struct {
    uint64_t given, written; /* of all connections, also of those that have gone */
    uint64_t missing;        /* known not to be written */
    uint64_t unknown;        /* may be written: the last of a connection that does not say */
    bool known;              /* each connection says what it was given, or what it has written */
} tx_sums;

/* With pipes->lock held: of one connection, `due` messages are its share, if that is known. */
static void flush_add_pipe(tx_sums *sums, tnng_pipe *pipe, uint64_t due)
{
    sums->given += pipe->counts_given ? pipe->tx.given : pipe->tx.written;
    sums->written += pipe->tx.written;
    if (pipe->counts_given) {
        sums->missing += flush_excess(due, pipe->tx.given);
        if (pipe->counts_written) {
            sums->missing += flush_excess(pipe->tx.given, pipe->tx.written);
        } else {
            sums->unknown += pipe->tx.given > 0;
        }
    } else if (pipe->counts_written) {
        sums->missing += flush_excess(due, pipe->tx.written);
    } else {
        sums->unknown += due;
        sums->known = false;
    }
}

/* With pipes->lock held. Where messages can be dropped, by a broadcast to a slow peer, on the way
 * to a peer that is not there, or with a connection that goes, the sums need not meet: then the
 * caller can only see that nothing moves any more. */
static void flush_evaluate(tnng_socket *socket, tnng_flush_state *state)
{
    uint64_t accepted = atomic_load(&socket->traffic.accepted), bytes = 0;
    tx_sums sums = {
        .given = socket->pipes->lost_given + atomic_load(&socket->traffic.given_late),
        .written = socket->pipes->lost_written,
        .known = true,
    };
    bool answers = socket->traits & TRAIT_REPLIES, each = flush_broadcasts(socket);
    int protocol = socket->protocol_number;

    for (tnng_pipe *pipe = socket->pipes->first; pipe != NULL; pipe = pipe->next) {
        if (pipe->counts_given) {
            tnng_tx_read(pipe->info.id, &pipe->tx);
        }
        flush_add_pipe(&sums, pipe,
            answers ? pipe->replies_expected
            : each  ? accepted - pipe->accepted_before
                    : 0);
        bytes += pipe->tx.written_bytes;
    }
    if (!answers && !each) {
        sums.missing += flush_excess(accepted, sums.given);
    }
    /* F1: what a connection of these took with it is known, and the rest waits in the socket. */
    bool keeps = tnng_tx_is_counted() && (protocol == TNNG_PUSH0 || protocol == TNNG_REQ0);
    bool lossless =
        answers || (!each && !flush_routes(socket) && (socket->pipes->lost_pipes == 0 || keeps));
    state->unsent = sums.missing + sums.unknown;
    state->exact = lossless && sums.known && (sums.missing > 0 || sums.unknown == 0);
    state->progress = sums.given + sums.written + bytes;
}

static int flush_look(tnng_socket *socket)
{
    int code = tnng_tx_is_counted() ? 0 : flush_read_stats(socket);

    pthread_mutex_lock(&socket->pipes->lock);
    if (code == 0) {
        flush_evaluate(socket, &socket->sends->flush_state);
    }
    pthread_mutex_unlock(&socket->pipes->lock);
    return code;
}

/* [job] */
static int flush_run(tnng_job *job)
{
    int code = flush_look(job->socket);

    TNNG_PAUSE("flush.checked");
    return code;
}

/* One that runs may have looked already. */
const tnng_job_kind tnng_flush_job = {.run = flush_run, .rerun = true};

int tnng_flush_check(tnng_socket *socket, tnng_cq *cq, uint64_t tag, tnng_result *result)
{
    const tnng_call call = {cq, tag, result};

    TNNG_GUARD_FORK(tnng_result_set(result, TNNG_FORKED, NULL));
    if (cq == NULL || flush_is_cheap()) {
        return tnng_call_finish(&call, flush_look(socket));
    }
    if (!tnng_owner_enter(socket, cq)) {
        return tnng_call_finish(&call, NNG_EBUSY);
    }
    return tnng_job_submit(&socket->sends->flush_job, &call);
}

/* [caller] */
void tnng_flush_read(tnng_socket *socket, tnng_flush_state *state)
{
    *state = (tnng_flush_state){0};
    TNNG_GUARD_FORK();
    pthread_mutex_lock(&socket->pipes->lock);
    *state = socket->sends->flush_state;
    pthread_mutex_unlock(&socket->pipes->lock);
}

/* What the pipes have written. nng has no linger and says nothing of its queues; what it does count
 * is the messages each pipe has handed to the operating system (not on inproc and ws). */
#include <string.h>

#include "internal.h"

static uint64_t value_of(nng_stat *scope, const char *name)
{
    for (nng_stat *each = nng_stat_child(scope); each != NULL; each = nng_stat_next(each)) {
        if (strcmp(nng_stat_name(each), name) == 0) {
            return nng_stat_value(each);
        }
    }
    return 0;
}

/* M1: nng_stat_find_socket finds the wrong one before nng 1.6, so pipes are looked up by their own
 * id. */
static nng_stat *find_pipe(nng_stat *root, uint32_t id)
{
    for (nng_stat *each = nng_stat_child(root); each != NULL; each = nng_stat_next(each)) {
        if (strcmp(nng_stat_name(each), "pipe") == 0 && value_of(each, "id") == id) {
            return each;
        }
    }
    return NULL;
}

uint64_t tnng_pipe_sent(uint32_t id)
{
    nng_stat *root;
    uint64_t sent = 0;

    if (nng_stats_get(&root) == 0) {
        nng_stat *pipe = find_pipe(root, id);
        sent = pipe == NULL ? 0 : value_of(pipe, "tx_msgs");
        nng_stats_free(root);
    }
    return sent;
}

/* nng drops for a peer that is slow, so what matters is what each has written since it came. */
static bool broadcasts(tnng_socket *socket)
{
    int protocol = socket->protocol_number;

    return protocol == TNNG_PUB0 || protocol == TNNG_BUS0 || protocol == TNNG_SURVEYOR0;
}

/* [nng] Whether a flush will want to know what a pipe had written that goes now. To find it out
 * costs a snapshot of everything nng counts, on nng's only reaper thread: when thousands of clients
 * leave a server at once, that is much. */
bool tnng_flush_counts_lost(tnng_socket *socket)
{
    return atomic_load(&socket->accepted) > 0 && !(socket->traits & ANSWERS) &&
           !broadcasts(socket);
}

/* [caller] */
int tnng_flush_check(tnng_socket *socket, tnng_flush_state *state)
{
    nng_stat *root;
    uint64_t sent, bytes = 0, total, missing = 0;
    unsigned traits = socket->traits;
    bool each = broadcasts(socket);
    int code;

    if (tnng_forked()) {
        return TNNG_FORKED;
    }
    if ((code = nng_stats_get(&root)) != 0) {
        return code;
    }
    pthread_mutex_lock(&socket->pipes_lock);
    uint64_t accepted = atomic_load(&socket->accepted);
    /* A pipe that went may have taken messages with it, and a broadcast drops for a slow peer: then
     * the sums need not meet, and the caller can only see that nothing moves any more. */
    state->exact = (traits & ANSWERS) || (!each && socket->lost_pipes == 0);
    total = socket->lost_pipes_sent;
    for (tnng_pipe *pipe = socket->pipes; pipe != NULL; pipe = pipe->next) {
        nng_stat *stat = find_pipe(root, pipe->info.id);
        sent = stat == NULL ? 0 : value_of(stat, "tx_msgs");
        bytes += stat == NULL ? 0 : value_of(stat, "tx_bytes");
        total += sent;
        if (traits & ANSWERS) {
            missing += pipe->expected > sent ? pipe->expected - sent : 0;
        } else if (each) {
            missing += accepted - pipe->before > sent ? accepted - pipe->before - sent : 0;
        }
        if (pipe->info.local.family == NNG_AF_INPROC) {
            state->exact = false;
        }
    }
    if (!(traits & ANSWERS) && !each) {
        missing = accepted > total ? accepted - total : 0;
    }
    state->unsent = missing;
    state->progress = total + bytes;
    pthread_mutex_unlock(&socket->pipes_lock);
    nng_stats_free(root);
    return 0;
}

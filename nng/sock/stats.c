/* How much a socket has sent and received. Two additions a message, without a lock.
 *
 * A message is counted as received when it is handed to a call, once: one that its call could not
 * take after all (Ctrl-C, a cancelled `forward`) goes back to its context with a mark, and the call
 * that gets it next does not count it again. So the numbers never fall, and agree with what was
 * delivered whenever no such message lies in a context. */
#include "sock/sock.h"

static void stats_add(atomic_uint_fast64_t *counter, uint64_t number)
{
    atomic_fetch_add_explicit(counter, number, memory_order_relaxed);
}

static uint64_t stats_value(atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* [any] */
void tnng_stats_add_sent(tnng_socket *socket, size_t size)
{
    stats_add(&socket->traffic.accepted, 1);
    stats_add(&socket->traffic.accepted_bytes, size);
}

/* [any] */
void tnng_stats_add_received(tnng_socket *socket, size_t size)
{
    stats_add(&socket->traffic.received, 1);
    stats_add(&socket->traffic.received_bytes, size);
}

/* [caller] */
int tnng_socket_stats_read(tnng_socket *socket, tnng_socket_stats *counts)
{
    TNNG_GUARD_FORK(TNNG_FORKED);
    counts->sent = stats_value(&socket->traffic.accepted);
    counts->sent_bytes = stats_value(&socket->traffic.accepted_bytes);
    counts->received = stats_value(&socket->traffic.received);
    counts->received_bytes = stats_value(&socket->traffic.received_bytes);
    counts->dropped = stats_value(&socket->traffic.dropped);
    pthread_mutex_lock(&socket->pipes->lock);
    counts->pipes = socket->pipes->connected;
    counts->rejected = socket->pipes->rejected;
    counts->oversize = socket->pipes->oversize;
    pthread_mutex_unlock(&socket->pipes->lock);
    pthread_mutex_lock(&socket->owner.lock);
    counts->waiting = socket->owner.parked;
    pthread_mutex_unlock(&socket->owner.lock);
    return 0;
}

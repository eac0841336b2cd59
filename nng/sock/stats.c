/* How much a socket has sent and received. Two additions a message, without a lock.
 *
 * A message is counted as received when it is handed to a call, once: one that its call could not
 * take after all (Ctrl-C, a cancelled `forward`) goes back to its lane with a mark, and the call
 * that gets it next does not count it again. So the numbers never fall, and agree with what was
 * delivered whenever no such message lies in a lane. */
#include "sock/sock.h"

static void add(atomic_uint_fast64_t *counter, uint64_t number)
{
    atomic_fetch_add_explicit(counter, number, memory_order_relaxed);
}

static uint64_t value_of(atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* [any] */
void tnng_count_sent(tnng_socket *socket, size_t size)
{
    add(&socket->traffic.accepted, 1);
    add(&socket->traffic.accepted_bytes, size);
}

/* [any] */
void tnng_count_received(tnng_socket *socket, size_t size)
{
    add(&socket->traffic.received, 1);
    add(&socket->traffic.received_bytes, size);
}

/* [caller] */
int tnng_socket_count(tnng_socket *socket, tnng_socket_counts *counts)
{
    TNNG_GUARD_FORK(TNNG_FORKED);
    counts->sent = value_of(&socket->traffic.accepted);
    counts->sent_bytes = value_of(&socket->traffic.accepted_bytes);
    counts->received = value_of(&socket->traffic.received);
    counts->received_bytes = value_of(&socket->traffic.received_bytes);
    counts->dropped = value_of(&socket->traffic.dropped);
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

/* The attempts of a dial that is waited for. nng makes one, to the first address of a name. The
 * shim makes one to each, and waits while a unix listener has no room for another connection. */
#include "conn/conn.h"

/* How long a listener may have no room, and the pauses between: nanoseconds. */
#define ROOM_WITHIN   INT64_C(10000000000)
#define FIRST_PAUSE   INT64_C(1000000)
#define LONGEST_PAUSE INT64_C(50000000)

/* H4: each attempt has its begin. */
static int attempt_address(tnng_endpoint *dialer, int address)
{
    tnng_socket *socket = dialer->work.socket;

    pthread_mutex_lock(&socket->endpoints->lock);
    bool closed = socket->endpoints->closed;
    pthread_mutex_lock(&socket->pipes->lock);
    closed |= dialer->dial_cancelled;
    dialer->started_at = tnng_now();
    pthread_mutex_unlock(&socket->pipes->lock);
    pthread_mutex_unlock(&socket->endpoints->lock);
    if (closed) {
        return NNG_ECLOSED;
    }
    tnng_addresses_select(address);
    int code = nng_dialer_start((nng_dialer){dialer->id}, 0);
    tnng_addresses_select(-1);
    return code;
}

/* Returns early when the dial is cancelled, or the socket closes. */
static void attempt_pause(tnng_endpoint *dialer, int64_t nanoseconds)
{
    tnng_socket *socket = dialer->work.socket;
    int64_t until = tnng_now() + nanoseconds;

    pthread_mutex_lock(&socket->pipes->lock);
    while (!dialer->dial_cancelled && !socket->pipes->closed &&
           tnng_cond_wait(&socket->pipes->changed, &socket->pipes->lock, until)) {
    }
    pthread_mutex_unlock(&socket->pipes->lock);
}

/* M6: EAGAIN is a unix listener whose backlog is full. */
static int attempt_until_room(tnng_endpoint *dialer)
{
    int64_t until = tnng_now() + ROOM_WITHIN, pause = FIRST_PAUSE;
    int code = attempt_address(dialer, 0);

    while (code == NNG_EAGAIN && tnng_now() < until) {
        attempt_pause(dialer, pause);
        pause = pause * 2 < LONGEST_PAUSE ? pause * 2 : LONGEST_PAUSE;
        code = attempt_address(dialer, 0);
    }
    return code == NNG_EAGAIN ? NNG_ETIMEDOUT : code;
}

/* Whether another address may answer where this one did not. */
static bool attempt_next_may_help(int code)
{
    switch (code) {
    case NNG_ECONNREFUSED:
    case NNG_ECONNRESET:
    case NNG_ECONNABORTED:
    case NNG_ECONNSHUT:
    case NNG_ETIMEDOUT:
    case NNG_EUNREACHABLE:
        return true;
    default:
        return (code & NNG_ESYSERR) != 0;
    }
}

/* [job] Returns what the last attempt came to. */
int tnng_dial_attempts(tnng_endpoint *dialer)
{
    int code = attempt_until_room(dialer);

    if (dialer->has_name && attempt_next_may_help(code)) {
        int count = tnng_addresses_count(dialer->id);
        for (int address = 1; address < count && attempt_next_may_help(code); address++) {
            code = attempt_address(dialer, address);
        }
    }
    return code;
}

/* S4: a connection that never completes its handshake is never dropped. tcp and ipc give a
 * handshake ten seconds. On tls+tcp the aio of the handshake has the same limit, but its expiry
 * cancels something the handshake does not wait for; the HTTP server of ws and wss has no limit.
 * Clients that connect and send nothing stay there for good, until no descriptor is left and the
 * listener serves no new client. A tls+tcp dialer waits in the same way for a server that sends
 * nothing.
 *
 * Fix: the shim records each TCP connection that libnng accepts or makes, until the socket gets it
 * as a pipe; the pipe's addresses identify the record. A connection still recorded after ten
 * seconds is shut down in both directions: nng reads the end of the connection and closes it. The
 * descriptor still belongs to this connection then, because libnng's close is wrapped too.
 *
 * The timer is the timeout of an aio and needs no thread. tcp is treated in the same way: nng's own
 * limit there is per step, and a peer that sends a byte now and then outlives it.
 *
 * This may go when tls, ws and wss of nng limit the whole handshake. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fixes/fixes.h"

/* What a connection gets to become a peer's, and how often the shim looks. */
enum { MILLISECONDS = 10000, LOOKS = 10, BUCKETS = 256, UNKNOWN = BUCKETS };

typedef union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} address;

typedef struct half_open {
    struct half_open *next, *next_by_ports;
    int fd;
    unsigned ports; /* where it is among those by their ports */
    bool connected, dropped;
    int64_t since;
    address local, remote; /* once it is connected */
} half_open;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static half_open *by_fd[BUCKETS];        /* under lock, by descriptor */
static half_open *by_ports[BUCKETS + 1]; /* under lock: the same, those with UNKNOWN ports last */
static nng_aio *clock_aio;               /* under lock */
static bool ticks; /* under lock: the clock is set, or about to be set again */
static atomic_int count;

static int64_t handshake_timeout_limit(void)
{
    int64_t milliseconds = MILLISECONDS;
#ifdef TNNG_TESTING
    const char *other = getenv("TNNG_HANDSHAKE_MS");
    milliseconds = other == NULL ? milliseconds : atoi(other);
#endif
    return milliseconds;
}

/* With the lock held. */
static void handshake_timeout_check(half_open *it, int64_t now)
{
    socklen_t length = sizeof(it->remote);

    if (!it->connected && getpeername(it->fd, &it->remote.any, &length) == 0) {
        length = sizeof(it->local);
        it->connected = getsockname(it->fd, &it->local.any, &length) == 0;
        it->since = now;
    }
    if (it->connected && !it->dropped && now - it->since >= handshake_timeout_limit() * 1000000) {
        it->dropped = true;
        shutdown(it->fd, SHUT_RDWR);
    }
}

/* [nng] Expiry's thread, or the thread that stops the aio. */
static void handshake_timeout_check_all(nng_aio *aio, void *arg, int code)
{
    int64_t now = tnng_now();

    (void) arg;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < BUCKETS; i++) {
        for (half_open *it = by_fd[i]; it != NULL; it = it->next) {
            handshake_timeout_check(it, now);
        }
    }
    pthread_mutex_unlock(&lock);
    nng_aio_finish(aio, code);
}

static void handshake_timeout_arm(void)
{
    if (nng_aio_begin(clock_aio)) {
        nng_aio_defer(clock_aio, handshake_timeout_check_all, NULL);
    }
}

/* [nng] The callback of the clock. */
static void handshake_timeout_tick(void *arg)
{
    (void) arg;
    pthread_mutex_lock(&lock);
    ticks = atomic_load(&count) > 0;
    bool again = ticks;
    pthread_mutex_unlock(&lock);
    if (again) {
        handshake_timeout_arm();
    }
}

static unsigned handshake_timeout_bucket(unsigned local, unsigned remote)
{
    return local == 0 || remote == 0 ? UNKNOWN : (local * 31 + remote) % BUCKETS;
}

static unsigned handshake_timeout_port(const struct sockaddr *any)
{
    const address *of = (const address *) any;

    return any->sa_family == AF_INET    ? ntohs(of->v4.sin_port)
           : any->sa_family == AF_INET6 ? ntohs(of->v6.sin6_port)
                                        : 0;
}

/* A connection that was accepted, or is being made to that address. Its ports are known at once and
 * never change. Without memory it is as nng has it. */
static void handshake_timeout_add(int fd, const struct sockaddr *to)
{
    half_open *it = TNNG_FIX_IS_ON(S4) ? calloc(1, sizeof(*it)) : NULL;
    bool begins = false;

    if (it == NULL) {
        return;
    }
    it->fd = fd;
    pthread_mutex_lock(&lock);
    handshake_timeout_check(it, tnng_now());
    if (!it->connected) {
        socklen_t length = sizeof(it->local);
        getsockname(fd, &it->local.any, &length);
    }
    it->ports = handshake_timeout_bucket(handshake_timeout_port(&it->local.any),
        handshake_timeout_port(it->connected || to == NULL ? &it->remote.any : to));
    it->next = by_fd[fd % BUCKETS];
    it->next_by_ports = by_ports[it->ports];
    by_fd[fd % BUCKETS] = by_ports[it->ports] = it;
    atomic_fetch_add(&count, 1);
    if (!ticks) {
        if (clock_aio == NULL && nng_aio_alloc(&clock_aio, handshake_timeout_tick, NULL) == 0) {
            nng_aio_set_timeout(clock_aio, (nng_duration) (handshake_timeout_limit() / LOOKS));
        }
        ticks = begins = clock_aio != NULL;
    }
    pthread_mutex_unlock(&lock);
    if (begins) {
        handshake_timeout_arm();
    }
}

static bool handshake_timeout_is_tcp(int fd)
{
    int domain = AF_UNSPEC;
    socklen_t length = sizeof(domain);

    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 &&
           (domain == AF_INET || domain == AF_INET6);
}

static int handshake_timeout_accepted(int fd)
{
    if (fd >= 0 && handshake_timeout_is_tcp(fd)) {
        handshake_timeout_add(fd, NULL);
    }
    return fd;
}

/* [nng] */
int __wrap_accept(int fd, struct sockaddr *from, socklen_t *length)
{
    return handshake_timeout_accepted(accept(fd, from, length));
}

/* [nng] */
int __wrap_accept4(int fd, struct sockaddr *from, socklen_t *length, int flags)
{
    return handshake_timeout_accepted(accept4(fd, from, length, flags));
}

/* [nng] [caller] [job] */
int __wrap_connect(int fd, const struct sockaddr *to, socklen_t length)
{
    int result = connect(fd, to, length), error = errno;

    if ((result == 0 || error == EINPROGRESS) && to->sa_family != AF_UNIX) {
        handshake_timeout_add(fd, to);
    }
    errno = error;
    return result;
}

/* With the lock held. */
static void handshake_timeout_remove(half_open *it)
{
    TNNG_SLIST_REMOVE(&by_fd[it->fd % BUCKETS], it, next);
    TNNG_SLIST_REMOVE(&by_ports[it->ports], it, next_by_ports);
    atomic_fetch_sub(&count, 1);
    free(it);
}

/* [nng] [job] */
int __wrap_close(int fd)
{
    if (atomic_load(&count) > 0 && fd >= 0) {
        pthread_mutex_lock(&lock);
        half_open *it = by_fd[fd % BUCKETS];
        while (it != NULL && it->fd != fd) {
            it = it->next;
        }
        if (it != NULL) {
            handshake_timeout_remove(it);
        }
        pthread_mutex_unlock(&lock);
    }
    return tnng_listener_names_close(fd);
}

static bool handshake_timeout_same_addr(const address *mine, const tnng_addr *other)
{
    if (mine->any.sa_family == AF_INET) {
        return other->family == NNG_AF_INET && mine->v4.sin_port == htons(other->port) &&
               memcmp(&mine->v4.sin_addr, other->data, 4) == 0;
    }
    return other->family == NNG_AF_INET6 && mine->v6.sin6_port == htons(other->port) &&
           memcmp(&mine->v6.sin6_addr, other->data, 16) == 0;
}

/* With the lock held: those in one bucket that are this connection. */
static void handshake_timeout_remove_all(
    half_open *it, const tnng_addr *local, const tnng_addr *remote)
{
    int64_t now = tnng_now();

    while (it != NULL) {
        half_open *next = it->next_by_ports;
        handshake_timeout_check(it, now);
        if (it->connected && handshake_timeout_same_addr(&it->local, local) &&
            handshake_timeout_same_addr(&it->remote, remote)) {
            handshake_timeout_remove(it);
        }
        it = next;
    }
}

/* [nng] The socket is offered a connection. */
void tnng_handshake_timeout_stop(const tnng_addr *local, const tnng_addr *remote)
{
    if (atomic_load(&count) == 0) {
        return;
    }
    pthread_mutex_lock(&lock);
    handshake_timeout_remove_all(
        by_ports[handshake_timeout_bucket(local->port, remote->port)], local, remote);
    handshake_timeout_remove_all(by_ports[UNKNOWN], local, remote);
    pthread_mutex_unlock(&lock);
}

/* C11: a connection whose handshake ends while its endpoint closes is never freed. The transports
 * tcp, ipc and tls put a connection that finished its handshake on a list, from which the socket
 * takes it. The close of an endpoint closes the connections on the list and does not free them, and
 * a handshake that ends later still puts its connection there. So a descriptor stays open for good,
 * and with it the endpoint: its listening descriptor and the name of an abstract address. (All 1.x.
 * A socket that is closed while it connects is enough.)
 *
 * Fix: a transport frees a connection in the callback of its handshake, when the handshake failed.
 * The missing step is one more call of the callback, with an error, when nothing else can happen to
 * the connection. The shim records a handshake when it begins (only there does nng set a timeout of
 * ten seconds on an aio) and removes the record when nng passes the connection to the socket or to
 * the reaper. When a close stops the aio of a recorded handshake, the reaper, the only thread that
 * frees these connections, waits for a running callback; if the record is still there, it calls the
 * callback once more.
 *
 * The shim runs code on the reaper's thread with an aio of its own that is freed while it is busy:
 * the reaper then calls the aio's cancel function.
 *
 * This may go when `ep_close` of every nng in use frees what is in `waitpipes`, and `nego_cb` tests
 * whether the endpoint is closed. */
#include "fixes/fixes.h"

#ifdef TNNG_LINKED_IN

#include <stdlib.h>

typedef void (*nni_cb)(void *);
typedef struct nni_reap_list nni_reap_list;

int nni_aio_alloc(nng_aio **, nni_cb, void *);
void nni_aio_init(nng_aio *, nni_cb, void *);
void nni_aio_set_timeout(nng_aio *, nng_duration);
void nni_aio_set_output(nng_aio *, unsigned, void *);
void nni_aio_close(nng_aio *);
void nni_aio_stop(nng_aio *);
void nni_reap(nni_reap_list *, void *);

/* What the transports give a handshake: milliseconds. */
enum { HANDSHAKE_TIME = 10000 };

enum { BUCKETS = 1024, AIOS_OF_A_PIPE = 4 };

typedef struct {
    nng_aio *aio;
    nni_cb callback;
    void *arg;
} made;

typedef struct handshake {
    struct handshake *next_by_pipe, *next_by_aio;
    void *pipe; /* the transport's; what its callback gets */
    nng_aio *aio;
    nni_cb callback;
    bool over;   /* given to the socket, or freed: not in the tables any more */
    bool tasked; /* a task of the reaper has it, and frees it */
} handshake;

/* The last aios that this thread has made: those of a connection, when its handshake begins. */
static _Thread_local made last[AIOS_OF_A_PIPE];
static _Thread_local unsigned last_at;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static handshake *by_pipe[BUCKETS], *by_aio[BUCKETS]; /* under lock */
static atomic_size_t under_way;

static size_t handshake_bucket(const void *pointer)
{
    return (size_t) (((uintptr_t) pointer >> 4) * 2654435761u >> 8) % BUCKETS;
}

static void handshake_aio_made(nng_aio *aio, nni_cb callback, void *arg)
{
    last[last_at++ % AIOS_OF_A_PIPE] = (made){aio, callback, arg};
}

/* [nng] [caller] */
int __wrap_nni_aio_alloc(nng_aio **aio, nni_cb callback, void *arg)
{
    int code = nni_aio_alloc(aio, callback, arg);
    if (code == 0) {
        tnng_addresses_aio_made(*aio);
        handshake_aio_made(*aio, callback, arg);
    }
    return code;
}

/* [nng] [caller] */
void __wrap_nni_aio_init(nng_aio *aio, nni_cb callback, void *arg)
{
    nni_aio_init(aio, callback, arg);
    handshake_aio_made(aio, callback, arg);
    tnng_causes_aio_made(aio);
}

/* [nng] A connection begins its handshake. Without memory it is as nng has it. */
static void handshake_add(const made *what)
{
    handshake *it = TNNG_FIX_IS_ON(C11) ? malloc(sizeof(*it)) : NULL;

    if (it == NULL) {
        return;
    }
    *it = (handshake){.pipe = what->arg, .aio = what->aio, .callback = what->callback};
    handshake **pipes = &by_pipe[handshake_bucket(it->pipe)],
              **aios = &by_aio[handshake_bucket(it->aio)];
    pthread_mutex_lock(&lock);
    it->next_by_pipe = *pipes;
    it->next_by_aio = *aios;
    *pipes = *aios = it;
    atomic_fetch_add(&under_way, 1);
    pthread_mutex_unlock(&lock);
}

/* [nng] [caller] */
void __wrap_nni_aio_set_timeout(nng_aio *aio, nng_duration timeout)
{
    nni_aio_set_timeout(aio, timeout);
    for (unsigned back = 1; timeout == HANDSHAKE_TIME && back <= AIOS_OF_A_PIPE; back++) {
        const made *what = &last[(last_at - back) % AIOS_OF_A_PIPE];
        if (what->aio == aio) {
            handshake_add(what);
            break; /* an older one at this address is none any more */
        }
    }
}

/* [nng] If this is a connection that shakes hands, it does so no more. */
static void handshake_remove(const void *pipe)
{
    if (atomic_load(&under_way) == 0) {
        return;
    }
    pthread_mutex_lock(&lock);
    handshake **at = &by_pipe[handshake_bucket(pipe)];
    while (*at != NULL && (*at)->pipe != pipe) {
        at = &(*at)->next_by_pipe;
    }
    handshake *it = *at;
    if (it != NULL) {
        *at = it->next_by_pipe;
        TNNG_SLIST_REMOVE(&by_aio[handshake_bucket(it->aio)], it, next_by_aio);
        atomic_fetch_sub(&under_way, 1);
        it->over = true;
        if (it->tasked) {
            it = NULL;
        }
    }
    pthread_mutex_unlock(&lock);
    free(it);
}

/* [nng] The socket takes the connection. */
void __wrap_nni_aio_set_output(nng_aio *aio, unsigned index, void *output)
{
    handshake_remove(output);
    nni_aio_set_output(aio, index, output);
}

/* [nng] [job] */
void __wrap_nni_reap(nni_reap_list *list, void *item)
{
    handshake_remove(item);
    nni_reap(list, item);
}

static bool handshake_is_over(handshake *it)
{
    pthread_mutex_lock(&lock);
    bool over = it->over;
    pthread_mutex_unlock(&lock);
    return over;
}

/* [nng] The reaper. */
static void handshake_finish(nng_aio *task, void *arg, int code)
{
    handshake *it = arg;

    if (!handshake_is_over(it)) {
        nni_aio_stop(it->aio); /* and no callback of it is under way any more */
    }
    if (!handshake_is_over(it)) {
        nng_aio_begin(it->aio); /* only leaves the error behind: it was stopped */
        it->callback(it->pipe);
    }
    if (handshake_is_over(it)) {
        free(it);
    }
    nng_aio_finish(task, code);
}

/* [job] [nng] The close of an endpoint, with the endpoint's lock held, which the callback needs. (A
 * connection that the socket has got is closed in the same way: that is not here any more.) */
void __wrap_nni_aio_close(nng_aio *aio)
{
    handshake *it = NULL;
    nng_aio *task;

    if (atomic_load(&under_way) != 0) {
        pthread_mutex_lock(&lock);
        it = by_aio[handshake_bucket(aio)];
        while (it != NULL && it->aio != aio) {
            it = it->next_by_aio;
        }
        if (it != NULL && !it->tasked && nng_aio_alloc(&task, NULL, NULL) == 0) {
            it->tasked = true;
        } else {
            it = NULL;
        }
        pthread_mutex_unlock(&lock);
    }
    nni_aio_close(aio);
    if (it != NULL) {
        nng_aio_begin(task);
        nng_aio_defer(task, handshake_finish, it);
        nng_aio_reap(task);
    }
}

#endif

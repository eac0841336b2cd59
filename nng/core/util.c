/* What everything else stands on: the fork guard, and the references of sockets and of what
 * messages are received from. */
#include "core/core.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_bool forked;

void (*tnng_before_wait)(void);

static void forks_mark(void) { atomic_store(&forked, true); }

static void forks_watch(void) { pthread_atfork(NULL, NULL, forks_mark); }

void tnng_forks_watch(void) { pthread_once(&once, forks_watch); }

bool tnng_forked(void) { return atomic_load(&forked); }

void tnng_socket_ref(tnng_socket *socket) { atomic_fetch_add(&socket->refs, 1); }

void tnng_socket_unref(tnng_socket *socket)
{
    if (!tnng_forked() && atomic_fetch_sub(&socket->refs, 1) == 1) {
        socket->hooks->free(socket);
    }
}

void tnng_origin_ref(tnng_origin *origin) { atomic_fetch_add(&origin->refs, 1); }

void tnng_origin_unref(tnng_origin *origin)
{
    if (!tnng_forked() && atomic_fetch_sub(&origin->refs, 1) == 1) {
        origin->hooks->free_origin(origin);
    }
}

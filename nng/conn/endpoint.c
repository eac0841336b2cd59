/* The dialers and listeners of a socket: for each a record, which has the memory of all that may
 * ever be asked of it. It is in the socket's list until nng has closed the endpoint. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conn/conn.h"

static atomic_int names; /* dialers whose host is a name: nng may be looking it up now */

/* Whether it takes more than nng's own time to find out where that is. */
bool tnng_url_has_hostname(const char *url)
{
    const char *host = strstr(url, "://");

    if (strncmp(url, "tcp", 3) != 0 && strncmp(url, "tls+tcp", 7) != 0) {
        return strncmp(url, "ws", 2) == 0;
    }
    host = host == NULL ? url : host + 3;
    return *host != '[' && host[strspn(host, "0123456789.*")] != ':';
}

/* [caller] Once, when it is new. */
void tnng_endpoint_read_url(tnng_endpoint *endpoint, const char *url)
{
    endpoint->has_name = tnng_url_has_hostname(url);
    endpoint->is_ws = strncmp(url, "ws", 2) == 0;
    atomic_fetch_add(&names, endpoint->has_name);
}

bool tnng_lookups_possible(void) { return atomic_load(&names) > 0; }

/* [caller] In the socket's list, and one more reference. NULL when there is no memory. */
tnng_endpoint *tnng_endpoint_new(
    tnng_socket *socket, const tnng_job_kind *work, const tnng_job_kind *close)
{
    tnng_endpoint *endpoint = calloc(1, sizeof(*endpoint));

    if (endpoint == NULL) {
        return NULL;
    }
    atomic_init(&endpoint->refs, 2);
    tnng_job_init(&endpoint->work, work, socket, endpoint);
    tnng_job_init(&endpoint->close, close, socket, endpoint);
    if (!tnng_job_preallocate_op(&endpoint->close)) {
        free(endpoint);
        return NULL;
    }
    pthread_mutex_lock(&socket->pipes->lock);
    TNNG_LIST_APPEND(socket->endpoints, endpoint);
    endpoint->linked = true;
    pthread_mutex_unlock(&socket->pipes->lock);
    return endpoint;
}

void tnng_endpoint_ref(void *endpoint) { atomic_fetch_add(&((tnng_endpoint *) endpoint)->refs, 1); }

void tnng_endpoint_unref(void *of)
{
    tnng_endpoint *endpoint = of;

    if (atomic_fetch_sub(&endpoint->refs, 1) == 1) {
        atomic_fetch_sub(&names, endpoint->has_name);
        tnng_job_free_preallocated_op(&endpoint->work);
        tnng_job_free_preallocated_op(&endpoint->close);
        free(endpoint->url);
        free(endpoint);
    }
}

/* [any] nng has closed it, or never made it. */
void tnng_endpoint_unlink(tnng_endpoint *endpoint)
{
    tnng_socket *socket = endpoint->close.socket;

    pthread_mutex_lock(&socket->pipes->lock);
    bool linked = endpoint->linked;
    if (linked) {
        TNNG_LIST_REMOVE(socket->endpoints, endpoint);
        endpoint->linked = false;
    }
    pthread_mutex_unlock(&socket->pipes->lock);
    if (linked) {
        tnng_endpoint_unref(endpoint);
    }
}

/* [any] A counted reference, or NULL. */
tnng_endpoint *tnng_endpoint_find(tnng_socket *socket, uint32_t id, bool is_dialer)
{
    tnng_endpoint *endpoint;

    pthread_mutex_lock(&socket->pipes->lock);
    for (endpoint = socket->endpoints->first; endpoint != NULL; endpoint = endpoint->next) {
        if (endpoint->id == id && endpoint->is_dialer == is_dialer) {
            tnng_endpoint_ref(endpoint);
            break;
        }
    }
    pthread_mutex_unlock(&socket->pipes->lock);
    return endpoint;
}

/* [caller] `endpoints` is zero. */
void tnng_endpoints_open(tnng_socket *socket, struct tnng_endpoints *endpoints)
{
    pthread_mutex_init(&endpoints->lock, NULL);
    socket->endpoints = endpoints;
}

/* [any] The socket is about to go. */
void tnng_endpoints_free(tnng_socket *socket)
{
    while (socket->endpoints->first != NULL) {
        tnng_endpoint_unlink(socket->endpoints->first);
    }
    pthread_mutex_destroy(&socket->endpoints->lock);
}

/* [caller] Begins a job of an endpoint that may have been closed and forgotten. */
int tnng_endpoint_close(tnng_socket *socket, uint32_t id, bool is_dialer, const tnng_call *call)
{
    tnng_endpoint *endpoint;
    int code;

    TNNG_GUARD_FORK(tnng_result_set(call->result, TNNG_FORKED, NULL));
    if ((endpoint = tnng_endpoint_find(socket, id, is_dialer)) == NULL) {
        return tnng_call_finish(call, 0);
    }
    if (call->cq != NULL && !tnng_owner_enter(socket, call->cq)) {
        code = tnng_result_set(call->result, NNG_EBUSY, NULL);
    } else {
        code = tnng_job_submit(&endpoint->close, call);
    }
    tnng_endpoint_unref(endpoint);
    return code;
}

/* [any] What became of an endpoint when there are no descriptors left: nng says of a name that it
 * cannot look up that it is not one. */
int tnng_endpoint_code(int code)
{
    if (code == NNG_EADDRINVAL || (code & NNG_ESYSERR)) {
        int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
        if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
            return NNG_ENOFILES;
        }
        if (fd >= 0) {
            close(fd);
        }
    }
    return code;
}

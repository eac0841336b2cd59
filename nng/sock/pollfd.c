/* Pollable descriptors: they say whether a call that never waits may succeed.
 *
 * The descriptor for receiving is the shim's. nng's own does not know of messages that a context
 * holds, and nng hands messages only to posted receives. So from the first use on one receive stays
 * posted (recv_persistent in sock/recv.c), and the descriptor is readable while the head of the
 * ring has a message. The descriptor for sending is a duplicate of nng's, which is right on the
 * protocols that have TRAIT_TRY_SEND. Both stay open as long as the socket's memory, so that their
 * numbers mean nothing else meanwhile. Both become readable when the socket is closed, so pollers
 * wake up and get Closed. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "sock/sock.h"

/* [caller] ctx->lock held. */
static int pollfd_open(tnng_ctx *ctx)
{
    tnng_pollfd *pollfd;

    if (ctx->closed || ctx->pollfd != NULL) {
        return ctx->closed ? NNG_ECLOSED : 0;
    }
    if ((pollfd = calloc(1, sizeof(*pollfd))) == NULL) {
        return NNG_ENOMEM;
    }
    if (tnng_wakeup_fd_open(&pollfd->fd) != 0) {
        free(pollfd);
        return NNG_ENOFILES;
    }
    ctx->socket->pollfds->pollfd = ctx->pollfd = pollfd;
    return 0;
}

/* [caller] `ctx` is the socket's own. */
int tnng_recv_fd(tnng_ctx *ctx, int *fd)
{
    int code;

    TNNG_GUARD_FORK(TNNG_FORKED);
    if (!(ctx->traits & TRAIT_RECV)) {
        return NNG_ENOTSUP;
    }
    if (ctx->pool_ctx != NULL) {
        ctx = ctx->pool_ctx; /* C3: what it receives lies there */
    }
    tnng_lock(&ctx->lock);
    if ((code = pollfd_open(ctx)) == 0) {
        *fd = ctx->pollfd->fd.read_fd;
        ctx->kind->dispatch(ctx);
    }
    pthread_mutex_unlock(&ctx->lock);
    return code;
}

/* [caller] */
int tnng_send_fd(tnng_socket *socket, int *fd)
{
    int code = 0, nng_fd;

    TNNG_GUARD_FORK(TNNG_FORKED);
    if (!(socket->traits & TRAIT_TRY_SEND) ||
        (socket->protocol_number == TNNG_PAIR0 && TNNG_FIX_IS_ON(L1))) { /* issue 1640 */
        return NNG_ENOTSUP;
    }
    tnng_lock(&socket->contexts->lock);
    if (socket->contexts->closing) {
        code = NNG_ECLOSED;
    } else if (socket->pollfds->send_fd < 0 &&
               (code = nng_socket_get_int(socket->nng, NNG_OPT_SENDFD, &nng_fd)) == 0) {
        socket->pollfds->send_fd = fcntl(nng_fd, F_DUPFD_CLOEXEC, 0);
        code = socket->pollfds->send_fd < 0 ? NNG_ENOFILES : 0;
    }
    *fd = socket->pollfds->send_fd;
    pthread_mutex_unlock(&socket->contexts->lock);
    return code;
}

/* [job] nng_close has closed its end. That of a pipe is readable by that; an eventfd is not. */
void tnng_pollfd_shutdown(tnng_socket *socket)
{
    tnng_lock(&socket->contexts->lock);
    if (socket->pollfds->send_fd >= 0) {
        tnng_wakeup_fd_notify(&(tnng_wakeup_fd){-1, socket->pollfds->send_fd});
    }
    pthread_mutex_unlock(&socket->contexts->lock);
}

/* [any] The socket has no reference left. */
void tnng_pollfd_free(tnng_socket *socket)
{
    tnng_pollfd *pollfd = socket->pollfds->pollfd;

    if (pollfd != NULL) {
        tnng_wakeup_fd_close(&pollfd->fd);
        free(pollfd);
    }
    if (socket->pollfds->send_fd >= 0) {
        close(socket->pollfds->send_fd);
    }
}

/* Descriptors that say whether a call that never waits may succeed, for loops of one's own.
 *
 * The one for receiving is ours: nng's does not know of messages that a lane holds, and nng lets go
 * of messages only to receives that stand. So from the first use on one receive stands (see
 * `standing` in sock/recv.c), and the descriptor is set while the head of the ring has something to
 * give. The one for sending is a duplicate of nng's, which tells the truth on the protocols that
 * have TRY_SEND. Both stay open as long as the socket's memory, so that their numbers mean nothing
 * else meanwhile, and both are readable once it is closed: who waits wakes up, and gets Closed. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "sock/sock.h"

/* [caller] lane->lock held. */
static int begin(tnng_lane *lane)
{
    tnng_ready *ready;

    if (lane->closed || lane->ready != NULL) {
        return lane->closed ? NNG_ECLOSED : 0;
    }
    if ((ready = calloc(1, sizeof(*ready))) == NULL) {
        return NNG_ENOMEM;
    }
    if (tnng_wakeup_fd_open(&ready->fd) != 0) {
        free(ready);
        return NNG_ENOFILES;
    }
    lane->socket->pollfds->ready = lane->ready = ready;
    return 0;
}

/* [caller] `lane` is the socket's own. */
int tnng_recv_fd(tnng_lane *lane, int *fd)
{
    int code;

    TNNG_GUARD_FORK(TNNG_FORKED);
    if (!(lane->traits & CAN_RECEIVE)) {
        return NNG_ENOTSUP;
    }
    if (lane->pool_lane != NULL) {
        lane = lane->pool_lane; /* C3: what it receives lies there */
    }
    tnng_lock(&lane->lock);
    if ((code = begin(lane)) == 0) {
        *fd = lane->ready->fd.read_fd;
        if (lane->kind != NULL && lane->kind->dispatch != NULL) {
            lane->kind->dispatch(lane);
        } else {
            tnng_lane_settle(lane);
        }
    }
    pthread_mutex_unlock(&lane->lock);
    return code;
}

/* [caller] */
int tnng_send_fd(tnng_socket *socket, int *fd)
{
    int code = 0, nng_fd;

    TNNG_GUARD_FORK(TNNG_FORKED);
    if (!(socket->traits & TRY_SEND) ||
        (socket->protocol_number == TNNG_PAIR0 && TNNG_FIX_IS_ON(L1))) { /* issue 1640 */
        return NNG_ENOTSUP;
    }
    pthread_mutex_lock(&socket->contexts->lock);
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
void tnng_ready_end(tnng_socket *socket)
{
    pthread_mutex_lock(&socket->contexts->lock);
    if (socket->pollfds->send_fd >= 0) {
        tnng_wakeup_fd_notify(&(tnng_wakeup_fd){-1, socket->pollfds->send_fd});
    }
    pthread_mutex_unlock(&socket->contexts->lock);
}

/* [any] Nobody has the socket any more. */
void tnng_ready_free(tnng_socket *socket)
{
    tnng_ready *ready = socket->pollfds->ready;

    if (ready != NULL) {
        tnng_wakeup_fd_close(&ready->fd);
        free(ready);
    }
    if (socket->pollfds->send_fd >= 0) {
        close(socket->pollfds->send_fd);
    }
}

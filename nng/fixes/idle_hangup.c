/* S6: many dialers of an ipc or abstract URL whose listener has gone take all descriptors, and each
 * close hangs. nng adds a new socket to its epoll with no events wanted, but epoll always reports a
 * hang-up, and a unix socket without a connection hangs all the time. So each dial that was refused
 * wakes the poll thread again and again until the reaper has freed it; the reaper frees one socket
 * each time that the poll thread has gone through all. With some 700 dialers it frees fewer than
 * are made.
 *
 * Fix: a socket that is added without events is reported once at most (EPOLLONESHOT). nng arms it
 * with EPOLL_CTL_MOD when it wants events, and a hang-up is then reported again.
 *
 * This may go when nng adds sockets so itself. */
#ifdef __linux__
#include <sys/epoll.h>

#include "fixes/fixes.h"

/* [nng] [job] */
int __wrap_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    if (operation == EPOLL_CTL_ADD && event != NULL && event->events == 0 && TNNG_FIX_IS_ON(S6)) {
        event->events = EPOLLONESHOT;
    }
    return epoll_ctl(epoll, operation, fd, event);
}
#endif

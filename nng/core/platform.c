/* Where systems differ: monotonic time, which no step of the wall clock moves, conditions that wait
 * in it, and descriptors that wake a poll. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/eventfd.h>
#endif

#include "core/core.h"

enum { SECOND = 1000000000 };

int64_t tnng_now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t) time.tv_sec * SECOND + time.tv_nsec;
}

void tnng_cond_init(pthread_cond_t *cond)
{
#ifdef __APPLE__
    pthread_cond_init(cond, NULL); /* waits there take how long, not until when */
#else
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attributes);
    pthread_condattr_destroy(&attributes);
#endif
}

bool tnng_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t until)
{
    if (until < 0) {
        pthread_cond_wait(cond, mutex);
        return true;
    }
#ifdef __APPLE__
    int64_t left = until - tnng_now();
    struct timespec time = {left / SECOND, left % SECOND};

    return left > 0 && pthread_cond_timedwait_relative_np(cond, mutex, &time) != ETIMEDOUT;
#else
    struct timespec time = {until / SECOND, until % SECOND};

    return pthread_cond_timedwait(cond, mutex, &time) != ETIMEDOUT;
#endif
}

int tnng_wakeup_fd_open(tnng_wakeup_fd *fd)
{
#ifdef __linux__
    fd->read_fd = fd->write_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return fd->read_fd < 0 ? NNG_ENOFILES : 0;
#else
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) {
        return NNG_ENOFILES;
    }
    for (int i = 0; i < 2; i++) {
        fcntl(ends[i], F_SETFD, FD_CLOEXEC);
        fcntl(ends[i], F_SETFL, O_NONBLOCK);
    }
    fd->read_fd = ends[0];
    fd->write_fd = ends[1];
    return 0;
#endif
}

/* [any] One that is full is readable already, so a failed write is no loss. */
void tnng_wakeup_fd_notify(const tnng_wakeup_fd *fd)
{
    uint64_t one = 1;

    while (fd->write_fd >= 0 && write(fd->write_fd, &one, sizeof(one)) < 0 && errno == EINTR) {
    }
}

/* [any] */
void tnng_wakeup_fd_clear(const tnng_wakeup_fd *fd)
{
    uint64_t drained[8];

    /* An eventfd is empty after one read. */
    while (fd->read_fd >= 0 && read(fd->read_fd, drained, sizeof(drained)) > 0 &&
           fd->read_fd != fd->write_fd) {
    }
}

void tnng_wakeup_fd_close(tnng_wakeup_fd *fd)
{
    if (fd->read_fd >= 0) {
        close(fd->read_fd);
    }
    if (fd->write_fd >= 0 && fd->write_fd != fd->read_fd) {
        close(fd->write_fd);
    }
    fd->read_fd = fd->write_fd = -1;
}

/* Monotonic time: what waits here is not moved by a step of the wall clock. */
#include <errno.h>
#include <time.h>

#include "internal.h"

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

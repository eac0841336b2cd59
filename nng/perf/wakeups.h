/* Fewer wake-ups of nng's task threads; wakeups.c says how. Above core/ and fixes/, below conn/ and
 * sock/: core/ calls tnng_before_wait. */
#ifndef TNNG_WAKEUPS_H
#define TNNG_WAKEUPS_H

#include "core/core.h"

#include "fixes/wrap.h"

/* What is known of a stream of messages through a socket; under the lock of its lane. */
typedef struct {
    int in_a_row;    /* sends, or receives, without a pause before them */
    bool sends;      /* the last was a send, */
    int64_t sent_at; /* at so many nanoseconds of the monotonic clock */
} tnng_stream;

void tnng_wakes_begin(void);
/* How those lock who may owe a wake-up: a lock that is held in calls of nng. */
int tnng_lock(pthread_mutex_t *);
void tnng_wakes_hold(void);
void tnng_wakes_go(void);
void tnng_wakes_may_wait(tnng_stream *, bool sends);
void tnng_wakes_wait(tnng_stream *, bool room);
void tnng_wakes_pay(void);
void tnng_wakes_pay_all(void);

#endif

/* Fewer wake-ups of nng's task threads; wakeups.c says how. Above core/ and fixes/, below conn/ and
 * sock/: core/ calls tnng_before_wait. */
#ifndef TNNG_WAKEUPS_H
#define TNNG_WAKEUPS_H

#include "core/core.h"

#include "fixes/wrap.h"

/* What is known of a stream of messages through a socket; under the lock of its context. */
typedef struct {
    int length;      /* sends, or receives, without a pause before them */
    bool sends;      /* the last was a send, */
    int64_t last_at; /* at so many nanoseconds of the monotonic clock */
} tnng_stream;

void tnng_wakeups_init(void);
/* Locks a mutex that is held in calls of nng; sends suppressed signals before it blocks. */
int tnng_lock(pthread_mutex_t *);
void tnng_wakeups_defer_begin(void);
void tnng_wakeups_defer_end(void);
void tnng_wakeups_stream_begin(tnng_stream *, bool sends);
void tnng_wakeups_stream_end(tnng_stream *, bool room);
void tnng_wakeups_flush(void);
void tnng_wakeups_flush_all(void);

#endif

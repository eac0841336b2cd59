/* Fewer wake-ups of nng's task threads.
 *
 * Theory. nng runs every callback through one queue. An append to the queue signals a condition
 * variable, and one of the task threads wakes. Most of these wake-ups are not needed, or come too
 * early, and on a machine with few processors a wake-up costs more than the callback. libnng's
 * calls of pthread_cond_signal are wrapped here, and some signals are suppressed or deferred:
 *
 * Suppressed: a task thread appends. The thread looks at the queue itself as soon as its callback
 * returns. So a message that is read in two steps is read by one thread. After BUDGET appends
 * without a sleep the thread signals all the same.
 *
 * Deferred to the end of a call: the shim is inside a call of nng. A thread that woke there would
 * block on each lock the call holds. The signal is sent when the call returns.
 *
 * Deferred in a stream: a send on an idle connection wakes a task thread that only marks the
 * connection idle again; a receive from a full queue of nng wakes one that moves the next message
 * into the queue. When a socket sends or receives STREAM_AFTER messages in quick succession, these
 * signals wait: the following messages go to nng's buffer, or come from it, and one wake-up serves
 * many of them, as with the interrupts of a network card. The signal is sent before a call of the
 * program waits, and by the flusher thread after FLUSH_AFTER at the latest. A socket that has no
 * room for a message because of this works without deferral for a while.
 *
 * Liveness: before a thread blocks on a mutex or a condition variable it sends the signals it
 * suppressed or deferred; hence the wraps of pthread_mutex_lock and pthread_cond_wait.
 *
 * Where libnng is a shared library, nothing is wrapped and nothing is suppressed. */
#include <limits.h>
#include <time.h>

#include "perf/wakeups.h"

enum {
    BUDGET = 4,           /* appends of a task thread between two sleeps without a signal */
    STREAM_AFTER = 8,     /* this many sends, or receives, in a row are a stream, */
    STREAM_GAP = 200000,  /* each at most so many nanoseconds after the last, */
    STREAM_BACKOFF = 64,  /* and so many more after one for which there was no room */
    FLUSH_AFTER = 150000, /* nanoseconds; the system adds some 50000 */
};

/* What task threads sleep on; NULL: nothing is suppressed. Its memory lives as long as the process.
 */
static _Atomic(pthread_cond_t *) task_cond;
static _Atomic(pthread_cond_t *) last_signalled; /* the last, by the thread that looks for it */
static _Thread_local bool probing;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static _Thread_local bool is_task_thread;
static _Thread_local int budget;       /* appends left without a signal */
static _Thread_local bool deferring;   /* this thread is in a call of nng, */
static _Thread_local bool in_stream;   /* which is part of a stream; */
static _Thread_local unsigned pending; /* signals suppressed in it */

/* Signals suppressed or deferred since the queue was last empty. It grows, and becomes 0 when a
 * task thread goes to sleep, only with the lock of the queue held. */
static atomic_uint suppressed;
static atomic_bool flush_pending; /* a signal is deferred and no task thread is known to be awake */
static atomic_uint_fast64_t suppressed_total, deferred_total;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t flush_needed = PTHREAD_COND_INITIALIZER;
static atomic_bool flusher_awake; /* written under lock */
static bool flusher_exists;       /* under lock */

/* Sends up to `times` of the suppressed signals; none when the queue has been empty since. */
static void wakeups_signal(unsigned times)
{
    unsigned n = atomic_load(&suppressed);

    while (times > 0 && n > 0) {
        if (atomic_compare_exchange_weak(&suppressed, &n, n - 1)) {
            pthread_cond_signal(atomic_load(&task_cond));
            times--;
        }
    }
}

/* [any] Sends the deferred signal, if there is one. */
void tnng_wakeups_flush(void)
{
    if (atomic_load(&flush_pending) && atomic_exchange(&flush_pending, false)) {
        wakeups_signal(1);
    }
}

/* [any] Called before this thread blocks, other than on the task queue. */
void tnng_wakeups_flush_all(void)
{
    pending = 0;
    wakeups_signal(UINT_MAX);
}

static void *wakeups_flusher(void *unused)
{
    const struct timespec later = {.tv_nsec = FLUSH_AFTER};

    (void) unused;
    for (;;) {
        pthread_mutex_lock(&lock);
        /* A thread that defers writes flush_pending, then reads flusher_awake; this thread writes
         * flusher_awake, then reads flush_pending. So one of the two sees the other. */
        while (atomic_store(&flusher_awake, false), !atomic_load(&flush_pending)) {
            pthread_cond_wait(&flush_needed, &lock);
        }
        atomic_store(&flusher_awake, true);
        pthread_mutex_unlock(&lock);
        nanosleep(&later, NULL);
        tnng_wakeups_flush();
    }
    return NULL;
}

static void wakeups_defer(void)
{
    atomic_fetch_add(&deferred_total, 1);
    atomic_store(&flush_pending, true);
    if (!atomic_load(&flusher_awake)) {
        pthread_mutex_lock(&lock);
        atomic_store(&flusher_awake, true);
        pthread_cond_signal(&flush_needed);
        pthread_mutex_unlock(&lock);
    }
}

/* [any] Every signal of libnng. The lock of the task queue is held for a signal to task threads. */
int __wrap_pthread_cond_signal(pthread_cond_t *condition)
{
    if (condition == atomic_load(&task_cond)) {
        if (is_task_thread && budget > 0) {
            budget--;
            atomic_fetch_add(&suppressed, 1);
            atomic_fetch_add(&suppressed_total, 1);
            return 0;
        }
        if (deferring) {
            pending++;
            atomic_fetch_add(&suppressed, 1);
            return 0;
        }
    } else if (probing) {
        atomic_store(&last_signalled, condition);
    }
    return pthread_cond_signal(condition);
}

/* [any] */
int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    if (condition == atomic_load(&task_cond)) {
        /* The queue is empty and locked: suppressed signals are not needed any more. */
        atomic_store(&suppressed, 0);
        atomic_store(&flush_pending, false);
        is_task_thread = true;
        budget = BUDGET;
    } else if (atomic_load(&suppressed) > 0) {
        tnng_wakeups_flush_all();
    }
    return pthread_cond_wait(condition, mutex);
}

/* [any] Sends suppressed signals before it blocks. libnng locks its mutexes with it, and the shim
 * the lock of a context, which is held in calls of nng. */
int tnng_lock(pthread_mutex_t *mutex)
{
    if (atomic_load_explicit(&suppressed, memory_order_relaxed) > 0) {
        if (pthread_mutex_trylock(mutex) == 0) {
            return 0;
        }
        if (is_task_thread || pending > 0) {
            tnng_wakeups_flush_all();
        }
    }
    return pthread_mutex_lock(mutex);
}

/* [any] */
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex) { return tnng_lock(mutex); }

/* [nng] */
static void wakeups_on_probe(void *unused)
{
    (void) unused;
    atomic_store(&task_cond, atomic_load(&last_signalled));
}

bool tnng_wakeups_enabled(void)
{
    return tnng_wraps("pthread_cond_signal pthread_cond_wait pthread_mutex_lock") &&
           !TNNG_WITHOUT("WAKEUPS");
}

/* Finds the condition variable of the task threads: nng signals it when an aio with a callback
 * ends. */
static void wakeups_find_task_cond(void)
{
    static nng_aio *aio; /* never freed: nng does not say when it has released it */

    tnng_before_wait = tnng_wakeups_flush;
#ifdef TNNG_TESTING
    tnng_before_pause = tnng_wakeups_flush_all;
#endif
    if (tnng_wakeups_enabled() && nng_aio_alloc(&aio, wakeups_on_probe, NULL) == 0 &&
        nng_aio_begin(aio)) {
        probing = true;
        nng_aio_finish(aio, 0);
        probing = false;
    }
}

/* [caller] Called with every socket that is opened, when nng's threads exist. */
void tnng_wakeups_init(void) { pthread_once(&once, wakeups_find_task_cond); }

static bool wakeups_start_flusher(void)
{
    if (atomic_load(&task_cond) == NULL) {
        return false;
    }
    pthread_mutex_lock(&lock);
    if (!flusher_exists) {
        flusher_exists = tnng_thread_start(wakeups_flusher, NULL);
    }
    bool can = flusher_exists;
    pthread_mutex_unlock(&lock);
    return can;
}

/* [any] Around a submit to nng. */
void tnng_wakeups_defer_begin(void) { deferring = true; }

/* [any] */
void tnng_wakeups_defer_end(void)
{
    unsigned wakes = pending;

    deferring = false;
    pending = 0;
    if (wakes > 0 && in_stream) {
        wakeups_defer();
    } else if (wakes > 0) {
        wakeups_signal(wakes);
    }
}

/* [caller] Around a zero-timeout send or receive; NULL: not part of a stream. */
void tnng_wakeups_stream_begin(tnng_stream *stream, bool sends)
{
    if (stream == NULL) {
        return;
    }
    int64_t now = tnng_now();
    if (now - stream->last_at > STREAM_GAP || sends != stream->sends) {
        stream->length = 0;
    } else if (stream->length < STREAM_AFTER && ++stream->length == STREAM_AFTER &&
               !wakeups_start_flusher()) {
        stream->length = 0;
    }
    stream->last_at = now;
    stream->sends = sends;
    in_stream = stream->length == STREAM_AFTER;
}

/* [caller] `room`: nng took the message. */
void tnng_wakeups_stream_end(tnng_stream *stream, bool room)
{
    in_stream = false;
    if (!room && stream != NULL && atomic_load(&flush_pending)) {
        stream->length = -STREAM_BACKOFF;
        tnng_wakeups_flush();
    }
}

uint64_t tnng_wakeups_suppressed(void) { return atomic_load(&suppressed_total); }

uint64_t tnng_wakeups_deferred(void) { return atomic_load(&deferred_total); }

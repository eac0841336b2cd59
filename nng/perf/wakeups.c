/* Fewer wake-ups of nng's task threads. Whatever nng has to call back goes through one queue, and
 * with each entry one of these threads is woken. Most of them come for nothing, or too early, and
 * on a machine with few processors a wake-up costs more than the work. So libnng's own calls of
 * pthread_cond_signal come here, and some wake-ups are left out:
 *
 * Of task threads. A thread that makes an entry comes by the queue itself, as soon as it has done
 * what it is at: a message that is read in two steps is read by one thread, not by two. A thread
 * that has been at it for some entries without a rest calls for help all the same.
 *
 * Of calls. A thread that is woken in the middle of a call of ours runs into the locks the call
 * holds, one after the other. It is woken when the call is over.
 *
 * In a stream. Every send that finds its connection idle makes nng wake a task thread, only to note
 * that the connection is idle again; every receive from a full queue of nng wakes one to put the
 * next message into it. Where messages are sent or taken one by one in quick succession, that
 * wake-up waits: the messages that follow go to nng's buffer, or come from it, and the thread, once
 * awake, does many. A network card does the same with its interrupts. It waits until a call of the
 * program has to wait itself, and for LATER at most: a thread of ours sees to that, which costs one
 * sleep of it every LATER of a stream. A socket that runs out of room for sends because of this (it
 * has no buffer, or a small one) goes on without it for a while.
 *
 * Of the first two nobody can ever wait in vain: a thread that is about to wait, for a lock or for
 * what another thread does, first wakes whom it has not woken. That is why libnng's
 * calls of pthread_mutex_lock and pthread_cond_wait come here too.
 *
 * Where libnng is not linked in, its calls stay as they are, and nothing is left out. */
#include <limits.h>
#include <time.h>

#include "perf/wakeups.h"

enum {
    BUDGET = 4,           /* so many entries a task thread makes between two sleeps without help */
    STREAM_AFTER = 8,     /* this many sends, or receives, in a row are a stream, */
    STREAM_GAP = 200000,  /* each at most so many nanoseconds after the last, */
    STREAM_BACKOFF = 64,  /* and so many more after one for which there was no room */
    FLUSH_AFTER = 150000, /* nanoseconds; the system adds some 50000 */
};

/* What task threads sleep on, or NULL: nothing is left out. It is there as long as the process. */
static _Atomic(pthread_cond_t *) task_cond;
static _Atomic(pthread_cond_t *) last_signalled; /* the last, by the thread that looks for it */
static _Thread_local bool probing;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static _Thread_local bool is_task_thread;
static _Thread_local int budget;       /* entries it may still make without help */
static _Thread_local bool deferring;   /* this thread is in a call of nng, */
static _Thread_local bool in_stream;   /* which is part of a stream; */
static _Thread_local unsigned pending; /* wake-ups left out in it */

/* Wake-ups left out since the queue was last seen empty. It grows, and becomes 0 when a task thread
 * goes to sleep, only with the lock of the queue held. */
static atomic_uint suppressed;
static atomic_bool flush_pending; /* and no task thread is known to be awake */
static atomic_uint_fast64_t suppressed_total, deferred_total;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t flush_needed = PTHREAD_COND_INITIALIZER;
static atomic_bool flusher_awake; /* the thread that pays; written under lock */
static bool flusher_exists;       /* under lock */

/* Makes up for some of the wake-ups that were left out, unless they need not be any more. */
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

/* [any] Wakes somebody if nobody is known to come. */
void tnng_wakeups_flush(void)
{
    if (atomic_load(&flush_pending) && atomic_exchange(&flush_pending, false)) {
        wakeups_signal(1);
    }
}

/* [any] Before this thread waits, other than for work. */
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
        /* Who owes writes `nobody_comes`, then looks at `awake`; here it is the other way round. */
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

/* [any] All signals of libnng; those to task threads come with the lock of their queue held. */
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
        /* The queue is empty, and locked: whoever was not woken need not be any more. */
        atomic_store(&suppressed, 0);
        atomic_store(&flush_pending, false);
        is_task_thread = true;
        budget = BUDGET;
    } else if (atomic_load(&suppressed) > 0) {
        tnng_wakeups_flush_all();
    }
    return pthread_cond_wait(condition, mutex);
}

/* [any] How those lock who may owe a wake-up: libnng always, and whoever locks a context, because
 * that lock is held in calls of nng. */
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

/* What is signalled when an aio with a callback ends is what task threads sleep on. */
static void wakeups_find_task_cond(void)
{
    static nng_aio *aio; /* for ever: when nng has let go of it is not worth to be known */

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

/* [caller] When nng is there: with every socket that is opened. */
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

/* [any] Before a message or a receive is given to nng, */
void tnng_wakeups_defer_begin(void) { deferring = true; }

/* [any] and after that. */
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

/* [caller] Before a message is sent or received at once or not at all; NULL: not in a stream. */
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

/* [caller] After that; was there room for what was sent? */
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

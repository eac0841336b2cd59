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
    ALONE = 4,      /* so many entries a task thread makes between two sleeps without help */
    RAPID = 8,      /* this many sends, or receives, in a row are a stream, */
    APART = 200000, /* each at most so many nanoseconds after the last, */
    SETBACK = 64,   /* and so many more after one for which there was no room */
    LATER = 150000, /* nanoseconds; the system adds some 50000 */
};

/* What task threads sleep on, or NULL: nothing is left out. It is there as long as the process. */
static _Atomic(pthread_cond_t *) work;
static _Atomic(pthread_cond_t *) signalled; /* the last, by the thread that looks for it */
static _Thread_local bool looking;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static _Thread_local bool is_task_thread;
static _Thread_local int alone;     /* entries it may still make without help */
static _Thread_local bool submitting; /* this thread is in a call of nng, */
static _Thread_local bool in_stream;  /* which is part of a stream; */
static _Thread_local unsigned held;   /* wake-ups left out in it */

/* Wake-ups left out since the queue was last seen empty. It grows, and becomes 0 when a task thread
 * goes to sleep, only with the lock of the queue held. */
static atomic_uint left_out;
static atomic_bool nobody_comes; /* and no task thread is known to be awake */
static atomic_uint_fast64_t left_out_ever, kept_back_ever;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t debt = PTHREAD_COND_INITIALIZER;
static atomic_bool awake;  /* the thread that pays; written under lock */
static bool thread_exists; /* under lock */

/* Makes up for some of the wake-ups that were left out, unless they need not be any more. */
static void wake(unsigned times)
{
    unsigned n = atomic_load(&left_out);

    while (times > 0 && n > 0) {
        if (atomic_compare_exchange_weak(&left_out, &n, n - 1)) {
            pthread_cond_signal(atomic_load(&work));
            times--;
        }
    }
}

/* [any] Wakes somebody if nobody is known to come. */
void tnng_wakes_pay(void)
{
    if (atomic_load(&nobody_comes) && atomic_exchange(&nobody_comes, false)) {
        wake(1);
    }
}

/* [any] Before this thread waits, other than for work. */
void tnng_wakes_pay_all(void)
{
    held = 0;
    wake(UINT_MAX);
}

static void *pay_later(void *unused)
{
    const struct timespec later = {.tv_nsec = LATER};

    (void) unused;
    for (;;) {
        pthread_mutex_lock(&lock);
        /* Who owes writes `nobody_comes`, then looks at `awake`; here it is the other way round. */
        while (atomic_store(&awake, false), !atomic_load(&nobody_comes)) {
            pthread_cond_wait(&debt, &lock);
        }
        atomic_store(&awake, true);
        pthread_mutex_unlock(&lock);
        nanosleep(&later, NULL);
        tnng_wakes_pay();
    }
    return NULL;
}

static void keep_back(void)
{
    atomic_fetch_add(&kept_back_ever, 1);
    atomic_store(&nobody_comes, true);
    if (!atomic_load(&awake)) {
        pthread_mutex_lock(&lock);
        atomic_store(&awake, true);
        pthread_cond_signal(&debt);
        pthread_mutex_unlock(&lock);
    }
}

/* [any] All signals of libnng; those to task threads come with the lock of their queue held. */
int __wrap_pthread_cond_signal(pthread_cond_t *condition)
{
    if (condition == atomic_load(&work)) {
        if (is_task_thread && alone > 0) {
            alone--;
            atomic_fetch_add(&left_out, 1);
            atomic_fetch_add(&left_out_ever, 1);
            return 0;
        }
        if (submitting) {
            held++;
            atomic_fetch_add(&left_out, 1);
            return 0;
        }
    } else if (looking) {
        atomic_store(&signalled, condition);
    }
    return pthread_cond_signal(condition);
}

/* [any] */
int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    if (condition == atomic_load(&work)) {
        /* The queue is empty, and locked: whoever was not woken need not be any more. */
        atomic_store(&left_out, 0);
        atomic_store(&nobody_comes, false);
        is_task_thread = true;
        alone = ALONE;
    } else if (atomic_load(&left_out) > 0) {
        tnng_wakes_pay_all();
    }
    return pthread_cond_wait(condition, mutex);
}

/* [any] How those lock who may owe a wake-up: libnng always, and whoever locks a lane, because that
 * lock is held in calls of nng. */
int tnng_lock(pthread_mutex_t *mutex)
{
    if (atomic_load_explicit(&left_out, memory_order_relaxed) > 0) {
        if (pthread_mutex_trylock(mutex) == 0) {
            return 0;
        }
        if (is_task_thread || held > 0) {
            tnng_wakes_pay_all();
        }
    }
    return pthread_mutex_lock(mutex);
}

/* [any] */
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex) { return tnng_lock(mutex); }

/* [nng] */
static void begin(void *unused)
{
    (void) unused;
    atomic_store(&work, atomic_load(&signalled));
}

bool tnng_wakes_exist(void)
{
    return tnng_wraps("pthread_cond_signal pthread_cond_wait pthread_mutex_lock") &&
           !TNNG_WITHOUT("WAKES");
}

/* What is signalled when an aio with a callback ends is what task threads sleep on. */
static void look_for_work(void)
{
    static nng_aio *aio; /* for ever: when nng has let go of it is not worth to be known */

    tnng_before_wait = tnng_wakes_pay;
#ifdef TNNG_TESTING
    tnng_before_pause = tnng_wakes_pay_all;
#endif
    if (tnng_wakes_exist() && nng_aio_alloc(&aio, begin, NULL) == 0 &&
        nng_aio_begin(aio)) {
        looking = true;
        nng_aio_finish(aio, 0);
        looking = false;
    }
}

/* [caller] When nng is there: with every socket that is opened. */
void tnng_wakes_begin(void) { pthread_once(&once, look_for_work); }

static bool can_wait(void)
{
    if (atomic_load(&work) == NULL) {
        return false;
    }
    pthread_mutex_lock(&lock);
    if (!thread_exists) {
        thread_exists = tnng_run_thread(pay_later, NULL);
    }
    bool can = thread_exists;
    pthread_mutex_unlock(&lock);
    return can;
}

/* [any] Before a message or a receive is given to nng, */
void tnng_wakes_hold(void) { submitting = true; }

/* [any] and after that. */
void tnng_wakes_go(void)
{
    unsigned wakes = held;

    submitting = false;
    held = 0;
    if (wakes > 0 && in_stream) {
        keep_back();
    } else if (wakes > 0) {
        wake(wakes);
    }
}

/* [caller] Before a message is sent or received at once or not at all; NULL: not in a stream. */
void tnng_wakes_may_wait(tnng_stream *stream, bool sends)
{
    if (stream == NULL) {
        return;
    }
    int64_t now = tnng_now();
    if (now - stream->sent_at > APART || sends != stream->sends) {
        stream->in_a_row = 0;
    } else if (stream->in_a_row < RAPID && ++stream->in_a_row == RAPID && !can_wait()) {
        stream->in_a_row = 0;
    }
    stream->sent_at = now;
    stream->sends = sends;
    in_stream = stream->in_a_row == RAPID;
}

/* [caller] After that; was there room for what was sent? */
void tnng_wakes_wait(tnng_stream *stream, bool room)
{
    in_stream = false;
    if (!room && stream != NULL && atomic_load(&nobody_comes)) {
        stream->in_a_row = -SETBACK;
        tnng_wakes_pay();
    }
}

uint64_t tnng_wakes_left_out(void) { return atomic_load(&left_out_ever); }

uint64_t tnng_wakes_kept_back(void) { return atomic_load(&kept_back_ever); }

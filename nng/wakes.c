/* Fewer wake-ups in a stream. Every send that finds its connection idle makes nng wake one of its
 * task threads, only to note that the connection is idle again; every receive from a full queue of
 * nng wakes one to put the next message into it. Where messages are sent or taken one by one in
 * quick succession, these wake-ups cost more than all the rest. So libnng's own import of
 * pthread_cond_signal leads here, and in such a stream the wake-up waits a little: the messages
 * that follow go to nng's buffer, or come from it, and the thread, once awake, does many. A network
 * card does the same with its interrupts.
 *
 * A wake-up waits until a call has to wait itself, and for LATER at most: a thread of ours sees to
 * that, so a program that sends and then computes delays nobody for longer. What it costs is one
 * sleep of that thread every LATER of a stream. A socket that runs out of room for sends because of
 * this (it has no buffer, or a small one) goes on without it for a while.
 *
 * Where imports cannot be led elsewhere, everything is as it was. */
#include <time.h>

#include "imports.h"

enum {
    RAPID = 8,      /* this many sends or receives in a row are a stream, */
    APART = 200000, /* each at most so many nanoseconds after the last, */
    SETBACK = 64,   /* and so many more after one for which there was no room */
    LATER = 150000, /* nanoseconds; the system adds some 50000 */
};

static int signal_now_or_later(pthread_cond_t *);
static tnng_import import = {
    .symbol = "pthread_cond_signal",
    .ours = (tnng_function) signal_now_or_later,
};

static _Thread_local bool in_stream;   /* what this thread does just now is part of a stream */
static _Atomic(pthread_cond_t *) owed; /* nng's are there for as long as the process */
static atomic_uint_fast64_t kept_back;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t debt = PTHREAD_COND_INITIALIZER;
static atomic_bool awake;  /* the thread that pays; written under lock */
static bool thread_exists; /* under lock */

/* [any] Wakes whoever has not been woken yet. */
void tnng_wakes_pay(void)
{
    if (atomic_load(&owed) != NULL) {
        pthread_cond_t *condition = atomic_exchange(&owed, NULL);
        if (condition != NULL) {
            pthread_cond_signal(condition);
        }
    }
}

static void *pay_later(void *unused)
{
    const struct timespec later = {.tv_nsec = LATER};

    (void) unused;
    for (;;) {
        pthread_mutex_lock(&lock);
        /* Who owes writes `owed` and then looks at `awake`; here it is the other way round. */
        while (atomic_store(&awake, false), atomic_load(&owed) == NULL) {
            pthread_cond_wait(&debt, &lock);
        }
        atomic_store(&awake, true);
        pthread_mutex_unlock(&lock);
        nanosleep(&later, NULL);
        tnng_wakes_pay();
    }
    return NULL;
}

/* [any] All signals of libnng, most of them with a lock of nng held. */
static int signal_now_or_later(pthread_cond_t *condition)
{
    pthread_cond_t *before;

    if (!in_stream) {
        return pthread_cond_signal(condition);
    }
    before = atomic_exchange(&owed, condition);
    if (before != NULL && before != condition) {
        pthread_cond_signal(before);
    }
    atomic_fetch_add(&kept_back, 1);
    if (!atomic_load(&awake)) {
        pthread_mutex_lock(&lock);
        atomic_store(&awake, true);
        pthread_cond_signal(&debt);
        pthread_mutex_unlock(&lock);
    }
    return 0;
}

static bool can_wait(void)
{
    pthread_mutex_lock(&lock);
    bool can = !TNNG_WITHOUT("WAKES") && tnng_import_leads(&import);
    if (can && !thread_exists) {
        can = thread_exists = tnng_run_thread(pay_later, NULL);
    }
    pthread_mutex_unlock(&lock);
    return can;
}

/* [caller] lane->lock held. Before a message is sent or received at once or not at all. */
void tnng_wakes_may_wait(tnng_lane *lane)
{
    tnng_socket *socket = lane->socket;
    struct timespec time;

    if (lane->is_context) {
        return;
    }
    clock_gettime(CLOCK_MONOTONIC, &time);
    int64_t now = time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
    if (now - socket->sent_at > APART) {
        socket->in_a_row = 0;
    } else if (socket->in_a_row < RAPID && ++socket->in_a_row == RAPID && !can_wait()) {
        socket->in_a_row = 0;
    }
    socket->sent_at = now;
    in_stream = socket->in_a_row == RAPID;
}

/* [caller] lane->lock held. After that; was there room for what was sent? */
void tnng_wakes_wait(tnng_lane *lane, bool room)
{
    in_stream = false;
    if (!room && !lane->is_context && atomic_load(&owed) != NULL) {
        lane->socket->in_a_row = -SETBACK;
        tnng_wakes_pay();
    }
}

uint64_t tnng_wakes_kept_back(void) { return atomic_load(&kept_back); }

/* Where libnng is a library of its own, what comes of attempts in the background is visible in its
 * statistics alone. A thread looks at those, only while the first attempt of a dialer is undecided,
 * once for all such dialers, and less and less often. Where libnng is linked in there is no such
 * thread: fixes/causes.c hears of every attempt, and of its cause. */
#include <string.h>
#include <time.h>

#include "conn/conn.h"

enum { FIRST_PAUSE = 20, LONGEST_PAUSE = 500 /* milliseconds */ };

static pthread_mutex_t watch_lock = PTHREAD_MUTEX_INITIALIZER; /* a leaf */
static bool watching, restarted;
static const tnng_dial_watcher *watcher;

static const char *const names[TNNG_DIAL_COUNTERS] = {
    "refused", "timeout", "proto", "auth", "oom", "disconnect", "other"};

static void dial_watch_read_dialer(nng_stat *dialer)
{
    uint32_t id = 0;
    tnng_dial_counts counts = {0};

    for (nng_stat *each = nng_stat_child(dialer); each != NULL; each = nng_stat_next(each)) {
        const char *name = nng_stat_name(each);
        if (strcmp(name, "id") == 0) {
            id = (uint32_t) nng_stat_value(each);
        }
        for (int i = 0; i < TNNG_DIAL_COUNTERS; i++) {
            if (strcmp(name, names[i]) == 0) {
                counts.of[i] = nng_stat_value(each);
            }
        }
    }
    watcher->update_counts(id, &counts);
}

static void dial_watch_read_all(void)
{
    nng_stat *all;

    if (nng_stats_get(&all) != 0) {
        return;
    }
    for (nng_stat *each = nng_stat_child(all); each != NULL; each = nng_stat_next(each)) {
        if (strcmp(nng_stat_name(each), "dialer") == 0) {
            dial_watch_read_dialer(each);
        }
    }
    nng_stats_free(all);
}

static void *dial_watch_run(void *arg)
{
    int pause = FIRST_PAUSE;
    bool goes_on = true;

    (void) arg;
    while (goes_on) {
        nanosleep(&(struct timespec){.tv_nsec = pause * 1000000L}, NULL);
        if (watcher->undecided() > 0) {
            dial_watch_read_all();
        }
        pause = pause * 2 < LONGEST_PAUSE ? pause * 2 : LONGEST_PAUSE;
        bool none = watcher->undecided() == 0;
        pthread_mutex_lock(&watch_lock);
        if (restarted) {
            pause = FIRST_PAUSE;
        }
        goes_on = watching = restarted || !none;
        restarted = false;
        pthread_mutex_unlock(&watch_lock);
    }
    return NULL;
}

/* [any] Under any lock of ours: one more is awaited. */
void tnng_dial_watch_start(const tnng_dial_watcher *of)
{
    if (tnng_causes_are_known()) {
        return;
    }
    pthread_mutex_lock(&watch_lock);
    restarted = true;
    watcher = of;
    if (!watching) {
        watching = tnng_thread_start(dial_watch_run, NULL);
    }
    pthread_mutex_unlock(&watch_lock);
}

/* Making threads, and finding out beforehand whether they can be made. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

#include "core/core.h"

/* [any] Signals stay with the threads of the program. */
bool tnng_thread_start(void *(*body)(void *), void *arg)
{
    pthread_t thread;
    sigset_t all, before;

    if (TNNG_SIMULATE("NOTHREAD")) {
        return false;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&thread, NULL, body, arg) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started) {
        pthread_detach(thread);
    }
    return started;
}

void tnng_thread_set_name(const char *name)
{
#if defined(__linux__)
    pthread_setname_np(pthread_self(), name);
#elif defined(__APPLE__)
    pthread_setname_np(name);
#else
    (void) name;
#endif
}

typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool over;
} gate;

typedef struct {
    pthread_t thread;
    gate *gate;
    long number;
} trial;

static void *threads_wait_at_gate(void *arg)
{
    trial *self = arg;

#ifdef __linux__
    self->number = syscall(SYS_gettid);
#endif
    pthread_mutex_lock(&self->gate->lock);
    while (!self->gate->over) {
        pthread_cond_wait(&self->gate->changed, &self->gate->lock);
    }
    pthread_mutex_unlock(&self->gate->lock);
    return NULL;
}

/* A thread that was joined still counts against the limits for a moment. */
static void threads_wait_until_gone(long number)
{
#ifdef __linux__
    for (int i = 0; i < 10000 && syscall(SYS_tgkill, getpid(), number, 0) == 0; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
    }
#else
    (void) number;
#endif
}

/* [caller] Whether so many threads can be made at once. nng does not survive to be refused one. */
bool tnng_threads_available(int wanted)
{
    gate gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
    trial *trials = calloc((size_t) wanted, sizeof(*trials));
    sigset_t all, before;
    int made = 0;

    if (trials == NULL || TNNG_SIMULATE("NOTHREAD")) {
        free(trials);
        return false;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (made < wanted) {
        trials[made].gate = &gate;
        if (pthread_create(&trials[made].thread, NULL, threads_wait_at_gate, &trials[made]) != 0) {
            break;
        }
        made++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_mutex_lock(&gate.lock);
    gate.over = true;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
    for (int i = 0; i < made; i++) {
        pthread_join(trials[i].thread, NULL);
        threads_wait_until_gone(trials[i].number);
    }
    free(trials);
    return made == wanted;
}

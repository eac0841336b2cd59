/* The test build: pause points, where a thread waits until a test releases it; switches that turn
 * fixes off; and allocations that fail. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <pthread.h>
#include <stdatomic.h>

#include <nng/nng.h>

#include "testing/testing.h"

#ifdef TNNG_TESTING

enum { MAX_POINTS = 32 };

static struct {
    const char *name;
    bool armed;
    int waiting;
} points[MAX_POINTS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

void (*tnng_before_pause)(void);

bool tnng_testing(void) { return true; }

static int pause_find(const char *name)
{
    int i = 0;
    while (i < MAX_POINTS - 1 && points[i].name != NULL && strcmp(points[i].name, name) != 0) {
        i++;
    }
    if (points[i].name == NULL) {
        points[i].name = strdup(name);
    }
    return i;
}

/* [any] The thread waits while the point is armed. */
void tnng_pause(const char *point)
{
    pthread_mutex_lock(&lock);
    int i = pause_find(point);
    points[i].waiting++;
    pthread_cond_broadcast(&changed);
    if (points[i].armed && tnng_before_pause != NULL) {
        tnng_before_pause();
    }
    while (points[i].armed) {
        pthread_cond_wait(&changed, &lock);
    }
    points[i].waiting--;
    pthread_mutex_unlock(&lock);
}

int tnng_pause_arm(const char *point)
{
    pthread_mutex_lock(&lock);
    points[pause_find(point)].armed = true;
    pthread_mutex_unlock(&lock);
    return 0;
}

/* [caller] 0 once a thread waits at the armed point. */
int tnng_pause_reached(const char *point, int milliseconds)
{
    pthread_mutex_lock(&lock);
    int i = pause_find(point);
    while (points[i].waiting == 0 && milliseconds-- > 0) {
        pthread_mutex_unlock(&lock);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        pthread_mutex_lock(&lock);
    }
    bool reached = points[i].waiting > 0;
    pthread_mutex_unlock(&lock);
    return reached ? 0 : NNG_ETIMEDOUT;
}

void tnng_pause_open(const char *point)
{
    pthread_mutex_lock(&lock);
    points[pause_find(point)].armed = false;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static atomic_int until_failure; /* allocations left before the one that fails; 0: none fails */
static _Atomic(const char *) failed_file;
static atomic_int failed_line;

void tnng_fail_allocation(int number)
{
    atomic_store(&failed_file, NULL);
    atomic_store(&until_failure, number);
}

const char *tnng_allocation_failed(int *line)
{
    *line = atomic_load(&failed_line);
    return atomic_load(&failed_file);
}

/* [any] */
bool tnng_allocation_fails(const char *file, int line)
{
    if (atomic_load(&until_failure) <= 0 || atomic_fetch_sub(&until_failure, 1) != 1) {
        return false;
    }
    atomic_store(&failed_line, line);
    atomic_store(&failed_file, file);
    return true;
}

static bool pause_listed(const char *variable, const char *word)
{
    const char *list = getenv(variable);
    size_t length = strlen(word);

    while (list != NULL && *list != '\0') {
        const char *end = strchr(list, ',');
        size_t size = end == NULL ? strlen(list) : (size_t) (end - list);
        if (size == length && memcmp(list, word, length) == 0) {
            return true;
        }
        list = end == NULL ? NULL : end + 1;
    }
    return false;
}

bool tnng_without(const char *hazard) { return pause_listed("TNNG_WITHOUT", hazard); }

bool tnng_simulate(const char *hazard) { return pause_listed("TNNG_SIMULATE", hazard); }

#else

bool tnng_testing(void) { return false; }

int tnng_pause_arm(const char *point)
{
    (void) point;
    return NNG_ENOTSUP;
}

int tnng_pause_reached(const char *point, int milliseconds)
{
    (void) point;
    (void) milliseconds;
    return NNG_ENOTSUP;
}

void tnng_pause_open(const char *point) { (void) point; }

void tnng_fail_allocation(int number) { (void) number; }

const char *tnng_allocation_failed(int *line)
{
    *line = 0;
    return NULL;
}

#endif

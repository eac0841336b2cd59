/* The test build: whether a stop of an aio waits for the operation that is under way (N1). */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include <nng/nng.h>

#include "testing/testing.h"

#ifdef TNNG_TESTING

static atomic_bool stopped;

static void aio_stop_on_end(void *unused) { (void) unused; }

static void *aio_stop_stop(void *aio)
{
    nng_aio_stop(aio);
    atomic_store(&stopped, true);
    return NULL;
}

/* [caller] */
bool tnng_stop_waits(void)
{
    const struct timespec while_it_stops = {.tv_nsec = 100000000};
    nng_aio *aio;
    pthread_t thread;
    bool waits = false;

    atomic_store(&stopped, false);
    if (nng_aio_alloc(&aio, aio_stop_on_end, NULL) != 0) {
        return false;
    }
    nng_aio_begin(aio);
    bool started = pthread_create(&thread, NULL, aio_stop_stop, aio) == 0;
    if (started) {
        nanosleep(&while_it_stops, NULL);
        waits = !atomic_load(&stopped);
    }
    nng_aio_finish(aio, 0);
    if (started) {
        pthread_join(thread, NULL);
    }
    nng_aio_free(aio);
    return waits;
}

#else

bool tnng_stop_waits(void) { return true; }

#endif

/* The test build: pause points, hazards without their fixes, allocations that fail. In the
 * shipped build all of it compiles to nothing. The lowest layer. */
#ifndef TNNG_TESTING_H
#define TNNG_TESTING_H

#include <stdbool.h>
#include <stdint.h>

#include "api/testing.h"

/* cancel_counts.c: one more cancel that landed here */
void tnng_count_cancel_pending(void);
void tnng_count_cancel_completed(void);

#ifdef TNNG_TESTING
extern void (*tnng_before_pause)(void); /* or NULL; called before a thread waits at a point */
void tnng_pause(const char *point);
bool tnng_without(const char *hazard);
bool tnng_simulate(const char *hazard);
#define TNNG_PAUSE(point)     tnng_pause(point)
#define TNNG_WITHOUT(hazard)  tnng_without(hazard)
#define TNNG_SIMULATE(hazard) tnng_simulate(hazard)

/* Every allocation of the shim can be made to fail, every thread, wake-up descriptor and socket.
 * The headers come first: what they declare must not be replaced. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#ifdef __linux__
#include <sys/eventfd.h>
#endif
bool tnng_allocation_fails(const char *file, int line);
#define FAILS                        tnng_allocation_fails(__FILE__, __LINE__)
#define calloc(count, size)          (FAILS ? NULL : calloc(count, size))
#define malloc(size)                 (FAILS ? NULL : malloc(size))
#define strdup(text)                 (FAILS ? NULL : strdup(text))
#define nng_aio_alloc(a, f, x)       (FAILS ? NNG_ENOMEM : nng_aio_alloc(a, f, x))
#define nng_msg_alloc(m, size)       (FAILS ? NNG_ENOMEM : nng_msg_alloc(m, size))
#define nng_msg_dup(m, from)         (FAILS ? NNG_ENOMEM : nng_msg_dup(m, from))
#define nng_ctx_open(c, socket)      (FAILS ? NNG_ENOMEM : nng_ctx_open(c, socket))
#define nng_stats_get(root)          (FAILS ? NNG_ENOMEM : nng_stats_get(root))
#define pthread_create(t, a, f, x)   (FAILS ? EAGAIN : pthread_create(t, a, f, x))
#define eventfd(value, flags)        (FAILS ? (errno = EMFILE, -1) : eventfd(value, flags))
#define socket(family, type, number) (FAILS ? (errno = EMFILE, -1) : socket(family, type, number))
#define socketpair(f, type, n, ends) (FAILS ? (errno = EMFILE, -1) : socketpair(f, type, n, ends))
#else
#define TNNG_PAUSE(point)     ((void) 0)
#define TNNG_WITHOUT(hazard)  false
#define TNNG_SIMULATE(hazard) false
#endif

#endif

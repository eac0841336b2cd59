/* The one place that decides what the nng at hand has. Version numbers do not help: 1.9.0 and
 * 1.12.0 report the version before them. Each 1.x up to 1.10 brought a function; the build looks
 * for it in the archive that is linked in, and the loader in a library that is not.
 *
 * No other file compares versions or asks for a macro of nng's. */
#ifndef TNNG_COMPAT_H
#define TNNG_COMPAT_H

#include <stdbool.h>

/* [any] Whether libnng is 1.`minor` or later. From 1.10 on nothing tells versions apart. */
bool tnng_nng_is(int minor);

/* [any] Whether a stop of an aio may return before its callback has run (N1, nng issue 2208): from
 * 1.9 to 1.12.0, as far as the version that libnng reports tells. */
bool tnng_stop_is_early(void);

/* [any] Whether an abort rewrites the result of an aio that is finished (L7, N2): from 1.12.0 on,
 * which reports 1.11.0. */
bool tnng_abort_rewrites(void);

/* [any] How many threads nng makes when it is first used. */
int tnng_threads_needed(void);

/* [any] The file that the loader found libnng in; NULL when libnng is linked in. */
const char *tnng_nng_file(void);

#endif

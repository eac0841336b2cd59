/* How libnng's own calls of a function reach a wrapper (hook) of the shim. Some errors of nng can
 * be fixed only at the calls that nng itself makes.
 *
 * Define `__wrap_NAME` in a file of nng/fixes/ (or nng/perf/), with the type of NAME. build_ffi.py
 * collects these definitions, and the linker redirects the calls that libnng makes (`ld -r
 * --wrap=NAME`). The redirection exists in the object of libnng alone: everywhere else, in the
 * wrapper too, NAME is the original. It reaches calls between two object files of libnng.a and
 * calls of libc; a function that one file of libnng both defines and calls cannot be wrapped.
 *
 * Where libnng is a library of its own (TRIONNG_LINK=shared) nothing is redirected, the wrappers
 * are compiled and never called, and tnng_wraps() says so. Everything must work then, but for the
 * error that the fix is for. */
#ifndef TNNG_WRAP_H
#define TNNG_WRAP_H

#include <stdbool.h>

/* [any] True when libnng calls the wrappers of all these functions, which single spaces separate.
 */
bool tnng_wraps(const char *names);

/* [any] Whether the libnng that is linked in calls none of these functions, and defines none. */
bool tnng_never_called(const char *names);

/* From the build: "static" or "shared"; the names that are wrapped, and those that could be and
 * that libnng does not know, each between spaces; the file of libnng, and the version of its
 * headers; which functions of compat.c an archive has. */
extern const char tnng_build_link[];
extern const char tnng_build_wraps[];
extern const char tnng_build_uncalled[];
extern const char tnng_build_library[];
extern const char tnng_build_version[];
extern const char tnng_build_functions[];

#endif

/* What the linker has redirected, and what libnng's object needs of the shim because of where it
 * was moved to. */
#include <stdio.h>
#include <string.h>

#include "fixes/fixes.h"

/* Whether all `names`, separated by single spaces, are in a list. */
static bool wrap_lists(const char *list, const char *names)
{
    char wanted[128]; /* a name between spaces */

    while (*names != '\0') {
        size_t length = strcspn(names, " ");
        if (length + 3 > sizeof(wanted)) {
            return false;
        }
        snprintf(wanted, sizeof(wanted), " %.*s ", (int) length, names);
        if (strstr(list, wanted) == NULL) {
            return false;
        }
        names += length + (names[length] == ' ');
    }
    return true;
}

bool tnng_wraps(const char *names) { return wrap_lists(tnng_build_wraps, names); }

bool tnng_never_called(const char *names) { return wrap_lists(tnng_build_uncalled, names); }

#ifdef TNNG_LINKED_IN

/* libnng's object refers to these for stdout and stderr: its code, compiled for executables, may
 * only refer to variables of the same module. */
FILE *tnng_stdout, *tnng_stderr;

__attribute__((constructor)) static void wrap_open_streams(void)
{
    tnng_stdout = stdout;
    tnng_stderr = stderr;
}

#endif

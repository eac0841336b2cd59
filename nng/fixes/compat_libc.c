/* Functions of libc that a newer libnng calls and an older libc lacks. The build renames these
 * calls in the object of libnng, so that a wheel runs where the C library is older than the one it
 * was built with. The conversions differ from the older functions in "0b" prefixes only, which nng
 * never uses. */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef TNNG_LINKED_IN

#if defined(__linux__)
#include <sys/random.h>
#endif

long tnng_strtol(const char *text, char **end, int base) { return strtol(text, end, base); }

unsigned long long tnng_strtoull(const char *text, char **end, int base)
{
    return strtoull(text, end, base);
}

size_t tnng_strlcpy(char *copy, const char *text, size_t room)
{
    size_t length = strlen(text);

    if (room > 0) {
        size_t count = length < room ? length : room - 1;
        memcpy(copy, text, count);
        copy[count] = '\0';
    }
    return length;
}

#if defined(__linux__)

uint32_t tnng_arc4random(void)
{
    uint32_t number;

    /* Four bytes come whole, or not at all before the system has gathered entropy. */
    while (getrandom(&number, sizeof(number), 0) != (ssize_t) sizeof(number)) {
    }
    return number;
}

#endif

#endif

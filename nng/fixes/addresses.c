/* M7: nng connects to the first address of a name only, at each attempt. Where `localhost` resolves
 * to ::1 and 127.0.0.1, a listener on 127.0.0.1 is never reached.
 *
 * Fix: each attempt of a dialer gets the addresses in an order that starts with the next one; nng
 * takes the first. nni_resolv_ip knows the dialer by its aio; getaddrinfo, which a resolver thread
 * calls later, knows the addresses. The number of the attempt travels from one to the other behind
 * the name, after a character that no name contains. A dial that a caller waits for
 * (conn/dial_attempts.c) selects the address.
 *
 * This may go when nng tries all addresses of a name. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <netdb.h>
#include <sys/socket.h>

#include "fixes/fixes.h"

#define MARK '\x1f'

enum { DIALERS = 256, NAME_SIZE = 300 };

/* The number of the last attempt of a dialer. Two that share a place go on where the other one is:
 * each still gets all addresses in turn. */
static struct {
    _Atomic(const void *) aio;
    atomic_uint attempt;
} last[DIALERS];

/* What the dial of this thread wants; -1: nothing. */
static _Thread_local int selected = -1;

void tnng_addresses_select(int which) { selected = which; }

static size_t addresses_place_of(const void *aio) { return ((uintptr_t) aio >> 4) % DIALERS; }

/* [any] An aio is new. */
void tnng_addresses_aio_made(const nng_aio *aio)
{
    if (atomic_load(&last[addresses_place_of(aio)].aio) == aio) {
        atomic_store(&last[addresses_place_of(aio)].aio, NULL);
    }
}

/* In the test build `localhost` may have one more address, which comes first. */
static int addresses_look_up(
    const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **found)
{
    int code = getaddrinfo(host, port, hints, found);

    if (TNNG_SIMULATE("TWO_ADDRESSES") && code == 0 && !(hints->ai_flags & AI_PASSIVE) &&
        host != NULL && strcmp(host, "localhost") == 0) {
        struct addrinfo *other = *found;
        code = getaddrinfo("127.0.0.2", port, hints, found);
        if (code == 0) {
            (*found)->ai_next = other;
        }
    }
    return code;
}

/* How many addresses a name has. */
static int addresses_count_of(const struct addrinfo *first)
{
    int count = 0;

    for (; first != NULL; first = first->ai_next) {
        count++;
    }
    return count;
}

/* [job] The number of addresses that a dialer has to choose from; 1 if it is not known. */
int tnng_addresses_count(uint32_t dialer)
{
    struct addrinfo hints = {.ai_flags = AI_ADDRCONFIG, .ai_socktype = SOCK_STREAM}, *found;
    int count = 1;
    nng_url *url;
    char *text;

    if (!TNNG_FIX_IS_ON(M7) ||
        nng_dialer_get_string((nng_dialer){dialer}, NNG_OPT_URL, &text) != 0) {
        return 1;
    }
    if (nng_url_parse(&url, text) == 0) {
        hints.ai_family = strchr(url->u_scheme, '4') != NULL   ? AF_INET
                          : strchr(url->u_scheme, '6') != NULL ? AF_INET6
                                                               : AF_UNSPEC;
        if (addresses_look_up(url->u_hostname, url->u_port, &hints, &found) == 0) {
            count = addresses_count_of(found);
            freeaddrinfo(found);
        }
        nng_url_free(url);
    }
    nng_strfree(text);
    return count;
}

/* [nng] A thread of the resolver. */
int __wrap_getaddrinfo(
    const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **found)
{
    const char *mark = host == NULL ? NULL : strchr(host, MARK);
    char name[NAME_SIZE];

    if (mark == NULL) {
        return addresses_look_up(host, port, hints, found);
    }
    snprintf(name, sizeof(name), "%.*s", (int) (mark - host), host);
    int code = addresses_look_up(name, port, hints, found);
    if (code == 0) {
        int skip = (int) (strtoul(mark + 1, NULL, 10) % (unsigned) addresses_count_of(*found));
        struct addrinfo *end = *found;
        while (end->ai_next != NULL) {
            end = end->ai_next;
        }
        for (; skip > 0; skip--) { /* the first one goes to the end */
            end->ai_next = *found;
            end = *found;
            *found = end->ai_next;
            end->ai_next = NULL;
        }
    }
    return code;
}

#ifdef TNNG_LINKED_IN

void nni_resolv_ip(const char *, const char *, int, bool, nng_sockaddr *, nng_aio *);

/* [nng] [caller] [job] */
void __wrap_nni_resolv_ip(const char *host, const char *port, int family, bool passive,
    nng_sockaddr *address, nng_aio *aio)
{
    size_t place = addresses_place_of(aio);
    unsigned attempt = (unsigned) selected;
    char name[NAME_SIZE];

    if (passive || host == NULL || !TNNG_FIX_IS_ON(M7)) {
        attempt = 0;
    } else if (selected < 0) {
        attempt = 0;
        if (atomic_exchange(&last[place].aio, aio) == aio) {
            attempt = atomic_fetch_add(&last[place].attempt, 1) + 1;
        } else {
            atomic_store(&last[place].attempt, 0);
        }
    }
    if (attempt > 0 && strlen(host) < NAME_SIZE - 16) {
        snprintf(name, sizeof(name), "%s%c%u", host, MARK, attempt);
        host = name;
    }
    nni_resolv_ip(host, port, family, passive, address, aio);
}

#endif

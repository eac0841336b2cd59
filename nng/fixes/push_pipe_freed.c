/* C9: use-after-free in push0_pipe_close. When a connection of Push0 ends just after a send on it
 * has finished, push0_pipe_close removes the connection from the list of idle connections, and the
 * callback of the send puts it back. Its memory is freed, and the next send follows the list into
 * it. No version up to 2.0 tests whether the connection is closed, as all other protocols do. A
 * peer that comes and goes crashes the process within some hundred turns.
 *
 * Fix: the free is deferred. No call of nng removes the connection from the list, but a send does:
 * it takes the first connection of the list and gives it the message, which a closed connection
 * refuses. So the memory only has to stay until then. libnng's free is wrapped: the memory of a
 * connection that is on the list is kept, and freed when the connection is off the list, or with
 * its socket.
 *
 * The message of that send is lost with the connection, as is every message that nng accepted for a
 * connection that ends. This may go when push.c of every nng in use has a `closed` flag. */
#include <malloc.h>
#include <stdlib.h>

#include "fixes/fixes.h"

/* As nng's lists are made: not on one is a NULL. */
typedef struct node {
    struct node *next, *previous;
} node;

typedef struct deferred {
    struct deferred *next;
    void *connection;
    const node *place;
    const tnng_socket *socket;
    bool off;
} deferred;

/* nng_pipe begins with its number, and what a protocol keeps of it follows in the same memory: for
 * Push0 a pointer to the nng_pipe, one to the socket, and its place in the list. */
enum { LEAST_SIZE = 256, LOOK_AT = 64 };

static _Thread_local uint32_t
    closing_pipe; /* what this thread takes apart: the number of its pipe */
static _Thread_local const tnng_socket *closing_socket;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static deferred *deferred_list; /* under lock */

static const node *push_find_place(void *connection, size_t size)
{
    void **words = connection;
    char *start = connection, *end = start + size - 4 * sizeof(void *);

    for (size_t i = 0; i < LOOK_AT && i < size / sizeof(void *); i++) {
        char *word = words[i];
        if (word > start && word < end && (uintptr_t) word % sizeof(void *) == 0 &&
            *(void **) word == connection) {
            return (const node *) (word + 2 * sizeof(void *));
        }
    }
    return NULL;
}

/* [any] All that libnng frees. */
void __wrap_free(void *memory)
{
    const node *place;
    deferred *entry;
    size_t size;

    if (closing_pipe == 0 || memory == NULL || (size = malloc_usable_size(memory)) < LEAST_SIZE ||
        *(uint32_t *) memory != closing_pipe) {
        free(memory);
        return;
    }
    closing_pipe = 0;
    place = push_find_place(memory, size);
    if (place == NULL || place->next == NULL || (entry = calloc(1, sizeof(*entry))) == NULL) {
        free(memory);
        return;
    }
    entry->connection = memory;
    entry->place = place;
    entry->socket = closing_socket;
    pthread_mutex_lock(&lock);
    entry->next = deferred_list;
    deferred_list = entry;
    pthread_mutex_unlock(&lock);
}

/* Frees those of a socket that are not on the list any more, or all of them. */
static void push_free(const tnng_socket *socket, bool only_off)
{
    deferred *freed = NULL;

    pthread_mutex_lock(&lock);
    for (deferred **link = &deferred_list, *entry; (entry = *link) != NULL;) {
        if (entry->socket == socket && (!only_off || entry->off)) {
            *link = entry->next;
            entry->next = freed;
            freed = entry;
        } else {
            link = &entry->next;
        }
    }
    pthread_mutex_unlock(&lock);
    for (deferred *next; freed != NULL; freed = next) {
        next = freed->next;
        free(freed->connection);
        free(freed);
    }
}

/* [nng] On the reaper's thread, which is about to take the connection apart. */
void tnng_push_peer_lost(tnng_socket *socket, uint32_t pipe)
{
    bool off = false;

    closing_pipe = 0;
    if (socket->protocol_number != TNNG_PUSH0 || !TNNG_FIX_IS_ON(C9)) {
        return;
    }
    pthread_mutex_lock(&lock);
    for (deferred *entry = deferred_list; entry != NULL; entry = entry->next) {
        entry->off = entry->socket == socket && entry->place->next == NULL;
        off |= entry->off;
    }
    pthread_mutex_unlock(&lock);
    if (off) {
        /* A send that took one off the list may still be at it. */
        socket->hooks->wait_for_sends(socket);
        push_free(socket, true);
    }
    closing_socket = socket;
    closing_pipe = pipe;
}

/* [job] nng_close has returned: no thread reads the list any more. */
void tnng_push_socket_closed(tnng_socket *socket)
{
    if (socket->protocol_number == TNNG_PUSH0) {
        push_free(socket, false);
    }
}

/* [caller] For tests: how many connections are kept now. */
int tnng_push_deferred_frees(void)
{
    int count = 0;

    pthread_mutex_lock(&lock);
    for (deferred *entry = deferred_list; entry != NULL; entry = entry->next) {
        count++;
    }
    pthread_mutex_unlock(&lock);
    return count;
}

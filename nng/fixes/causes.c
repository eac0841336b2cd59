/* Causes: nng does not say why a background attempt failed, why a handshake failed, which protocol
 * a refused peer speaks, or that a message was too large. These facts pass between two files of
 * libnng, and wrappers note them.
 *
 * A dialer connects, and a listener accepts, with the first aio that nng makes in the call that
 * creates it. Each failed attempt finishes this aio with nni_aio_finish_error, which is wrapped.
 * Other aios pass there too, so the lookup is one pointer comparison in most cases.
 *
 * After a failed handshake a listener of nng pauses for 0.1 s: new peers wait because of strangers,
 * and a refused peer gets its error late. Only a connection reset does not pause the listener. So
 * every failure that the peer caused is reported to the listener as a reset.
 *
 * Where libnng is a shared library this file does nothing, and conn/dial_watch.c reads nng's
 * counters instead. */
#include <stdlib.h>

#include "fixes/fixes.h"

/* A dialer or listener, by the aio with which it waits for a connection. */
typedef struct known {
    _Atomic(struct known *) bucket_next;
    nng_aio *aio;
    tnng_socket *socket;
    uint32_t id;
    bool listens;
} known;

typedef struct note {
    struct note *next;
    uint32_t pipe;
    tnng_cause cause;
} note;

/* A message can prove too large when its connection has gone: no connection takes such a note. */
enum { BUCKETS = 1024, NOTES_KEPT = 256 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* all of it; heads may be looked at */
static _Atomic(known *) heads[BUCKETS];
static note *notes; /* of pipes that are being added, or are about to go: a few; oldest first */
static int note_count;

static const tnng_causes_hooks *hooks;

static _Thread_local bool expecting;
static _Thread_local nng_aio *expected;

bool tnng_causes_are_known(void)
{
    return tnng_wraps("nni_pipe_peer nni_pipe_bump_error") && !TNNG_WITHOUT("CAUSES");
}

/* [caller] With every socket that is opened. */
void tnng_causes_init(const tnng_causes_hooks *own) { hooks = own; }

static _Atomic(known *) *causes_bucket(nng_aio *aio)
{
    uintptr_t at = (uintptr_t) aio;

    return &heads[(at >> 6 ^ at >> 16) % BUCKETS];
}

/* [caller] [job] The next thing this thread does is to create a dialer or a listener. */
void tnng_causes_watch_next_aio(void)
{
    expecting = true;
    expected = NULL;
}

/* [caller] [job] It was created, or, with 0, was not. Without memory its causes stay unknown. When
 * the socket has been closed meanwhile, nng has freed the aio. */
void tnng_causes_register(tnng_socket *socket, uint32_t id, bool listens)
{
    known *new = id == 0 || expected == NULL ? NULL : calloc(1, sizeof(*new));

    expecting = false;
    if (new == NULL) {
        return;
    }
    *new = (known){.aio = expected, .socket = socket, .id = id, .listens = listens};
    _Atomic(known *) *head = causes_bucket(expected);
    pthread_mutex_lock(&lock);
    bool gone = socket->causes_gone;
    if (!gone) {
        atomic_store(&new->bucket_next, atomic_load(head));
        atomic_store(head, new);
    }
    pthread_mutex_unlock(&lock);
    if (gone) {
        free(new);
    }
}

/* [job] Before it is closed. */
void tnng_causes_unregister(tnng_socket *socket, uint32_t id, bool listens)
{
    pthread_mutex_lock(&lock);
    socket->causes_gone |= id == 0;
    for (int i = 0; i < BUCKETS; i++) {
        _Atomic(known *) *at = &heads[i];
        for (known *each; (each = atomic_load(at)) != NULL;) {
            bool is_meant = id == 0 || (each->id == id && each->listens == listens);
            if (each->socket == socket && is_meant) {
                atomic_store(at, atomic_load(&each->bucket_next));
                free(each);
            } else {
                at = &each->bucket_next;
            }
        }
    }
    pthread_mutex_unlock(&lock);
}

/* [caller] For tests. */
int tnng_causes_registered(void)
{
    int known = 0;

    pthread_mutex_lock(&lock);
    for (int i = 0; i < BUCKETS; i++) {
        for (const struct known *each = atomic_load(&heads[i]); each != NULL;
            each = atomic_load(&each->bucket_next)) {
            known++;
        }
    }
    pthread_mutex_unlock(&lock);
    return known;
}

/* [any] nng has made an aio that is part of something else (handshake_lost.c wraps that call). */
void tnng_causes_aio_made(nng_aio *aio)
{
    if (expecting && expected == NULL) {
        expected = aio;
    }
}

/* Whether the listener itself is in trouble, and has to rest. */
static bool causes_is_local(int code)
{
    return code == NNG_ENOMEM || code == NNG_ENOFILES || code == NNG_ENOSPC || code == NNG_EAGAIN ||
           code == NNG_EBUSY || (code & NNG_ESYSERR) != 0;
}

/* [nng] An attempt to connect or to accept has failed, perhaps. */
static int causes_note_failure(nng_aio *aio, int code)
{
    known found = {0};

    pthread_mutex_lock(&lock);
    known *each = atomic_load(causes_bucket(aio));
    while (each != NULL && each->aio != aio) {
        each = atomic_load(&each->bucket_next);
    }
    if (each != NULL) {
        found.id = each->id;
        found.listens = each->listens;
        found.socket = each->socket;
        tnng_socket_ref(found.socket);
    }
    pthread_mutex_unlock(&lock);
    if (found.id == 0) {
        return code;
    }
    if (!found.listens) {
        hooks->dial_failed(found.id, code);
    } else {
        hooks->handshake_failed(found.socket, found.id, code);
        code = causes_is_local(code) ? code : NNG_ECONNRESET;
    }
    tnng_socket_unref(found.socket);
    return code;
}

/* [nng] [caller] An aio ends without success (ws_unsent.c wraps that call): with what error. */
int tnng_causes_on_finish_error(nng_aio *aio, int code)
{
    if (atomic_load_explicit(causes_bucket(aio), memory_order_relaxed) != NULL &&
        code != NNG_ECLOSED && code != NNG_ECANCELED && tnng_causes_are_known()) {
        code = causes_note_failure(aio, code);
    }
    return code;
}

/* With the lock held. */
static note **causes_find_note(uint32_t pipe)
{
    note **at = &notes;

    while (*at != NULL && (*at)->pipe != pipe) {
        at = &(*at)->next;
    }
    return at;
}

/* [nng] What was noted of a pipe that has been added, or has gone; then nothing is. */
tnng_cause tnng_cause_take(uint32_t pipe, bool gone)
{
    tnng_cause cause = {0};
    note *taken = NULL;

    pthread_mutex_lock(&lock);
    note **at = causes_find_note(pipe);
    if (*at != NULL && (gone || !(*at)->cause.oversize)) {
        taken = *at;
        *at = taken->next;
        note_count--;
        cause = taken->cause;
    }
    pthread_mutex_unlock(&lock);
    free(taken);
    return cause;
}

#ifdef TNNG_LINKED_IN

void nni_pipe_bump_error(void *pipe, int);
uint16_t nni_pipe_peer(void *pipe);
uint32_t nni_pipe_id(void *pipe);

static void causes_add_note(uint32_t pipe, int peer, bool oversize)
{
    note *oldest = NULL;

    pthread_mutex_lock(&lock);
    note **at = causes_find_note(pipe);
    if (*at == NULL && (*at = calloc(1, sizeof(**at))) != NULL) {
        (*at)->pipe = pipe;
        if (++note_count > NOTES_KEPT) {
            oldest = notes;
            notes = oldest->next;
            at = causes_find_note(pipe);
            note_count--;
        }
    }
    if (*at != NULL) {
        (*at)->cause.peer = peer != 0 ? peer : (*at)->cause.peer;
        (*at)->cause.oversize |= oversize;
    }
    pthread_mutex_unlock(&lock);
    free(oldest);
}

/* [nng] The protocol looks at what a new peer speaks. */
uint16_t __wrap_nni_pipe_peer(void *pipe)
{
    uint16_t peer = nni_pipe_peer(pipe);

    if (tnng_causes_are_known()) {
        causes_add_note(nni_pipe_id(pipe), peer, false);
    }
    return peer;
}

/* [nng] A transport could not receive or send on a connection. */
void __wrap_nni_pipe_bump_error(void *pipe, int code)
{
    if (code == NNG_EMSGSIZE && tnng_causes_are_known()) {
        causes_add_note(nni_pipe_id(pipe), 0, true);
    }
    nni_pipe_bump_error(pipe, code);
}

#endif

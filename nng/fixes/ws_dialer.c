/* H2: a ws dialer that is closed while it connects. A ws dialer connects in steps: TCP, the
 * request, the response. A cancel tests which aio waits under one lock, a step that ends tests it
 * under another: at the wrong moment both finish the same aio, and nng panics. Or the attempt stays
 * on the dialer's list, nng's only reaper waits for the list to become empty, and every nng_close
 * of the process waits for the reaper. (Issue 1734; 1.7 fixed part of it.)
 *
 * Fix: an attempt that is never cancelled ends correctly. nng's calls that dial, close and free a
 * stream dialer are wrapped, and a ws dialer dials with an aio of the shim. A cancel finishes nng's
 * aio at once; the result of the attempt is dropped, and the dialer is closed and freed when the
 * attempt has ended. Its steps have timeouts: nng's (2 s) and the system's.
 *
 * This may go when every nng in use is 2.0. */
#include <stdlib.h>

#include "fixes/fixes.h"

#include <nng/transport/ws/websocket.h>

typedef struct ws_dialer {
    struct ws_dialer *next;
    nng_stream_dialer *dialer;
    nng_aio *attempt; /* made by the shim */
    nng_aio *waiting; /* nng's; NULL when it has been answered */
    bool busy;        /* an attempt has not ended: only its callback closes or frees the dialer */
    bool closed, freed;
} ws_dialer;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* the list, and all of its members */
static ws_dialer *dialers;

/* With the lock held. */
static ws_dialer **ws_dialer_find(nng_stream_dialer *dialer)
{
    ws_dialer **at = &dialers;

    while (*at != NULL && (*at)->dialer != dialer) {
        at = &(*at)->next;
    }
    return at;
}

/* [nng] An attempt has ended. */
static void ws_dialer_on_attempt(void *arg)
{
    ws_dialer *ws = arg;
    int code = nng_aio_result(ws->attempt);
    nng_stream *stream = code == 0 ? nng_aio_get_output(ws->attempt, 0) : NULL;

    pthread_mutex_lock(&lock);
    nng_aio *waiting = ws->waiting;
    bool closed = ws->closed;
    ws->waiting = NULL;
    ws->busy = closed; /* unless it was closed, the thread that frees the dialer owns `ws` now */
    pthread_mutex_unlock(&lock);

    if (waiting != NULL) {
        nng_aio_set_output(waiting, 0, stream);
        nng_aio_finish(waiting, code);
    } else if (stream != NULL) {
        nng_stream_close(stream);
        nng_stream_free(stream);
    }
    if (!closed) {
        return;
    }
    nng_stream_dialer_close(ws->dialer);
    pthread_mutex_lock(&lock);
    bool freed = ws->freed;
    ws->busy = false;
    pthread_mutex_unlock(&lock);
    if (freed) {
        nng_stream_dialer_free(ws->dialer);
        nng_aio_reap(ws->attempt); /* this is its callback */
        free(ws);
    }
}

/* [nng] [job] */
static void ws_dialer_cancel(nng_aio *aio, void *arg, int code)
{
    ws_dialer *ws = arg;

    pthread_mutex_lock(&lock);
    bool waits = ws->waiting == aio;
    if (waits) {
        ws->waiting = NULL;
    }
    pthread_mutex_unlock(&lock);
    if (waits) {
        nng_aio_finish(aio, code);
    }
}

/* NULL: not one of ws, or no memory. */
static ws_dialer *ws_dialer_find_or_add(nng_stream_dialer *dialer)
{
    size_t size;

    if (!TNNG_FIX_IS_ON(H2) ||
        nng_stream_dialer_get_size(dialer, NNG_OPT_WS_RECVMAXFRAME, &size) != 0) {
        return NULL;
    }
    pthread_mutex_lock(&lock);
    ws_dialer **at = ws_dialer_find(dialer);
    if (*at == NULL && (*at = calloc(1, sizeof(**at))) != NULL) {
        (*at)->dialer = dialer;
        if (nng_aio_alloc(&(*at)->attempt, ws_dialer_on_attempt, *at) != 0) {
            free(*at);
            *at = NULL;
        }
    }
    ws_dialer *ws = *at;
    pthread_mutex_unlock(&lock);
    return ws;
}

/* [nng] [caller] [job] */
void __wrap_nng_stream_dialer_dial(nng_stream_dialer *dialer, nng_aio *aio)
{
    ws_dialer *ws = ws_dialer_find_or_add(dialer);

    if (ws == NULL) {
        nng_stream_dialer_dial(dialer, aio);
        return;
    }
    if (!nng_aio_begin(aio)) {
        return;
    }
    pthread_mutex_lock(&lock);
    bool refused = ws->busy || ws->closed;
    if (!refused) {
        ws->busy = true;
        ws->waiting = aio;
    }
    pthread_mutex_unlock(&lock);
    if (refused) {
        nng_aio_finish(aio, NNG_ECLOSED);
        return;
    }
    nng_aio_defer(aio, ws_dialer_cancel, ws);
    nng_stream_dialer_dial(dialer, ws->attempt);
}

/* [job] nng has cancelled the waiting aio. (An aio that was stopped between begin and defer gets no
 * cancel any more, and must not be finished later.) */
void __wrap_nng_stream_dialer_close(nng_stream_dialer *dialer)
{
    pthread_mutex_lock(&lock);
    ws_dialer *ws = *ws_dialer_find(dialer);
    bool busy = ws != NULL && ws->busy;
    if (ws != NULL) {
        ws->waiting = NULL;
        ws->closed = true;
    }
    pthread_mutex_unlock(&lock);
    if (!busy) {
        nng_stream_dialer_close(dialer);
    }
}

/* [nng] The reaper. */
void __wrap_nng_stream_dialer_free(nng_stream_dialer *dialer)
{
    pthread_mutex_lock(&lock);
    ws_dialer **at = ws_dialer_find(dialer), *ws = *at;
    bool busy = ws != NULL && ws->busy;
    if (ws != NULL) {
        *at = ws->next;
        ws->waiting = NULL;
        ws->closed = ws->freed = true;
    }
    pthread_mutex_unlock(&lock);
    if (busy) {
        return;
    }
    nng_stream_dialer_free(dialer);
    if (ws != NULL) {
        nng_aio_reap(ws->attempt);
        free(ws);
    }
}

/* H3: a ws listener that is closed while clients connect. Before nng 1.7 (issue 1733) the close
 * holds the listener's lock while it waits for the reaper to take the connections of the HTTP
 * server; the reaper waits for the callback that reads the request; the callback waits for the
 * listener's lock. So the close, the reaper and every later close of the process hang. And the free
 * of a listener, which runs on the reaper, waits for responses that are being written, and nothing
 * wakes it when the last of them fails (all 1.x).
 *
 * Fix: nng's calls that start, close and free a stream listener are wrapped. The wrapper stops the
 * server before the close, without the listener's lock; the close then finds it stopped. ws
 * listeners that share a server stop it with the last of them. The free runs later, when all
 * responses have ended, on a thread of its own.
 *
 * The stop may go when every nng in use is 1.7 or later, the free when it is 2.0. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fixes/fixes.h"

#include <nng/supplemental/http/http.h>
#include <nng/transport/ws/websocket.h>

/* After the close: more than nng's timeout for an answer. */
enum { FREE_AFTER_SECONDS = 3 };

static bool ws_listener_is_ws(nng_stream_listener *listener)
{
    size_t size;

    return listener != NULL && TNNG_FIX_IS_ON(H3) &&
           nng_stream_listener_get_size(listener, NNG_OPT_WS_RECVMAXFRAME, &size) == 0;
}

typedef struct ws_listener {
    struct ws_listener *next;
    nng_stream_listener *listener;
    nng_http_server *server; /* held */
} ws_listener;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* the list */
/* One close after the other, so that the last one is known; never taken by the reaper. */
static pthread_mutex_t closing = PTHREAD_MUTEX_INITIALIZER;
static ws_listener *listeners;

/* The server is found by its host and the port it has got. */
static nng_http_server *ws_listener_ref_server(nng_stream_listener *listener)
{
    nng_http_server *server = NULL;
    nng_url *parsed;
    char *text, port_text[16];
    int port;

    if (nng_stream_listener_get_string(listener, NNG_OPT_URL, &text) != 0) {
        return NULL;
    }
    if (nng_url_parse(&parsed, text) == 0) {
        nng_url url = *parsed;
        if (nng_stream_listener_get_int(listener, NNG_OPT_TCP_BOUND_PORT, &port) == 0) {
            snprintf(port_text, sizeof(port_text), "%d", port);
            url.u_port = port_text;
            if (nng_http_server_hold(&server, &url) != 0) {
                server = NULL;
            }
        }
        nng_url_free(parsed);
    }
    nng_strfree(text);
    return server;
}

/* [job] */
int __wrap_nng_stream_listener_listen(nng_stream_listener *listener)
{
    int code = nng_stream_listener_listen(listener);

    if (code == 0 && !tnng_nng_is(7) && ws_listener_is_ws(listener)) {
        nng_http_server *server = ws_listener_ref_server(listener);
        ws_listener *ws = server == NULL ? NULL : malloc(sizeof(*ws));
        if (ws != NULL) {
            pthread_mutex_lock(&lock);
            *ws = (ws_listener){.next = listeners, .listener = listener, .server = server};
            listeners = ws;
            pthread_mutex_unlock(&lock);
        } else if (server != NULL) {
            nng_http_server_release(server);
        }
    }
    return code;
}

static bool ws_listener_is_known(nng_stream_listener *listener)
{
    pthread_mutex_lock(&lock);
    ws_listener *ws = listeners;
    while (ws != NULL && ws->listener != listener) {
        ws = ws->next;
    }
    pthread_mutex_unlock(&lock);
    return ws != NULL;
}

/* NULL: another thread has closed it. */
static ws_listener *ws_listener_remove(nng_stream_listener *listener, bool *last)
{
    ws_listener *ws = NULL;

    pthread_mutex_lock(&lock);
    for (ws_listener **at = &listeners; *at != NULL && ws == NULL;) {
        if ((*at)->listener == listener) {
            ws = *at;
            *at = ws->next;
        } else {
            at = &(*at)->next;
        }
    }
    *last = ws != NULL;
    for (ws_listener *other = listeners; other != NULL && *last; other = other->next) {
        *last = other->server != ws->server;
    }
    pthread_mutex_unlock(&lock);
    return ws;
}

/* [job], and [nng] for listeners that are not of ws */
void __wrap_nng_stream_listener_close(nng_stream_listener *listener)
{
    bool last;

    if (!ws_listener_is_known(listener)) {
        nng_stream_listener_close(listener);
        return;
    }
    pthread_mutex_lock(&closing);
    ws_listener *ws = ws_listener_remove(listener, &last);
    if (last) {
        nng_http_server_stop(ws->server);
    }
    nng_stream_listener_close(listener);
    if (last) {
        nng_http_server_start(ws->server); /* only sets right how often it was stopped */
    }
    pthread_mutex_unlock(&closing);
    if (ws != NULL) {
        nng_http_server_release(ws->server);
        free(ws);
    }
}

typedef struct {
    nng_stream_listener *listener;
    ws_listener *noted; /* or NULL */
} freeing;

static void *ws_listener_free_thread(void *arg)
{
    freeing *what = arg;

    sleep(FREE_AFTER_SECONDS);
    nng_stream_listener_free(what->listener);
    if (what->noted != NULL) {
        nng_http_server_release(what->noted->server);
    }
    free(what->noted);
    free(what);
    return NULL;
}

/* [nng] The reaper. A listener that was closed while it started can still be noted: its close came
 * before that. To release the server may wait for the reaper, so that too is done by the thread;
 * where there is none the server is kept. */
void __wrap_nng_stream_listener_free(nng_stream_listener *listener)
{
    freeing *what;
    bool last;

    if (!ws_listener_is_ws(listener)) {
        nng_stream_listener_free(listener);
        return;
    }
    ws_listener *noted = ws_listener_remove(listener, &last);
    if ((what = malloc(sizeof(*what))) != NULL) {
        *what = (freeing){.listener = listener, .noted = noted};
    }
    if (what == NULL || !tnng_thread_start(ws_listener_free_thread, what)) {
        free(what);
        free(noted);
        nng_stream_listener_free(listener);
    }
}

/* Reports: what goes wrong where no call of the program waits for the answer, on its way to
 * Python's logging. nng's threads never run Python, so a report is queued here and a thread is
 * made for it, which calls Python and ends when the queue is empty. There is no thread, and nothing
 * runs, while nothing fails. The queue is short: a flood of failures costs nothing more, and the
 * counters have all of them. While a program has an instrument, the same thread tells it of
 * connections and drops, and the queue is longer. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conn/conn.h"

enum {
    FAILURES_KEPT = 64,
    EVENTS_KEPT = 4096,
    DROPS_EVERY = 100000000, /* nanoseconds between events of drops, a socket */
    LAST_WORDS = 500         /* milliseconds for the last one at the end */
};

static pthread_mutex_t reports_lock = PTHREAD_MUTEX_INITIALIZER; /* a leaf; all of the below */
static tnng_report queue[EVENTS_KEPT];
static unsigned first, count;
static uint32_t events_lost;
static bool running, closed;
static atomic_bool events_wanted;
static void (*report_hook)(void);

static void *reports_thread(void *arg)
{
    (void) arg;
    pthread_mutex_lock(&reports_lock);
    while (count > 0 && !closed) {
        pthread_mutex_unlock(&reports_lock);
        report_hook();
        pthread_mutex_lock(&reports_lock);
    }
    running = false;
    pthread_mutex_unlock(&reports_lock);
    return NULL;
}

/* [any] Under any lock of ours. Takes a reference to the pipe, if there is one. */
void tnng_report_enqueue(tnng_report report)
{
    unsigned kept = atomic_load(&events_wanted) ? EVENTS_KEPT : FAILURES_KEPT;

    pthread_mutex_lock(&reports_lock);
    if (!closed && report_hook != NULL && count < kept) {
        if (report.pipe != NULL) {
            tnng_pipe_ref(report.pipe);
        }
        queue[(first + count++) % EVENTS_KEPT] = report;
    } else if (report.event != 0) {
        events_lost++;
    }
    if (!closed && count > 0 && !running) {
        running = tnng_thread_start(reports_thread, NULL);
    }
    pthread_mutex_unlock(&reports_lock);
}

bool tnng_report_take(tnng_report *report)
{
    TNNG_GUARD_FORK(false);
    pthread_mutex_lock(&reports_lock);
    bool found = count > 0;
    if (found) {
        *report = queue[first];
        first = (first + 1) % EVENTS_KEPT;
        count--;
    }
    pthread_mutex_unlock(&reports_lock);
    return found;
}

void tnng_report_events(bool on) { atomic_store(&events_wanted, on); }

uint32_t tnng_reports_lost(void)
{
    TNNG_GUARD_FORK(0);
    pthread_mutex_lock(&reports_lock);
    uint32_t lost = events_lost;
    events_lost = 0;
    pthread_mutex_unlock(&reports_lock);
    return lost;
}

void tnng_set_report_hook(void (*hook)(void))
{
    pthread_mutex_lock(&reports_lock);
    report_hook = hook;
    pthread_mutex_unlock(&reports_lock);
}

void tnng_reports_close(void)
{
    TNNG_GUARD_FORK();
    pthread_mutex_lock(&reports_lock);
    closed = true;
    for (int i = 0; running && i < LAST_WORDS; i++) {
        pthread_mutex_unlock(&reports_lock);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        pthread_mutex_lock(&reports_lock);
    }
    pthread_mutex_unlock(&reports_lock);
}

/* What was reported of the peers of a socket: the last so many. */
enum { PEERS_REMEMBERED = 64 };
struct tnng_reported_peers {
    unsigned next;
    struct reported_peer {
        uint32_t endpoint;
        int reason, code;
        tnng_addr addr; /* without the port: a client has a new one each time */
    } peers[PEERS_REMEMBERED];
};

/* [nng] One report a peer, listener and reason. A service itself logs which clients are slow. */
void tnng_report_peer(tnng_socket *socket, tnng_pipe *pipe, int code)
{
    const tnng_pipe_info *info = &pipe->info;
    bool listener = info->listener != 0;
    struct tnng_reported_peers *reported = socket->pipes->reported_peers;
    struct reported_peer peer = {
        listener ? info->listener : info->dialer, pipe->reason, code, info->remote};

    peer.addr.port = 0;
    if (pipe->reason == TNNG_REASON_NONE || pipe->reason == TNNG_REASON_SLOW ||
        (!listener && pipe->reason != TNNG_REASON_OVERSIZE)) {
        return;
    }
    if (reported == NULL && (reported = calloc(1, sizeof(*reported))) == NULL) {
        return;
    }
    socket->pipes->reported_peers = reported;
    for (unsigned i = 0; i < PEERS_REMEMBERED; i++) {
        const struct reported_peer *each = &reported->peers[i];
        if (each->endpoint == peer.endpoint && each->reason == peer.reason && each->code == code &&
            memcmp(&each->addr, &peer.addr, sizeof(peer.addr)) == 0) {
            return;
        }
    }
    reported->peers[reported->next++ % PEERS_REMEMBERED] = peer;
    tnng_report_enqueue((tnng_report){.listener = listener,
        .endpoint = peer.endpoint,
        .reason = peer.reason,
        .code = code,
        .pipe = code == 0 ? pipe : NULL});
}

/* [any] What happens to a connection, for instruments. */
void tnng_report_event(tnng_pipe *pipe, int kind)
{
    if (atomic_load(&events_wanted)) {
        bool listener = pipe->info.listener != 0;
        tnng_report_enqueue((tnng_report){.listener = listener,
            .endpoint = listener ? pipe->info.listener : pipe->info.dialer,
            .reason = kind == TNNG_CONNECTED ? TNNG_REASON_NONE : pipe->reason,
            .event = kind,
            .pipe = pipe});
    }
}

/* [any] Whether it is time for an event of drops. */
static bool drops_are_due(tnng_socket *socket)
{
    int_fast64_t due = atomic_load(&socket->traffic.drops_due);
    int64_t now;

    return atomic_load(&events_wanted) && (now = tnng_now()) >= due &&
           atomic_compare_exchange_strong(&socket->traffic.drops_due, &due, now + DROPS_EVERY);
}

/* [any] A receiver is slow. Any endpoint will do, it only names the socket. */
void tnng_report_drops(tnng_socket *socket, bool first_time)
{
    if (!drops_are_due(socket) && !first_time) {
        return;
    }
    pthread_mutex_lock(&socket->pipes->lock);
    tnng_endpoint *endpoint = socket->endpoints->first;
    if (endpoint != NULL && !socket->pipes->closed) {
        tnng_report_enqueue((tnng_report){.listener = !endpoint->is_dialer,
            .endpoint = endpoint->id,
            .reason = TNNG_REASON_DROPS,
            .event = first_time ? 0 : TNNG_DROPPED});
    }
    pthread_mutex_unlock(&socket->pipes->lock);
}

/* What becomes of each dialer's attempts to connect, and when that is reported.
 *
 * An outage begins when a dialer starts, or when its connection ends. The first attempt that fails
 * in an outage is reported, no other. A connection that the peer closes as soon as it is made ends
 * no outage: such a peer refuses (it has a peer already, or a rule), and nng connects to it again
 * and again. It is reported the third time, as a peer may also close for good soon after a
 * connection was made. What tells a refusal apart is time: it arrives about when the transport's
 * handshake ends, because the peer decides as soon as it has our half of it. So a dial that a call
 * waits for lasts twice as long again as its handshake did, and connections made in the background
 * are judged when they end.
 *
 * nng begins anew with its shortest pause whenever a transport connects, also to a peer that
 * refuses. Here the pause grows while connections end at once. */
#include <stdlib.h>

#include "conn/conn.h"

enum {
    DIALER_BUCKETS = 1024,
    AT_ONCE = 20,        /* milliseconds: what ends earlier, and has brought nothing, was refused */
    BRIEF = 1000,        /* what ends earlier, and has brought nothing, makes the pause longer */
    BRIEF_ENDS = 3,      /* that often in a row it is reported */
    LONGEST_PAUSE = 500, /* unless the longest that was set is another */
    SETTLES_AFTER = 4,   /* milliseconds a dial lasts at least, */
    WS_SETTLES_AFTER = 130,
    SETTLES_WITHIN = 500, /* and at most, after its connection was added */
};

struct tnng_dialer {
    tnng_dialer *bucket_next;  /* in its bucket */
    tnng_dialer *next, **link; /* in its socket's list */
    uint32_t id;
    uint32_t pipe;     /* its connection, 0 when there is none, */
    int64_t since;     /* and when that was made */
    int code;          /* why its last attempt failed; 0: none has failed in this outage */
    int last_code;     /* the same of the last attempt that failed at all */
    bool reported;     /* a failure of this outage was reported */
    bool waited_for;   /* a dial is waited for: its caller alone gets the failure */
    bool undecided;    /* nng tries, and what comes of the first attempt is not known yet */
    bool has_baseline; /* `seen` is what nng's counters said then */
    tnng_dial_counts baseline;
    int short_lived; /* connections in a row that brought nothing and ended soon */
    nng_duration
        saved_backoff; /* the shortest pause as it was, while a longer one is set; else -1 */
};

static pthread_mutex_t dials_lock = PTHREAD_MUTEX_INITIALIZER; /* all of the above; a leaf but for
                                                                  that of the reports */
static tnng_dialer *buckets[DIALER_BUCKETS];
static int undecided_count; /* so many are */

static int dials_undecided(void);
static void dials_update_counts(uint32_t id, const tnng_dial_counts *);
static const tnng_dial_watcher watcher = {dials_undecided, dials_update_counts};

/* With dials_lock held, as all static functions that take a dialer. */
static tnng_dialer **dials_find(uint32_t id)
{
    tnng_dialer **at = &buckets[id % DIALER_BUCKETS];

    while (*at != NULL && (*at)->id != id) {
        at = &(*at)->bucket_next;
    }
    return at;
}

static void dials_set_undecided(tnng_dialer *dialer, bool is_undecided)
{
    undecided_count += is_undecided - dialer->undecided;
    dialer->undecided = is_undecided;
    dialer->has_baseline = false;
    if (is_undecided) {
        tnng_dial_watch_start(&watcher);
    }
}

/* What is not certain is remembered, and not reported. */
static void dials_failed(tnng_dialer *dialer, int code, bool certain)
{
    dialer->code = dialer->last_code = code;
    dials_set_undecided(dialer, !certain && !dialer->waited_for);
    if (certain && !dialer->reported && !dialer->waited_for) {
        dialer->reported = true;
        tnng_report_enqueue((tnng_report){.endpoint = dialer->id, .code = code});
    }
}

static void dials_remove(tnng_dialer **at)
{
    tnng_dialer *dialer = *at;

    dials_set_undecided(dialer, false);
    *at = dialer->bucket_next;
    *dialer->link = dialer->next;
    if (dialer->next != NULL) {
        dialer->next->link = dialer->link;
    }
    free(dialer);
}

/* [caller] Before it starts. Without memory nothing is known of it, and it dials all the same. The
 * socket may have been closed since nng made the dialer. */
void tnng_dialer_add(tnng_socket *socket, uint32_t id)
{
    tnng_dialer *dialer = calloc(1, sizeof(*dialer));

    if (dialer == NULL) {
        return;
    }
    dialer->id = id;
    dialer->saved_backoff = -1;
    pthread_mutex_lock(&dials_lock);
    if (socket->endpoints->dialers_gone) {
        pthread_mutex_unlock(&dials_lock);
        free(dialer);
        return;
    }
    tnng_dialer **bucket = &buckets[id % DIALER_BUCKETS];
    dialer->bucket_next = *bucket;
    *bucket = dialer;
    dialer->next = socket->endpoints->dialers;
    dialer->link = &socket->endpoints->dialers;
    if (dialer->next != NULL) {
        dialer->next->link = &dialer->next;
    }
    socket->endpoints->dialers = dialer;
    pthread_mutex_unlock(&dials_lock);
}

/* [job] It is about to be closed: what ends from here on was not refused. */
void tnng_dialer_remove(uint32_t id)
{
    pthread_mutex_lock(&dials_lock);
    tnng_dialer **at = dials_find(id);
    if (*at != NULL) {
        dials_remove(at);
    }
    pthread_mutex_unlock(&dials_lock);
}

/* [job] All of a socket that is about to be closed, and those still to come. */
void tnng_dialers_remove_all(tnng_socket *socket)
{
    pthread_mutex_lock(&dials_lock);
    socket->endpoints->dialers_gone = true;
    while (socket->endpoints->dialers != NULL) {
        dials_remove(dials_find(socket->endpoints->dialers->id));
    }
    pthread_mutex_unlock(&dials_lock);
}

tnng_dialer_state tnng_dialer_state_read(uint32_t id)
{
    tnng_dialer_state state = {0};

    TNNG_GUARD_FORK(state);
    pthread_mutex_lock(&dials_lock);
    tnng_dialer *dialer = *dials_find(id);
    if (dialer != NULL) {
        /* A dialer that was refused may be refused again. */
        bool doubtful = dialer->last_code == TNNG_REFUSED && dialer->short_lived > 0 &&
                        tnng_now() - dialer->since < AT_ONCE * 1000000LL;
        state.connected = dialer->pipe != 0;
        state.code = !state.connected ? dialer->code : doubtful ? dialer->last_code : 0;
    }
    pthread_mutex_unlock(&dials_lock);
    return state;
}

/* [job] While a dial is waited for its caller is told. */
void tnng_dial_wait_begin(uint32_t id)
{
    pthread_mutex_lock(&dials_lock);
    tnng_dialer *dialer = *dials_find(id);
    if (dialer != NULL) {
        dialer->waited_for = true;
    }
    pthread_mutex_unlock(&dials_lock);
}

/* [job] */
void tnng_dial_wait_end(uint32_t id, int code)
{
    pthread_mutex_lock(&dials_lock);
    tnng_dialer *dialer = *dials_find(id);
    if (dialer != NULL) {
        dialer->waited_for = false;
        dialer->reported = code != 0;
        dialer->code = code;
        if (code != 0) {
            dialer->pipe = 0;
        }
    }
    pthread_mutex_unlock(&dials_lock);
}

/* [caller] nng is about to try in the background. */
void tnng_dial_background_begin(uint32_t id)
{
    pthread_mutex_lock(&dials_lock);
    tnng_dialer *dialer = *dials_find(id);
    if (dialer != NULL && !dialer->reported) {
        dials_set_undecided(dialer, true);
        dialer->has_baseline = dialer->pipe == 0 && dialer->code == 0;
        dialer->baseline = (tnng_dial_counts){0}; /* it is new */
    }
    pthread_mutex_unlock(&dials_lock);
}

int tnng_endpoint_records(void)
{
    int known = tnng_causes_registered();

    pthread_mutex_lock(&dials_lock);
    for (int i = 0; i < DIALER_BUCKETS; i++) {
        for (tnng_dialer *each = buckets[i]; each != NULL; each = each->bucket_next) {
            known++;
        }
    }
    pthread_mutex_unlock(&dials_lock);
    return known;
}

static int dials_undecided(void)
{
    pthread_mutex_lock(&dials_lock);
    int count = undecided_count;
    pthread_mutex_unlock(&dials_lock);
    return count;
}

/* What each of nng's counters of a dialer says of an attempt that failed. */
static const int codes[TNNG_DIAL_COUNTERS] = {NNG_ECONNREFUSED, NNG_ETIMEDOUT, NNG_EPROTO,
    NNG_ECRYPTO, NNG_ENOMEM, NNG_ECONNRESET, TNNG_UNKNOWN_CAUSE};

/* [job] What nng has counted of a dialer. */
static void dials_update_counts(uint32_t id, const tnng_dial_counts *counts)
{
    pthread_mutex_lock(&dials_lock);
    tnng_dialer *dialer = *dials_find(id);
    if (dialer != NULL && dialer->undecided) {
        tnng_dial_counts before = dialer->has_baseline ? dialer->baseline : *counts;
        dialer->baseline = *counts;
        dialer->has_baseline = true;
        for (int i = 0; i < TNNG_DIAL_COUNTERS && dialer->undecided; i++) {
            if (counts->of[i] != before.of[i]) {
                dials_failed(dialer, codes[i], true);
            }
        }
    }
    pthread_mutex_unlock(&dials_lock);
}

/* [nng] An attempt of nng's own has failed. */
void tnng_dial_failed(uint32_t id, int code)
{
    pthread_mutex_lock(&dials_lock);
    tnng_dialer *dialer = *dials_find(id);
    if (dialer != NULL) {
        dials_failed(dialer, code, true);
    }
    pthread_mutex_unlock(&dials_lock);
}

/* [any] With pipes->lock held: a pipe of a dialer was added. */
void tnng_dial_connected(tnng_pipe *pipe)
{
    pthread_mutex_lock(&dials_lock);
    tnng_dialer *dialer = *dials_find(pipe->info.dialer);
    if (dialer != NULL) {
        dialer->pipe = pipe->info.id;
        dialer->since = pipe->made_at;
        dials_set_undecided(dialer, false);
    }
    pthread_mutex_unlock(&dials_lock);
}

/* [any] The code of an attempt whose pipe was rejected. */
int tnng_dial_code_of_reason(int reason)
{
    return reason == TNNG_REASON_ALREADY_PAIRED ? TNNG_ALREADY_PAIRED
           : reason == TNNG_REASON_PROTOCOL     ? NNG_EPROTO
                                                : TNNG_REFUSED;
}

static int dials_judge(tnng_dialer *dialer, const tnng_pipe *pipe, bool heard)
{
    int64_t lived = (tnng_now() - pipe->made_at) / 1000000;
    bool ours = atomic_load(&pipe->close_reason) != 0 || pipe->reason == TNNG_REASON_OVERSIZE;

    dialer->short_lived = heard || lived >= BRIEF ? 0 : dialer->short_lived + 1;
    if (!pipe->connected) {
        return tnng_dial_code_of_reason(pipe->reason);
    }
    if (!heard && !ours && lived < AT_ONCE) {
        return TNNG_REFUSED;
    }
    /* What was said of such a peer is not said again in other words. */
    dialer->last_code = dialer->short_lived > 1 ? dialer->last_code : 0;
    dialer->reported = dialer->reported && (dialer->last_code == TNNG_REFUSED ||
                                               dialer->last_code == TNNG_FLAPPING);
    return dialer->short_lived >= BRIEF_ENDS && !ours ? TNNG_FLAPPING : 0;
}

/* [nng] With pipes->lock held: a pipe of a dialer has gone, or was never added. Unless the answer
 * is -1 the pause has to change before nng dials again, for so many in a row that ended soon. */
int tnng_dial_disconnected(tnng_pipe *pipe, bool heard)
{
    int short_lived = -1;

    pthread_mutex_lock(&dials_lock);
    tnng_dialer *dialer = *dials_find(pipe->info.dialer);
    if (dialer != NULL) {
        if (dialer->pipe == pipe->info.id) {
            dialer->pipe = 0;
        }
        dialer->code = 0;
        int code = dials_judge(dialer, pipe, heard);
        dials_set_undecided(dialer, code == 0 && !dialer->waited_for);
        if (code != 0) {
            /* A peer that closes for good may do so soon after a connection was made, or two. */
            dials_failed(
                dialer, code, code != TNNG_REFUSED || dialer->short_lived >= BRIEF_ENDS);
            if (pipe->reason == TNNG_REASON_NONE && code == TNNG_REFUSED) {
                pipe->reason = TNNG_REASON_REFUSED;
            }
        }
        if (dialer->short_lived > 1 || (dialer->short_lived == 0 && dialer->saved_backoff >= 0)) {
            short_lived = dialer->short_lived;
        }
    }
    pthread_mutex_unlock(&dials_lock);
    return short_lived;
}

/* [nng] Without a lock, before nng dials again. The pause doubles with each connection in a row
 * that ends soon, and is as it was when one has lasted. */
void tnng_dial_set_backoff(uint32_t id, int short_lived)
{
    nng_duration now = 0, set, longest = 0;

    nng_dialer_get_ms((nng_dialer){id}, NNG_OPT_RECONNMAXT, &longest);
    if (nng_dialer_get_ms((nng_dialer){id}, NNG_OPT_RECONNMINT, &now) != 0) {
        return;
    }
    longest = longest > 0 ? longest : LONGEST_PAUSE;
    pthread_mutex_lock(&dials_lock);
    tnng_dialer *dialer = *dials_find(id);
    if (dialer == NULL) {
        set = now;
    } else if (short_lived == 0) {
        set = dialer->saved_backoff;
        dialer->saved_backoff = -1;
    } else {
        dialer->saved_backoff = dialer->saved_backoff < 0 ? now : dialer->saved_backoff;
        set = now < 10 ? 10 : now;
        set = now >= longest ? now : 2 * set < longest ? 2 * set : longest;
    }
    pthread_mutex_unlock(&dials_lock);
    if (set != now) {
        nng_dialer_set_ms((nng_dialer){id}, NNG_OPT_RECONNMINT, set);
    }
}

/* [job] Until when a dial lasts that was begun then and has been added now. From nng 1.7 on the
 * close of a ws connection waits up to 0.1 s for the peer's close frame. */
int64_t tnng_dial_refusal_deadline(int64_t begun, bool ws)
{
    const int64_t most = SETTLES_WITHIN * 1000000LL;
    const int64_t least = (ws && tnng_nng_is(7) ? WS_SETTLES_AFTER : SETTLES_AFTER) * 1000000LL;
    int64_t now = tnng_now(), handshake = 2 * (now - begun);

    return now + (handshake < least ? least : handshake > most ? most : handshake);
}

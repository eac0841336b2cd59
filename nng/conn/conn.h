/* Dialers, listeners, connections: what becomes of attempts to connect, which connections there
 * are, and what is told of them. Above core/ and fixes/, below sock/. */
#ifndef TNNG_CONN_H
#define TNNG_CONN_H

#include "core/core.h"
#include "fixes/fixes.h"

#include "api/options.h"
#include "api/pipes.h"
#include "api/reports.h"
#include "api/endpoint.h"
#include "api/admission.h"
#include "api/tls.h"

typedef struct tnng_admission_rule tnng_admission_rule;
typedef struct tnng_dialer tnng_dialer;
typedef struct tnng_reported_peers tnng_reported_peers;

/* A dialer or a listener. */
struct tnng_endpoint {
    atomic_int refs;
    tnng_endpoint *next, *previous; /* in endpoints->first; under pipes->lock, as what follows */
    bool linked;
    bool is_dialer;
    bool has_name;                             /* constant: nng looks up a name for it */
    bool is_ws;                                /* constant */
    bool detect_refusal;                       /* its dial tells a refusal from success */
    uint32_t id;                               /* 0 until nng has made it */
    char *url;                                 /* listener: constant */
    tnng_endpoint *next_dialing;               /* in endpoints->dialing */
    int64_t started_at;                        /* when nng was asked to dial */
    bool pipe_added, pipe_rejected, pipe_lost; /* what became of the pipe */
    int reason;                                /* TNNG_REASON_*: why it was rejected or lost */
    int refusal_code;                          /* why it was given up by us; 0: it was not */
    bool dial_cancelled;
    tnng_job work; /* dials, or creates and starts a listener */
    tnng_job close;
};

/* The dialers and listeners of a socket. */
struct tnng_endpoints {
    pthread_mutex_t lock;        /* C6: one close of an endpoint or of the socket at a time */
    bool closed;                 /* nng_close was called; under lock */
    tnng_endpoint *first, *last; /* under pipes->lock */
    tnng_endpoint *dialing;      /* between start and their first pipe; likewise */
    tnng_dialer *dialers;        /* under dialer_state.c's lock */
    bool dialers_gone;           /* likewise: none is added any more */
};

/* endpoint.c */
void tnng_endpoints_open(tnng_socket *, struct tnng_endpoints *);
void tnng_endpoints_free(tnng_socket *);
tnng_endpoint *tnng_endpoint_new(
    tnng_socket *, const tnng_job_kind *work, const tnng_job_kind *close);
/* Of a `tnng_endpoint *`, as a tnng_job_kind has them. */
void tnng_endpoint_ref(void *);
void tnng_endpoint_unref(void *);
void tnng_endpoint_unlink(tnng_endpoint *);
tnng_endpoint *tnng_endpoint_find(tnng_socket *, uint32_t id, bool is_dialer);
int tnng_endpoint_close(tnng_socket *, uint32_t id, bool is_dialer, const tnng_call *);
int tnng_endpoint_code(int code);
bool tnng_url_has_hostname(const char *url);
void tnng_endpoint_read_url(tnng_endpoint *, const char *url);
bool tnng_lookups_possible(void);

/* dial_attempts.c */
int tnng_dial_attempts(tnng_endpoint *dialer);

/* dial.c: with endpoints->lock held; NULL is every dialer. */
void tnng_dials_wait_connecting(tnng_socket *, tnng_endpoint *dialer);
/* With pipes->lock held. */
void tnng_dial_pipe_changed(tnng_socket *, tnng_pipe *);
void tnng_dial_fail(tnng_socket *, uint32_t dialer, int code);

/* dialer_state.c: whatever was not dialled here is none of its business */
void tnng_dialer_add(tnng_socket *, uint32_t id);
void tnng_dialer_remove(uint32_t id);
void tnng_dialers_remove_all(tnng_socket *);
void tnng_dial_wait_begin(uint32_t id);
void tnng_dial_wait_end(uint32_t id, int code);
void tnng_dial_failed(uint32_t id, int code);
void tnng_dial_background_begin(uint32_t id);
int64_t tnng_dial_refusal_deadline(int64_t begun, bool ws);
int tnng_dial_code_of_reason(int reason);
/* With pipes->lock held. */
void tnng_dial_connected(tnng_pipe *);
int tnng_dial_disconnected(tnng_pipe *, bool heard);
/* Without a lock. */
void tnng_dial_set_backoff(uint32_t id, int brief);

/* dial_watch.c. What nng has counted of a dialer. */
enum { TNNG_DIAL_COUNTERS = 7 };
typedef struct {
    uint64_t of[TNNG_DIAL_COUNTERS];
} tnng_dial_counts;
/* What the watch asks, and what it reports to. */
typedef struct {
    int (*undecided)(void); /* of how many dialers the first attempt is undecided */
    void (*update_counts)(uint32_t dialer, const tnng_dial_counts *);
} tnng_dial_watcher;
void tnng_dial_watch_start(const tnng_dial_watcher *);

/* A connection. */
struct tnng_pipe {
    atomic_int refs;
    tnng_pipe_info info; /* never written again once the pipe is in the table */
    atomic_bool gone;
    tnng_pipe *next, *previous; /* in the table, oldest first; under pipes->lock, as the rest */
    tnng_pipe *bucket_next;     /* the next one in its bucket */
    bool connected;             /* ADD_POST was seen */
    uint64_t replies_expected;  /* replies accepted for this very pipe */
    uint64_t accepted_before;   /* messages the socket had accepted when the pipe was new */
    bool is_ws;
    bool counts_written; /* it is known what its transport has written, */
    bool counts_given;   /* F1: and what it was given */
    tnng_tx tx;
    uint64_t surveys_missed;  /* surveys dropped for it */
    int64_t full_since;       /* it has had no room for surveys since, or 0, */
    uint64_t full_at;         /* and had got so many then */
    uint64_t received_before; /* what the socket had received when the pipe was new */
    int64_t made_at;          /* when that was, in monotonic nanoseconds */
    int reason;               /* TNNG_REASON_*: why it was rejected, or ended */
    bool already_paired;      /* a Pair had its peer when this came */
    atomic_int close_reason;  /* by us: 1 + TNNG_REASON_*; 0: not by us */
};

/* How many of the connections that went last a socket remembers. */
enum { PIPES_REMEMBERED = 64 };

/* The connections of a socket. */
struct tnng_pipe_table {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    tnng_pipe *first, *last; /* the table: offered or connected, and not gone; under lock, as all */
    tnng_pipe **buckets;     /* the same by id; a power of two of them */
    unsigned bucket_count, count;
    tnng_pipe *recent[PIPES_REMEMBERED]; /* gone lately; a ring of counted references */
    unsigned recent_next;
    struct {
        tnng_events *first, *last;
    } subscriptions;
    tnng_admission_rule *rules; /* admission: one for each listener that has a rule */
    int connected;
    uint64_t rejected, oversize;
    tnng_reported_peers
        *reported_peers;               /* what was reported of peers; made with the first report */
    uint64_t lost_pipes;               /* connected pipes that have gone */
    uint64_t lost_given, lost_written; /* what those had been given, and had written */
    tnng_op_list waiting;
    bool closed;
};

/* pipe_table.c: with pipes->lock held, except where no socket is named */
tnng_pipe *tnng_pipe_new(nng_pipe);
tnng_pipe *tnng_pipe_new_empty(void);
tnng_pipe *tnng_pipe_table_find(tnng_socket *, uint32_t id);
int tnng_pipe_table_add(tnng_socket *, tnng_pipe *);
void tnng_pipe_table_remove(tnng_socket *, tnng_pipe *);
void tnng_pipe_table_free(tnng_socket *);
int tnng_pipes_in_process(void);

/* pipe_wait.c: with pipes->lock held; the call waits in a list under that lock, until so many
 * peers are there, or until the list is woken. */
int tnng_pipes_park(tnng_socket *, tnng_op_list *list, const tnng_call *, int target);
void tnng_pipes_wake(tnng_socket *);

/* pipe_events.c: with pipes->lock held */
void tnng_events_publish(tnng_socket *, int kind, tnng_pipe *);
void tnng_events_shutdown(tnng_socket *);

/* pipes.c */
void tnng_pipes_open(tnng_socket *, struct tnng_pipe_table *);
int tnng_pipes_subscribe(tnng_socket *);
void tnng_pipes_shutdown(tnng_socket *);
void tnng_pipes_free(tnng_socket *);
void tnng_pipe_expect_reply(tnng_socket *, uint32_t id);
bool tnng_has_peer(tnng_socket *);

/* tls_names.c */
void tnng_tls_names_read(nng_pipe, tnng_pipe_info *);
void tnng_tls_names_free(tnng_pipe_info *);
void tnng_strings_free(char **);
bool tnng_tls_is_named(const tnng_pipe_info *, const char *wanted);

/* admission.c */
bool tnng_pipe_is_admitted(tnng_socket *, const tnng_pipe_info *);
void tnng_admission_rules_remove(tnng_socket *, uint32_t listener);
void tnng_admission_rules_free(tnng_socket *);

/* reports.c */
void tnng_report_enqueue(tnng_report);
/* With pipes->lock held: a peer of a listener was refused, or sent too much. */
void tnng_report_peer(tnng_socket *, tnng_pipe *, int code);
void tnng_report_event(tnng_pipe *, int kind);
/* Without that lock. */
void tnng_report_drops(tnng_socket *, bool first_time);

#endif

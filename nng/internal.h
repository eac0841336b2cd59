/* What the shim's own files share. Who runs a function stands first in its comment: [caller] a
 * thread of the program, without the GIL; [nng] a task thread of nng; [job] a helper thread; [any]
 * all of them.
 *
 * Locks, outermost first: socket->lock, lane->lock, then the leaves (socket->pipes_lock,
 * socket->owner_lock, contexts_lock, port->lock). nng may be called under lane->lock: a callback of
 * ours never runs on the thread that submits or cancels, and nng holds none of its locks while one
 * runs. */
#ifndef TNNG_INTERNAL_H
#define TNNG_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <nng/nng.h>

#include "api/completion_queue.h"
#include "api/socket.h"
#include "api/endpoint.h"
#include "api/pipes.h"
#include "api/tls.h"
#include "api/admission.h"
#include "api/desk.h"
#include "api/build.h"
#include "api/reports.h"

#include "fixes/table.h"

/* What a protocol is like; sock/socket.c has the table. */
enum {
    CAN_SEND = 1,
    CAN_RECEIVE = 2,
    HAS_CONTEXTS = 4,
    STANDING = 8,          /* a receive, once posted, stays posted when its task leaves */
    ONE_AT_A_TIME = 16,    /* one call per lane; a second one is busy */
    TRY_RECEIVE = 32,      /* a zero-timeout receive is honest */
    TRY_SEND = 64,         /* a zero-timeout send is honest, and keeps the message when it fails */
    SUPERSEDES = 128,      /* a send ends the receive that waits, and forgets its answer */
    ANSWERS = 256,         /* a send answers the request received last */
    SURVEYS = 1024,        /* any number of answers: receives stand from the send on */
    CHOOSES_PIPE = 2048,   /* a message goes to the pipe it names */
    SPARE_CONTEXTS = 4096, /* C3: what is received comes with the context it came in */
    SOURCE = 8192,         /* C3: where such receives stand; not a lane anybody sees */
    KEEPS_HEADER = 512,    /* the message's header is the caller's business (raw mode) */
};

typedef struct {
    const char *name;
    int (*open)(nng_socket *);
    int (*open_raw)(nng_socket *);
    unsigned traits;
} tnng_protocol;

extern const tnng_protocol tnng_protocols[];

struct tnng_port {
    atomic_int refs;
    pthread_mutex_t lock;
    tnng_op *first, *last; /* finished calls nobody has taken; under lock */
    int read_fd, write_fd; /* -1 once closed; under lock */
    int polled_fd;         /* a pipe that a thread polls just now, else -1; under lock */
    tnng_waiter *waiter;   /* the thread it belongs to; only that thread follows it */
    bool exclusive;
    uint64_t token;      /* under lock; 0 when there is a descriptor, or when closed */
    bool alarm;          /* token bell: rung, Python not yet called; under lock */
    pthread_cond_t rung; /* for waiting threads; under lock */
};

typedef enum {
    OP_SENDING,  /* its aio is with nng */
    OP_WAITING,  /* in lane->waiting, socket->pipe_waiting, or a subscription's list */
    OP_RUNNING,  /* in job->waiting */
    OP_FINISHED, /* in port->first, with its result */
} tnng_stage;

typedef struct {
    tnng_op *first, *last;
} tnng_ops;

typedef struct tnng_job tnng_job;

/* One call somebody waits for. */
struct tnng_op {
    tnng_op *next, *previous; /* the one list it is in; under that list's lock */
    tnng_port *port;          /* a counted reference; NULL when nobody waits */
    tnng_lane *lane;          /* a counted reference, or NULL */
    tnng_socket *socket;      /* jobs and pipe waits: a counted reference, or NULL */
    uint64_t tag;
    tnng_stage stage; /* under lane->lock, socket->pipes_lock, or for jobs core/worker.c's lock */
    bool cancel_requested;
    bool abandoned; /* the caller is gone: whoever finishes it, frees it */
    bool chain;     /* a receive follows the send */
    bool quick;     /* a reply on the lane's aio without a callback */
    int code;
    nng_msg *msg;
    size_t size;                  /* sends: of the body */
    tnng_lane *home;              /* SOURCE: the lane that asked; a counted reference */
    nng_aio *aio;                 /* sends; made on first use and kept with the op */
    tnng_job *job;                /* what it waits for; alive until the op has finished */
    int wanted;                   /* pipe waits: for how many */
    tnng_ops *among;              /* jobs and pipe waits: the list it waits in */
};

/* What a helper thread does: part of the socket or endpoint it belongs to. All but the constants
 * and `reserve` under core/worker.c's lock. */
struct tnng_job {
    tnng_job *next;                /* in a queue, or among those that run */
    int (*run)(tnng_job *);        /* constant while it is queued; answers the code */
    void (*interrupt)(tnng_job *); /* constant: the last call that waited for it has left */
    tnng_socket *socket;           /* constants: whose it is; held while it is queued or runs */
    tnng_endpoint *endpoint;
    bool slow; /* constant: it may take minutes */
    bool once; /* constant: when it has been done there is no more to do */
    bool anew; /* constant: a call that comes while it runs waits for the next run */
    enum { JOB_IDLE, JOB_QUEUED, JOB_RUNNING, JOB_DONE } stage;
    int code;
    int64_t since;  /* when it was queued, or has begun */
    tnng_job *then; /* what to do next */
    tnng_ops waiting, early; /* for this run, and for the next one */
    _Atomic(tnng_op *) reserve; /* memory for the first op that waits for it, or NULL */
};

/* A dialer or a listener. */
struct tnng_endpoint {
    atomic_int refs;
    tnng_endpoint *next, *previous; /* in socket->endpoints; under pipes_lock, as what follows */
    bool linked;
    bool is_dialer;
    bool has_name; /* constant: nng looks up a name for it */
    bool is_ws;    /* constant */
    bool settles;  /* its dial tells a refusal from success; under socket->pipes_lock */
    uint32_t id;   /* 0 until nng has made it */
    char *url;     /* listener: constant */
    tnng_endpoint *next_dialing; /* in socket->dialing */
    int64_t begun;               /* when nng was asked to dial */
    bool posted, rejected, lost; /* what became of the pipe */
    int reason;                  /* TNNG_BY_*: why it was rejected or lost */
    int refusal;                 /* why it was given up by us; 0: it was not */
    bool dial_cancelled;
    tnng_job work; /* dials, or creates and starts a listener */
    tnng_job close;
};

/* One receive that nng has, or a message nobody has asked for yet. */
typedef struct tnng_slot {
    struct tnng_slot *next;
    tnng_lane *lane;
    nng_aio *aio;
    nng_msg *msg;
    int code;
    bool pending;    /* with nng */
    bool unwanted;   /* cancelled or superseded: if no message comes of it, it vanishes */
    bool superseded; /* and if one does, it is thrown away */
    bool useful;     /* counted in lane->useful */
    bool counted;    /* its message was handed out before, and given back */
    nng_ctx context; /* SOURCE: where it is posted; id 0 is none yet */
} tnng_slot;

typedef struct tnng_desk tnng_desk;

/* A descriptor that is readable while a lane has something to give; under the lane's lock. */
typedef struct {
    int read_fd, write_fd;
    bool told; /* it is readable */
} tnng_ready;

struct tnng_lane {
    atomic_int refs;
    tnng_lane *next, *previous; /* in socket->lanes; under socket->lock */
    tnng_socket *socket;        /* a counted reference */
    unsigned traits;
    bool is_context;
    nng_ctx context;

    pthread_mutex_t lock; /* held in calls of nng, so taken with tnng_lock */
    bool closed;            /* the gate: every submit looks at it under lock */
    bool ended;             /* SURVEYS: no more replies are waited for */
    bool answerable;        /* ANSWERS: a request was handed out and not answered */
    bool asked;             /* SUPERSEDES: a request was sent, its answer not handed out */
    uint32_t asker;         /* the pipe it came through */
    int sending;            /* sends that are with nng */
    int keep;               /* receives that stand whether somebody waits or not */
    bool parting;           /* C10: none is cancelled, a peer is leaving */
    int useful;             /* slots in the ring that may still serve somebody */
    tnng_slot *head, *tail; /* the ring, in the order of submission */
    tnng_slot *spare;       /* slots with an idle aio */
    tnng_ops waiting;       /* receives, in the order they asked */
    int waiters;
    tnng_op *idle_ops;
    nng_aio *try_send, *try_receive;
    tnng_desk *desk;   /* the lane is a desk; set before anything waits */
    tnng_ready *ready; /* the socket's, once somebody asked for it */
};

struct tnng_pipe {
    atomic_int refs;
    tnng_pipe_info info; /* never written again once the pipe is in the table */
    atomic_bool gone;
    tnng_pipe *next, *previous; /* in socket->pipes, oldest first; under pipes_lock, as the rest */
    tnng_pipe *chain;           /* the next one in its bucket */
    bool connected;             /* ADD_POST was seen */
    uint64_t expected;          /* replies accepted for this very pipe */
    uint64_t before;            /* messages the socket had accepted when the pipe was new */
    bool is_ws;
    bool counts_written; /* it is known what its transport has written, */
    bool counts_given;   /* F1: and what it was given */
    uint64_t given, written, written_bytes; /* as the last look saw it */
    uint64_t missed;     /* surveys dropped for it */
    int64_t full_since;  /* it has had no room for surveys since, or 0, */
    uint64_t full_at;    /* and had got so many then */
    uint64_t received_before;   /* and received */
    int64_t made_at;            /* when it was new, in monotonic nanoseconds */
    int reason;                 /* TNNG_BY_*: why it was rejected, or ended */
    bool taken;                 /* a Pair had its peer when this came */
    atomic_int closed_for;      /* by us: 1 + TNNG_BY_*; 0: not by us */
};

/* How many of the connections that went last a socket remembers. */
enum { PIPES_REMEMBERED = 64 };

typedef struct tnng_event {
    struct tnng_event *next;
    int kind, reason;
    tnng_pipe *pipe; /* a counted reference */
} tnng_event;

struct tnng_events {
    tnng_socket *socket;          /* a counted reference */
    tnng_events *next, *previous; /* in socket->subscriptions; under pipes_lock, as the rest */
    tnng_event *first, *last;
    uint32_t unread, limit;
    bool lost;   /* there was no room for an event; nothing is added after it */
    bool closed; /* not in socket->subscriptions any more */
    tnng_ops waiting;
};

typedef struct tnng_rule tnng_rule;
typedef struct tnng_dialer tnng_dialer;
typedef struct tnng_told tnng_told;

struct tnng_socket {
    atomic_int refs;
    nng_socket nng;
    const tnng_protocol *protocol;
    unsigned traits;
    int protocol_number;
    int peer_number; /* nng's number of the protocol its peers speak */

    pthread_mutex_t lock;
    tnng_lane *lanes;
    bool closing;

    pthread_mutex_t contexts_lock; /* nng 1.5 cannot close a context while it closes the socket */
    bool contexts_gone;            /* under contexts_lock */

    tnng_lane *source; /* C3: a counted reference until the socket has closed */
    tnng_lane *service; /* the desk that takes all surveys, or NULL; under source->lock */

    tnng_job close;
    pthread_mutex_t endpoint_lock; /* C6: one close of an endpoint or of the socket at a time */
    bool closed;                   /* nng_close was called; under endpoint_lock */

    pthread_mutex_t pipes_lock;
    pthread_cond_t pipes_changed;
    tnng_pipe *pipes, *newest_pipe; /* the table: offered or connected, and not gone */
    tnng_pipe **pipe_buckets;       /* the same by id; a power of two of them */
    unsigned bucket_count, pipe_total;
    tnng_pipe *remembered[PIPES_REMEMBERED]; /* gone lately; a ring of counted references */
    unsigned forget_next;
    tnng_events *subscriptions;
    tnng_rule *rules; /* who may connect, a rule for each listener that has one */
    int connected;
    uint64_t rejected, oversize;
    tnng_dialer *dialers; /* under conn/dialer_state.c's lock */
    bool dialers_gone;    /* likewise: none is added any more */
    bool causes_gone;     /* the same of causes.c, under its lock */
    tnng_told *told;      /* what was reported of peers; made with the first report */
    uint64_t lost_pipes; /* connected pipes that have gone */
    uint64_t lost_given, lost_written; /* what those had been given, and had written */
    tnng_flush_state flushed; /* the last look */
    tnng_job look;

    pthread_mutex_t survey_lock; /* held in calls of nng, so taken with tnng_lock */
    int survey_room;             /* all connections have room for so many; under survey_lock */
    int64_t surveyed_at;         /* likewise: when that was found */
    tnng_ops pipe_waiting;
    tnng_endpoint *endpoints;
    tnng_endpoint *dialing; /* between start and their first pipe */
    bool pipes_closed;

    pthread_mutex_t owner_lock;
    tnng_port *owner; /* compared, never followed; NULL: threads, any number of them */
    int parked;

    atomic_uint_fast64_t accepted; /* messages nng took from us */
    atomic_uint_fast64_t given_late; /* so many of them to connections that had ended */
    atomic_uint_fast64_t accepted_bytes;
    atomic_uint_fast64_t received; /* messages handed to a call */
    atomic_uint_fast64_t received_bytes;
    atomic_uint_fast64_t dropped; /* C3: surveys nobody asked for in time */
    atomic_int busy_replies;       /* > 0: replies met a busy connection lately */
    atomic_bool reply_waits;       /* one without a callback does */

    /* perf/wakeups.c; all under the lock of the lane that is no context */
    int in_a_row;    /* sends, or receives, without a pause before them */
    bool sends;      /* the last was a send, */
    int64_t sent_at; /* at so many nanoseconds of the monotonic clock */

    tnng_ready *ready; /* set once, under the lock of the lane it tells of */
    int send_fd;       /* a duplicate of nng's, or -1; under lock */
};

/* core/op.c */
tnng_op *tnng_op_new(tnng_lane *, tnng_socket *, tnng_port *, uint64_t tag);
void tnng_op_init(tnng_op *, tnng_lane *, tnng_socket *, tnng_port *, uint64_t tag);
void tnng_op_free(tnng_op *);
void tnng_op_forget_caller(tnng_op *);
void tnng_op_finish(tnng_op *, int code, nng_msg *);
int tnng_answer(tnng_result *, int code, nng_msg *);
int tnng_park(tnng_op *, tnng_result *);
void tnng_ops_append(tnng_ops *, tnng_op *);
void tnng_ops_remove(tnng_ops *, tnng_op *);
bool tnng_owner_is_another(tnng_socket *, tnng_port *);
bool tnng_owner_is_there(tnng_socket *);
bool tnng_owner_enter(tnng_socket *, tnng_port *);
void tnng_owner_leave(tnng_socket *);

/* sock/socket.c */
int tnng_begin(void);
void tnng_socket_hold(tnng_socket *);
void tnng_socket_release(tnng_socket *);

/* sock/context.c */
void tnng_submit_send(tnng_lane *, nng_aio *, nng_msg *);
void tnng_submit_receive(tnng_lane *, nng_aio *);
void tnng_lane_release(tnng_lane *);

/* core/completion_queue.c */
int tnng_bell_open(int *read_fd, int *write_fd);
tnng_port *tnng_port_new(void);
void tnng_port_hold(tnng_port *);
void tnng_port_release(tnng_port *);
void tnng_port_post(tnng_port *, tnng_op *);
bool tnng_port_unpost(tnng_port *, tnng_op *);

/* core/waiter.c: [caller] the last thing every submit does, without a lock. `home` is the lane a
 * message received by this call would go back to. */
int tnng_submitted(tnng_port *, tnng_lane *home, int code);

/* sock/recv.c: all with lane->lock held */
int tnng_lane_leave(tnng_lane *, tnng_op *);
void tnng_lane_settle(tnng_lane *);
int tnng_lane_post(tnng_lane *);
void tnng_lane_cancel_surplus(tnng_lane *);
void tnng_lane_supersede(tnng_lane *);
void tnng_lane_wait(tnng_lane *, tnng_op *);
/* Closes the gate, wakes who waits. Takes lane->lock. */
void tnng_lane_shut(tnng_lane *);
void tnng_lane_hold(tnng_lane *);

int tnng_lane_hand_out(tnng_lane *, nng_msg **, tnng_lane *home);
int tnng_lane_try_receive(tnng_lane *, nng_msg **);
int tnng_lane_receive_now(tnng_lane *, size_t room, nng_msg **);
bool tnng_lane_ready(tnng_lane *);
/* `counted`: it had been handed out. */
tnng_slot *tnng_lane_put_first(tnng_lane *, nng_msg *, bool counted);
void tnng_slot_set_useful(tnng_lane *, tnng_slot *, bool useful);

/* sock/respond.c: C3 */
int tnng_source_open(tnng_socket *);
void tnng_source_close(tnng_socket *);
tnng_lane *tnng_source_hold(tnng_socket *);
int tnng_source_receive(tnng_lane *home, tnng_port *, uint64_t tag, tnng_result *);
void tnng_source_unreserve(tnng_lane *home);
void tnng_source_adopt(tnng_lane *home, tnng_slot *);
int tnng_source_wanted(tnng_lane *source);
void tnng_source_forget(tnng_lane *home);
void tnng_source_give_back(tnng_lane *home, nng_msg *);
void tnng_source_feed(tnng_lane *source);

/* sock/pollfd.c */
void tnng_ready_tell(tnng_lane *);
void tnng_ready_end(tnng_socket *);
void tnng_ready_free(tnng_socket *);

/* sock/desk.c */
void tnng_desk_end(tnng_lane *);
void tnng_desk_free(tnng_desk *);

/* sock/send.c, lane->lock held */
int tnng_send_leave(tnng_lane *, tnng_op *);
tnng_op *tnng_send_op(tnng_lane *, tnng_port *, uint64_t tag, bool chain, int *code);
void tnng_send_op_drop(tnng_op *);
/* Takes lane->lock. */
void tnng_sent(tnng_op *);

/* sock/reply.c */
bool tnng_reply_is_quick(tnng_lane *);
void tnng_reply_noted(tnng_socket *, bool waits);
int tnng_reply_quickly(tnng_lane *, nng_msg *, tnng_port *, uint64_t tag, tnng_op **parked);

/* conn/pipes.c */
int tnng_pipes_watch(tnng_socket *);
void tnng_pipes_shut(tnng_socket *);
void tnng_pipe_expect(tnng_socket *, uint32_t id);
int tnng_park_for_pipes(
    tnng_socket *, tnng_ops *among, tnng_port *, uint64_t tag, tnng_result *, int wanted);
int tnng_pipe_leave(tnng_op *);

/* core/platform.c */
int64_t tnng_now(void); /* nanoseconds */
void tnng_cond_init(pthread_cond_t *);
/* False when that time has come; negative is for ever. */
bool tnng_cond_wait(pthread_cond_t *, pthread_mutex_t *, int64_t until);

/* core/threads.c */
bool tnng_run_thread(void *(*)(void *), void *);
void tnng_name_thread(const char *);
bool tnng_threads_can_be_made(int);

/* core/worker.c */
int tnng_workers_begin(void);
void tnng_job_init(tnng_job *, int (*run)(tnng_job *), tnng_socket *, tnng_endpoint *);
bool tnng_job_make_reserve(tnng_job *);
void tnng_job_free_reserve(tnng_job *);
int tnng_job_begin(tnng_job *, tnng_port *, uint64_t tag, tnng_result *);
int tnng_job_queue(tnng_job *, bool even_without_thread);
int tnng_job_wait(tnng_job *, int milliseconds);
void tnng_job_follow(tnng_job *, tnng_job *then);
int tnng_job_leave(tnng_op *);

/* fixes/send_refused.c: L2; nothing where libnng is a library of its own */
void tnng_gives(nng_aio *);

/* fixes/ws_unsent.c: L6 */
void tnng_ws_marks(nng_aio *);
void tnng_ws_gives_up(nng_aio *);

/* perf/wakeups.c */
void tnng_wakes_begin(void);
bool tnng_wakes_exist(void);
int tnng_lock(pthread_mutex_t *);
void tnng_wakes_hold(void);
void tnng_wakes_go(void);
void tnng_wakes_may_wait(tnng_lane *, bool sends);
void tnng_wakes_wait(tnng_lane *, bool room);
void tnng_wakes_pay(void);
void tnng_wakes_pay_all(void);

/* fixes/pair_peer_gone.c: C10 */
void tnng_pair_parts(tnng_socket *);
void tnng_pair_joins(tnng_socket *);

/* fixes/push_pipe_freed.c: C9 */
void tnng_push_parts(tnng_socket *, uint32_t pipe);
void tnng_push_closed(tnng_socket *);

/* fixes/epipe.c: S2 */
bool tnng_path_is_taken(const char *path);

/* fixes/listener_names.c: L4 */
void tnng_names_starting(const tnng_socket *, uint32_t listener);
int tnng_names_close(int fd);
void tnng_names_wait(const tnng_socket *, uint32_t listener);

/* conn/dial_attempts.c */
int tnng_attempts(tnng_endpoint *dialer);

/* fixes/addresses.c: M7 */
void tnng_addresses_new(const nng_aio *);
void tnng_addresses_want(int which);
int tnng_addresses_count(uint32_t dialer);

/* fixes/strangers.c: S4 */
void tnng_stranger_is_known(const tnng_addr *local, const tnng_addr *remote);

/* fixes/ws_peer_gone.c: L5 */
void tnng_ws_end_receive(nng_stream *, nng_aio *);

/* sock/flush.c */
void tnng_flush_note_lost(tnng_socket *);
int tnng_run_look(tnng_job *);
void tnng_flush_note(tnng_socket *);

/* sock/survey.c */
bool tnng_survey_begin(tnng_socket *);
void tnng_survey_end(tnng_socket *);

/* fixes/tx_counts.c: F1 */
bool tnng_tx_is_counted(void);
bool tnng_tx_begin(tnng_socket *, uint32_t pipe);
void tnng_tx_read(tnng_pipe *);
void tnng_tx_end(tnng_pipe *);
void tnng_tx_submits(nng_aio *);

#include "testing/testing.h"

/* sock/stats.c */
void tnng_count_sent(tnng_socket *, size_t);
void tnng_count_received(tnng_socket *, size_t);

/* testing/cancel_counts.c: one more cancel that landed here */
void tnng_count_cancel_pending(void);
void tnng_count_cancel_completed(void);

#endif

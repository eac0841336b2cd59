/* What messages travel in: a socket and its contexts, receives, sends and replies. The top layer:
 * it may call all others. */
#ifndef TNNG_SOCK_H
#define TNNG_SOCK_H

#include "core/core.h"
#include "fixes/fixes.h"
#include "perf/wakeups.h"
#include "conn/conn.h"

#include "api/socket.h"
#include "api/service.h"

/* What a protocol is like; protocols.c has the table. */
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
    KEEPS_HEADER = 512,    /* the message's header is the caller's business (raw mode) */
};

typedef struct {
    const char *name;
    int (*open)(nng_socket *);
    int (*open_raw)(nng_socket *);
    unsigned traits;
} tnng_protocol;

extern const tnng_protocol tnng_protocols[];
unsigned tnng_protocol_traits(int protocol, bool raw);
size_t tnng_protocol_header_room(int protocol, bool raw);

/* One receive that nng has, or a message that no call has asked for yet. */
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
} tnng_slot;

/* What the lanes of a kind do otherwise than a socket or a context of nng; NULL: nothing. */
typedef struct {
    int (*receive)(tnng_lane *, const tnng_call *);
    int (*send)(tnng_lane *, nng_msg *, bool chain, const tnng_call *);
    void (*give_back)(tnng_lane *, nng_msg *);
    void (*dispatch)(tnng_lane *);        /* hands out what is ready */
    void (*shut)(tnng_lane *);            /* no call can begin any more */
    void (*close)(tnng_lane *);           /* after that */
    void (*free)(tnng_lane *);
    void (*socket_closed)(tnng_socket *); /* [job] nng_close has returned */
} tnng_lane_kind;

typedef struct tnng_pool tnng_pool;
typedef struct tnng_pool_slot tnng_pool_slot;

/* Readable while a lane has something to give; under the lane's lock. */
typedef struct {
    tnng_wakeup_fd fd;
    bool told; /* it is readable */
} tnng_ready;

/* A socket or one of its contexts: where messages travel. */
struct tnng_lane {
    tnng_origin origin;
    tnng_lane *next, *previous; /* in the contexts of the socket; under their lock */
    tnng_socket *socket;        /* a counted reference */
    const tnng_lane_kind *kind; /* or NULL; as `traits`, set before anything waits */
    unsigned traits;
    bool is_context;
    nng_ctx context;

    pthread_mutex_t lock;   /* held in calls of nng, so taken with tnng_lock */
    bool closed;            /* the gate: every submit looks at it under lock */
    bool ended;             /* SURVEYS: no more replies are waited for */
    bool answerable;        /* ANSWERS: a request was handed out and not answered */
    bool asked;             /* SUPERSEDES: a request was sent, its answer not handed out */
    uint32_t asker;         /* the pipe it came through */
    int sending;            /* sends that are with nng */
    int keep;               /* receives that stand whether a call waits or not */
    bool parting;           /* C10: none is cancelled, a peer is leaving */
    int useful;             /* slots in the ring that may still serve a call */
    tnng_slot *head, *tail; /* the ring, in the order of submission */
    tnng_slot *spare;       /* slots with an idle aio */
    tnng_ops waiting;       /* receives, in the order they asked */
    int waiters;
    tnng_op *idle_ops;
    nng_aio *try_send, *try_receive;
    tnng_stream stream;
    tnng_pool *pool;      /* the lane is that of a pool of contexts */
    tnng_lane *pool_lane; /* its requests come from there; a counted reference, or NULL */
    int service;          /* the number of the service it is a worker of, or 0; */
    tnng_pool_slot *slot; /* the request it is answering, or NULL; under pool_lane->lock too */
    tnng_ready *ready; /* the socket's, from its first use on */
};

/* The lanes of a socket, and its close. */
struct tnng_contexts {
    pthread_mutex_t lock;
    tnng_lane *first, *last;
    bool closing;
    const tnng_lane_kind *kind; /* of new ones */

    pthread_mutex_t close_lock; /* nng 1.5 cannot close a context while it closes the socket */
    bool gone;                  /* under close_lock */

    tnng_lane *pool; /* C3: of new ones; a counted reference until the socket has closed */
    tnng_job close;
};

/* What becomes of messages that were sent. */
struct tnng_sends {
    atomic_int busy_replies; /* > 0: replies met a busy connection lately */
    atomic_bool reply_waits; /* one without a callback does */

    pthread_mutex_t survey_lock; /* held in calls of nng, so taken with tnng_lock */
    int survey_room;             /* all connections have room for so many; under survey_lock */
    int64_t surveyed_at;         /* likewise: when that was found */

    tnng_flush_state flushed; /* the last look; under pipes->lock */
    tnng_job look;
};

struct tnng_pollfds {
    tnng_ready *ready; /* set once, under the lock of the lane it tells of */
    int send_fd;       /* a duplicate of nng's, or -1; under the lock of the contexts */
};

/* stats.c */
void tnng_count_sent(tnng_socket *, size_t);
void tnng_count_received(tnng_socket *, size_t);

/* context.c */
static inline void tnng_lane_hold(tnng_lane *lane) { tnng_origin_ref(&lane->origin); }
static inline void tnng_lane_release(tnng_lane *lane) { tnng_origin_unref(&lane->origin); }
void tnng_lane_free(tnng_origin *);
void tnng_lanes_wait_for_sends(tnng_socket *);
void tnng_submit_send(tnng_lane *, nng_aio *, nng_msg *);
void tnng_submit_receive(tnng_lane *, nng_aio *);

/* A call that waits for messages, or that nng has room for one. */
typedef struct {
    tnng_op op;
    tnng_lane *lane; /* a counted reference */
    tnng_lane *home; /* of a pool: the context that asked; a counted reference, or NULL */
    nng_aio *aio;    /* sends; made on first use and kept with the op */
    size_t size;     /* sends: of the body */
    bool cancel_requested;
    bool abandoned; /* the caller is gone: what finishes it, frees it */
    bool chain;     /* a receive follows the send */
    bool quick;     /* a reply on the lane's aio without a callback */
} tnng_lane_op;
/* With lane->lock held. NULL: it cannot park, *code says why. */
tnng_lane_op *tnng_lane_op_new(tnng_lane *, const tnng_op_kind *, const tnng_call *, int *code);
/* With no lock held; the `free` of a kind. */
void tnng_lane_op_free(tnng_op *);
/* With lane->lock held; one that was never submitted. */
void tnng_lane_op_drop(tnng_lane_op *);

/* recv.c: all with lane->lock held */
void tnng_lane_settle(tnng_lane *);
void tnng_ready_tell(tnng_lane *, bool has_message);
int tnng_lane_post(tnng_lane *);
void tnng_lane_cancel_surplus(tnng_lane *);
void tnng_lane_supersede(tnng_lane *);
void tnng_lane_wait(tnng_lane *, tnng_lane_op *);
int tnng_lane_leave(tnng_lane *, tnng_lane_op *);
int tnng_lane_try_receive(tnng_lane *, nng_msg **);
int tnng_lane_receive_now(tnng_lane *, size_t room, nng_msg **);
bool tnng_lane_ready(tnng_lane *);
/* `counted`: it had been handed out. */
tnng_slot *tnng_lane_put_first(tnng_lane *, nng_msg *, bool counted);
/* Without a lock. */
void tnng_lanes_stand(tnng_socket *, bool lost);

/* recv_calls.c */
extern const tnng_op_kind tnng_recv_kind;
void tnng_recv_reclaim(tnng_op *);
void tnng_lane_give_back(tnng_origin *, nng_msg *);

/* send_op.c: with lane->lock held. Sends that wait: `sent` takes the lock. */
tnng_lane_op *tnng_send_op(tnng_lane *, const tnng_call *, bool chain, int *code);
void tnng_sent(tnng_lane_op *);
void tnng_send_accepted(tnng_lane *, size_t);
int tnng_send_submit(tnng_lane *, tnng_lane_op *, nng_msg *);

/* reply.c */
bool tnng_reply_is_quick(tnng_lane *);
void tnng_reply_noted(tnng_socket *, bool waits);
int tnng_reply_quickly(tnng_lane *, nng_msg *, const tnng_call *);

/* flush.c */
extern const tnng_job_kind tnng_flush_job;
void tnng_flush_note_lost(tnng_socket *);
void tnng_flush_note(tnng_socket *);

/* survey.c */
bool tnng_survey_begin(tnng_socket *);
void tnng_survey_end(tnng_socket *);

/* pollfd.c */
void tnng_ready_end(tnng_socket *);
void tnng_ready_free(tnng_socket *);

/* close.c */
extern const tnng_job_kind tnng_close_job;

/* pooled.c: C3 */
int tnng_respondent_open(tnng_socket *);

#endif

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
    TRAIT_SEND = 1,
    TRAIT_RECV = 2,
    TRAIT_CONTEXTS = 4,
    TRAIT_PERSISTENT_RECV = 8, /* a receive, once posted, stays posted when its task leaves */
    TRAIT_SINGLE_CALL = 16,    /* one call per context; a second one is busy */
    TRAIT_TRY_RECV = 32,       /* a zero-timeout receive is honest */
    TRAIT_TRY_SEND = 64, /* a zero-timeout send is honest, and keeps the message when it fails */
    TRAIT_SEND_SUPERSEDES = 128, /* a send ends the receive that waits, and forgets its answer */
    TRAIT_REPLIES = 256,         /* a send answers the request received last */
    TRAIT_SURVEYS = 1024,        /* any number of answers: receives stay posted from the send on */
    TRAIT_CHOOSES_PIPE = 2048,   /* a message goes to the pipe it names */
    TRAIT_CONTEXT_POOL = 4096,   /* C3: what is received comes with the context it came in */
    TRAIT_RAW_HEADER = 512,      /* the message's header is the caller's business (raw mode) */
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
    tnng_ctx *ctx;
    nng_aio *aio;
    nng_msg *msg;
    int code;
    bool pending;    /* with nng */
    bool cancelled;  /* cancelled or superseded: if no message comes of it, it vanishes */
    bool superseded; /* and if one does, it is thrown away */
    bool live;       /* counted in ctx->live */
    bool accounted;  /* its message was handed out before, and given back */
} tnng_slot;

/* What the contexts of a kind do; each function takes the locks it needs but `dispatch`, and
 * `free`, which needs none. */
typedef struct {
    /* `ask_nng`: the call does not wait, and wants the best answer there is. */
    int (*recv)(tnng_ctx *, const tnng_call *, bool ask_nng, nng_msg **);
    /* `*msg` becomes NULL when nng has taken it. With `chain` a receive follows. */
    int (*send)(tnng_ctx *, nng_msg **msg, bool chain, const tnng_call *);
    void (*unget)(tnng_ctx *, nng_msg *);
    void (*dispatch)(tnng_ctx *); /* hands out what is ready */
    void (*shutdown)(tnng_ctx *); /* no call can begin any more */
    void (*close)(tnng_ctx *);    /* after that */
    void (*free)(tnng_ctx *);
} tnng_ctx_kind;

typedef struct tnng_pool tnng_pool;
typedef struct tnng_pool_slot tnng_pool_slot;

/* Readable while a context has something to give; under the context's lock. */
typedef struct {
    tnng_wakeup_fd fd;
    bool signaled; /* it is readable */
} tnng_pollfd;

/* A socket or one of its contexts: where messages travel. */
struct tnng_ctx {
    tnng_origin origin;
    tnng_ctx *next, *previous; /* in the contexts of the socket; under their lock */
    tnng_socket *socket;       /* a counted reference */
    const tnng_ctx_kind *kind; /* as `traits`, set before anything waits */
    unsigned traits;
    nng_ctx nng; /* id 0: the socket's own, or none yet */

    pthread_mutex_t lock; /* held in calls of nng, so taken with tnng_lock */
    bool closed;          /* every submit looks at it under lock first */
    bool left_to_nng;     /* C12: nng closes it, and ends its operations; as closed */
    bool survey_ended;    /* TRAIT_SURVEYS: no more replies are waited for */
    bool has_request;     /* TRAIT_REPLIES: a request was handed out and not answered */
    bool request_sent;    /* TRAIT_SEND_SUPERSEDES: a request was sent, its answer not handed out */
    uint32_t reply_pipe;  /* the pipe it came through */
    int sending;          /* sends that are with nng */
    int prefetch;         /* receives that stay posted whether a call waits or not */
    bool peer_lost;       /* C10: none is cancelled, a peer is leaving */
    int live;             /* slots in the ring that may still serve a call */
    tnng_slot *head, *tail; /* the ring, in the order of submission */
    tnng_slot *free_list;   /* slots with an idle aio */
    tnng_op_list waiting;   /* receives, in the order they asked */
    int waiters;
    tnng_op *idle_ops;
    nng_aio *try_send, *try_recv;
    tnng_stream stream;
    tnng_pool *pool;      /* the context is that of a pool of contexts */
    tnng_ctx *pool_ctx;   /* its requests come from there; a counted reference, or NULL */
    int service;          /* the number of the service it is a worker of, or 0; */
    tnng_pool_slot *slot; /* the request it is answering, or NULL; under pool_lane->lock too */
    tnng_pollfd *pollfd;  /* the socket's, from its first use on */
};

/* The contexts of a socket, and its close. */
struct tnng_contexts {
    pthread_mutex_t lock; /* held in calls of nng, so taken with tnng_lock */
    tnng_ctx *first, *last;
    bool closing;
    const tnng_ctx_kind *kind; /* of new ones */

    pthread_mutex_t close_lock; /* nng 1.5 cannot close a context while it closes the socket */
    bool gone;                  /* under close_lock */

    tnng_ctx *pool; /* C3: of new ones; a counted reference until the socket has closed */
    tnng_job close;
};

/* What becomes of messages that were sent. */
struct tnng_sends {
    atomic_int busy_replies; /* > 0: replies met a busy connection lately */
    atomic_bool reply_waits; /* one without a callback does */

    pthread_mutex_t survey_lock; /* held in calls of nng, so taken with tnng_lock */
    int survey_room;             /* all connections have room for so many; under survey_lock */
    int64_t surveyed_at;         /* likewise: when that was found */

    tnng_flush_state flush_state; /* the last look; under pipes->lock */
    tnng_job flush_job;
};

struct tnng_pollfds {
    tnng_pollfd *pollfd; /* set once, under the lock of the context it tells of */
    int send_fd;         /* a duplicate of nng's, or -1; under the lock of the contexts */
};

/* stats.c */
void tnng_stats_add_sent(tnng_socket *, size_t);
void tnng_stats_add_received(tnng_socket *, size_t);

/* context.c */
static inline void tnng_ctx_ref(tnng_ctx *ctx) { tnng_origin_ref(&ctx->origin); }
static inline void tnng_ctx_unref(tnng_ctx *ctx) { tnng_origin_unref(&ctx->origin); }
void tnng_ctx_free(tnng_origin *);
void tnng_contexts_wait_sends(tnng_socket *);
void tnng_ctx_nothing(tnng_ctx *); /* for a kind of context */
void tnng_submit_send(tnng_ctx *, nng_aio *, nng_msg *);
void tnng_submit_recv(tnng_ctx *, nng_aio *);

/* A call that waits for messages, or that nng has room for one. */
typedef struct {
    tnng_op op;
    tnng_ctx *ctx;    /* a counted reference */
    tnng_ctx *origin; /* of a pool: the context that asked; a counted reference, or NULL */
    nng_aio *aio;     /* sends; made on first use and kept with the op */
    size_t size;      /* sends: of the body */
    bool cancel_requested;
    bool detached;     /* the caller is gone: what finishes it, frees it */
    bool chain;        /* a receive follows the send */
    bool inline_reply; /* a reply on the context's aio without a callback */
} tnng_ctx_op;
/* With ctx->lock held. NULL: it cannot park, *code says why. */
tnng_ctx_op *tnng_ctx_op_new(tnng_ctx *, const tnng_op_kind *, const tnng_call *, int *code);
/* With no lock held; the `free` of a kind. */
void tnng_ctx_op_free(tnng_op *);
/* With ctx->lock held; one that was never submitted. */
void tnng_ctx_op_recycle(tnng_ctx_op *);

/* recv.c: all with ctx->lock held */
void tnng_ctx_dispatch(tnng_ctx *);
void tnng_pollfd_update(tnng_ctx *, bool has_message);
int tnng_ctx_post_recv(tnng_ctx *);
void tnng_ctx_cancel_excess(tnng_ctx *);
void tnng_ctx_supersede(tnng_ctx *);
void tnng_ctx_park_recv(tnng_ctx *, tnng_ctx_op *);
int tnng_ctx_cancel_recv(tnng_ctx *, tnng_ctx_op *);
int tnng_ctx_try_recv(tnng_ctx *, nng_msg **);
int tnng_ctx_recv_now(tnng_ctx *, size_t room, nng_msg **);
bool tnng_ctx_head_ready(tnng_ctx *);
/* `accounted`: it was handed out before. */
void tnng_ctx_push_front(tnng_ctx *, nng_msg *, bool accounted);
/* Without a lock. */
void tnng_contexts_set_persistent(tnng_socket *, bool lost);

/* recv_calls.c */
extern const tnng_op_kind tnng_recv_kind;
void tnng_recv_reclaim(tnng_op *);
void tnng_origin_unget(tnng_origin *, nng_msg *);
/* Without a lock; of a kind of context, as the next. */
int tnng_ctx_recv(tnng_ctx *, const tnng_call *, bool ask_nng, nng_msg **);
void tnng_ctx_unget(tnng_ctx *, nng_msg *);

/* send.c */
int tnng_ctx_send(tnng_ctx *, nng_msg **, bool chain, const tnng_call *);

/* send_op.c: with ctx->lock held. Sends that wait: `sent` takes the lock. */
tnng_ctx_op *tnng_send_op_new(tnng_ctx *, const tnng_call *, bool chain, int *code);
void tnng_send_finish(tnng_ctx_op *);
void tnng_send_accepted(tnng_ctx *, size_t);
int tnng_send_submit(tnng_ctx *, tnng_ctx_op *, nng_msg *);

/* reply.c */
bool tnng_reply_is_inline(tnng_ctx *);
void tnng_reply_note(tnng_socket *, bool waits);
int tnng_reply_inline(tnng_ctx *, nng_msg *, const tnng_call *);

/* flush.c */
extern const tnng_job_kind tnng_flush_job;
void tnng_flush_pipe_lost(tnng_socket *);
void tnng_flush_refresh(tnng_socket *);

/* survey.c */
bool tnng_survey_begin(tnng_socket *);
void tnng_survey_end(tnng_socket *);

/* pollfd.c */
void tnng_pollfd_shutdown(tnng_socket *);
void tnng_pollfd_free(tnng_socket *);

/* [caller] ctx->lock held. Asks nng to end an operation of the context. C12: when nng is closing
 * the context or its socket, it ends the operation without being asked, and frees what a cancel
 * works on; no cancel is under way when that begins, because each holds the lock. */
static inline void tnng_ctx_cancel_aio(tnng_ctx *ctx, nng_aio *aio)
{
    if (!ctx->left_to_nng) {
        nng_aio_cancel(aio);
    }
}

/* close.c */
void tnng_ctx_cancel_aio(tnng_ctx *, nng_aio *);
extern const tnng_job_kind tnng_close_job;

/* pooled.c: C3 */
int tnng_respondent_open(tnng_socket *);

#endif

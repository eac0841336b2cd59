/* The pool of nng contexts that serves Rep0 services, Respondent0 sockets, and services on them.
 * From the top: service.c, pooled.c, context_pool.c, backlog.c, pool_queue.c; each calls those
 * below it. The pool is that of a context, and all of it is under the lock of that context; the
 * lock of a context that takes requests from it comes after. */
#ifndef TNNG_CONTEXT_POOL_H
#define TNNG_CONTEXT_POOL_H

#include "sock/sock.h"

typedef struct {
    tnng_pool_slot *first, *last;
    int count;
    size_t bytes; /* of the messages in it */
} pool_queue;

/* What one connection has not read, and what has to wait because of that; backlog.c. */
typedef struct backlog {
    struct backlog *next, *previous; /* in pool->backlogs or pool->free_backlogs */
    struct backlog *bucket_next;
    uint32_t pipe;
    pool_queue unread; /* replies nng has not passed on, oldest first */
    pool_queue parked; /* requests, oldest first */
    int resumed;       /* requests that were parked, and are not answered yet */
    int64_t moved;     /* when it last took a reply, or began to have any; milliseconds */
    bool ended;        /* its connection was closed because it does not read */
} backlog;

/* An nng context with what is in it: a receive, a request, or a reply. The queue it stands in says
 * which. */
struct tnng_pool_slot {
    tnng_pool_slot *next, *previous; /* in its queue */
    tnng_pool_slot *sibling;         /* in pool->all */
    tnng_ctx *pool_ctx;
    nng_ctx context; /* id 0: none yet */
    nng_aio *receive, *reply;
    nng_aio *notified_reply; /* as reply, with a callback; made when it is needed */
    nng_msg *msg;            /* a request that waits */
    size_t size;             /* of msg, when it was queued */
    uint32_t pipe;
    bool pending;   /* the receive is with nng */
    bool notifies;  /* notified_reply is with nng, or its callback has not run */
    bool accounted; /* the request was handed out before, and put back */
    bool resumed;   /* the request was parked; it counts in backlog->resumed until it is answered */
    backlog backlog_memory; /* for any connection: one that has a backlog has a slot */
};

/* Requests, and the calls that wait for one. */
typedef struct {
    pool_queue ready;
    tnng_op_list waiting;
} pool_requests;

typedef struct {
    backlog *first, *last;
} backlog_list;

enum { BACKLOG_BUCKETS = 256, SLOW_REMEMBERED = 16 };

struct tnng_pool {
    int persistent; /* receives that stay posted; 0: as many as the service has free workers */
    tnng_pool_slot *all;
    pool_queue idle;
    pool_queue posted;      /* in the order of submission */
    pool_requests requests; /* for calls on the socket and its contexts */
    tnng_service *service;  /* it takes all requests from now on; NULL: there is none */
    int services;           /* that have been */

    int replying_count;
    backlog *buckets[BACKLOG_BUCKETS]; /* by pipe */
    backlog_list backlogs;
    backlog_list free_backlogs;
    int collect_at; /* when so many replies wait, all backlogs are looked at */
    nng_aio *clock; /* looks again in a moment */
    bool ticking;   /* the clock is with nng */
};

/* What a service is to its pool. Python holds it; the pool holds it until it is closed. */
struct tnng_service {
    tnng_ctx *pool_ctx; /* of the pool; a counted reference */
    int number;         /* which service of its pool it is, from 1; its workers have it too */
    int workers;
    int max_unread, max_resumed; /* of one connection: replies, and requests that were parked */
    bool draining;
    pool_requests requests;
    pool_queue taken; /* what workers are answering */
    int parked_count;
    tnng_service_stats counts;
    uint32_t slow_pipes[SLOW_REMEMBERED];
    int slow_unreported; /* so many of them the program has not heard of */
};

/* pool_queue.c */
void tnng_pool_push(pool_queue *, tnng_pool_slot *);
void tnng_pool_push_first(pool_queue *, tnng_pool_slot *);
void tnng_pool_remove(pool_queue *, tnng_pool_slot *);
tnng_pool_slot *tnng_pool_pop(pool_queue *);
void tnng_pool_idle(tnng_pool *, tnng_pool_slot *);

/* backlog.c */
void tnng_backlogs_collect(tnng_pool *);
void tnng_backlogs_give_up(tnng_pool *);
void tnng_backlogs_end_slow(tnng_ctx *);
bool tnng_backlog_is_long(tnng_pool *, uint32_t pipe);
void tnng_backlog_add(tnng_ctx *, tnng_pool_slot *);
void tnng_backlog_moved(tnng_pool *, uint32_t pipe);
void tnng_backlog_answered(tnng_pool *, tnng_pool_slot *);
bool tnng_backlog_parks(tnng_ctx *, tnng_pool_slot *);

/* context_pool.c */
int tnng_pool_open(tnng_ctx **, tnng_socket *);
tnng_pool_slot *tnng_pool_take_idle(tnng_ctx *);
bool tnng_pool_post_missing(tnng_ctx *);
void tnng_pool_dispatch(tnng_ctx *);
void tnng_pool_end_waiting(pool_requests *, int code);
int tnng_pool_attach(tnng_service *);
bool tnng_service_is_drained(const tnng_service *);
/* These take the lock of the context, */
void tnng_pool_finish(pool_requests *, tnng_op *, int code);
/* and these expect it to be held. */
nng_msg *tnng_pool_hand_out(pool_requests *, tnng_ctx *ctx);
void tnng_pool_end_request(tnng_ctx *ctx, bool answered);

/* pooled.c */
void tnng_pool_lock(tnng_ctx *ctx);
void tnng_pool_unlock(tnng_ctx *ctx);
bool tnng_pool_is_open(const tnng_ctx *ctx);
int tnng_pool_recv(tnng_ctx *ctx, const tnng_call *, nng_msg **);
/* Of a kind of context. */
int tnng_pooled_recv(tnng_ctx *, const tnng_call *, bool ask_nng, nng_msg **);
void tnng_pooled_unget(tnng_ctx *, nng_msg *);
void tnng_pooled_shutdown(tnng_ctx *);

#endif

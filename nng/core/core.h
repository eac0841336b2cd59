/* Operations and how they are waited for, helper threads, messages, and what every part of the
 * shim has to know of a socket.
 *
 * The folders of nng/ are layers: testing, core, fixes and perf, conn, sock, from the bottom up. A
 * file includes the header of its own folder, and those of folders below; what has to be called
 * the other way round is a function in a table (tnng_op_kind, tnng_socket_hooks ...). No two files
 * call each other, directly or through others (tests/unit/test_layout_c.py).
 *
 * The comment of a function begins with the threads that run it: [caller] a thread of the program,
 * without the GIL; [nng] a task thread of nng; [job] a helper thread; [any] all of them.
 *
 * Locks, outermost first: the lock of a socket's contexts, ctx->lock, then the leaves (those of
 * the pipes and of the owner, cq->lock). nng may be called under ctx->lock: a callback of ours
 * never runs on the thread that submits or cancels, and nng holds none of its locks while one
 * runs. */
#ifndef TNNG_CORE_H
#define TNNG_CORE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <nng/nng.h>

#include "testing/testing.h"

#include "api/completion_queue.h"
#include "api/waiter.h"
#include "api/message.h"
#include "api/protocols.h"

#include "core/list.h"

/* Leaves with `value`, or nothing, in a forked child: nng aborts a child that uses it, so nothing
 * of it is touched there. */
#define TNNG_GUARD_FORK(value)                                                                     \
    if (tnng_forked()) {                                                                           \
        return value;                                                                              \
    }

/* util.c */
void tnng_forks_watch(void);
/* What perf/ has to do before a call is waited for; NULL: nothing. Set once, before nng is used. */
extern void (*tnng_before_wait)(void);

/* platform.c */
int64_t tnng_now(void); /* nanoseconds */
void tnng_cond_init(pthread_cond_t *);
/* False when that time has come; negative is for ever. */
bool tnng_cond_wait(pthread_cond_t *, pthread_mutex_t *, int64_t until);
/* A descriptor that is readable from notify to clear: an eventfd, or two ends of a socket pair. */
typedef struct {
    int read_fd, write_fd; /* -1: there is none */
} tnng_wakeup_fd;
int tnng_wakeup_fd_open(tnng_wakeup_fd *);
void tnng_wakeup_fd_notify(const tnng_wakeup_fd *);
void tnng_wakeup_fd_clear(const tnng_wakeup_fd *);
void tnng_wakeup_fd_close(tnng_wakeup_fd *);

/* threads.c */
bool tnng_thread_start(void *(*)(void *), void *);
void tnng_thread_set_name(const char *);
bool tnng_threads_available(int);

typedef struct {
    tnng_op *first, *last;
} tnng_op_list;

typedef struct tnng_ctx tnng_ctx;

/* completion_queue.c */
struct tnng_cq {
    atomic_int refs;
    pthread_mutex_t lock;
    tnng_op_list done;        /* finished calls that wait to be taken; under lock */
    tnng_wakeup_fd wakeup_fd; /* under lock */
    int polled_fd;            /* a pipe that a thread polls just now, else -1; under lock */
    tnng_waiter *waiter;      /* the thread it belongs to; only that thread follows it */
    bool exclusive;
    uint64_t token;          /* under lock; 0 when there is a descriptor, or when closed */
    bool notify_pending;     /* with a token: Python is to be called; under lock */
    pthread_cond_t notified; /* for waiting threads; under lock */
};
tnng_cq *tnng_cq_new(void);
void tnng_cq_ref(tnng_cq *);
void tnng_cq_unref(tnng_cq *);
void tnng_cq_post(tnng_cq *, tnng_op *);
bool tnng_cq_remove(tnng_cq *, tnng_op *);
int tnng_cq_collect(tnng_cq *, int max, tnng_op **first);

typedef enum {
    OP_SENDING,  /* its aio is with nng */
    OP_WAITING,  /* in the list of what it waits for */
    OP_RUNNING,  /* in job->waiting */
    OP_FINISHED, /* in cq->done, with its result */
} tnng_stage;

/* What the calls of a kind do when they end otherwise than by themselves: op.c asks these, as nng
 * asks the cancel_fn of an aio. Each takes the locks it needs. */
typedef struct {
    int (*cancel)(
        tnng_op *); /* answers TNNG_CANCEL_DONE, TNNG_CANCEL_PENDING or TNNG_CANCEL_LATE */
    bool (*detach)(tnng_op *);  /* or NULL; true: its end, which comes later, frees the op */
    void (*reclaim)(tnng_op *); /* or NULL; takes a message that was received for a caller gone */
    void (*free)(tnng_op *);
} tnng_op_kind;

/* The start of every call that waits. */
struct tnng_op {
    tnng_op *next, *previous; /* the one list it is in; under that list's lock */
    const tnng_op_kind *kind;
    tnng_cq *cq;         /* a counted reference; NULL when no caller waits */
    tnng_socket *socket; /* counts it as parked; alive as long as the op, which the kind sees to */
    uint64_t tag;
    tnng_stage stage; /* under the lock of what it waits for */
    int code;
    nng_msg *msg;
};

/* Where a call is to be answered. */
typedef struct {
    tnng_cq *cq; /* NULL: it may not park */
    uint64_t tag;
    tnng_result *result;
} tnng_call;

/* op.c */
void tnng_op_init(tnng_op *, const tnng_op_kind *, tnng_socket *, const tnng_call *);
void tnng_op_free_memory(tnng_op *);
void tnng_op_free(tnng_op *);
void tnng_op_detach_waiter(tnng_op *);
void tnng_op_finish(tnng_op *, int code, nng_msg *);
int tnng_result_set(tnng_result *, int code, nng_msg *);
int tnng_op_park(tnng_op *, tnng_result *);
void tnng_op_list_finish(tnng_op_list *, int code);

/* Which event loop waits on a socket, and how many of its calls are parked. */
typedef struct {
    pthread_mutex_t lock;
    tnng_cq *cq; /* compared, never followed; NULL: threads, any number of them */
    int parked;
} tnng_owner;
/* With NULL: any loop does. */
bool tnng_owner_is_other(tnng_socket *, const tnng_cq *);
bool tnng_owner_enter(tnng_socket *, tnng_cq *);
void tnng_owner_add(tnng_socket *);
void tnng_owner_exit(tnng_socket *);

/* The start of whatever messages are received from, and go back to: a context. */
typedef struct tnng_socket_hooks tnng_socket_hooks;
struct tnng_origin {
    atomic_int refs;
    const tnng_socket_hooks *hooks;
};
void tnng_origin_ref(tnng_origin *);
void tnng_origin_unref(tnng_origin *);

/* waiter.c: [caller] the last thing every submit does, without a lock. `origin`, or NULL, is where
 * a message received by this call would go back to. */
int tnng_waiter_submitted(tnng_cq *, tnng_origin *origin, int code);
/* The same for a call that is over at once, with this code. */
int tnng_call_finish(const tnng_call *, int code);
/* Whether a call by this thread answers at once. */
bool tnng_waiter_is_poll(const tnng_cq *);
bool tnng_waiter_reserve_batch(tnng_waiter *, tnng_origin *origin);

/* worker.c: what a helper thread does; part of the socket, dialer or listener it belongs to. All
 * but the constants and `reserve` under worker.c's lock. */
typedef struct tnng_job tnng_job;
typedef struct {
    int (*run)(tnng_job *);        /* answers the code */
    void (*interrupt)(tnng_job *); /* or NULL; the last call that waited for it has left */
    void (*ref)(void *owner);      /* or NULL; the owner is held, as the socket is, while the job */
    void (*unref)(void *owner);    /* is queued or runs */
    bool slow;                     /* it may take minutes */
    bool once;                     /* when it has been done there is no more to do */
    bool rerun;                    /* a call that comes while it runs waits for the next run */
} tnng_job_kind;
struct tnng_job {
    tnng_job *next, *previous; /* in a queue, or among those that run */
    const tnng_job_kind *kind; /* changes only while it is idle */
    tnng_socket *socket;       /* a constant, as the next: where its calls count as parked, */
    void *owner;               /* and what of the socket it is part of, or NULL */
    enum { JOB_IDLE, JOB_QUEUED, JOB_RUNNING, JOB_DONE } stage;
    int code;
    int64_t since;                       /* when it was queued, or has begun */
    tnng_job *then;                      /* what to do next */
    tnng_op_list waiting, rerun_waiting; /* for this run, and for the next one */
    _Atomic(tnng_op *) preallocated_op;  /* memory for the first op that waits for it, or NULL */
};
/* [caller] Before nng is used, which makes so many threads then: 0, or why it cannot be. */
int tnng_init(int threads_needed);
void tnng_job_init(tnng_job *, const tnng_job_kind *, tnng_socket *, void *owner);
bool tnng_job_preallocate_op(tnng_job *);
void tnng_job_free_preallocated_op(tnng_job *);
int tnng_job_submit(tnng_job *, const tnng_call *);
int tnng_job_enqueue(tnng_job *, bool even_without_thread);
int tnng_job_wait(tnng_job *, int milliseconds);
void tnng_job_chain(tnng_job *, tnng_job *then);

/* What layers below ask of those above. */
struct tnng_socket_hooks {
    void (*free)(tnng_socket *);             /* its last reference is gone */
    void (*free_origin)(tnng_origin *);      /* the same */
    void (*unget)(tnng_origin *, nng_msg *); /* it is the next message again */
    void (*pipe_lost)(tnng_socket *);        /* [nng] nng is about to forget a pipe */
    /* [nng] While a Pair has no peer, a receive stands on its context, though no call waits (C10).
     */
    void (*set_persistent)(tnng_socket *, bool lost);
    void (*wait_for_sends)(tnng_socket *); /* [nng] those that a call is in the middle of (C9) */
    /* [any] `first_time`: so it is to be logged. No lock of nng is held. */
    void (*messages_dropped)(tnng_socket *, bool first_time);
};

/* What has passed through a socket; stats.c of sock/. */
typedef struct {
    atomic_uint_fast64_t accepted;   /* messages nng took from us */
    atomic_uint_fast64_t given_late; /* so many of them to connections that had ended */
    atomic_uint_fast64_t accepted_bytes;
    atomic_uint_fast64_t received; /* messages handed to a call */
    atomic_uint_fast64_t received_bytes;
    atomic_uint_fast64_t dropped; /* C3: surveys not asked for in time; F2: of slow peers */
    atomic_int_fast64_t drops_due; /* when drops may be told of again, in monotonic nanoseconds */
} tnng_traffic;

/* A socket. Its parts belong to the files that define them, and live as long as it does. */
struct tnng_socket {
    atomic_int refs;
    const tnng_socket_hooks *hooks;
    nng_socket nng;
    unsigned traits;     /* sock/sock.h */
    bool raw;            /* nng opened it in raw mode */
    int protocol_number; /* TNNG_PAIR0 ... */
    int peer_number;     /* nng's number of the protocol its peers speak */
    tnng_owner owner;
    tnng_traffic traffic;
    bool causes_gone;                 /* fixes/causes.c, under its lock */
    atomic_int unfreed_pipes;         /* C10: connections that nng has not freed yet */
    struct tnng_endpoints *endpoints; /* conn/endpoint.c */
    struct tnng_pipe_table *pipes;    /* conn/pipes.c */
    struct tnng_contexts *contexts;   /* sock/context.c */
    struct tnng_sends *sends;         /* sock/reply.c, sock/survey.c, sock/flush.c */
    struct tnng_pollfds *pollfds;     /* sock/pollfd.c */
};

/* util.c */
void tnng_socket_ref(tnng_socket *);
void tnng_socket_unref(tnng_socket *);

#endif

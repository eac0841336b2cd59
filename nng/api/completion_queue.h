/* The bell and the finished calls of one event loop or one waiting thread. */

typedef struct nng_msg nng_msg;
typedef struct tnng_cq tnng_cq;
typedef struct tnng_socket tnng_socket;
typedef struct tnng_ctx tnng_ctx;
typedef struct tnng_op tnng_op;
typedef struct tnng_endpoint tnng_endpoint;
typedef struct tnng_origin tnng_origin;

/* What a call came to. `msg` belongs to whoever reads the result. */
typedef struct {
    uint64_t tag;     /* the caller's own name for the call */
    int32_t code;     /* 0, an nng error number, or one of TNNG_* below */
    uint32_t pipe;    /* receive: the pipe the message came through */
    nng_msg *msg;     /* received, or given back by a send that did not happen */
    const char *body; /* of `msg` */
    size_t size;
    tnng_op *op; /* only while the call is parked: what to cancel */
} tnng_result;

/* Codes of our own, beside nng's. */
enum {
    TNNG_PARKED = -1,      /* not finished; the port will have the result */
    TNNG_SUPERSEDED = -2,  /* a receive ended by a newer request */
    TNNG_FORKED = -3,      /* this process is a forked child of the socket's owner */
    TNNG_SENT = -4,        /* an exchange was cancelled after its send had happened */
    TNNG_EVENTS_LOST = -5, /* the reader of a subscription fell too far behind */
    TNNG_NO_THREADS = -6,  /* a thread is needed, and none can be made */
    TNNG_GONE = -7,        /* the message has been sent already */
};

/* What cancelling did. */
enum {
    TNNG_CANCEL_DONE = 0,    /* the call is over, nothing happened, `op` is gone */
    TNNG_CANCEL_PENDING = 1, /* nng was asked; the result comes through the port */
    TNNG_CANCEL_LATE = 2,    /* it had finished already; the result comes through the port */
};

/* exclusive: one event loop owns what waits here; another loop gets NNG_EBUSY. token != 0: no
 * descriptor, every batch calls tnng_notify_python(token) instead. */
int tnng_cq_open(tnng_cq **, bool exclusive, uint64_t token);
int tnng_cq_fd(tnng_cq *);
int tnng_cq_take(tnng_cq *, tnng_result *results, int max);
void tnng_cq_close(tnng_cq *);

int tnng_op_cancel(tnng_op *);
void tnng_op_detach(tnng_op *);

/* Who to call for a port opened with a token; set once, before such a port is opened. */
void tnng_set_notify_hook(void (*hook)(uint64_t token));

/* Whether this is a forked child of a process that used nng: nng would abort it. */
bool tnng_forked(void);

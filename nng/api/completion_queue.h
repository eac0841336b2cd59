/* A completion queue: the finished calls of one event loop or one waiting thread, and the
 * descriptor that wakes it. Every submit names the queue that gets its completion. */

typedef struct nng_msg nng_msg;
typedef struct tnng_cq tnng_cq;
typedef struct tnng_socket tnng_socket;
typedef struct tnng_ctx tnng_ctx;
typedef struct tnng_op tnng_op;
typedef struct tnng_endpoint tnng_endpoint;
typedef struct tnng_origin tnng_origin;

/* The result of a call. The reader of the result owns `msg`. */
typedef struct {
    uint64_t tag;     /* chosen by the caller */
    int32_t code;     /* 0, an nng error number, or one of TNNG_* below */
    uint32_t pipe;    /* receive: the pipe the message came through */
    nng_msg *msg;     /* received; or of a send that did not happen */
    const char *body; /* of `msg` */
    size_t size;
    tnng_op *op; /* set while the call is parked; for tnng_op_cancel */
} tnng_result;

/* Codes of the shim, beside nng's. */
enum {
    TNNG_PARKED = -1,      /* not finished; the completion queue gets the result */
    TNNG_SUPERSEDED = -2,  /* a receive ended by a newer request */
    TNNG_FORKED = -3,      /* this process is a forked child of the socket's owner */
    TNNG_SENT = -4,        /* a send-and-receive was cancelled after its send */
    TNNG_EVENTS_LOST = -5, /* the reader of a subscription fell too far behind */
    TNNG_NO_THREADS = -6,  /* a thread is needed, and none can be made */
    TNNG_GONE = -7,        /* the message has been sent already */
};

/* What tnng_op_cancel returns. */
enum {
    TNNG_CANCEL_DONE = 0,    /* the call is over, nothing happened, `op` is gone */
    TNNG_CANCEL_PENDING = 1, /* nng cancels; the queue gets the result */
    TNNG_CANCEL_LATE = 2,    /* it had finished; the queue has the result */
};

/* exclusive: a socket whose calls wait here belongs to this event loop; another loop gets
 * NNG_EBUSY. token != 0: there is no descriptor, and each batch calls tnng_notify_python(token). */
int tnng_cq_open(tnng_cq **, bool exclusive, uint64_t token);
int tnng_cq_fd(tnng_cq *);
int tnng_cq_take(tnng_cq *, tnng_result *results, int max);
void tnng_cq_close(tnng_cq *);

int tnng_op_cancel(tnng_op *);
/* The caller takes no result: a received message becomes the next one of its context again. */
void tnng_op_detach(tnng_op *);

/* The function that queues with a token call; set once, before such a queue is opened. */
void tnng_set_notify_hook(void (*hook)(uint64_t token));

/* True in a forked child of a process that used nng, where nng would abort. */
bool tnng_forked(void);

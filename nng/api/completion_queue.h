/* The bell and the finished calls of one event loop or one waiting thread. */

typedef struct nng_msg nng_msg;
typedef struct tnng_port tnng_port;
typedef struct tnng_socket tnng_socket;
typedef struct tnng_lane tnng_lane;
typedef struct tnng_op tnng_op;
typedef struct tnng_endpoint tnng_endpoint;

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
    TNNG_PARKED = -1,     /* not finished; the port will have the result */
    TNNG_SUPERSEDED = -2, /* a receive ended by a newer request */
    TNNG_FORKED = -3,     /* this process is a forked child of the socket's owner */
    TNNG_SENT = -4,       /* an exchange was cancelled after its send had happened */
    TNNG_EVENTS_LOST = -5, /* the reader of a subscription fell too far behind */
    TNNG_NO_THREADS = -6,  /* a thread is needed, and none can be made */
    TNNG_GONE = -7,        /* the message has been sent already */
};

/* What cancelling did. */
enum {
    TNNG_LEFT = 0,  /* the call is over, nothing happened, `op` is gone */
    TNNG_ASKED = 1, /* nng was asked; the result comes through the port */
    TNNG_LATE = 2,  /* it had finished already; the result comes through the port */
};

/* exclusive: one event loop owns what waits here; another loop gets NNG_EBUSY. token != 0: no
 * descriptor, every batch calls tnng_ring_python(token) instead. */
int tnng_port_open(tnng_port **, bool exclusive, uint64_t token);
int tnng_port_fd(tnng_port *);
int tnng_port_take(tnng_port *, tnng_result *results, int max);
void tnng_port_close(tnng_port *);

/* How a thread waits: a port of its own, and the one call it is in. Whatever becomes of its
 * Python code, an exception between any two steps included, the call and its message are here,
 * until `taken` says that the message has been copied and will be handed out. */
typedef struct {
    tnng_result result;
    bool taken;       /* set by Python; the next call, or the end, frees the message */
    int64_t patience; /* nanoseconds the next call waits by itself; 0: it does not wait at all */
    int count;        /* messages of a batch: lengths in `sizes`, contents in `packed` */
    uint32_t *sizes;  /* made on first use */
    char *packed;
    nng_msg **batch; /* the messages `packed` was copied from */
    nng_msg *held;   /* what the last call received */
    tnng_lane *home; /* where all these go back to; a counted reference */
    tnng_port *port;
} tnng_waiter;
bool tnng_waiter_open(tnng_waiter **);
void tnng_waiter_free(tnng_waiter *);
/* Every call submitted with the waiter's port waits a moment by itself before it answers
 * TNNG_PARKED. Then this waits, until `until` (nanoseconds of the monotonic clock; negative is for
 * ever) or, with descriptors, until `read_fd` is readable; a finished call writes a 0 to the other.
 * TNNG_PARKED: still not finished. */
int tnng_waiter_wait(tnng_waiter *, int64_t until, int read_fd, int write_fd);
/* Ends the call that is parked, and waits for the decision: NNG_ETIMEDOUT if it did not happen. */
int tnng_waiter_leave(tnng_waiter *);
/* As if the call had not been made: what was received goes back to its lane. A message that a send
 * gave back stays in the result. */
void tnng_waiter_undo(tnng_waiter *);
/* What is ready now, at most `max` messages that `packed` has room for; answers their number. They
 * come after the one the waiter holds, if it holds one. */
int tnng_waiter_receive_many(tnng_waiter *, tnng_lane *, int max);
enum { TNNG_BATCH = 256, TNNG_BATCH_BYTES = 65536, TNNG_MOMENT = 1000000 };

int tnng_op_cancel(tnng_op *);
void tnng_op_abandon(tnng_op *);

/* Where each cancel landed, counted over the life of the process. */
typedef struct {
    uint64_t before_submit;
    uint64_t pending;
    uint64_t completed;
    uint64_t taken;
} tnng_cancel_counts;
void tnng_cancel_counts_read(tnng_cancel_counts *);
void tnng_cancel_counts_reset(void);
void tnng_count_cancel_before_submit(void);
void tnng_count_cancel_taken(void);

/* How many wake-ups of nng's threads were left to threads that are awake; how many had to wait. */
uint64_t tnng_wakes_left_out(void);
uint64_t tnng_wakes_kept_back(void);

/* Who to call for a port opened with a token; set once, before such a port is opened. */
void tnng_set_ring_hook(void (*hook)(uint64_t token));

/* How a thread waits: a port of its own, and the one call it is in. Whatever becomes of its
 * Python code, an exception between any two steps included, the call and its message are here,
 * until `taken` says that the message has been copied and will be handed out. */
typedef struct {
    tnng_result result;
    bool committed;  /* set by Python; the next call, or the end, frees the message */
    int64_t spin_ns; /* nanoseconds the next call waits by itself; 0: it does not wait at all */
    int count;       /* messages of a batch: lengths in `sizes`, contents in `packed` */
    uint32_t *sizes; /* made on first use */
    char *packed;
    nng_msg **batch;     /* the messages `packed` was copied from */
    nng_msg *received;   /* what the last call received */
    tnng_origin *origin; /* where all these go back to; a counted reference */
    tnng_cq *cq;
} tnng_waiter;
bool tnng_waiter_open(tnng_waiter **);
void tnng_waiter_free(tnng_waiter *);
/* Every call submitted with the waiter's port waits a moment by itself before it answers
 * TNNG_PARKED. Then this waits, until `until` (nanoseconds of the monotonic clock; negative is for
 * ever) or, with descriptors, until `read_fd` is readable; a finished call writes a 0 to the other.
 * TNNG_PARKED: still not finished. */
int tnng_waiter_wait(tnng_waiter *, int64_t until, int read_fd, int write_fd);
/* Ends the call that is parked, and waits for the decision: NNG_ETIMEDOUT if it did not happen. */
int tnng_waiter_cancel(tnng_waiter *);
/* As if the call had not been made: what was received goes back to its context. A message that a
 * send gave back stays in the result. */
void tnng_waiter_rollback(tnng_waiter *);
enum { TNNG_BATCH = 256, TNNG_BATCH_BYTES = 65536, TNNG_SPIN_LIMIT = 1000000 };

/* A waiter: the completion queue of one thread, and the one call that the thread is in. Ctrl-C may
 * raise between any two steps of Python code; the call and its message stay here until `committed`
 * says that Python has copied the message and will return it. */
typedef struct {
    tnng_result result;
    bool committed;  /* set by Python; the next call, or the end, frees the message */
    int64_t spin_ns; /* nanoseconds the next call waits inside the submit; 0: it never waits */
    int count;       /* messages of a batch: lengths in `sizes`, contents in `packed` */
    uint32_t *sizes; /* made on first use */
    char *packed;
    nng_msg **batch;     /* the messages `packed` was copied from */
    nng_msg *received;   /* by the last call */
    tnng_origin *origin; /* rollback returns the messages to it; a counted reference */
    tnng_cq *cq;
} tnng_waiter;
bool tnng_waiter_open(tnng_waiter **);
void tnng_waiter_free(tnng_waiter *);
/* A call that is submitted with the waiter's queue waits for spin_ns before it returns TNNG_PARKED.
 * Then this waits until `until` (nanoseconds of the monotonic clock; negative: no limit) or, with
 * descriptors, until `read_fd` is readable; a finished call writes a 0 to `write_fd`. Returns
 * TNNG_PARKED while the call is not finished. */
int tnng_waiter_wait(tnng_waiter *, int64_t until, int read_fd, int write_fd);
/* Cancels the parked call and waits for its end: NNG_ETIMEDOUT if it did not happen. */
int tnng_waiter_cancel(tnng_waiter *);
/* Undoes the call: received messages return to their context. The message of a send that did not
 * happen stays in the result. */
void tnng_waiter_rollback(tnng_waiter *);
enum { TNNG_BATCH = 256, TNNG_BATCH_BYTES = 65536, TNNG_SPIN_LIMIT = 1000000 };

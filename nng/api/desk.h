/* A desk: where a service on Rep0 or Respondent0 takes requests. It is a lane, on the socket. */

/* Beside the codes of api/completion_queue.h. */
enum {
    TNNG_DRAINED = -20, /* a draining desk has nothing left to hand out */
    TNNG_SLOW = -21,    /* connections were closed because they do not read: ask which, and go on */
    TNNG_MAX_SLOW = 16,
};

typedef struct {
    uint64_t received;  /* requests taken from nng */
    uint64_t answered;  /* replies nng accepted, or keeps until their connection can take them */
    uint64_t abandoned; /* requests taken and given up */
    uint64_t slow;      /* connections that were closed because they do not read */
    int32_t ready;      /* taken from nng, not by a worker */
    int32_t taken;      /* being answered */
    int32_t replying;   /* replies that wait for their connection */
} tnng_desk_counts;

/* A connection that has `max_unread` replies to read, asks for more, and reads none for a second,
 * is closed. */
int tnng_desk_open(tnng_lane **, tnng_socket *, int workers, int max_unread);
/* The next request for `worker` (0 to workers - 1); one it had and did not answer is abandoned. */
int tnng_desk_next(tnng_lane *, int worker, tnng_port *, uint64_t tag, tnng_result *);
/* Answers the worker's request, and with `chain` takes the next; the message is gone in any case.
 */
int tnng_desk_reply(
    tnng_lane *, int worker, nng_msg *, bool chain, tnng_port *, uint64_t tag, tnng_result *);
int tnng_desk_reply_bytes(tnng_lane *, int worker, const char *, size_t, bool chain, tnng_port *,
    uint64_t tag, tnng_result *);
void tnng_desk_abandon(tnng_lane *, int worker);
/* The worker's request needs no reply. */
void tnng_desk_done(tnng_lane *, int worker);
void tnng_desk_give_back(tnng_lane *, int worker, nng_msg *);
void tnng_desk_drain(tnng_lane *);
void tnng_desk_count(tnng_lane *, tnng_desk_counts *);
/* The pipes that were closed since the last call, because they do not read; at most
 * TNNG_MAX_SLOW, the latest. */
int tnng_desk_take_slow(tnng_lane *, uint32_t *pipes, int max);

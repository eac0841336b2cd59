/* Sockets, their contexts, and sends and receives on them. */

int tnng_socket_open(tnng_socket **, int protocol, bool raw);
int tnng_socket_close(tnng_socket *, tnng_cq *, uint64_t tag, tnng_result *);
uint32_t tnng_socket_id(tnng_socket *);
/* The bytes of protocol header of a direct peer's message on the wire; on raw sockets the most that
 * a message may have. */
size_t tnng_socket_header_room(tnng_socket *);
/* Returns the caller's reference; an open socket is closed in the background. */
void tnng_socket_destroy(tnng_socket *);

typedef struct {
    uint64_t sent, sent_bytes;         /* bodies of the messages nng took */
    uint64_t received, received_bytes; /* of those handed to a call, each once */
    uint64_t dropped;                  /* surveys of Respondent0 that no call received in time */
    uint64_t rejected;                 /* connections that were never usable */
    uint64_t oversize;                 /* connections that sent a message above the limit */
    int32_t pipes;                     /* connected now */
    int32_t waiting;                   /* calls that are parked */
} tnng_socket_stats;
/* Also of a closed socket. */
int tnng_socket_stats_read(tnng_socket *, tnng_socket_stats *);

/* The socket's own context (context false) or a new nng context. The caller owns one reference. */
int tnng_ctx_open(tnng_ctx **, tnng_socket *, bool context);
uint32_t tnng_ctx_id(tnng_ctx *);
/* Returns the caller's reference; an open context is closed. */
void tnng_ctx_destroy(tnng_ctx *);
void tnng_ctx_close(tnng_ctx *);
/* How many receives stay posted although no call waits; 0: none. */
int tnng_ctx_set_prefetch(tnng_ctx *, int messages);
int tnng_ctx_prefetched(tnng_ctx *);

/* Descriptors to poll for reading. The socket owns them until it is destroyed. Readable while a
 * non-blocking receive, or send, may succeed, and when the socket has been closed. */
int tnng_recv_fd(tnng_ctx *, int *fd);
int tnng_send_fd(tnng_socket *, int *fd);

/* Every call below returns a code at once and fills `result`, or returns TNNG_PARKED. With a NULL
 * queue it returns NNG_EAGAIN instead of TNNG_PARKED. */
int tnng_recv(tnng_ctx *, tnng_cq *, uint64_t tag, tnng_result *);
/* Never waits; the message, or NULL. */
nng_msg *tnng_recv_nowait(tnng_ctx *);
/* Takes the message of the reference (TNNG_GONE: another call took it); result->msg is the message
 * when the send did not happen. `pipe` is the destination (polyamorous Pair1): 0 is any, negative
 * leaves it as it is. */
int tnng_send(tnng_ctx *, tnng_message_ref *, int64_t pipe, tnng_cq *, uint64_t tag, tnng_result *);
int tnng_send_bytes(tnng_ctx *, const char *, size_t, tnng_cq *, uint64_t tag, tnng_result *);
/* Never waits, and returns a code alone. NNG_EAGAIN also while an event loop waits on the socket:
 * only a completion queue tells whether the loop is the caller's. */
int tnng_send_bytes_nowait(tnng_ctx *, const char *, size_t);
/* Send, then receive, as one call: a request and its answer, or a reply and the next request. */
int tnng_send_recv_bytes(tnng_ctx *, const char *, size_t, tnng_cq *, uint64_t tag, tnng_result *);
/* Receives up to `max` messages that are ready now, packed in `buffer`; `sizes` gets their lengths.
 * `batch` gets the messages, which the caller owns: it calls tnng_messages_recycle when Python has
 * its objects, or tnng_unget_many. A message that does not fit into an empty buffer comes alone and
 * unpacked. Returns the number of messages. */
int tnng_recv_many(
    tnng_ctx *, char *buffer, size_t capacity, uint32_t *sizes, int max, nng_msg **batch);
/* Receives up to `max` messages that are ready now and fit into `packed`, after the one that the
 * waiter holds, if it holds one. Returns their number. */
int tnng_waiter_recv_many(tnng_waiter *, tnng_ctx *, int max);
/* Frees the messages of a batch whose contents Python has. */
void tnng_messages_recycle(nng_msg **batch, int count);
/* The messages of a batch become the next ones again, in their order. */
void tnng_unget_many(tnng_ctx *, nng_msg **batch, int count);
/* Sends `count` messages packed in `data`; NNG_EAGAIN when one would have to wait. */
int tnng_send_many(tnng_ctx *, const char *data, const uint32_t *sizes, int count, int *sent);
/* Ends the survey: calls wait for no more replies; those that arrived can still be received. */
void tnng_end_survey(tnng_ctx *);
/* The message, which its caller could not take, becomes the next one again. */
void tnng_unget(tnng_ctx *, nng_msg *);

/* Reads what the pipes have written: at once, or as a job when there are many pipes. */
int tnng_flush_check(tnng_socket *, tnng_cq *, uint64_t tag, tnng_result *);
/* The result of the last check: accepted messages that are not known to be written; a number that
 * changes with every progress; and whether `unsent` is sure to fall to 0. */
typedef struct {
    uint64_t unsent;
    uint64_t progress;
    bool exact;
} tnng_flush_state;
void tnng_flush_read(tnng_socket *, tnng_flush_state *);

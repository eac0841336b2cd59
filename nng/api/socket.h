/* Sockets, the contexts messages travel in, and the calls made on them. */

int tnng_socket_open(tnng_socket **, int protocol, bool raw);
int tnng_socket_close(tnng_socket *, tnng_cq *, uint64_t tag, tnng_result *);
uint32_t tnng_socket_id(tnng_socket *);
/* How many bytes of protocol header a message of a direct peer has on the wire; on raw sockets, how
 * many it may have. */
size_t tnng_socket_header_room(tnng_socket *);
/* Gives the caller's reference back; one that is open is closed in the background. */
void tnng_socket_destroy(tnng_socket *);

typedef struct {
    uint64_t sent, sent_bytes;         /* bodies of the messages nng took */
    uint64_t received, received_bytes; /* of those handed to a call, each once */
    uint64_t dropped;                  /* surveys of Respondent0 that nobody asked for in time */
    uint64_t rejected;                 /* connections that never could be used */
    uint64_t oversize;                 /* that ended with a message larger than we take */
    int32_t pipes;                     /* connected now */
    int32_t waiting;                   /* calls that are parked */
} tnng_socket_stats;
/* Also of a closed socket. */
int tnng_socket_stats_read(tnng_socket *, tnng_socket_stats *);

/* The socket's own context (context false) or a new nng context. The caller owns one reference. */
int tnng_ctx_open(tnng_ctx **, tnng_socket *, bool context);
uint32_t tnng_ctx_id(tnng_ctx *);
/* Gives the caller's reference back; an open context is closed. */
void tnng_ctx_destroy(tnng_ctx *);
void tnng_ctx_close(tnng_ctx *);
/* How many messages may be taken from nng before a task asks; 0 is none. */
int tnng_ctx_set_prefetch(tnng_ctx *, int messages);
int tnng_ctx_prefetched(tnng_ctx *);

/* Descriptors to watch for reading; they are the socket's, and valid until it is dropped. Readable
 * while a receive, or a send, that never waits may succeed, and when the socket has been closed. */
int tnng_recv_fd(tnng_ctx *, int *fd);
int tnng_send_fd(tnng_socket *, int *fd);

/* Every call below answers at once with a code (`result` is filled) or with TNNG_PARKED, when
 * `port` is not NULL. With a NULL port it answers NNG_EAGAIN instead of parking. */
int tnng_recv(tnng_ctx *, tnng_cq *, uint64_t tag, tnng_result *);
/* With no port, and no more to say than the message, or NULL. */
nng_msg *tnng_recv_nowait(tnng_ctx *);
/* Takes the message out of its box (TNNG_GONE: another call has); result->msg has it when the send
 * did not happen. `pipe` is who it is for (polyamorous Pair1): 0 is nobody in particular, negative
 * leaves it as it is. */
int tnng_send(tnng_ctx *, tnng_message_ref *, int64_t pipe, tnng_cq *, uint64_t tag, tnng_result *);
int tnng_send_bytes(tnng_ctx *, const char *, size_t, tnng_cq *, uint64_t tag, tnng_result *);
/* With no port, and no more to say than whether it was sent; NNG_EAGAIN also while an event loop
 * waits on the socket, as only a port tells whether it is the caller's. */
int tnng_send_bytes_nowait(tnng_ctx *, const char *, size_t);
/* Send, then receive, as one call: a request and its answer, or a reply and the next request. */
int tnng_send_recv_bytes(tnng_ctx *, const char *, size_t, tnng_cq *, uint64_t tag, tnng_result *);
/* What is ready now, at most `max` messages, packed one behind the other; `sizes` has their
 * lengths, and `batch` the messages, which are the caller's until they have become objects of
 * Python, or not. One that does not fit into an empty buffer comes alone and unpacked. Answers the
 * number of messages. */
int tnng_recv_many(
    tnng_ctx *, char *buffer, size_t capacity, uint32_t *sizes, int max, nng_msg **batch);
/* What is ready now, at most `max` messages that `packed` has room for; answers their number. They
 * come after the one the waiter holds, if it holds one. */
int tnng_waiter_recv_many(tnng_waiter *, tnng_ctx *, int max);
/* Frees the messages of a batch that were handed out. */
void tnng_messages_recycle(nng_msg **batch, int count);
/* Makes the messages of a batch the next ones again, in their order. */
void tnng_unget_many(tnng_ctx *, nng_msg **batch, int count);
/* Sends `count` messages that lie packed in `data` until one would have to wait (NNG_EAGAIN). */
int tnng_send_many(tnng_ctx *, const char *data, const uint32_t *sizes, int count, int *sent);
/* The survey is over: no more replies are waited for; those that came can still be received. */
void tnng_end_survey(tnng_ctx *);
/* Take back what a receive delivered to nobody: it is the next message again. */
void tnng_unget(tnng_ctx *, nng_msg *);

/* flush: looks at what the pipes have written; at once, or as a job when they are many. */
int tnng_flush_check(tnng_socket *, tnng_cq *, uint64_t tag, tnng_result *);
/* What the last look saw: how many accepted messages are not known to be written, a number that
 * changes whenever something moves, and whether the first can be trusted to fall to 0. */
typedef struct {
    uint64_t unsent;
    uint64_t progress;
    bool exact;
} tnng_flush_state;
void tnng_flush_read(tnng_socket *, tnng_flush_state *);

/* Sockets, the lanes messages travel in, and the calls made on them. */

int tnng_socket_open(tnng_socket **, int protocol, bool raw);
int tnng_socket_close(tnng_socket *, tnng_port *, uint64_t tag, tnng_result *);
uint32_t tnng_socket_id(tnng_socket *);
/* How many bytes of protocol header a message of a direct peer has on the wire; on raw sockets, how
 * many it may have. */
size_t tnng_socket_header_room(tnng_socket *);
/* Gives the caller's reference back; one that is open is closed in the background. */
void tnng_socket_drop(tnng_socket *);

typedef struct {
    uint64_t sent, sent_bytes;         /* bodies of the messages nng took */
    uint64_t received, received_bytes; /* of those handed to a call, each once */
    uint64_t dropped;                  /* surveys of Respondent0 that nobody asked for in time */
    uint64_t rejected;                 /* connections that never could be used */
    uint64_t oversize;                 /* that ended with a message larger than we take */
    int32_t pipes;                     /* connected now */
    int32_t waiting;                   /* calls that are parked */
} tnng_socket_counts;
/* Also of a closed socket. */
int tnng_socket_count(tnng_socket *, tnng_socket_counts *);

/* The socket's own lane (context false) or a new nng context. The caller owns one reference. */
int tnng_lane_open(tnng_lane **, tnng_socket *, bool context);
uint32_t tnng_lane_id(tnng_lane *);
/* Gives the caller's reference back; an open context is closed. */
void tnng_lane_drop(tnng_lane *);
void tnng_lane_close(tnng_lane *);
/* How many messages may be taken from nng before a task asks; 0 is none. */
int tnng_lane_keep(tnng_lane *, int messages);
int tnng_lane_held(tnng_lane *);

/* Descriptors to watch for reading; they are the socket's, and valid until it is dropped. Readable
 * while a receive, or a send, that never waits may succeed, and when the socket has been closed. */
int tnng_recv_fd(tnng_lane *, int *fd);
int tnng_send_fd(tnng_socket *, int *fd);

/* Every call below answers at once with a code (`result` is filled) or with TNNG_PARKED, when
 * `port` is not NULL. With a NULL port it answers NNG_EAGAIN instead of parking. */
int tnng_receive(tnng_lane *, tnng_port *, uint64_t tag, tnng_result *);
/* With no port, and no more to say than the message, or NULL. */
nng_msg *tnng_take(tnng_lane *);
/* Takes the message out of its box (TNNG_GONE: another call has); result->msg has it when the send
 * did not happen. `pipe` is who it is for (polyamorous Pair1): 0 is nobody in particular, negative
 * leaves it as it is. */
int tnng_send(tnng_lane *, tnng_box *, int64_t pipe, tnng_port *, uint64_t tag, tnng_result *);
int tnng_send_bytes(tnng_lane *, const char *, size_t, tnng_port *, uint64_t tag, tnng_result *);
/* With no port, and no more to say than whether it was sent; NNG_EAGAIN also while an event loop
 * waits on the socket, as only a port tells whether it is the caller's. */
int tnng_send_bytes_now(tnng_lane *, const char *, size_t);
/* Send, then receive, as one call: a request and its answer, or a reply and the next request. */
int tnng_exchange_bytes(
    tnng_lane *, const char *, size_t, tnng_port *, uint64_t tag, tnng_result *);
/* What is ready now, at most `max` messages, packed one behind the other; `sizes` has their
 * lengths, and `batch` the messages, which are the caller's until they have become objects of
 * Python, or not. One that does not fit into an empty buffer comes alone and unpacked. Answers the
 * number of messages. */
int tnng_receive_many(
    tnng_lane *, char *buffer, size_t capacity, uint32_t *sizes, int max, nng_msg **batch);
/* What is ready now, at most `max` messages that `packed` has room for; answers their number. They
 * come after the one the waiter holds, if it holds one. */
int tnng_waiter_receive_many(tnng_waiter *, tnng_lane *, int max);
/* Frees the messages of a batch that were handed out. */
void tnng_messages_done(nng_msg **batch, int count);
/* Makes the messages of a batch the next ones again, in their order. */
void tnng_give_back_many(tnng_lane *, nng_msg **batch, int count);
/* Sends `count` messages that lie packed in `data` until one would have to wait (NNG_EAGAIN). */
int tnng_send_many(tnng_lane *, const char *data, const uint32_t *sizes, int count, int *sent);
/* The survey is over: no more replies are waited for; those that came can still be received. */
void tnng_end_survey(tnng_lane *);
/* Take back what a receive delivered to nobody: it is the next message again. */
void tnng_give_back(tnng_lane *, nng_msg *);

/* flush: looks at what the pipes have written; at once, or as a job when they are many. */
int tnng_flush_look(tnng_socket *, tnng_port *, uint64_t tag, tnng_result *);
/* What the last look saw: how many accepted messages are not known to be written, a number that
 * changes whenever something moves, and whether the first can be trusted to fall to 0. */
typedef struct {
    uint64_t unsent;
    uint64_t progress;
    bool exact;
} tnng_flush_state;
void tnng_flush_read(tnng_socket *, tnng_flush_state *);

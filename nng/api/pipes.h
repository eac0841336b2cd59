/* Pipes (connections): what is known of each, waits for their number, and events. */

/* A connection: counted memory that outlives it. A caller that gets one calls tnng_pipe_unref. */
typedef struct tnng_pipe tnng_pipe;

/* Read before the connection was used; it stays as it was when the connection has gone. */
typedef struct {
    uint64_t serial; /* never used again in this process; nng's own ids may be */
    uint32_t id;
    uint32_t dialer;
    uint32_t listener;
    tnng_addr local;
    tnng_addr remote;
    int32_t tcp_nodelay; /* -1: its transport has no such option; as the next two */
    int32_t tcp_keepalive;
    int32_t tls_verified;
    /* Of a certificate that was verified, in UTF-8; NULL: none, or nng is older than 1.6. */
    char *tls_cn;
    char **tls_names; /* its alternative names; ends with NULL */
    bool has_peer_ids; /* the three below: of the process at the other end (ipc) */
    uint64_t uid;
    uint64_t gid;
    uint64_t pid;
} tnng_pipe_info;

const tnng_pipe_info *tnng_pipe_get_info(tnng_pipe *);
bool tnng_pipe_is_gone(tnng_pipe *);
/* `reason`, TNNG_REASON_*, goes to its event and the counters. */
int tnng_pipe_close(tnng_pipe *, int reason);
void tnng_pipe_ref(tnng_pipe *);
void tnng_pipe_unref(tnng_pipe *);

/* The pipes that are connected now, each with a reference; returns their number. */
int tnng_pipes(tnng_socket *, tnng_pipe **pipes, int max);
int tnng_pipe_count(tnng_socket *);
/* The pipe with this id, or the one that had it last. The first returns its serial, or 0, and takes
 * no reference. */
uint64_t tnng_pipe_serial(tnng_socket *, uint32_t id);
bool tnng_pipe_find(tnng_socket *, uint32_t id, tnng_pipe **);
int tnng_wait_pipes(tnng_socket *, int count, tnng_cq *, uint64_t tag, tnng_result *);

/* A subscription to the pipe events of a socket. It starts with one event for each pipe that is
 * connected at that moment. */
typedef struct tnng_events tnng_events;
enum { TNNG_CONNECTED = 1, TNNG_DISCONNECTED = 2, TNNG_REJECTED = 3 };

/* At most `capacity` events stay unread, beside those it starts with. */
int tnng_events_open(tnng_socket *, uint32_t capacity, tnng_events **);
/* Waits until tnng_events_take returns another code than NNG_EAGAIN. The result does not carry the
 * event, so a cancelled call loses none. */
int tnng_events_wait(tnng_events *, tnng_cq *, uint64_t tag, tnng_result *);
/* 0 and an event with a reference to its pipe; NNG_EAGAIN: none now; TNNG_EVENTS_LOST: the reader
 * fell behind; NNG_ECLOSED: the socket or the subscription closed, and there will be no more. */
int tnng_events_take(tnng_events *, int *kind, int *reason, tnng_pipe **);
/* Ends the subscription and wakes its waiters. */
void tnng_events_close(tnng_events *);
/* Closes it, and frees it: the last call. */
void tnng_events_destroy(tnng_events *);

/* Endpoints, jobs on helper threads, pipes, options. */

enum { TNNG_ON_SOCKET, TNNG_ON_LANE, TNNG_ON_DIALER, TNNG_ON_LISTENER, TNNG_ON_PIPE };

/* An address in host byte order; `data` is an IP address, a path or a name of `size` bytes. */
typedef struct {
    int family;
    uint16_t port;
    uint32_t scope;
    uint32_t size;
    uint8_t data[128];
} tnng_addr;

int tnng_dialer_create(tnng_socket *, const char *url, uint32_t *id);
/* In the background: returns at once, and nng tries until the dialer is closed. */
int tnng_dialer_start(tnng_socket *, uint32_t id);

/* Jobs: run on a helper thread and park like any other call. TNNG_NO_THREADS: nothing was done, and
 * it can be asked again. With a NULL port it is done as soon as there is a thread, and nobody hears
 * of it. */
/* `settles`: also waits until a peer that refuses would have closed the connection. */
int tnng_dial(
    tnng_socket *, uint32_t dialer, bool settles, tnng_port *, uint64_t tag, tnng_result *);
int tnng_dialer_close(tnng_socket *, uint32_t dialer, tnng_port *, uint64_t tag, tnng_result *);
int tnng_listener_close(tnng_socket *, uint32_t listener, tnng_port *, uint64_t tag, tnng_result *);
int tnng_socket_close(tnng_socket *, tnng_port *, uint64_t tag, tnng_result *);
void tnng_lane_close(tnng_lane *);

/* listen is synchronous for its caller, but what may take long in it is done by a helper thread:
 * NNG_EAGAIN, and then tnng_listener_wait is called until it answers something else. Creating and
 * starting are two steps, so that options can be set between them. */
int tnng_listener_create(tnng_socket *, const char *url, tnng_endpoint **pending, uint32_t *id);
int tnng_listener_start(tnng_socket *, uint32_t, tnng_endpoint **pending, uint32_t *id);
/* `pending` becomes NULL in the step that gives the answer. */
int tnng_listener_wait(tnng_endpoint **pending, int milliseconds, uint32_t *id);
/* The caller waits no more: the listener is closed when it has been made. */
void tnng_listener_abandon(tnng_endpoint *);

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

int tnng_set_int(int on, uint32_t id, const char *name, int value);
int tnng_set_bool(int on, uint32_t id, const char *name, bool value);
int tnng_set_ms(int on, uint32_t id, const char *name, int32_t value);
int tnng_set_size(int on, uint32_t id, const char *name, size_t value);
int tnng_set_string(int on, uint32_t id, const char *name, const char *value);
int tnng_set_bytes(int on, uint32_t id, const char *name, const void *value, size_t size);
int tnng_get_int(int on, uint32_t id, const char *name, int *value);
int tnng_get_bool(int on, uint32_t id, const char *name, bool *value);
int tnng_get_ms(int on, uint32_t id, const char *name, int32_t *value);
int tnng_get_size(int on, uint32_t id, const char *name, size_t *value);
int tnng_get_uint64(int on, uint32_t id, const char *name, uint64_t *value);
int tnng_get_addr(int on, uint32_t id, const char *name, tnng_addr *value);
/* Copies at most `size` bytes, NUL included; *needed is the whole length. */
int tnng_copy_string(
    int on, uint32_t id, const char *name, char *value, size_t size, size_t *needed);
/* The largest message a peer may send, `room` for the header not counted; 0 is no limit. */
int tnng_set_max_message(int on, uint32_t id, size_t bytes, size_t room);
int tnng_get_max_message(int on, uint32_t id, size_t *bytes, size_t room);

/* C9: how many connections of Push0 nng has freed and not forgotten. */
int tnng_push_kept(void);
/* L2: how many messages were given to connections that had been stopped. */
uint64_t tnng_sends_refused(void);
/* L6: how many messages ws connections had when a send failed. */
uint64_t tnng_ws_unsent(void);
/* For tests: how many records the shim keeps of dialers and listeners that sockets have, where each
 * dialer has two in a static build. */
int tnng_endpoints_known(void);

/* How many threads nng makes when it is first used. */
int tnng_threads_needed(void);

bool tnng_forked(void);
const char *nng_version(void);
const char *nng_strerror(int);

/* The test build: pause points, and workarounds switched off by TNNG_WITHOUT=C1,... In the build
 * that is shipped, arming answers NNG_ENOTSUP and nothing can be switched off. */
bool tnng_testing(void);
int tnng_pause_arm(const char *point);
int tnng_pause_reached(const char *point, int milliseconds);
void tnng_pause_open(const char *point);
/* The allocation of the shim with this number, from now on, fails; 0 is none. Where it
 * did, or NULL. */
void tnng_fail_allocation(int number);
const char *tnng_allocation_failed(int *line);

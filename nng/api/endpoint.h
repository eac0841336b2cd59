/* Dialers and listeners, and jobs on helper threads. */

int tnng_dialer_create(tnng_socket *, const char *url, uint32_t *id);
/* In the background: returns at once, and nng tries until the dialer is closed. */
int tnng_dialer_start(tnng_socket *, uint32_t id);

/* Jobs: run on a helper thread and park like any other call. TNNG_NO_THREADS: nothing was done, and
 * it can be asked again. With a NULL port it is done as soon as there is a thread, and nobody hears
 * of it. */
/* `settles`: also waits until a peer that refuses would have closed the connection. */
int tnng_dial(tnng_socket *, uint32_t dialer, bool settles, tnng_cq *, uint64_t tag, tnng_result *);
int tnng_dialer_close(tnng_socket *, uint32_t dialer, tnng_cq *, uint64_t tag, tnng_result *);
int tnng_listener_close(tnng_socket *, uint32_t listener, tnng_cq *, uint64_t tag, tnng_result *);

/* listen is synchronous for its caller, but what may take long in it is done by a helper thread:
 * NNG_EAGAIN, and then tnng_listener_wait is called until it answers something else. Creating and
 * starting are two steps, so that options can be set between them. */
int tnng_listener_create(tnng_socket *, const char *url, tnng_endpoint **pending, uint32_t *id);
int tnng_listener_start(tnng_socket *, uint32_t, tnng_endpoint **pending, uint32_t *id);
/* `pending` becomes NULL in the step that gives the answer. */
int tnng_listener_wait(tnng_endpoint **pending, int milliseconds, uint32_t *id);
/* The caller waits no more: the listener is closed when it has been made. */
void tnng_listener_detach(tnng_endpoint *);

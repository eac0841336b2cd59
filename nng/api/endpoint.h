/* Dialers and listeners, and jobs on helper threads. */

int tnng_dialer_create(tnng_socket *, const char *url, uint32_t *id);
/* Returns at once; nng dials in the background until the dialer is closed. */
int tnng_dialer_start(tnng_socket *, uint32_t id);

/* Jobs: a helper thread runs them, and the calls park like others. TNNG_NO_THREADS: nothing was
 * done; the caller may call again. With a NULL queue the job runs when a thread can be had, and its
 * result is dropped. `detect_refusal`: also waits until a peer that refuses would have closed. */
int tnng_dial(
    tnng_socket *, uint32_t dialer, bool detect_refusal, tnng_cq *, uint64_t tag, tnng_result *);
int tnng_dialer_close(tnng_socket *, uint32_t dialer, tnng_cq *, uint64_t tag, tnng_result *);
int tnng_listener_close(tnng_socket *, uint32_t listener, tnng_cq *, uint64_t tag, tnng_result *);

/* listen is synchronous for its caller. A helper thread does what may take long: the call returns
 * NNG_EAGAIN, and the caller calls tnng_listener_wait until it returns another code. Options are
 * set between create and start. */
int tnng_listener_create(tnng_socket *, const char *url, tnng_endpoint **pending, uint32_t *id);
int tnng_listener_start(tnng_socket *, uint32_t, tnng_endpoint **pending, uint32_t *id);
/* `pending` is NULL when this returns another code than NNG_EAGAIN. */
int tnng_listener_wait(tnng_endpoint **pending, int milliseconds, uint32_t *id);
/* The caller stops waiting: the listener is closed when it has been made. */
void tnng_listener_detach(tnng_endpoint *);

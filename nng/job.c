/* Jobs: calls of nng that may block (dialling, closing, resolving names) run on a helper thread of
 * their own and finish like every other operation. One thread a job: a dial to a silent host can
 * starve nobody. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "internal.h"

/* How long a dialled connection may take from the transport's handshake to being usable. */
enum { USABLE_WITHIN_SECONDS = 10 };

/* How long after its begin a dial may be closed: milliseconds. */
enum { DIALS_AFTER = 10 };

static pthread_mutex_t jobs_lock =
    PTHREAD_MUTEX_INITIALIZER; /* op->stage and the flags of every job */
static pthread_cond_t job_ended = PTHREAD_COND_INITIALIZER;

/* [any] Signals stay with the threads of the program. */
bool tnng_run_thread(void *(*body)(void *), void *arg)
{
    pthread_t thread;
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&thread, NULL, body, arg) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started) {
        pthread_detach(thread);
    }
    return started;
}

static void *run_job(void *arg)
{
    tnng_op *op = arg;

    op->run(op);
    pthread_mutex_lock(&jobs_lock);
    bool nobody_cares = op->abandoned;
    if (!nobody_cares && op->port != NULL) {
        tnng_op_finish(op, op->code, NULL);
    } else {
        op->stage = OP_FINISHED;
        pthread_cond_broadcast(&job_ended);
    }
    pthread_mutex_unlock(&jobs_lock);
    if (nobody_cares) {
        if (op->undo != NULL) {
            op->undo(op);
        }
        tnng_op_free(op);
    }
    return NULL;
}

static void run_socket_close(tnng_op *);

/* [caller] With a NULL port nobody hears of the end. */
static int start_job(tnng_op *op, tnng_result *result)
{
    op->stage = OP_RUNNING;
    op->abandoned = op->port == NULL && result != NULL;
    if (result != NULL) {
        tnng_park(op, result);
    }
    tnng_port *port = op->port; /* the caller's; `op` may be gone once it runs */
    if (tnng_run_thread(run_job, op)) {
        return tnng_submitted(port, NULL, TNNG_PARKED);
    }
    if (op->run == run_socket_close) {
        run_job(op); /* rather late than never: nng's callbacks must not outlive the socket */
        return tnng_submitted(port, NULL, TNNG_PARKED);
    }
    tnng_op_free(op);
    return result == NULL ? NNG_ENOMEM : tnng_answer(result, NNG_ENOMEM, NULL);
}

static tnng_op *new_job(
    tnng_socket *socket, tnng_port *port, uint64_t tag, void (*run)(tnng_op *), uint32_t endpoint)
{
    tnng_op *op = NULL;

    if (port != NULL && !tnng_owner_enter(socket, port)) {
        return NULL;
    }
    if ((op = tnng_op_new(NULL, socket, port, tag)) != NULL) {
        op->run = run;
        op->endpoint = endpoint;
    } else if (port != NULL) {
        tnng_owner_leave(socket);
    }
    return op;
}

static int start_or_busy(tnng_op *op, tnng_result *result)
{
    return op == NULL ? tnng_answer(result, NNG_EBUSY, NULL) : start_job(op, result);
}

/* [caller] A job that cannot be interrupted goes on alone, and frees itself. */
int tnng_job_leave(tnng_op *op)
{
    int outcome = TNNG_ASKED;

    pthread_mutex_lock(&jobs_lock);
    if (op->stage == OP_FINISHED) {
        outcome = TNNG_LATE;
    } else if (op->interrupt == NULL) {
        op->abandoned = true;
        outcome = TNNG_LEFT;
    }
    pthread_mutex_unlock(&jobs_lock);
    if (outcome == TNNG_ASKED) {
        op->interrupt(op);
    }
    return outcome;
}

/* [caller] True when the job goes on without its caller. */
bool tnng_job_abandon(tnng_op *op)
{
    pthread_mutex_lock(&jobs_lock);
    bool running = op->stage != OP_FINISHED;
    if (running && op->interrupt != NULL) {
        op->interrupt(op);
    }
    op->abandoned = running;
    pthread_mutex_unlock(&jobs_lock);
    return running;
}

/* [job] With endpoint_lock held. H4: a dialer that is closed when nng has looked it up for a dial,
 * and has not begun to connect, never ends that dial, and its socket is never closed. So a dial
 * gets time to get past that moment. One that begins later finds the dialer closed. */
static void let_dials_begin(tnng_socket *socket, uint32_t dialer)
{
    int64_t wait = 0;
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    pthread_mutex_lock(&socket->pipes_lock);
    for (tnng_op *op = socket->dialing.first; op != NULL; op = op->next) {
        int64_t since = (int64_t) (now.tv_sec - op->begun.tv_sec) * 1000 +
                        (now.tv_nsec - op->begun.tv_nsec) / 1000000;
        if ((dialer == 0 || op->endpoint == dialer) && DIALS_AFTER - since > wait) {
            wait = DIALS_AFTER - since;
        }
    }
    pthread_mutex_unlock(&socket->pipes_lock);
    if (wait > 0) {
        nanosleep(&(struct timespec){.tv_nsec = wait * 1000000}, NULL);
    }
}

/* [job] C6: before nng 1.6 closing an endpoint while its socket closes drops a reference twice. */
static void run_dialer_close(tnng_op *op)
{
    pthread_mutex_lock(&op->socket->endpoint_lock);
    let_dials_begin(op->socket, op->endpoint);
    op->code = op->socket->closed ? 0 : nng_dialer_close((nng_dialer){op->endpoint});
    pthread_mutex_unlock(&op->socket->endpoint_lock);
}

static void run_listener_close(tnng_op *op)
{
    pthread_mutex_lock(&op->socket->endpoint_lock);
    op->code = op->socket->closed ? 0 : nng_listener_close((nng_listener){op->endpoint});
    pthread_mutex_unlock(&op->socket->endpoint_lock);
    tnng_rules_forget(op->socket, op->endpoint);
}

static void run_socket_close(tnng_op *op)
{
    tnng_socket *socket = op->socket;

    TNNG_PAUSE("close.before");
    pthread_mutex_lock(&socket->endpoint_lock);
    if (!socket->closed) {
        pthread_mutex_lock(&socket->contexts_lock);
        socket->contexts_gone = true;
        pthread_mutex_unlock(&socket->contexts_lock);
        let_dials_begin(socket, 0);
        nng_close(socket->nng);
        socket->closed = true;
        tnng_push_closed(socket);
        tnng_source_close(socket);
    }
    pthread_mutex_unlock(&socket->endpoint_lock);
    tnng_ready_end(socket);
    TNNG_PAUSE("close.after");
}

/* [job] nng says that a dial succeeded when the handshake of the transport is done. The connection
 * is usable when its pipe has been added; a peer of another protocol never gets that far. */
static void run_dial(tnng_op *op)
{
    tnng_socket *socket = op->socket;
    struct timespec until;

    pthread_mutex_lock(&socket->endpoint_lock);
    bool closed = socket->closed;
    pthread_mutex_lock(&socket->pipes_lock);
    tnng_ops_append(&socket->dialing, op);
    clock_gettime(CLOCK_MONOTONIC, &op->begun);
    pthread_mutex_unlock(&socket->pipes_lock);
    pthread_mutex_unlock(&socket->endpoint_lock);
    op->code = closed ? NNG_ECLOSED : nng_dialer_start((nng_dialer){op->endpoint}, 0);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += USABLE_WITHIN_SECONDS;

    pthread_mutex_lock(&socket->pipes_lock);
    while (op->code == 0 && !op->posted) {
        if (op->cancel_requested) {
            op->code = NNG_ECANCELED;
        } else if (op->rejected) {
            op->code = NNG_EPROTO;
        } else if (socket->pipes_closed) {
            op->code = NNG_ECLOSED;
        } else if (pthread_cond_timedwait(&socket->pipes_changed, &socket->pipes_lock, &until) !=
                   0) {
            op->code = NNG_ETIMEDOUT;
        }
    }
    if (op->cancel_requested) {
        op->code = NNG_ECANCELED; /* its dialer is being closed */
    }
    tnng_ops_remove(&socket->dialing, op);
    pthread_mutex_unlock(&socket->pipes_lock);
}

/* [caller] Closing the dialer is what releases a start that blocks. */
static void interrupt_dial(tnng_op *op)
{
    tnng_socket *socket = op->socket;

    pthread_mutex_lock(&socket->pipes_lock);
    bool again = op->cancel_requested;
    op->cancel_requested = true;
    pthread_cond_broadcast(&socket->pipes_changed);
    pthread_mutex_unlock(&socket->pipes_lock);
    if (!again) {
        tnng_result ignored;
        tnng_dialer_close(socket, op->endpoint, NULL, 0, &ignored);
    }
}

int tnng_dialer_create(tnng_socket *socket, const char *url, uint32_t *id)
{
    nng_dialer dialer = NNG_DIALER_INITIALIZER;
    int code = tnng_forked() ? TNNG_FORKED : nng_dialer_create(&dialer, socket->nng, url);

    *id = dialer.id;
    return code;
}

int tnng_dialer_start(tnng_socket *socket, uint32_t id)
{
    (void) socket;
    return tnng_forked() ? TNNG_FORKED : nng_dialer_start((nng_dialer){id}, NNG_FLAG_NONBLOCK);
}

int tnng_dial(
    tnng_socket *socket, uint32_t dialer, tnng_port *port, uint64_t tag, tnng_result *result)
{
    tnng_op *op;

    if (tnng_forked()) {
        return tnng_answer(result, TNNG_FORKED, NULL);
    }
    if ((op = new_job(socket, port, tag, run_dial, dialer)) != NULL) {
        op->interrupt = interrupt_dial;
    }
    return start_or_busy(op, result);
}

int tnng_dialer_close(
    tnng_socket *socket, uint32_t dialer, tnng_port *port, uint64_t tag, tnng_result *result)
{
    if (tnng_forked()) {
        return tnng_answer(result, TNNG_FORKED, NULL);
    }
    return start_or_busy(new_job(socket, port, tag, run_dialer_close, dialer), result);
}

int tnng_listener_close(
    tnng_socket *socket, uint32_t listener, tnng_port *port, uint64_t tag, tnng_result *result)
{
    if (tnng_forked()) {
        return tnng_answer(result, TNNG_FORKED, NULL);
    }
    return start_or_busy(new_job(socket, port, tag, run_listener_close, listener), result);
}

/* [caller] Closes every gate and wakes every waiting call at once; nng_close itself is a job. It
 * may be called by a loop that does not own the socket, so it parks without asking for it. */
int tnng_socket_close(tnng_socket *socket, tnng_port *port, uint64_t tag, tnng_result *result)
{
    tnng_op *op;

    if (tnng_forked()) {
        return tnng_answer(result, TNNG_FORKED, NULL);
    }
    pthread_mutex_lock(&socket->lock);
    bool again = socket->closing;
    socket->closing = true;
    for (tnng_lane *lane = again ? NULL : socket->lanes; lane != NULL; lane = lane->next) {
        tnng_lane_shut(lane);
    }
    pthread_mutex_unlock(&socket->lock);
    tnng_pipes_shut(socket);
    if ((op = tnng_op_new(NULL, socket, port, tag)) == NULL) {
        return tnng_answer(result, NNG_ENOMEM, NULL);
    }
    if (port != NULL) {
        pthread_mutex_lock(&socket->owner_lock);
        socket->parked++;
        pthread_mutex_unlock(&socket->owner_lock);
    }
    op->run = run_socket_close;
    return start_job(op, result);
}

/* [caller] */
void tnng_socket_drop(tnng_socket *socket)
{
    tnng_result ignored;

    if (tnng_forked()) {
        return;
    }
    pthread_mutex_lock(&socket->lock);
    bool open = !socket->closing;
    pthread_mutex_unlock(&socket->lock);
    if (open) {
        tnng_socket_close(socket, NULL, 0, &ignored);
    }
    tnng_socket_release(socket);
}

/* [job] */
static void run_listen(tnng_op *op)
{
    nng_listener listener = {op->endpoint};
    nng_sockaddr address;

    if (op->url != NULL) {
        op->code = nng_listener_create(&listener, op->socket->nng, op->url);
        op->endpoint = listener.id;
        return;
    }
    if (nng_listener_get_addr(listener, NNG_OPT_LOCADDR, &address) == 0 &&
        address.s_family == NNG_AF_IPC && tnng_path_is_taken(address.s_ipc.sa_path)) {
        op->code = NNG_EADDRINUSE;
    } else {
        op->code = nng_listener_start(listener, 0);
    }
}

static void undo_listen(tnng_op *op)
{
    if (op->code == 0 && op->url != NULL) {
        run_listener_close(op);
    }
}

int tnng_listen_begin(tnng_socket *socket, const char *url, uint32_t listener, tnng_op **out)
{
    tnng_op *op;

    if (tnng_forked()) {
        return TNNG_FORKED;
    }
    if ((op = new_job(socket, NULL, 0, run_listen, listener)) == NULL) {
        return NNG_ENOMEM;
    }
    op->undo = undo_listen;
    if (url != NULL && (op->url = strdup(url)) == NULL) {
        tnng_op_free(op);
        return NNG_ENOMEM;
    }
    *out = op;
    int code = start_job(op, NULL);
    if (code != TNNG_PARKED) {
        *out = NULL;
    }
    return code == TNNG_PARKED ? 0 : code;
}

/* [caller] NNG_EAGAIN: not yet. Any other answer is final, and the op is gone. */
int tnng_listen_wait(tnng_op **held, int milliseconds, uint32_t *listener)
{
    tnng_op *op = *held;
    struct timespec until;
    int code = NNG_EAGAIN;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += (milliseconds % 1000) * 1000000L;
    until.tv_sec += milliseconds / 1000 + until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_mutex_lock(&jobs_lock);
    while (
        op->stage != OP_FINISHED && pthread_cond_timedwait(&job_ended, &jobs_lock, &until) == 0) {
    }
    bool ended = op->stage == OP_FINISHED;
    if (ended) {
        code = op->code;
        *listener = op->endpoint;
    }
    pthread_mutex_unlock(&jobs_lock);
    if (ended) {
        *held = NULL;
        tnng_op_free(op);
    }
    return code;
}

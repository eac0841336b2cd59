/* The end of a lane, and of a socket. */
#include "sock/sock.h"

/* [any] The gate. Every submit happens under lane->lock after a look at `closed`: once this
 * returns, no operation can begin, and none is in the middle of being submitted (C5). */
static void shut(tnng_lane *lane)
{
    tnng_lock(&lane->lock);
    lane->closed = TNNG_FIX_IS_ON(C5);
    tnng_lane_supersede(lane);
    pthread_mutex_unlock(&lane->lock);
    if (lane->kind != NULL && lane->kind->shut != NULL) {
        lane->kind->shut(lane);
    }
}

/* [caller] Ends a context. nng completes what it still has with an error; the callbacks clean up.
 */
void tnng_lane_close(tnng_lane *lane)
{
    TNNG_GUARD_FORK();
    shut(lane);
    if (lane->kind != NULL && lane->kind->close != NULL) {
        lane->kind->close(lane);
    }
    /* nng_close ends the contexts itself, and may not meet this on its way. */
    pthread_mutex_lock(&lane->socket->contexts->close_lock);
    if (lane->is_context && lane->context.id != 0 && !lane->socket->contexts->gone) {
        nng_ctx_close(lane->context);
    }
    pthread_mutex_unlock(&lane->socket->contexts->close_lock);
}

/* [caller] */
void tnng_lane_drop(tnng_lane *lane)
{
    if (!tnng_forked()) {
        tnng_lane_close(lane);
        tnng_lane_release(lane);
    }
}

/* [job] */
static int run_close(tnng_job *job)
{
    tnng_socket *socket = job->socket;

    TNNG_PAUSE("close.before");
    pthread_mutex_lock(&socket->endpoints->lock);
    if (!socket->endpoints->closed) {
        pthread_mutex_lock(&socket->contexts->close_lock);
        socket->contexts->gone = true;
        pthread_mutex_unlock(&socket->contexts->close_lock);
        tnng_let_dials_begin(socket, NULL);
        tnng_dialers_forget(socket);
        tnng_causes_forget(socket, 0, false);
        nng_close(socket->nng);
        socket->endpoints->closed = true;
        tnng_push_closed(socket);
        if (socket->contexts->kind != NULL && socket->contexts->kind->socket_closed != NULL) {
            socket->contexts->kind->socket_closed(socket);
        }
    }
    pthread_mutex_unlock(&socket->endpoints->lock);
    tnng_names_wait(socket, 0);
    tnng_ready_end(socket);
    TNNG_PAUSE("close.after");
    return 0;
}

const tnng_job_kind tnng_close_job = {.run = run_close, .once = true};

/* [caller] Closes every gate and wakes every waiting call at once; nng_close itself is a job. It
 * may be called by a loop that does not own the socket, so it parks without asking for it. */
int tnng_socket_close(tnng_socket *socket, tnng_port *port, uint64_t tag, tnng_result *result)
{
    struct tnng_contexts *contexts = socket->contexts;

    TNNG_GUARD_FORK(tnng_answer(result, TNNG_FORKED, NULL));
    pthread_mutex_lock(&contexts->lock);
    bool again = contexts->closing;
    contexts->closing = true;
    for (tnng_lane *lane = again ? NULL : contexts->first; lane != NULL; lane = lane->next) {
        shut(lane);
    }
    pthread_mutex_unlock(&contexts->lock);
    tnng_pipes_shut(socket);
    if (port != NULL) {
        tnng_owner_add(socket);
    }
    return tnng_job_begin(&contexts->close, &(tnng_call){port, tag, result});
}

/* [caller] */
void tnng_socket_drop(tnng_socket *socket)
{
    tnng_result ignored;

    if (!tnng_forked()) {
        tnng_socket_close(socket, NULL, 0, &ignored);
        tnng_socket_release(socket);
    }
}

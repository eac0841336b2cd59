/* The end of a socket. */
#include "conn/dials.h"

/* [job] */
int tnng_run_socket_close(tnng_job *job)
{
    tnng_socket *socket = job->socket;

    TNNG_PAUSE("close.before");
    pthread_mutex_lock(&socket->endpoint_lock);
    if (!socket->closed) {
        pthread_mutex_lock(&socket->contexts_lock);
        socket->contexts_gone = true;
        pthread_mutex_unlock(&socket->contexts_lock);
        tnng_let_dials_begin(socket, NULL);
        tnng_dialers_forget(socket);
        tnng_causes_forget(socket, 0, false);
        nng_close(socket->nng);
        socket->closed = true;
        tnng_push_closed(socket);
        tnng_source_close(socket);
    }
    pthread_mutex_unlock(&socket->endpoint_lock);
    tnng_names_wait(socket, 0);
    tnng_ready_end(socket);
    TNNG_PAUSE("close.after");
    return 0;
}

/* [caller] Closes every gate and wakes every waiting call at once; nng_close itself is a job. It
 * may be called by a loop that does not own the socket, so it parks without asking for it. */
int tnng_socket_close(tnng_socket *socket, tnng_port *port, uint64_t tag, tnng_result *result)
{
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
    if (port != NULL) {
        pthread_mutex_lock(&socket->owner_lock);
        socket->parked++;
        pthread_mutex_unlock(&socket->owner_lock);
    }
    return tnng_job_begin(&socket->close, port, tag, result);
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

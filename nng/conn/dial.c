/* Dialling. nng_dialer_start blocks until the first attempt has been decided, so it is a job. */
#include <stdlib.h>
#include <time.h>

#include "conn/conn.h"

/* How long a dialled connection may take from the transport's handshake to being usable. */
#define USABLE_WITHIN INT64_C(10000000000) /* nanoseconds */

/* How long after its begin a dial may be closed. */
#define DIALS_AFTER INT64_C(10000000)

/* [job] With endpoints->lock held. H4: a dialer that is closed when nng has looked it up for a
 * dial, and has not begun to connect, never ends that dial, and its socket is never closed. So a
 * dial gets time to get past that moment. One that begins later finds the dialer closed. */
void tnng_dials_wait_connecting(tnng_socket *socket, tnng_endpoint *dialer)
{
    int64_t wait = 0, now = tnng_now();

    pthread_mutex_lock(&socket->pipes->lock);
    for (tnng_endpoint *each = socket->endpoints->dialing; each != NULL;
        each = each->next_dialing) {
        int64_t left = each->started_at + DIALS_AFTER - now;
        if ((dialer == NULL || each == dialer) && left > wait) {
            wait = left;
        }
    }
    pthread_mutex_unlock(&socket->pipes->lock);
    if (wait > 0) {
        nanosleep(&(struct timespec){.tv_nsec = wait}, NULL);
    }
}

/* [job] C6: before nng 1.6 closing an endpoint while its socket closes drops a reference twice. */
static int dial_close_run(tnng_job *job)
{
    tnng_socket *socket = job->socket;
    tnng_endpoint *dialer = job->owner;

    pthread_mutex_lock(&socket->endpoints->lock);
    tnng_dials_wait_connecting(socket, dialer);
    tnng_dialer_remove(dialer->id);
    tnng_causes_unregister(socket, dialer->id, false);
    if (!socket->endpoints->closed) {
        nng_dialer_close((nng_dialer){dialer->id}); /* it can only have been closed before */
    }
    pthread_mutex_unlock(&socket->endpoints->lock);
    tnng_endpoint_unlink(dialer);
    return 0;
}

/* [job] With pipes->lock held: answers what became of a dial. Its connection was added; a peer that
 * refuses closes it now, which only a caller that wants to know waits for; otherwise that is logged
 * when it is found out. Or it was not added, because the peer speaks another protocol, or has
 * closed it already; then, where nothing better is known, nng says afterwards that it was added. */
static int dial_check_refusal(tnng_endpoint *dialer, int code)
{
    tnng_socket *socket = dialer->close.socket;
    int64_t until = tnng_dial_refusal_deadline(dialer->started_at, dialer->is_ws);
    bool waits = dialer->detect_refusal || code != 0;

    while (waits && !dialer->dial_cancelled && !socket->pipes->closed &&
           ((code == 0 && !dialer->pipe_lost) || (code == NNG_EPROTO && !tnng_causes_are_known() &&
                                                     dialer->reason == TNNG_REASON_PROTOCOL))) {
        waits = tnng_cond_wait(&socket->pipes->changed, &socket->pipes->lock, until);
    }
    if (socket->pipes->closed && (code == 0 || code == NNG_EPROTO)) {
        return NNG_ECLOSED;
    }
    bool refused = (code == 0 && dialer->pipe_lost) ||
                   (code == NNG_EPROTO && dialer->reason == TNNG_REASON_REFUSED);
    return refused ? TNNG_REFUSED : code;
}

/* [job] nng says that a dial succeeded when the handshake of the transport is done. The connection
 * is usable when its pipe has been added; a peer of another protocol never gets that far. */
static int dial_run(tnng_job *job)
{
    tnng_socket *socket = job->socket;
    tnng_endpoint *dialer = job->owner;

    pthread_mutex_lock(&socket->endpoints->lock);
    bool closed = socket->endpoints->closed;
    pthread_mutex_lock(&socket->pipes->lock);
    dialer->pipe_added = dialer->pipe_rejected = dialer->pipe_lost = false;
    dialer->refusal_code = 0;
    dialer->started_at = tnng_now();
    dialer->next_dialing = socket->endpoints->dialing;
    socket->endpoints->dialing = dialer;
    closed |= dialer->dial_cancelled;
    pthread_mutex_unlock(&socket->pipes->lock);
    pthread_mutex_unlock(&socket->endpoints->lock);
    tnng_dial_wait_begin(dialer->id);
    int code = closed ? NNG_ECLOSED : tnng_dial_attempts(dialer);
    code = tnng_endpoint_code(code);
    int64_t until = tnng_now() + USABLE_WITHIN;

    pthread_mutex_lock(&socket->pipes->lock);
    while (code == 0 && !dialer->pipe_added) {
        if (dialer->dial_cancelled) {
            code = NNG_ECANCELED;
        } else if (dialer->refusal_code != 0) {
            code = dialer->refusal_code;
        } else if (dialer->pipe_rejected) {
            code = tnng_dial_code_of_reason(dialer->reason);
        } else if (socket->pipes->closed) {
            code = NNG_ECLOSED;
        } else if (!tnng_cond_wait(&socket->pipes->changed, &socket->pipes->lock, until)) {
            code = NNG_ETIMEDOUT;
        }
    }
    code = dial_check_refusal(dialer, code);
    if (dialer->dial_cancelled) {
        code = NNG_ECANCELED; /* the dialer is being closed */
    }
    TNNG_SLIST_REMOVE(&socket->endpoints->dialing, dialer, next_dialing);
    pthread_mutex_unlock(&socket->pipes->lock);
    tnng_dial_wait_end(dialer->id, code);
    return code;
}

/* [caller] Closing the dialer is what releases a start that blocks. */
static void dial_interrupt(tnng_job *job)
{
    tnng_socket *socket = job->socket;

    pthread_mutex_lock(&socket->pipes->lock);
    ((tnng_endpoint *) job->owner)->dial_cancelled = true;
    pthread_cond_broadcast(&socket->pipes->changed);
    pthread_mutex_unlock(&socket->pipes->lock);
    tnng_job_enqueue(&((tnng_endpoint *) job->owner)->close, true);
}

/* [nng] With pipes->lock held. */
void tnng_dial_pipe_changed(tnng_socket *socket, tnng_pipe *pipe)
{
    for (tnng_endpoint *each = socket->endpoints->dialing; each != NULL;
        each = each->next_dialing) {
        if (each->id == pipe->info.dialer) {
            each->pipe_added |= pipe->connected;
            each->pipe_rejected |= !pipe->connected;
            each->pipe_lost |= atomic_load(&pipe->gone);
            each->reason = pipe->reason;
            pthread_cond_broadcast(&socket->pipes->changed);
        }
    }
}

/* [nng] With pipes->lock held: the connection that was made cannot be kept. */
void tnng_dial_fail(tnng_socket *socket, uint32_t dialer, int code)
{
    for (tnng_endpoint *each = socket->endpoints->dialing; each != NULL;
        each = each->next_dialing) {
        if (each->id == dialer) {
            each->refusal_code = code;
            pthread_cond_broadcast(&socket->pipes->changed);
        }
    }
}

static const tnng_job_kind dial_job = {.run = dial_run,
    .interrupt = dial_interrupt,
    .ref = tnng_endpoint_ref,
    .unref = tnng_endpoint_unref,
    .slow = true};
static const tnng_job_kind close_job = {
    .run = dial_close_run, .ref = tnng_endpoint_ref, .unref = tnng_endpoint_unref, .once = true};

int tnng_dialer_create(tnng_socket *socket, const char *url, uint32_t *id)
{
    nng_dialer dialer = NNG_DIALER_INITIALIZER;
    tnng_endpoint *endpoint;

    TNNG_GUARD_FORK(TNNG_FORKED);
    if ((endpoint = tnng_endpoint_new(socket, &dial_job, &close_job)) == NULL) {
        return NNG_ENOMEM;
    }
    endpoint->is_dialer = true;
    tnng_endpoint_read_url(endpoint, url);
    tnng_causes_watch_next_aio();
    int code = nng_dialer_create(&dialer, socket->nng, url);
    TNNG_PAUSE("endpoint.made");
    tnng_causes_register(socket, code == 0 ? (uint32_t) dialer.id : 0, false);
    if (code == 0) {
        tnng_dialer_add(socket, (uint32_t) dialer.id);
        pthread_mutex_lock(&socket->pipes->lock);
        *id = endpoint->id = (uint32_t) dialer.id;
        pthread_mutex_unlock(&socket->pipes->lock);
    } else {
        tnng_endpoint_unlink(endpoint);
        code = tnng_endpoint_code(code);
    }
    tnng_endpoint_unref(endpoint);
    return code;
}

int tnng_dialer_start(tnng_socket *socket, uint32_t id)
{
    (void) socket;
    TNNG_GUARD_FORK(TNNG_FORKED);
    tnng_dial_background_begin(id);
    return nng_dialer_start((nng_dialer){id}, NNG_FLAG_NONBLOCK);
}

int tnng_dial(tnng_socket *socket, uint32_t id, bool detect_refusal, tnng_cq *cq, uint64_t tag,
    tnng_result *result)
{
    const tnng_call call = {cq, tag, result};
    tnng_endpoint *dialer;
    int code;

    TNNG_GUARD_FORK(tnng_result_set(result, TNNG_FORKED, NULL));
    if ((dialer = tnng_endpoint_find(socket, id, true)) == NULL) {
        return tnng_call_finish(&call, NNG_ECLOSED);
    }
    if (cq != NULL && !tnng_owner_enter(socket, cq)) {
        code = tnng_result_set(result, NNG_EBUSY, NULL);
    } else {
        pthread_mutex_lock(&socket->pipes->lock);
        dialer->detect_refusal = detect_refusal;
        pthread_mutex_unlock(&socket->pipes->lock);
        code = tnng_job_submit(&dialer->work, &call);
    }
    tnng_endpoint_unref(dialer);
    return code;
}

int tnng_dialer_close(
    tnng_socket *socket, uint32_t id, tnng_cq *cq, uint64_t tag, tnng_result *result)
{
    return tnng_endpoint_close(socket, id, true, &(tnng_call){cq, tag, result});
}

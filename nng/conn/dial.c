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
void tnng_let_dials_begin(tnng_socket *socket, tnng_endpoint *dialer)
{
    int64_t wait = 0, now = tnng_now();

    pthread_mutex_lock(&socket->pipes->lock);
    for (tnng_endpoint *each = socket->endpoints->dialing; each != NULL;
        each = each->next_dialing) {
        int64_t left = each->begun + DIALS_AFTER - now;
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
static int run_close(tnng_job *job)
{
    tnng_socket *socket = job->socket;
    tnng_endpoint *dialer = job->owner;

    pthread_mutex_lock(&socket->endpoints->lock);
    tnng_let_dials_begin(socket, dialer);
    tnng_dialer_forget(dialer->id);
    tnng_causes_forget(socket, dialer->id, false);
    if (!socket->endpoints->closed) {
        nng_dialer_close((nng_dialer){dialer->id}); /* it can only have been closed before */
    }
    pthread_mutex_unlock(&socket->endpoints->lock);
    tnng_endpoint_unlink(dialer);
    return 0;
}

/* With pipes->lock held. */
static void unlink_dialing(tnng_socket *socket, tnng_endpoint *dialer)
{
    tnng_endpoint **link = &socket->endpoints->dialing;

    while (*link != dialer) {
        link = &(*link)->next_dialing;
    }
    *link = dialer->next_dialing;
}

/* [job] With pipes->lock held: answers what became of a dial. Its connection was added; a peer that
 * refuses closes it now, which only a caller that wants to know waits for; otherwise that is logged
 * when it is found out. Or it was not added, because the peer speaks another protocol, or has
 * closed it already; then, where nothing better is known, nng says afterwards that it was added. */
static int settle(tnng_endpoint *dialer, int code)
{
    tnng_socket *socket = dialer->close.socket;
    int64_t until = tnng_dial_settles(dialer->begun, dialer->is_ws);
    bool waits = dialer->settles || code != 0;

    while (waits && !dialer->dial_cancelled && !socket->pipes->closed &&
           ((code == 0 && !dialer->lost) || (code == NNG_EPROTO && !tnng_causes_are_known() &&
                                                dialer->reason == TNNG_BY_PROTOCOL))) {
        waits = tnng_cond_wait(&socket->pipes->changed, &socket->pipes->lock, until);
    }
    if (socket->pipes->closed && (code == 0 || code == NNG_EPROTO)) {
        return NNG_ECLOSED;
    }
    bool refused = (code == 0 && dialer->lost) ||
                   (code == NNG_EPROTO && dialer->reason == TNNG_BY_REFUSAL);
    return refused ? TNNG_REFUSED : code;
}

/* [job] nng says that a dial succeeded when the handshake of the transport is done. The connection
 * is usable when its pipe has been added; a peer of another protocol never gets that far. */
static int run_dial(tnng_job *job)
{
    tnng_socket *socket = job->socket;
    tnng_endpoint *dialer = job->owner;

    pthread_mutex_lock(&socket->endpoints->lock);
    bool closed = socket->endpoints->closed;
    pthread_mutex_lock(&socket->pipes->lock);
    dialer->posted = dialer->rejected = dialer->lost = false;
    dialer->refusal = 0;
    dialer->begun = tnng_now();
    dialer->next_dialing = socket->endpoints->dialing;
    socket->endpoints->dialing = dialer;
    closed |= dialer->dial_cancelled;
    pthread_mutex_unlock(&socket->pipes->lock);
    pthread_mutex_unlock(&socket->endpoints->lock);
    tnng_dial_begins(dialer->id);
    int code = closed ? NNG_ECLOSED : tnng_attempts(dialer);
    code = tnng_endpoint_code(code);
    int64_t until = tnng_now() + USABLE_WITHIN;

    pthread_mutex_lock(&socket->pipes->lock);
    while (code == 0 && !dialer->posted) {
        if (dialer->dial_cancelled) {
            code = NNG_ECANCELED;
        } else if (dialer->refusal != 0) {
            code = dialer->refusal;
        } else if (dialer->rejected) {
            code = tnng_dial_code(dialer->reason);
        } else if (socket->pipes->closed) {
            code = NNG_ECLOSED;
        } else if (!tnng_cond_wait(&socket->pipes->changed, &socket->pipes->lock, until)) {
            code = NNG_ETIMEDOUT;
        }
    }
    code = settle(dialer, code);
    if (dialer->dial_cancelled) {
        code = NNG_ECANCELED; /* the dialer is being closed */
    }
    unlink_dialing(socket, dialer);
    pthread_mutex_unlock(&socket->pipes->lock);
    tnng_dial_ends(dialer->id, code);
    return code;
}

/* [caller] Closing the dialer is what releases a start that blocks. */
static void interrupt_dial(tnng_job *job)
{
    tnng_socket *socket = job->socket;

    pthread_mutex_lock(&socket->pipes->lock);
    ((tnng_endpoint *) job->owner)->dial_cancelled = true;
    pthread_cond_broadcast(&socket->pipes->changed);
    pthread_mutex_unlock(&socket->pipes->lock);
    tnng_job_queue(&((tnng_endpoint *) job->owner)->close, true);
}

/* [nng] With pipes->lock held. */
void tnng_tell_dialer(tnng_socket *socket, tnng_pipe *pipe)
{
    for (tnng_endpoint *each = socket->endpoints->dialing; each != NULL;
        each = each->next_dialing) {
        if (each->id == pipe->info.dialer) {
            each->posted |= pipe->connected;
            each->rejected |= !pipe->connected;
            each->lost |= atomic_load(&pipe->gone);
            each->reason = pipe->reason;
            pthread_cond_broadcast(&socket->pipes->changed);
        }
    }
}

/* [nng] With pipes->lock held: the connection that was made cannot be kept. */
void tnng_refuse_dial(tnng_socket *socket, uint32_t dialer, int code)
{
    for (tnng_endpoint *each = socket->endpoints->dialing; each != NULL;
        each = each->next_dialing) {
        if (each->id == dialer) {
            each->refusal = code;
            pthread_cond_broadcast(&socket->pipes->changed);
        }
    }
}

static const tnng_job_kind dial_job = {.run = run_dial,
    .interrupt = interrupt_dial,
    .ref = tnng_endpoint_hold,
    .unref = tnng_endpoint_release,
    .slow = true};
static const tnng_job_kind close_job = {
    .run = run_close, .ref = tnng_endpoint_hold, .unref = tnng_endpoint_release, .once = true};

int tnng_dialer_create(tnng_socket *socket, const char *url, uint32_t *id)
{
    nng_dialer dialer = NNG_DIALER_INITIALIZER;
    tnng_endpoint *endpoint;

    TNNG_GUARD_FORK(TNNG_FORKED);
    if ((endpoint = tnng_endpoint_new(socket, &dial_job, &close_job)) == NULL) {
        return NNG_ENOMEM;
    }
    endpoint->is_dialer = true;
    tnng_endpoint_note_name(endpoint, url);
    tnng_causes_expect();
    int code = nng_dialer_create(&dialer, socket->nng, url);
    TNNG_PAUSE("endpoint.made");
    tnng_causes_of(socket, code == 0 ? (uint32_t) dialer.id : 0, false);
    if (code == 0) {
        tnng_dialer_add(socket, (uint32_t) dialer.id);
        pthread_mutex_lock(&socket->pipes->lock);
        *id = endpoint->id = (uint32_t) dialer.id;
        pthread_mutex_unlock(&socket->pipes->lock);
    } else {
        tnng_endpoint_unlink(endpoint);
        code = tnng_endpoint_code(code);
    }
    tnng_endpoint_release(endpoint);
    return code;
}

int tnng_dialer_start(tnng_socket *socket, uint32_t id)
{
    (void) socket;
    TNNG_GUARD_FORK(TNNG_FORKED);
    tnng_dial_tries(id);
    return nng_dialer_start((nng_dialer){id}, NNG_FLAG_NONBLOCK);
}

int tnng_dial(tnng_socket *socket, uint32_t id, bool settles, tnng_port *port, uint64_t tag,
    tnng_result *result)
{
    const tnng_call call = {port, tag, result};
    tnng_endpoint *dialer;
    int code;

    TNNG_GUARD_FORK(tnng_answer(result, TNNG_FORKED, NULL));
    if ((dialer = tnng_endpoint_find(socket, id, true)) == NULL) {
        return tnng_call_over(&call, NNG_ECLOSED);
    }
    if (port != NULL && !tnng_owner_enter(socket, port)) {
        code = tnng_answer(result, NNG_EBUSY, NULL);
    } else {
        pthread_mutex_lock(&socket->pipes->lock);
        dialer->settles = settles;
        pthread_mutex_unlock(&socket->pipes->lock);
        code = tnng_job_begin(&dialer->work, &call);
    }
    tnng_endpoint_release(dialer);
    return code;
}

int tnng_dialer_close(
    tnng_socket *socket, uint32_t id, tnng_port *port, uint64_t tag, tnng_result *result)
{
    return tnng_endpoint_close(socket, id, true, &(tnng_call){port, tag, result});
}

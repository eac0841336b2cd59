/* Replies of Rep0 and Respondent0 without a callback.
 *
 * nng takes nearly every reply at once. With a callback that still wakes one of its task threads,
 * so a reply first goes on an aio that has none: the lane's own. Only when the connection is busy
 * with another reply does it wait in nng, and then nothing would tell us of its end: a helper
 * thread waits for it. So that this stays rare, a socket that met a busy connection uses the aio
 * with a callback for a while, and one such thread at most runs for a socket.
 *
 * N1: nng 1.9 to 1.11 can return from nng_aio_wait before the end, but only after a cancel. So the
 * message and the result decide here too; to wait only makes sure that nng is done with the aio. */
#include <time.h>

#include "sock/sock.h"

/* So many replies in a row must have been taken at once before the next goes without a callback. */
enum { CALM = 64 };

static bool is_pending(nng_aio *aio)
{
    return nng_aio_get_msg(aio) != NULL && nng_aio_result(aio) == 0;
}

/* [any] */
static void wait_for_end(nng_aio *aio)
{
    nng_aio_wait(aio);
    while (is_pending(aio)) {
        /* N1: it has been cancelled, and the end is about to come. */
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

/* [job] Waits for a reply that met a busy connection, then does what a callback would do. */
static void *await_reply(void *arg)
{
    tnng_lane_op *op = arg;
    tnng_socket *socket = op->lane->socket;
    nng_aio *aio = op->lane->try_send;

    tnng_socket_hold(socket);
    wait_for_end(aio);
    tnng_sent(op);
    atomic_store(&socket->sends->reply_waits, false);
    tnng_socket_release(socket);
    return NULL;
}

/* [caller] Whether the next reply goes without a callback. */
bool tnng_reply_is_quick(tnng_lane *lane)
{
    return (lane->traits & ANSWERS) && atomic_load(&lane->socket->sends->busy_replies) <= 0 &&
           !atomic_load(&lane->socket->sends->reply_waits);
}

/* [caller] What became of a reply when it was submitted: it had to wait, or it was taken. */
void tnng_reply_noted(tnng_socket *socket, bool waits)
{
    if (waits) {
        atomic_store(&socket->sends->busy_replies, CALM);
    } else if (atomic_load(&socket->sends->busy_replies) > 0) {
        atomic_fetch_sub(&socket->sends->busy_replies, 1);
    }
}

/* [caller] 0 when nng took the message, else its error, and the message is the caller's again. */
static int take_back(nng_aio *aio)
{
    bool taken = nng_aio_get_msg(aio) == NULL;

    nng_aio_set_msg(aio, NULL);
    return taken ? 0 : nng_aio_result(aio);
}

/* [caller] lane->lock held. Submits a reply without a callback: 0 when nng has it, or
 * TNNG_PARKED. */
int tnng_reply_quickly(tnng_lane *lane, nng_msg *msg, const tnng_call *call)
{
    tnng_lane_op *op;
    size_t size = nng_msg_len(msg);
    int code = 0;

    if (lane->try_send == NULL) {
        if (nng_aio_alloc(&lane->try_send, NULL, NULL) != 0) {
            return NNG_ENOMEM;
        }
        nng_aio_set_timeout(lane->try_send, NNG_DURATION_INFINITE);
    } else {
        /* The message leaves the aio a moment before nng is done with it. */
        nng_aio_wait(lane->try_send);
    }
    TNNG_PAUSE("send.before_submit");
    tnng_submit_send(lane, lane->try_send, msg);
    TNNG_PAUSE("send.after_submit");
    if (!is_pending(lane->try_send)) {
        return take_back(lane->try_send);
    }
    tnng_reply_noted(lane->socket, true);
    if ((op = tnng_send_op(lane, call, false, &code)) != NULL) {
        op->op.stage = OP_SENDING;
        op->quick = true;
        op->size = size;
        lane->sending++;
        tnng_lane_hold(lane);
        atomic_store(&lane->socket->sends->reply_waits, true);
        if (tnng_run_thread(await_reply, op)) {
            return tnng_park(&op->op, call->result);
        }
        atomic_store(&lane->socket->sends->reply_waits, false);
        lane->sending--;
        tnng_lane_op_drop(op);
        code = NNG_ENOMEM;
    }
    /* Nobody can wait for it: it is taken back, unless it went in the last moment. */
    nng_aio_cancel(lane->try_send);
    wait_for_end(lane->try_send);
    return take_back(lane->try_send) == 0 ? 0 : code;
}

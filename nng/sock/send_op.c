/* Sends that have to wait. Each has its own aio, and is really cancelled; its caller waits for the
 * callback, because only that tells whose the message is. */
#include "sock/sock.h"

/* [any] lane->lock held: nng has taken a message. */
void tnng_send_accepted(tnng_lane *lane, size_t size)
{
    tnng_count_sent(lane->socket, size);
    if (lane->traits & ANSWERS) {
        tnng_pipe_expect(lane->socket, lane->asker);
    }
}

static nng_aio *aio_of(tnng_lane_op *op) { return op->quick ? op->lane->try_send : op->aio; }

/* [any] A send that had to wait is decided. */
void tnng_sent(tnng_lane_op *op)
{
    tnng_lane *lane = op->lane;
    nng_aio *aio = aio_of(op);
    bool abandoned;

    TNNG_PAUSE("send.callback");
    tnng_lock(&lane->lock);
    if (op->op.port == NULL) {
        nng_aio_set_msg(aio, NULL);
        pthread_mutex_unlock(&lane->lock);
        tnng_op_free(&op->op);
        tnng_lane_release(lane);
        return;
    }
    int code = nng_aio_result(aio);
    nng_msg *msg = nng_aio_get_msg(aio);
    nng_aio_set_msg(aio, NULL);
    if (op->cancel_requested && msg == NULL && TNNG_SIMULATE("N2")) {
        code = NNG_ECANCELED;
    }
    lane->sending--;
    abandoned = op->abandoned;
    /* N2: a late cancel rewrites the result, so a message that is gone was sent. */
    if (code == 0 || (msg == NULL && !TNNG_WITHOUT("N2"))) {
        tnng_send_accepted(lane, op->size);
        msg = NULL;
        lane->asked = !op->chain;
        code = op->cancel_requested && op->chain && !TNNG_WITHOUT("CHAIN") ? TNNG_SENT : 0;
    } else if (msg != NULL && !(lane->traits & KEEPS_HEADER)) {
        nng_msg_header_clear(msg);
    }
    if (abandoned) {
        if (msg != NULL) {
            nng_msg_free(msg);
        }
    } else if (code == 0 && op->chain && !lane->closed) {
        tnng_lane_wait(lane, op);
    } else {
        tnng_op_finish(&op->op, code == 0 && op->chain ? NNG_ECLOSED : code, msg);
    }
    if (lane->ready != NULL) {
        tnng_lane_settle(lane);
    }
    pthread_mutex_unlock(&lane->lock);
    if (abandoned) {
        tnng_op_free(&op->op);
    }
    tnng_lane_release(lane);
}

/* [nng] */
static void on_sent(void *arg) { tnng_sent(arg); }

/* [caller] Once a send that a receive follows has been sent, it waits as a receive does. */
static int send_cancel(tnng_op *of)
{
    tnng_lane_op *op = (tnng_lane_op *) of;
    tnng_lane *lane = op->lane;
    int outcome = TNNG_LATE;

    tnng_lock(&lane->lock);
    if (of->stage == OP_SENDING) {
        op->cancel_requested = true;
        nng_aio_cancel(aio_of(op));
        outcome = TNNG_ASKED;
    } else if (of->stage == OP_WAITING) {
        outcome = tnng_lane_leave(lane, op);
    }
    pthread_mutex_unlock(&lane->lock);
    return outcome;
}

/* [caller] */
static bool send_detach(tnng_op *of)
{
    tnng_lane_op *op = (tnng_lane_op *) of;
    tnng_lane *lane = op->lane;

    tnng_lock(&lane->lock);
    bool with_nng = of->stage == OP_SENDING;
    if (with_nng) {
        op->abandoned = op->cancel_requested = true;
        nng_aio_cancel(aio_of(op));
    }
    pthread_mutex_unlock(&lane->lock);
    return with_nng;
}

static const tnng_op_kind send_kind = {.cancel = send_cancel,
    .detach = send_detach,
    .reclaim = tnng_recv_reclaim,
    .free = tnng_lane_op_free};

/* [caller] An op for a call that parks, or NULL with the reason in *code. */
tnng_lane_op *tnng_send_op(tnng_lane *lane, const tnng_call *call, bool chain, int *code)
{
    tnng_lane_op *op = tnng_lane_op_new(lane, &send_kind, call, code);

    if (op != NULL) {
        op->chain = chain;
    }
    return op;
}

/* [caller] The send goes to nng with a callback; the lock is held until nng has it. 0 when it turns
 * out to be sent already: Rep0 and Respondent0 empty the aio when they accept a reply, which they
 * do at once unless the connection is busy with another. Then nobody waits for the callback, it
 * only tidies up. */
int tnng_send_submit(tnng_lane *lane, tnng_lane_op *op, nng_msg *msg)
{
    if (op->aio == NULL && nng_aio_alloc(&op->aio, on_sent, op) != 0) {
        tnng_lane_op_drop(op);
        return NNG_ENOMEM;
    }
    nng_aio_set_timeout(op->aio, NNG_DURATION_INFINITE);
    op->op.stage = OP_SENDING;
    op->size = nng_msg_len(msg);
    lane->sending++;
    tnng_lane_hold(lane);
    TNNG_PAUSE("send.before_submit");
    tnng_submit_send(lane, op->aio, msg);
    TNNG_PAUSE("send.after_submit");
    bool taken = (lane->traits & ANSWERS) && nng_aio_get_msg(op->aio) == NULL;
    if (taken) {
        lane->sending--;
        tnng_op_forget_caller(&op->op);
        return 0;
    }
    return TNNG_PARKED;
}

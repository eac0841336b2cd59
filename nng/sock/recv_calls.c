/* The calls that receive: what they look at, when they wait, and what they give back. The ring they
 * look at is in sock/recv.c. */
#include "sock/sock.h"

/* [caller] A call that does not wait on a lane that asks. Nothing has been posted since the request
 * when no call has waited, so what nng has is looked at: on Req0 a zero-timeout receive changes
 * nothing when there is no answer (1.5.2 to 1.12), and says NNG_ESTATE when nothing was asked. N3:
 * on Surveyor0 it would block; but there receives stand for as long as a survey does. */
static int poll_answer(tnng_lane *lane, nng_msg **msg)
{
    int code;

    if (lane->traits & SURVEYS) {
        return lane->keep == 0 ? NNG_ESTATE : NNG_ETIMEDOUT;
    }
    code = tnng_lane_try_receive(lane, msg);
    if (code == 0) {
        lane->asked = false;
        tnng_count_received(lane->socket, nng_msg_len(*msg));
    }
    return code;
}

/* Whether a call answers at once: without a port, or by a thread that gave it no time. */
static bool is_poll(const tnng_port *port)
{
    return port == NULL || tnng_waiter_is_impatient(port);
}

static int recv_cancel(tnng_op *op)
{
    tnng_lane *lane = ((tnng_lane_op *) op)->lane;
    int outcome = TNNG_LATE;

    tnng_lock(&lane->lock);
    if (op->stage != OP_FINISHED) {
        outcome = tnng_lane_leave(lane, (tnng_lane_op *) op);
    }
    pthread_mutex_unlock(&lane->lock);
    return outcome;
}

/* [caller] The next call gets the message. */
void tnng_recv_reclaim(tnng_op *op)
{
    const tnng_lane_op *of = (tnng_lane_op *) op;

    tnng_give_back(of->home != NULL ? of->home : of->lane, op->msg);
}

const tnng_op_kind tnng_recv_kind = {
    .cancel = recv_cancel, .reclaim = tnng_recv_reclaim, .free = tnng_lane_op_free};

/* [caller] `ask_nng`: the call does not wait, and wants the best answer there is. */
static int receive(tnng_lane *lane, const tnng_call *call, bool ask_nng)
{
    nng_msg *msg = NULL;
    tnng_lane_op *op;
    int code;

    TNNG_GUARD_FORK(tnng_answer(call->result, TNNG_FORKED, NULL));
    if (!(lane->traits & CAN_RECEIVE)) {
        return tnng_answer(call->result, NNG_ENOTSUP, NULL);
    }
    if (lane->kind != NULL && lane->kind->receive != NULL) {
        return tnng_submitted(call->port, &lane->origin, lane->kind->receive(lane, call));
    }
    tnng_lock(&lane->lock);
    if (lane->closed) {
        code = NNG_ECLOSED;
    } else if ((lane->traits & ONE_AT_A_TIME) &&
               (lane->waiters > 0 || (lane->sending > 0 && TNNG_FIX_IS_ON(C2)))) {
        /* C2: on Req0 this also keeps a receive from being posted before its send has completed. */
        code = NNG_EBUSY;
    } else {
        code = tnng_lane_receive_now(lane, SIZE_MAX, &msg);
    }
    if (code == NNG_ETIMEDOUT && ask_nng && (lane->traits & SUPERSEDES) && lane->head == NULL &&
        !lane->ended) {
        code = poll_answer(lane, &msg);
    }
    if (code == NNG_ETIMEDOUT && !lane->ended) {
        if (call->port == NULL) {
            code = NNG_EAGAIN;
        } else if (!ask_nng &&
                   (op = tnng_lane_op_new(lane, &tnng_recv_kind, call, &code)) != NULL) {
            code = tnng_park(&op->op, call->result);
            tnng_lane_wait(lane, op);
        }
    }
    pthread_mutex_unlock(&lane->lock);
    if (code != TNNG_PARKED) {
        tnng_answer(call->result, code, msg);
    }
    return tnng_submitted(call->port, &lane->origin, code);
}

int tnng_receive(tnng_lane *lane, tnng_port *port, uint64_t tag, tnng_result *result)
{
    return receive(lane, &(tnng_call){port, tag, result}, is_poll(port));
}

/* [caller] The fast path of calls that wait when this finds nothing. They do not ask nng for an
 * answer to a request, which is nearly never there so soon. */
nng_msg *tnng_take(tnng_lane *lane)
{
    tnng_result result;

    return receive(lane, &(tnng_call){.result = &result}, false) == 0 ? result.msg : NULL;
}

/* [caller] Time is up. Cancelling a receive ends the survey inside nng. */
void tnng_end_survey(tnng_lane *lane)
{
    TNNG_GUARD_FORK();
    tnng_lock(&lane->lock);
    lane->keep = 0;
    lane->ended = true;
    lane->asked = false;
    for (tnng_slot *slot = lane->head; slot != NULL; slot = slot->next) {
        if (slot->pending && !slot->unwanted) {
            slot->unwanted = true;
            nng_aio_cancel(slot->aio);
        }
    }
    pthread_mutex_unlock(&lane->lock);
}

/* [caller] Puts a message back to the front: the next call gets it. */
void tnng_give_back(tnng_lane *lane, nng_msg *msg)
{
    TNNG_GUARD_FORK();
    if (lane->kind != NULL && lane->kind->give_back != NULL) {
        lane->kind->give_back(lane, msg);
        return;
    }
    tnng_lock(&lane->lock);
    tnng_lane_put_first(lane, msg, true);
    tnng_lane_settle(lane);
    if (!(lane->traits & STANDING)) {
        tnng_lane_cancel_surplus(lane);
    }
    pthread_mutex_unlock(&lane->lock);
}

/* [caller] */
void tnng_lane_give_back(tnng_origin *origin, nng_msg *msg)
{
    tnng_give_back((tnng_lane *) origin, msg);
}

int tnng_lane_keep(tnng_lane *lane, int messages)
{
    TNNG_GUARD_FORK(TNNG_FORKED);
    tnng_lock(&lane->lock);
    int before = lane->keep;
    lane->keep = messages;
    tnng_lane_cancel_surplus(lane);
    tnng_lane_settle(lane);
    /* Nothing stands, and nothing will until a call comes. */
    int code = messages > 0 && lane->useful == 0 && !lane->closed ? NNG_ENOMEM : 0;
    if (code != 0) {
        lane->keep = before;
    }
    pthread_mutex_unlock(&lane->lock);
    return code;
}

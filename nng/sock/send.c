/* The calls that send: what they look at, and when they wait. What nng accepts at once never parks;
 * a send that must wait is in send_op.c. */
#include "sock/sock.h"

/* How many receives stand for the replies to a survey. */
enum { REPLIES_AHEAD = 16 };

/* [caller] One zero-timeout send on an aio without a callback. The result code decides: Pub0 leaves
 * its message pointer dangling, and Req0 has it in its own hands for a while. */
static int try_send(tnng_lane *lane, nng_msg *msg)
{
    tnng_stream *stream = lane->is_context ? NULL : &lane->stream;

    if (lane->try_send == NULL) {
        if (nng_aio_alloc(&lane->try_send, NULL, NULL) != 0) {
            return NNG_ENOMEM;
        }
        nng_aio_set_timeout(lane->try_send, NNG_DURATION_ZERO);
    }
    tnng_wakes_may_wait(stream, true);
    tnng_submit_send(lane, lane->try_send, msg);
    nng_aio_set_msg(lane->try_send, NULL);
    int code = nng_aio_result(lane->try_send);
    tnng_wakes_wait(stream, code == 0);
    return code;
}

/* [caller] lane->lock held: may this call be made at all, before nng sees anything of it? */
static int refuse(tnng_lane *lane)
{
    if (lane->closed) {
        return NNG_ECLOSED;
    }
    if ((lane->traits & ONE_AT_A_TIME) &&
        (lane->sending > 0 || (lane->waiters > 0 && !(lane->traits & SUPERSEDES)))) {
        return NNG_EBUSY;
    }
    if ((lane->traits & ANSWERS) && !lane->answerable) {
        return NNG_ESTATE;
    }
    return 0;
}

/* [caller] lane->lock held. 0: sent. NNG_EAGAIN: it would have to wait and may not. */
static int send_or_park(tnng_lane *lane, nng_msg *msg, bool chain, const tnng_call *call)
{
    tnng_lane_op *op;
    int code = lane->traits & TRY_SEND ? try_send(lane, msg) : NNG_ETIMEDOUT;

    if (!chain && tnng_reply_is_quick(lane)) {
        return tnng_reply_quickly(lane, msg, call);
    }
    if (code == NNG_ETIMEDOUT && call->port == NULL) {
        return NNG_EAGAIN;
    }
    if (code == NNG_ETIMEDOUT && (op = tnng_send_op(lane, call, chain, &code)) != NULL) {
        code = tnng_send_submit(lane, op, msg);
        if ((lane->traits & ANSWERS) && (code == 0 || code == TNNG_PARKED)) {
            tnng_reply_noted(lane->socket, code == TNNG_PARKED);
        }
        if (code == TNNG_PARKED) {
            tnng_park(&op->op, call->result);
        }
    }
    return code;
}

/* [caller] `*msg` becomes NULL when nng has taken it, whatever the answer. */
static int start(tnng_lane *lane, nng_msg **msg, bool chain, const tnng_call *call)
{
    tnng_lane_op *op;
    size_t size = nng_msg_len(*msg);
    int code = refuse(lane);

    if (code != 0) {
        return code;
    }
    if (call->port == NULL && (chain || !(lane->traits & TRY_SEND))) {
        return NNG_EAGAIN;
    }
    if (call->port != NULL && tnng_owner_is_another(lane->socket, call->port)) {
        return NNG_EBUSY;
    }
    if ((lane->traits & SURVEYS) && !tnng_survey_begin(lane->socket)) {
        return NNG_EAGAIN;
    }
    if (!(lane->traits & KEEPS_HEADER)) {
        nng_msg_header_clear(*msg);
    }
    if (lane->traits & SUPERSEDES) {
        lane->keep = 0;
        tnng_lane_supersede(lane);
    }
    lane->answerable = false;
    code = send_or_park(lane, *msg, chain, call);
    if (code == 0) {
        *msg = NULL;
        tnng_send_accepted(lane, size);
        lane->asked = !chain;
    }
    if (lane->traits & SURVEYS) {
        tnng_survey_end(lane->socket);
    }
    if (code == 0) {
        if (lane->traits & SURVEYS) {
            lane->ended = false;
            lane->keep = REPLIES_AHEAD;
            tnng_lane_settle(lane);
        }
        if (chain && (op = tnng_send_op(lane, call, true, &code)) != NULL) {
            code = tnng_park(&op->op, call->result);
            tnng_lane_wait(lane, op);
        }
    } else if (code != TNNG_PARKED && !(lane->traits & KEEPS_HEADER)) {
        nng_msg_header_clear(*msg);
    }
    if (lane->ready != NULL && code != TNNG_PARKED) {
        tnng_lane_settle(lane);
    }
    return code;
}

static int run(tnng_lane *lane, nng_msg *msg, bool chain, const tnng_call *call)
{
    int code;

    TNNG_GUARD_FORK(tnng_answer(call->result, TNNG_FORKED, msg));
    if (lane->kind != NULL && lane->kind->send != NULL) {
        return lane->kind->send(lane, msg, chain, call);
    }
    if (!(lane->traits & CAN_SEND) || (chain && (lane->traits & SPARE_CONTEXTS))) {
        return tnng_answer(call->result, NNG_ENOTSUP, msg);
    }
    tnng_lock(&lane->lock);
    code = start(lane, &msg, chain, call);
    pthread_mutex_unlock(&lane->lock);
    if (code != TNNG_PARKED) {
        tnng_answer(call->result, code, msg);
    }
    return tnng_submitted(call->port, NULL, code);
}

/* [caller] The message is this call's own once it has been taken, and only then written to. */
int tnng_send(tnng_lane *lane, tnng_box *box, int64_t pipe, tnng_port *port, uint64_t tag,
    tnng_result *result)
{
    nng_msg *msg = NULL;
    int code = tnng_box_take(box, &msg);

    if (code != 0) {
        return tnng_answer(result, code, NULL);
    }
    if (pipe >= 0) {
        nng_msg_set_pipe(msg, (nng_pipe){(uint32_t) pipe});
    }
    return run(lane, msg, false, &(tnng_call){port, tag, result});
}

/* [caller] The bytes never reach nng's message when it cannot be made, or when the caller does not
 * want it back. */
static int run_bytes(
    tnng_lane *lane, const char *data, size_t size, bool chain, const tnng_call *call)
{
    nng_msg *msg = tnng_msg_new(data, size);
    int code =
        msg == NULL ? tnng_answer(call->result, NNG_ENOMEM, NULL) : run(lane, msg, chain, call);

    if (code != TNNG_PARKED && code != 0 && call->result->msg != NULL) {
        nng_msg_free(call->result->msg);
        call->result->msg = NULL;
    }
    return code;
}

int tnng_send_bytes(tnng_lane *lane, const char *data, size_t size, tnng_port *port, uint64_t tag,
    tnng_result *result)
{
    return run_bytes(lane, data, size, false, &(tnng_call){port, tag, result});
}

int tnng_send_bytes_now(tnng_lane *lane, const char *data, size_t size)
{
    tnng_result result;

    if (!tnng_forked() && tnng_owner_is_another(lane->socket, NULL)) {
        return NNG_EAGAIN;
    }
    return run_bytes(lane, data, size, false, &(tnng_call){.result = &result});
}

int tnng_exchange_bytes(tnng_lane *lane, const char *data, size_t size, tnng_port *port,
    uint64_t tag, tnng_result *result)
{
    return run_bytes(lane, data, size, true, &(tnng_call){port, tag, result});
}

/* [caller] */
int tnng_send_many(tnng_lane *lane, const char *data, const uint32_t *sizes, int count, int *sent)
{
    int code;

    *sent = 0;
    TNNG_GUARD_FORK(TNNG_FORKED);
    tnng_lock(&lane->lock);
    code = refuse(lane);
    while (code == 0 && *sent < count) {
        nng_msg *msg = tnng_msg_new(data, sizes[*sent]);
        code = msg == NULL ? NNG_ENOMEM : try_send(lane, msg);
        if (code == 0) {
            tnng_send_accepted(lane, sizes[*sent]);
            data += sizes[(*sent)++];
        } else if (msg != NULL) {
            nng_msg_free(msg);
        }
    }
    pthread_mutex_unlock(&lane->lock);
    tnng_wakes_pay();
    return code == NNG_ETIMEDOUT ? NNG_EAGAIN : code;
}

/* Sends. What nng accepts at once never parks; a send that must wait has its own aio, is really
 * cancelled, and its caller waits for the callback: only then is it known whose the message is. */
#include <string.h>

#include "internal.h"

/* How many receives stand for the replies to a survey. */
enum { REPLIES_AHEAD = 16 };

static void count_accepted(tnng_lane *lane, size_t size)
{
    tnng_count_sent(lane->socket, size);
    if (lane->traits & ANSWERS) {
        tnng_pipe_expect(lane->socket, lane->asker);
    }
}

static nng_aio *aio_of(tnng_op *op) { return op->quick ? op->lane->try_send : op->aio; }

/* [any] A send that had to wait is decided. */
void tnng_sent(tnng_op *op)
{
    tnng_lane *lane = op->lane;
    nng_aio *aio = aio_of(op);
    bool abandoned;

    TNNG_PAUSE("send.callback");
    tnng_lock(&lane->lock);
    if (op->port == NULL) {
        nng_aio_set_msg(aio, NULL);
        pthread_mutex_unlock(&lane->lock);
        tnng_op_free(op);
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
        count_accepted(lane, op->size);
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
        tnng_op_finish(op, code == 0 && op->chain ? NNG_ECLOSED : code, msg);
    }
    if (lane->ready != NULL) {
        tnng_lane_settle(lane);
    }
    pthread_mutex_unlock(&lane->lock);
    if (abandoned) {
        tnng_op_free(op);
    }
    tnng_lane_release(lane);
}

/* [nng] */
static void on_sent(void *arg) { tnng_sent(arg); }

/* [caller] lane->lock held, op->stage is OP_SENDING. */
int tnng_send_leave(tnng_lane *lane, tnng_op *op)
{
    (void) lane;
    op->cancel_requested = true;
    nng_aio_cancel(aio_of(op));
    return TNNG_ASKED;
}

/* [caller] One zero-timeout send on an aio without a callback. The result code decides: Pub0 leaves
 * its message pointer dangling, and Req0 has it in its own hands for a while. */
static int try_send(tnng_lane *lane, nng_msg *msg)
{
    if (lane->try_send == NULL) {
        if (nng_aio_alloc(&lane->try_send, NULL, NULL) != 0) {
            return NNG_ENOMEM;
        }
        nng_aio_set_timeout(lane->try_send, NNG_DURATION_ZERO);
    }
    tnng_wakes_may_wait(lane, true);
    tnng_submit_send(lane, lane->try_send, msg);
    nng_aio_set_msg(lane->try_send, NULL);
    int code = nng_aio_result(lane->try_send);
    tnng_wakes_wait(lane, code == 0);
    return code;
}

/* [caller] lane->lock held. An op that was never submitted. */
void tnng_send_op_drop(tnng_op *op)
{
    tnng_lane *lane = op->lane;

    op->next = lane->idle_ops;
    tnng_op_forget_caller(op);
    lane->idle_ops = op;
    tnng_lane_release(lane);
}

/* [caller] The send goes to nng with a callback; the lock is held until nng has it. 0 when it turns
 * out to be sent already: Rep0 and Respondent0 empty the aio when they accept a reply, which they
 * do at once unless the connection is busy with another. Then nobody waits for the callback, it
 * only tidies up. */
static int send_parked(tnng_lane *lane, tnng_op *op, nng_msg *msg)
{
    if (op->aio == NULL && nng_aio_alloc(&op->aio, on_sent, op) != 0) {
        tnng_send_op_drop(op);
        return NNG_ENOMEM;
    }
    nng_aio_set_timeout(op->aio, NNG_DURATION_INFINITE);
    op->stage = OP_SENDING;
    op->size = nng_msg_len(msg);
    lane->sending++;
    tnng_lane_hold(lane);
    TNNG_PAUSE("send.before_submit");
    tnng_submit_send(lane, op->aio, msg);
    TNNG_PAUSE("send.after_submit");
    bool taken = (lane->traits & ANSWERS) && nng_aio_get_msg(op->aio) == NULL;
    if (lane->traits & ANSWERS) {
        tnng_reply_noted(lane->socket, !taken);
    }
    if (taken) {
        lane->sending--;
        tnng_op_forget_caller(op);
        return 0;
    }
    return TNNG_PARKED;
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

/* [caller] An op for a call that parks, or NULL with the reason in *code. */
tnng_op *tnng_send_op(tnng_lane *lane, tnng_port *port, uint64_t tag, bool chain, int *code)
{
    tnng_op *op;

    if (!tnng_owner_enter(lane->socket, port)) {
        *code = NNG_EBUSY;
        return NULL;
    }
    if ((op = tnng_op_new(lane, NULL, port, tag)) == NULL) {
        tnng_owner_leave(lane->socket);
        *code = NNG_ENOMEM;
        return NULL;
    }
    op->chain = chain;
    return op;
}

/* [caller] lane->lock held. 0: sent. NNG_EAGAIN: it would have to wait and nobody may. */
static int send_or_park(
    tnng_lane *lane, nng_msg *msg, bool chain, tnng_port *port, uint64_t tag, tnng_result *result)
{
    tnng_op *op;
    int code = lane->traits & TRY_SEND ? try_send(lane, msg) : NNG_ETIMEDOUT;

    if (!chain && tnng_reply_is_quick(lane)) {
        code = tnng_reply_quickly(lane, msg, port, tag, &op);
        return code == TNNG_PARKED ? tnng_park(op, result) : code;
    }
    if (code == NNG_ETIMEDOUT && port == NULL) {
        return NNG_EAGAIN;
    }
    if (code == NNG_ETIMEDOUT && (op = tnng_send_op(lane, port, tag, chain, &code)) != NULL) {
        code = send_parked(lane, op, msg);
        if (code == TNNG_PARKED) {
            tnng_park(op, result);
        }
    }
    return code;
}

/* [caller] `*msg` becomes NULL when nng has taken it, whatever the answer. */
static int start(
    tnng_lane *lane, nng_msg **msg, bool chain, tnng_port *port, uint64_t tag, tnng_result *result)
{
    tnng_op *op;
    size_t size = nng_msg_len(*msg);
    int code = refuse(lane);

    if (code != 0) {
        return code;
    }
    if (port == NULL && (chain || !(lane->traits & TRY_SEND))) {
        return NNG_EAGAIN;
    }
    if (port != NULL && tnng_owner_is_another(lane->socket, port)) {
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
    code = send_or_park(lane, *msg, chain, port, tag, result);
    if (code == 0) {
        *msg = NULL;
        count_accepted(lane, size);
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
        if (chain && (op = tnng_send_op(lane, port, tag, true, &code)) != NULL) {
            code = tnng_park(op, result);
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

static int run(
    tnng_lane *lane, nng_msg *msg, bool chain, tnng_port *port, uint64_t tag, tnng_result *result)
{
    int code;

    if (tnng_forked()) {
        return tnng_answer(result, TNNG_FORKED, msg);
    }
    if (!(lane->traits & CAN_SEND) || (chain && (lane->traits & SPARE_CONTEXTS))) {
        return tnng_answer(result, NNG_ENOTSUP, msg);
    }
    tnng_lock(&lane->lock);
    code = start(lane, &msg, chain, port, tag, result);
    pthread_mutex_unlock(&lane->lock);
    if (code != TNNG_PARKED) {
        tnng_answer(result, code, msg);
    }
    return tnng_submitted(port, NULL, code);
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
    return run(lane, msg, false, port, tag, result);
}

/* [caller] The bytes never reach nng's message when it cannot be made, or when nobody wants it
 * back. */
static int run_bytes(tnng_lane *lane, const char *data, size_t size, bool chain, tnng_port *port,
    uint64_t tag, tnng_result *result)
{
    nng_msg *msg = tnng_msg_new(data, size);
    int code = msg == NULL ? tnng_answer(result, NNG_ENOMEM, NULL)
                           : run(lane, msg, chain, port, tag, result);

    if (code != TNNG_PARKED && code != 0 && result->msg != NULL) {
        nng_msg_free(result->msg);
        result->msg = NULL;
    }
    return code;
}

int tnng_send_bytes(tnng_lane *lane, const char *data, size_t size, tnng_port *port, uint64_t tag,
    tnng_result *result)
{
    return run_bytes(lane, data, size, false, port, tag, result);
}

int tnng_send_bytes_now(tnng_lane *lane, const char *data, size_t size)
{
    tnng_result result;

    if (!tnng_forked() && tnng_owner_is_there(lane->socket)) {
        return NNG_EAGAIN;
    }
    return run_bytes(lane, data, size, false, NULL, 0, &result);
}

int tnng_exchange_bytes(tnng_lane *lane, const char *data, size_t size, tnng_port *port,
    uint64_t tag, tnng_result *result)
{
    return run_bytes(lane, data, size, true, port, tag, result);
}

/* [caller] */
int tnng_send_many(tnng_lane *lane, const char *data, const uint32_t *sizes, int count, int *sent)
{
    int code;

    *sent = 0;
    if (tnng_forked()) {
        return TNNG_FORKED;
    }
    tnng_lock(&lane->lock);
    code = refuse(lane);
    while (code == 0 && *sent < count) {
        nng_msg *msg = tnng_msg_new(data, sizes[*sent]);
        code = msg == NULL ? NNG_ENOMEM : try_send(lane, msg);
        if (code == 0) {
            count_accepted(lane, sizes[*sent]);
            data += sizes[(*sent)++];
        } else if (msg != NULL) {
            nng_msg_free(msg);
        }
    }
    pthread_mutex_unlock(&lane->lock);
    tnng_wakes_pay();
    return code == NNG_ETIMEDOUT ? NNG_EAGAIN : code;
}

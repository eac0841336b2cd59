/* A desk: where a service takes requests. On Rep0 it has as many nng contexts posted as it has
 * workers that are free, and a request waits here with the context it came in, its way back. So
 * whichever context nng chooses, the worker that was busy last gets the request, and the others
 * sleep on. On Respondent0 the surveys come from the source (sock/respond.c), with their contexts.
 *
 * Replies go out on an aio without a callback: what nng accepts at once costs no other thread. One
 * that has to wait for its connection stays with its context and holds no worker: sock/unread.c. */
#include <stdlib.h>

#include "sock/desk.h"

/* [any] lane->lock held. The request is over without a reply: its context forgets the way back when
 * it is posted again. */
static void leave(tnng_desk *desk, int worker, uint64_t *counter)
{
    seat *seat = desk->taken[worker];

    if (seat != NULL) {
        desk->taken[worker] = NULL;
        desk->taken_count--;
        (*counter)++;
        tnng_reader_answered(desk, seat);
        tnng_desk_put_idle(desk, seat);
    }
}

static void abandon(tnng_desk *desk, int worker) { leave(desk, worker, &desk->abandoned); }

void tnng_desk_done(tnng_lane *lane, int worker)
{
    TNNG_GUARD_FORK();
    tnng_lock(&lane->lock);
    leave(lane->desk, worker, &lane->desk->answered);
    tnng_desk_settle(lane);
    pthread_mutex_unlock(&lane->lock);
}

void tnng_desk_abandon(tnng_lane *lane, int worker)
{
    TNNG_GUARD_FORK();
    tnng_lock(&lane->lock);
    abandon(lane->desk, worker);
    tnng_desk_settle(lane);
    pthread_mutex_unlock(&lane->lock);
}

/* [any] A message its task could not take. With `worker`, it is the next one again; without, the
 * task has gone for ever. */
void tnng_desk_give_back(tnng_lane *lane, int worker, nng_msg *msg)
{
    tnng_lock(&lane->lock);
    tnng_desk *desk = lane->desk;
    seat *seat = worker < 0 ? NULL : desk->taken[worker];
    if (seat != NULL && !lane->closed) {
        desk->taken[worker] = NULL;
        desk->taken_count--;
        tnng_desk_put_ready(desk, seat, msg, true);
    } else {
        nng_msg_free(msg);
    }
    tnng_desk_settle(lane);
    pthread_mutex_unlock(&lane->lock);
}

static int desk_cancel(tnng_op *op)
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

static void desk_reclaim(tnng_op *op)
{
    tnng_desk_give_back(((tnng_lane_op *) op)->lane, -1, op->msg);
}

static const tnng_op_kind desk_op_kind = {
    .cancel = desk_cancel, .reclaim = desk_reclaim, .free = tnng_lane_op_free};

/* [caller] lane->lock held. The next request, now or through the port. */
static int next_request(
    tnng_lane *lane, int worker, tnng_port *port, uint64_t tag, tnng_result *result, nng_msg **msg)
{
    tnng_desk *desk = lane->desk;
    tnng_lane_op *op;
    int code;

    if (lane->closed) {
        return NNG_ECLOSED;
    }
    abandon(desk, worker);
    tnng_desk_settle(lane);
    if (tnng_desk_has_news(desk)) {
        desk->slow_telling = true;
        return TNNG_SLOW;
    }
    if (desk->ready_count > 0) {
        *msg = tnng_desk_take_ready(desk, worker);
        return 0;
    }
    if (tnng_desk_drained(desk)) {
        return TNNG_DRAINED;
    }
    if (desk->posted == 0 && !desk->draining && !desk->adopts) {
        return NNG_ENOMEM;
    }
    if ((op = tnng_lane_op_new(lane, &desk_op_kind, &(tnng_call){port, tag, result}, &code)) ==
        NULL) {
        return code;
    }
    op->worker = worker;
    op->op.stage = OP_WAITING;
    tnng_ops_append(&lane->waiting, &op->op);
    lane->waiters++;
    return tnng_park(&op->op, result);
}

/* [caller] A thread waits in place for a moment. A request it does not take after all is abandoned
 * when its worker asks for the next. */
static int submitted(tnng_port *port, tnng_result *result, int code, nng_msg *msg)
{
    if (code != TNNG_PARKED) {
        tnng_answer(result, code, msg);
    }
    return port != NULL && port->waiter != NULL ? tnng_submitted(port, NULL, code) : code;
}

int tnng_desk_next(
    tnng_lane *lane, int worker, tnng_port *port, uint64_t tag, tnng_result *result)
{
    nng_msg *msg = NULL;

    TNNG_GUARD_FORK(tnng_answer(result, TNNG_FORKED, NULL));
    tnng_lock(&lane->lock);
    int code = next_request(lane, worker, port, tag, result, &msg);
    pthread_mutex_unlock(&lane->lock);
    return submitted(port, result, code, msg);
}

/* [caller] Gives nng a reply that its connection does not take at once. Its end, also when it is an
 * error, is the callback's business, and only the callback says that the aio is free again. */
static void reply_and_be_told(tnng_lane *lane, seat *seat, nng_msg *msg)
{
    nng_aio_set_msg(seat->told_reply, msg);
    seat->tells = true;
    tnng_lane_hold(lane);
    tnng_wakes_hold();
    nng_ctx_send(seat->context, seat->told_reply);
    tnng_wakes_go();
}

/* [caller] 0 when nng has the reply, else the message is the caller's again. `waits`: nng keeps it
 * until its connection takes it. nng_aio_wait: the pointer of the aio is empty a moment before the
 * aio is idle, and one that is not may not be used again. */
static int reply_now(seat *seat, nng_msg *msg, bool *waits)
{
    nng_aio_wait(seat->reply);
    nng_aio_set_msg(seat->reply, msg);
    tnng_wakes_hold();
    nng_ctx_send(seat->context, seat->reply);
    tnng_wakes_go();
    *waits = nng_aio_get_msg(seat->reply) != NULL;
    int code = *waits ? nng_aio_result(seat->reply) : 0;
    if (code != 0) {
        nng_aio_set_msg(seat->reply, NULL);
    }
    return code;
}

/* [caller] lane->lock held. */
static int reply(tnng_lane *lane, int worker, nng_msg *msg)
{
    tnng_desk *desk = lane->desk;
    seat *seat = desk->taken[worker];
    bool waits = true;
    int code = 0;

    if (lane->closed) {
        return NNG_ECLOSED;
    }
    if (seat == NULL) {
        return NNG_ESTATE;
    }
    size_t size = nng_msg_len(msg);
    nng_msg_header_clear(msg);
    if (tnng_reader_aio(desk, seat) == seat->told_reply) {
        reply_and_be_told(lane, seat, msg);
    } else if ((code = reply_now(seat, msg, &waits)) != 0) {
        return code;
    }
    tnng_count_sent(lane->socket, size);
    tnng_pipe_expect(lane->socket, seat->pipe);
    desk->answered++;
    desk->taken[worker] = NULL;
    desk->taken_count--;
    if (waits) {
        tnng_reader_add(lane, seat);
    }
    tnng_reader_answered(desk, seat);
    if (!waits) {
        tnng_desk_put_idle(desk, seat);
    }
    return 0;
}

int tnng_desk_reply(tnng_lane *lane, int worker, nng_msg *msg, bool chain, tnng_port *port,
    uint64_t tag, tnng_result *result)
{
    nng_msg *request = NULL;
    int code;

    TNNG_GUARD_FORK(tnng_answer(result, TNNG_FORKED, msg));
    tnng_lock(&lane->lock);
    if ((code = reply(lane, worker, msg)) == 0) {
        msg = NULL;
        if (chain) {
            code = next_request(lane, worker, port, tag, result, &request);
        } else {
            tnng_desk_settle(lane);
        }
    }
    pthread_mutex_unlock(&lane->lock);
    if (msg != NULL) {
        nng_msg_free(msg);
    }
    return submitted(port, result, code, request);
}

int tnng_desk_reply_bytes(tnng_lane *lane, int worker, const char *data, size_t size, bool chain,
    tnng_port *port, uint64_t tag, tnng_result *result)
{
    nng_msg *msg = tnng_msg_new(data, size);

    return msg == NULL ? tnng_answer(result, NNG_ENOMEM, NULL)
                       : tnng_desk_reply(lane, worker, msg, chain, port, tag, result);
}

/* [caller] No new request is taken: receives are cancelled, and what comes back all the same is
 * handed out. Then whoever asks gets TNNG_DRAINED. */
void tnng_desk_drain(tnng_lane *lane)
{
    TNNG_GUARD_FORK();
    tnng_lock(&lane->lock);
    lane->desk->draining = true;
    for (seat *seat = lane->desk->all; seat != NULL; seat = seat->sibling) {
        if (seat->stage == SEAT_POSTED) {
            nng_aio_cancel(seat->receive);
        }
    }
    tnng_desk_settle(lane);
    pthread_mutex_unlock(&lane->lock);
}

void tnng_desk_count(tnng_lane *lane, tnng_desk_counts *counts)
{
    TNNG_GUARD_FORK();
    tnng_lock(&lane->lock);
    tnng_desk *desk = lane->desk;
    tnng_reader_collect_all(desk);
    tnng_desk_settle(lane);
    *counts = (tnng_desk_counts){
        .received = desk->received,
        .answered = desk->answered,
        .abandoned = desk->abandoned,
        .slow = desk->slow,
        .ready = desk->ready_count + desk->parked_count,
        .taken = desk->taken_count,
        .replying = desk->replying_count,
    };
    pthread_mutex_unlock(&lane->lock);
}

int tnng_desk_take_slow(tnng_lane *lane, uint32_t *pipes, int max)
{
    int count;

    TNNG_GUARD_FORK(0);
    tnng_lock(&lane->lock);
    tnng_desk *desk = lane->desk;
    count = desk->slow_untold < max ? desk->slow_untold : max;
    for (int i = 0; i < count; i++) {
        pipes[i] = desk->slow_pipes[(desk->slow - (uint64_t) (count - i)) % SLOW_REMEMBERED];
    }
    desk->slow_untold = 0;
    desk->slow_telling = false;
    pthread_mutex_unlock(&lane->lock);
    return count;
}

/* [any] The lane has no reference left, so nothing is with nng but replies whose contexts closed.
 */
static void desk_free(tnng_lane *lane)
{
    tnng_desk *desk = lane->desk;

    for (seat *next, *seat = desk->all; seat != NULL; seat = next) {
        next = seat->sibling;
        tnng_seat_free(seat);
    }
    tnng_readers_free(desk);
    free(desk->taken);
    free(desk);
}

/* [caller] The lane is shut: what nobody took is abandoned, the contexts close. nng_close ends the
 * contexts itself, and may not meet this on its way. */
static void desk_end(tnng_lane *lane)
{
    tnng_desk *desk = lane->desk;

    tnng_lock(&lane->lock);
    tnng_lane *source = desk->source;
    desk->source = NULL;
    pthread_mutex_unlock(&lane->lock);
    if (source != NULL) {
        tnng_source_detach(source);
    }
    tnng_lock(&lane->lock);
    tnng_readers_end(desk);
    for (int worker = 0; worker < desk->workers; worker++) {
        abandon(desk, worker);
    }
    while (desk->ready_count > 0) {
        seat *seat = tnng_seats_pop(&desk->ready);
        desk->ready_count--;
        desk->abandoned++;
        nng_msg_free(seat->msg);
        seat->msg = NULL;
        tnng_desk_put_idle(desk, seat);
    }
    seat *all = desk->all; /* closed: no seat is added any more */
    pthread_mutex_unlock(&lane->lock);
    pthread_mutex_lock(&lane->socket->contexts->close_lock);
    for (seat *seat = all; seat != NULL && !lane->socket->contexts->gone; seat = seat->sibling) {
        nng_ctx_close(seat->context);
    }
    pthread_mutex_unlock(&lane->socket->contexts->close_lock);
}

static const tnng_lane_kind desk_kind = {
    .adopt = tnng_desk_adopt, .close = desk_end, .free = desk_free};

int tnng_desk_open(tnng_lane **out, tnng_socket *socket, int workers, int max_unread)
{
    tnng_desk *desk = calloc(1, sizeof(*desk));
    seat **taken = calloc((size_t) workers, sizeof(*taken));
    int code = NNG_ENOMEM;

    if (desk != NULL && taken != NULL) {
        code = tnng_lane_open(out, socket, false);
    }
    if (code != 0) {
        free(desk);
        free(taken);
        return code;
    }
    desk->workers = workers;
    desk->max_unread = max_unread;
    desk->taken = taken;
    tnng_lock(&(*out)->lock);
    (*out)->kind = &desk_kind;
    (*out)->desk = desk;
    (*out)->traits = CAN_RECEIVE | STANDING;
    desk->adopts = socket->traits & SPARE_CONTEXTS;
    code = tnng_readers_open(*out);
    pthread_mutex_unlock(&(*out)->lock);
    if (code == 0 && desk->adopts) {
        code = tnng_source_attach(*out, &desk->source);
    }
    if (code != 0) {
        tnng_lane_drop(*out);
        *out = NULL; /* the caller's cell, which owns what is in it */
    }
    return code;
}

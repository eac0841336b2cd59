/* The seats of a desk: an nng context each, with a receive, a request or a reply in it. */
#include <stdlib.h>

#include "sock/desk.h"

enum { MAX_SURVEYS = 128 }; /* that wait for a worker; beyond it the oldest is dropped */

void tnng_seats_append(seats *list, seat *seat)
{
    seat->next = NULL;
    if (list->last == NULL) {
        list->first = seat;
    } else {
        list->last->next = seat;
    }
    list->last = seat;
}

seat *tnng_seats_pop(seats *list)
{
    seat *seat = list->first;

    list->first = seat->next;
    if (list->first == NULL) {
        list->last = NULL;
    }
    return seat;
}

/* [any] */
void tnng_desk_put_ready(tnng_desk *desk, seat *seat, nng_msg *msg, bool counted)
{
    seat->stage = SEAT_READY;
    seat->msg = msg;
    seat->counted = counted;
    tnng_seats_append(&desk->ready, seat);
    desk->ready_count++;
}

nng_msg *tnng_desk_take_ready(tnng_desk *desk, int worker)
{
    seat *seat = tnng_seats_pop(&desk->ready);
    nng_msg *msg = seat->msg;

    if (!seat->counted) {
        tnng_count_received(seat->lane->socket, nng_msg_len(msg));
    }
    desk->ready_count--;
    seat->msg = NULL;
    seat->stage = SEAT_TAKEN;
    desk->taken[worker] = seat;
    desk->taken_count++;
    return msg;
}

void tnng_desk_put_idle(tnng_desk *desk, seat *seat)
{
    seat->stage = SEAT_IDLE;
    seat->next = desk->idle;
    desk->idle = seat;
}

/* [nng] N2: the message decides, not the result. */
static void on_request(void *arg)
{
    seat *seat = arg;
    tnng_lane *lane = seat->lane;
    tnng_desk *desk = lane->desk;
    nng_msg *msg = nng_aio_get_msg(seat->receive);

    TNNG_PAUSE("desk.callback");
    nng_aio_set_msg(seat->receive, NULL);
    tnng_lock(&lane->lock);
    desk->posted--;
    if (msg == NULL) {
        tnng_desk_put_idle(desk, seat);
    } else {
        desk->received++;
        seat->pipe = tnng_msg_pipe(msg);
        if (lane->closed) {
            desk->abandoned++;
            nng_msg_free(msg);
            tnng_desk_put_idle(desk, seat);
        } else if (!tnng_reader_parks(lane, seat, msg)) {
            tnng_desk_put_ready(desk, seat, msg, false);
        }
    }
    tnng_desk_settle(lane);
    pthread_mutex_unlock(&lane->lock);
    tnng_lane_release(lane);
}

void tnng_seat_free(seat *seat)
{
    nng_msg *msg;

    if (seat->receive != NULL) {
        nng_aio_reap(seat->receive);
    }
    if (seat->reply != NULL) {
        /* Its context has closed, so it is not with nng; a reply that never went is ours again. */
        nng_aio_wait(seat->reply);
        if ((msg = nng_aio_get_msg(seat->reply)) != NULL) {
            nng_aio_set_msg(seat->reply, NULL);
            nng_msg_free(msg);
        }
        nng_aio_reap(seat->reply);
    }
    if (seat->told_reply != NULL) {
        nng_aio_reap(seat->told_reply);
    }
    if (seat->msg != NULL) {
        nng_msg_free(seat->msg);
    }
    free(seat);
}

/* [any] */
static seat *new_seat(tnng_lane *lane)
{
    seat *seat = calloc(1, sizeof(*seat));
    reader *reader = calloc(1, sizeof(*reader));

    if (seat == NULL || reader == NULL) {
        free(seat);
        free(reader);
        return NULL;
    }
    seat->lane = lane;
    if (nng_aio_alloc(&seat->receive, on_request, seat) != 0 ||
        nng_aio_alloc(&seat->reply, NULL, NULL) != 0 ||
        nng_ctx_open(&seat->context, lane->socket->nng) != 0) {
        tnng_seat_free(seat);
        free(reader);
        return NULL;
    }
    reader->next = lane->desk->spare_readers;
    lane->desk->spare_readers = reader;
    nng_aio_set_timeout(seat->receive, NNG_DURATION_INFINITE);
    nng_aio_set_timeout(seat->reply, NNG_DURATION_INFINITE);
    seat->sibling = lane->desk->all;
    lane->desk->all = seat;
    return seat;
}

/* [any] A survey that no worker was free for in time. */
static void drop_oldest(tnng_lane *lane)
{
    tnng_desk *desk = lane->desk;
    seat *seat = tnng_seats_pop(&desk->ready);

    desk->ready_count--;
    desk->abandoned++;
    atomic_fetch_add(&lane->socket->traffic.dropped, 1);
    nng_msg_free(seat->msg);
    seat->msg = NULL;
    tnng_reader_answered(desk, seat);
    tnng_desk_put_idle(desk, seat);
}

/* [any] */
static bool post(tnng_lane *lane)
{
    tnng_desk *desk = lane->desk;
    seat *seat = desk->idle;

    if (seat != NULL) {
        desk->idle = seat->next;
    } else if ((seat = new_seat(lane)) == NULL) {
        return false;
    }
    seat->stage = SEAT_POSTED;
    desk->posted++;
    tnng_lane_hold(lane);
    nng_aio_set_msg(seat->receive, NULL);
    tnng_wakes_hold();
    nng_ctx_recv(seat->context, seat->receive);
    tnng_wakes_go();
    return true;
}

/* [any] source->lock held, and the head of its ring is a survey: it comes here with its context,
 * the way back, in exchange for an empty one. False when it is to stay where it is. */
bool tnng_desk_adopt(tnng_lane *lane, tnng_slot *slot)
{
    tnng_desk *desk = lane->desk;
    seat *seat = NULL;

    tnng_lock(&lane->lock);
    if (!lane->closed && !desk->draining) {
        if ((seat = desk->idle) != NULL) {
            desk->idle = seat->next;
        } else {
            seat = new_seat(lane);
        }
    }
    if (seat != NULL) {
        nng_ctx empty = seat->context;
        nng_msg *msg = slot->msg;
        seat->context = slot->context;
        slot->context = empty;
        slot->msg = NULL;
        seat->pipe = tnng_msg_pipe(msg);
        desk->received++;
        if (!tnng_reader_parks(lane, seat, msg)) {
            tnng_desk_put_ready(desk, seat, msg, slot->counted);
        }
        if (desk->ready_count > MAX_SURVEYS) {
            drop_oldest(lane);
        }
        tnng_desk_settle(lane);
    }
    pthread_mutex_unlock(&lane->lock);
    return seat != NULL;
}

bool tnng_desk_drained(tnng_desk *desk)
{
    return desk->draining && desk->posted == 0 && desk->ready_count == 0 &&
           desk->parked_count == 0;
}

/* [any] lane->lock held: connections were closed, and no worker has been told. */
bool tnng_desk_has_news(tnng_desk *desk) { return desk->slow_untold > 0 && !desk->slow_telling; }

static tnng_op *first_waiting(tnng_lane *lane, bool youngest)
{
    tnng_op *op = youngest ? lane->waiting.last : lane->waiting.first;

    if (op != NULL) {
        tnng_ops_remove(&lane->waiting, op);
        lane->waiters--;
    }
    return op;
}

/* [any] lane->lock held: hand out what is ready, the youngest waiting worker first, then post a
 * receive for each that is free. A reply that waits for its reader costs no worker. */
void tnng_desk_settle(tnng_lane *lane)
{
    tnng_desk *desk = lane->desk;
    tnng_op *op;

    while (desk->ready_count > 0 && (op = first_waiting(lane, true)) != NULL) {
        tnng_op_finish(op, 0, tnng_desk_take_ready(desk, ((tnng_lane_op *) op)->worker));
    }
    int wanted = desk->adopts ? 0 : desk->workers - desk->taken_count - desk->ready_count;
    while (!lane->closed && !desk->draining && desk->posted < wanted && post(lane)) {
    }
    while (tnng_desk_drained(desk) && (op = first_waiting(lane, false)) != NULL) {
        tnng_op_finish(op, TNNG_DRAINED, NULL);
    }
    if (tnng_desk_has_news(desk) && (op = first_waiting(lane, true)) != NULL) {
        desk->slow_telling = true;
        tnng_op_finish(op, TNNG_SLOW, NULL);
    }
}

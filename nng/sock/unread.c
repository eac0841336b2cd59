/* Connections that do not read their replies. nng's REP and RESPONDENT write one reply of a
 * connection at a time; the next ones wait in nng, each with its context, and hold no worker. What
 * one connection can hold is bounded: when `max_unread` of its replies wait, its next requests are
 * parked here, and answered as it reads. So a client that reads more slowly than it is answered is
 * slowed down, and a client that takes no reply for SLOW_AFTER while it asks for more is
 * disconnected; so is one with more parked requests than fit.
 *
 * That nng has accepted a reply is seen when its client is looked at: its next request or reply
 * came, a later reply of its went, or the clock ticks. Only the later half of its unread replies
 * has a callback, so that a reply which waits for a moment costs no other thread. A client that has
 * left is looked at by none of these; so whenever twice as many replies wait as after the last look
 * at all clients, all are looked at. */
#include <stdlib.h>

#include "sock/desk.h"

enum {
    SLOW_AFTER = 1000, /* milliseconds */
    TICK = 50,
    MAX_PARKED = 1024,
    MAX_PARKED_BYTES = 64 << 20,
    LEAST_UNREAD = 64,
};

static void on_tick(void *);

static int64_t now(void) { return tnng_now() / 1000000; }

/* L3: the clock does nothing but sleep, and how a sleep ended is never asked. */
int tnng_readers_open(tnng_lane *lane)
{
    int code = nng_aio_alloc(&lane->desk->clock, on_tick, lane);

    if (code == 0) {
        nng_aio_set_timeout(lane->desk->clock, NNG_DURATION_INFINITE);
    }
    return code;
}

/* [any] The lane has no reference left: the clock is not with nng. */
void tnng_readers_free(tnng_desk *desk)
{
    reader *lists[] = {desk->readers, desk->spare_readers};

    for (reader *next, *each = lists[0]; each != NULL; each = next) {
        next = each->next_reader;
        free(each);
    }
    for (reader *next, *each = lists[1]; each != NULL; each = next) {
        next = each->next;
        free(each);
    }
    if (desk->clock != NULL) {
        nng_aio_reap(desk->clock);
    }
}

static reader **bucket(tnng_desk *desk, uint32_t pipe)
{
    return &desk->buckets[pipe % READER_BUCKETS];
}

/* [any] NULL when the connection has read all its replies. */
reader *tnng_reader_find(tnng_desk *desk, uint32_t pipe)
{
    reader *each = desk->readers == NULL ? NULL : *bucket(desk, pipe);

    while (each != NULL && each->pipe != pipe) {
        each = each->next;
    }
    return each;
}

/* [any] Never fails: with each seat came one, and each has a seat at least. */
static reader *new_reader(tnng_desk *desk, uint32_t pipe)
{
    reader *reader = desk->spare_readers;

    desk->spare_readers = reader->next;
    *reader = (struct reader){
        .next = *bucket(desk, pipe),
        .next_reader = desk->readers,
        .pipe = pipe,
        .moved = now(),
    };
    if (desk->readers != NULL) {
        desk->readers->previous_reader = reader;
    }
    desk->readers = reader;
    *bucket(desk, pipe) = reader;
    return reader;
}

static void free_if_done(tnng_desk *desk, reader *reader)
{
    struct reader **link = bucket(desk, reader->pipe);

    if (reader->unread_count > 0 || reader->parked_count > 0 || reader->resumed > 0) {
        return;
    }
    while (*link != reader) {
        link = &(*link)->next;
    }
    *link = reader->next;
    if (reader->previous_reader == NULL) {
        desk->readers = reader->next_reader;
    } else {
        reader->previous_reader->next_reader = reader->next_reader;
    }
    if (reader->next_reader != NULL) {
        reader->next_reader->previous_reader = reader->previous_reader;
    }
    reader->next = desk->spare_readers;
    desk->spare_readers = reader;
}

/* [any] Replies that have gone free their contexts. */
static void collect(tnng_desk *desk, reader *reader)
{
    seat *seat;

    while ((seat = reader->unread.first) != NULL && !seat->tells &&
           (seat->reply == NULL || nng_aio_get_msg(seat->reply) == NULL)) {
        tnng_seats_pop(&reader->unread);
        reader->unread_count--;
        reader->moved = now();
        desk->replying_count--;
        tnng_desk_put_idle(desk, seat);
    }
}

/* [any] Parked requests go on when there is room for their replies. They never take more than half
 * of the workers. */
static void resume(tnng_desk *desk, reader *reader)
{
    int most = desk->workers > 1 ? desk->workers / 2 : 1;

    while (reader->parked_count > 0 && reader->resumed < most &&
           reader->unread_count + reader->resumed < desk->max_unread) {
        seat *seat = tnng_seats_pop(&reader->parked);
        nng_msg *msg = seat->msg;
        reader->parked_count--;
        reader->parked_bytes -= nng_msg_len(msg);
        reader->resumed++;
        desk->parked_count--;
        tnng_desk_put_ready(desk, seat, msg, false);
        seat->was_parked = true;
    }
}

void tnng_reader_collect_all(tnng_desk *desk)
{
    for (reader *next, *each = desk->readers; each != NULL; each = next) {
        next = each->next_reader;
        collect(desk, each);
        resume(desk, each);
        free_if_done(desk, each);
    }
}

/* [any] The request of a seat is answered, or given up. */
void tnng_reader_answered(tnng_desk *desk, seat *seat)
{
    reader *reader;

    if (seat->was_parked && (reader = tnng_reader_find(desk, seat->pipe)) != NULL) {
        reader->resumed--;
        resume(desk, reader);
        free_if_done(desk, reader);
    }
    seat->was_parked = false;
}

static bool is_over(tnng_desk *desk, reader *reader)
{
    return reader->ended || reader->parked_count > 0 ||
           reader->unread_count > desk->max_unread;
}

/* [any] */
static void tick_if_needed(tnng_lane *lane, reader *reader)
{
    if (!lane->desk->ticks && !lane->closed && is_over(lane->desk, reader)) {
        lane->desk->ticks = true;
        tnng_lane_hold(lane);
        nng_sleep_aio(TICK, lane->desk->clock);
    }
}

/* [any] The requests of a connection that waited for it to read are given up. */
static void give_up(tnng_desk *desk, reader *reader)
{
    while (reader->parked_count > 0) {
        seat *seat = tnng_seats_pop(&reader->parked);
        reader->parked_count--;
        desk->parked_count--;
        desk->abandoned++;
        nng_msg_free(seat->msg);
        seat->msg = NULL;
        tnng_desk_put_idle(desk, seat);
    }
    reader->parked_bytes = 0;
}

/* [any] The connection is to be closed, at the next tick; its replies go with it. */
static void end(tnng_desk *desk, reader *reader)
{
    give_up(desk, reader);
    reader->ended = true;
    desk->slow_pipes[desk->slow++ % SLOW_REMEMBERED] = reader->pipe;
    if (desk->slow_untold < SLOW_REMEMBERED) {
        desk->slow_untold++;
    }
}

/* [nng] lane->lock held. Ends those that do not read, and names some that are to be closed. */
static int look(tnng_lane *lane, nng_pipe *pipes, int most)
{
    tnng_desk *desk = lane->desk;
    int64_t time = now();
    int count = 0;

    for (reader *each = desk->readers; each != NULL; each = each->next_reader) {
        if (!each->ended && is_over(desk, each) && each->unread_count >= desk->max_unread &&
            time - each->moved >= SLOW_AFTER) {
            end(desk, each);
        }
        if (each->ended && !each->closed && count < most) {
            each->closed = true;
            pipes[count++].id = each->pipe;
        }
        tick_if_needed(lane, each);
    }
    return count;
}

/* [nng] Looks at those that have more unread replies than they may. */
static void on_tick(void *arg)
{
    tnng_lane *lane = arg;
    nng_pipe pipes[64];
    int count = 0;

    tnng_lock(&lane->lock);
    lane->desk->ticks = false;
    tnng_reader_collect_all(lane->desk);
    if (!lane->closed) {
        count = look(lane, pipes, 64);
    }
    tnng_desk_settle(lane);
    pthread_mutex_unlock(&lane->lock);
    for (int i = 0; i < count; i++) {
        nng_pipe_close(pipes[i]);
    }
    tnng_lane_release(lane);
}

/* [nng] A reply of a connection with many has gone, or ended with its connection or its context. */
static void on_replied(void *arg)
{
    seat *seat = arg;
    tnng_lane *lane = seat->lane;
    nng_msg *msg = nng_aio_get_msg(seat->told_reply);
    reader *reader;

    nng_aio_set_msg(seat->told_reply, NULL);
    if (msg != NULL) {
        nng_msg_free(msg);
    }
    tnng_lock(&lane->lock);
    seat->tells = false;
    if ((reader = tnng_reader_find(lane->desk, seat->pipe)) != NULL) {
        collect(lane->desk, reader);
        resume(lane->desk, reader);
        free_if_done(lane->desk, reader);
        tnng_desk_settle(lane);
    }
    pthread_mutex_unlock(&lane->lock);
    tnng_lane_release(lane);
}

/* [caller] The aio for a reply: with a callback when many of its connection's are unread. */
nng_aio *tnng_reader_aio(tnng_desk *desk, seat *seat)
{
    reader *reader = tnng_reader_find(desk, seat->pipe);

    if (reader == NULL) {
        return seat->reply;
    }
    collect(desk, reader);
    bool tells = reader->unread_count > 0 && reader->unread_count >= desk->max_unread / 2;
    free_if_done(desk, reader);
    if (!tells || (seat->told_reply == NULL &&
                      nng_aio_alloc(&seat->told_reply, on_replied, seat) != 0)) {
        return seat->reply;
    }
    nng_aio_set_timeout(seat->told_reply, NNG_DURATION_INFINITE);
    return seat->told_reply;
}

/* [caller] nng has a reply that waits for its connection. Requests may become ready. */
void tnng_reader_add(tnng_lane *lane, seat *seat)
{
    tnng_desk *desk = lane->desk;
    reader *reader = tnng_reader_find(desk, seat->pipe);

    if (reader == NULL) {
        reader = new_reader(desk, seat->pipe);
    } else if (reader->unread_count == 0) {
        reader->moved = now();
    }
    seat->stage = SEAT_REPLYING;
    tnng_seats_append(&reader->unread, seat);
    reader->unread_count++;
    desk->replying_count++;
    tick_if_needed(lane, reader);
    if (desk->replying_count >= desk->collect_at) {
        tnng_reader_collect_all(desk);
        desk->collect_at = 2 * desk->replying_count + LEAST_UNREAD;
    }
}

/* [nng] Whether a request waits here until its client has read, or is not wanted any more. It never
 * overtakes another one. */
bool tnng_reader_parks(tnng_lane *lane, seat *seat, nng_msg *msg)
{
    tnng_desk *desk = lane->desk;
    reader *reader = tnng_reader_find(desk, seat->pipe);

    if (reader == NULL) {
        return false;
    }
    if (reader->ended) {
        desk->abandoned++;
        nng_msg_free(msg);
        tnng_desk_put_idle(desk, seat);
        return true;
    }
    collect(desk, reader);
    resume(desk, reader);
    if (reader->parked_count == 0 && reader->unread_count < desk->max_unread) {
        free_if_done(desk, reader);
        return false;
    }
    seat->stage = SEAT_PARKED;
    seat->msg = msg;
    tnng_seats_append(&reader->parked, seat);
    reader->parked_count++;
    reader->parked_bytes += nng_msg_len(msg);
    desk->parked_count++;
    if (reader->parked_count > MAX_PARKED || reader->parked_bytes > MAX_PARKED_BYTES) {
        end(desk, reader);
    }
    tick_if_needed(lane, reader);
    return true;
}

/* [caller] The lane is shut. */
void tnng_readers_end(tnng_desk *desk)
{
    if (desk->clock != NULL) {
        nng_aio_cancel(desk->clock);
    }
    for (reader *each = desk->readers; each != NULL; each = each->next_reader) {
        give_up(desk, each);
    }
}

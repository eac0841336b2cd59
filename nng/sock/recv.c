/* The receive ring of a lane, and the calls that wait for what it brings.
 *
 * A slot is one receive that nng has, or a message it brought; slots stand in the order they were
 * submitted in, and messages are handed out in that order, whichever callback came first. A waiting
 * call is not tied to a slot: when the head of the ring is done, the first waiting call gets it. So
 * a task can leave at once. Its slot is cancelled where nng can do that safely; a message that came
 * all the same keeps its place in the ring and goes to the next call. */
#include <stdlib.h>

#include "sock/sock.h"

static void on_received(void *);

static void set_useful(tnng_lane *lane, tnng_slot *slot, bool useful)
{
    if (slot->useful != useful) {
        slot->useful = useful;
        lane->useful += useful ? 1 : -1;
    }
}

static tnng_slot *new_slot(tnng_lane *lane)
{
    tnng_slot *slot = lane->spare;
    if (slot != NULL) {
        lane->spare = slot->next;
    } else if ((slot = calloc(1, sizeof(*slot))) != NULL) {
        slot->lane = lane;
    }
    return slot;
}

static void pop(tnng_lane *lane)
{
    tnng_slot *slot = lane->head;
    lane->head = slot->next;
    if (lane->head == NULL) {
        lane->tail = NULL;
    }
    set_useful(lane, slot, false);
    slot->msg = NULL;
    slot->counted = false;
    slot->next = lane->spare;
    lane->spare = slot;
}

/* [any] Submits one more receive. lane->lock is held from here until nng has it, so that the order
 * of the ring is the order of submission, and a cancel cannot fall between the two. */
int tnng_lane_post(tnng_lane *lane)
{
    tnng_slot *slot = new_slot(lane);
    int code = 0;

    if (slot == NULL) {
        return NNG_ENOMEM;
    }
    if (slot->aio == NULL) {
        code = nng_aio_alloc(&slot->aio, on_received, slot);
    }
    if (code != 0) {
        slot->next = lane->spare;
        lane->spare = slot;
        return code;
    }
    nng_aio_set_timeout(slot->aio, NNG_DURATION_INFINITE);
    slot->next = NULL;
    slot->pending = true;
    slot->unwanted = slot->superseded = false;
    if (lane->tail == NULL) {
        lane->head = slot;
    } else {
        lane->tail->next = slot;
    }
    lane->tail = slot;
    set_useful(lane, slot, true);
    tnng_lane_hold(lane);
    TNNG_PAUSE("receive.before_submit");
    tnng_submit_receive(lane, slot->aio);
    TNNG_PAUSE("receive.after_submit");
    return 0;
}

/* [any] Removes what came to nothing from the head of the ring; true when the head has something to
 * give. */
bool tnng_lane_ready(tnng_lane *lane)
{
    for (tnng_slot *slot; (slot = lane->head) != NULL && !slot->pending; pop(lane)) {
        if (slot->superseded) {
            if (slot->msg != NULL) {
                nng_msg_free(slot->msg);
            }
        } else if (slot->msg != NULL || !slot->unwanted) {
            return true;
        }
    }
    return false;
}

static int hand_out(tnng_lane *lane, nng_msg **msg)
{
    int code = lane->head->code;

    *msg = lane->head->msg;
    if (*msg != NULL && !lane->head->counted) {
        tnng_count_received(lane->socket, nng_msg_len(*msg));
    }
    lane->asked = false;
    if (*msg != NULL && (lane->traits & ANSWERS)) {
        lane->answerable = true;
        lane->asker = tnng_msg_pipe(*msg);
    }
    pop(lane);
    return code;
}

/* How many receives stand although nobody waits. Somebody who watches a descriptor wants to know of
 * the next message, so that is received; but where a receive ends what is being answered, only when
 * nothing is, and where it would be an error without a request, only after one. */
static int standing(tnng_lane *lane)
{
    bool watched = lane->ready != NULL;

    if (lane->traits & SUPERSEDES) {
        watched = watched && lane->asked;
    } else if (lane->traits & ANSWERS) {
        watched = watched && !lane->answerable && lane->sending == 0;
    }
    return lane->keep == 0 && watched ? 1 : lane->keep;
}

static int wanted_receives(tnng_lane *lane)
{
    int kept = standing(lane);

    return lane->waiters > kept ? lane->waiters : kept;
}

static void settle(tnng_lane *lane)
{
    int code = 0;
    nng_msg *msg = NULL;
    tnng_op *op;

    while (tnng_lane_ready(lane) && (op = lane->waiting.first) != NULL) {
        tnng_ops_remove(&lane->waiting, op);
        lane->waiters--;
        code = hand_out(lane, &msg);
        tnng_op_finish(op, code, msg);
    }
    int wanted = wanted_receives(lane);
    if (lane->waiters <= lane->useful && lane->useful > wanted / 2) {
        /* Enough for now: posted together they cost nng far less than one by one. */
        return;
    }
    while (!lane->closed && lane->useful < wanted && (code = tnng_lane_post(lane)) == 0) {
    }
    while (code == NNG_ENOMEM && lane->useful == 0 && (op = lane->waiting.first) != NULL) {
        tnng_ops_remove(&lane->waiting, op);
        lane->waiters--;
        tnng_op_finish(op, code, NULL);
    }
}

/* [any] Nearly always no descriptor was asked for. */
void tnng_ready_tell(tnng_lane *lane, bool has_message)
{
    tnng_ready *ready = lane->ready;
    bool now = lane->closed || has_message;

    if (ready != NULL && now != ready->told) {
        ready->told = now;
        (now ? tnng_wakeup_fd_notify : tnng_wakeup_fd_clear)(&ready->fd);
    }
}

static void tell(tnng_lane *lane)
{
    if (lane->ready != NULL) {
        tnng_ready_tell(lane, lane->waiting.first == NULL && tnng_lane_ready(lane));
    }
}

/* [any] Matches what is ready with who waits, then posts as many receives as are missing. */
void tnng_lane_settle(tnng_lane *lane)
{
    settle(lane);
    tell(lane);
}

/* [any] A message that came too late may have served a call for which another receive was posted.
 */
static void trim(tnng_lane *lane)
{
    if (!(lane->traits & STANDING) && !lane->closed) {
        tnng_lane_cancel_surplus(lane);
    }
}

/* [nng] A receive ended. N1: this callback is the only thing that says so. */
static void on_received(void *arg)
{
    tnng_slot *slot = arg;
    tnng_lane *lane = slot->lane;

    TNNG_PAUSE("receive.callback");
    tnng_lock(&lane->lock);
    slot->msg = nng_aio_get_msg(slot->aio);
    slot->code = nng_aio_result(slot->aio);
    nng_aio_set_msg(slot->aio, NULL);
    if (slot->unwanted && TNNG_SIMULATE("N2")) {
        slot->code = NNG_ECANCELED;
    }
    /* N2: nng 1.12 rewrites the result of a finished operation when a cancel comes late; C1: nng
     * before 1.6 can report an error and attach a message. The message decides. */
    if (slot->code != 0 && slot->msg != NULL && TNNG_WITHOUT("N2")) {
        nng_msg_free(slot->msg);
        slot->msg = NULL;
    }
    if (slot->msg != NULL) {
        slot->code = 0;
    }
    slot->pending = false;
    set_useful(lane, slot, !slot->superseded && (slot->msg != NULL || !slot->unwanted));
    tnng_lane_settle(lane);
    trim(lane);
    pthread_mutex_unlock(&lane->lock);
    tnng_lane_release(lane);
}

/* [caller] Cancels the youngest receives that nobody is left for. */
void tnng_lane_cancel_surplus(tnng_lane *lane)
{
    int wanted = wanted_receives(lane);

    while (lane->useful > wanted && !lane->parting) {
        tnng_slot *youngest = NULL;
        for (tnng_slot *slot = lane->head; slot != NULL; slot = slot->next) {
            if (slot->pending && !slot->unwanted) {
                youngest = slot;
            }
        }
        if (youngest == NULL) {
            break;
        }
        youngest->unwanted = true;
        /* Where nng has room for one receive only, or takes the answer's route from the last one,
         * the cancelled one counts until it is known to have brought nothing. */
        if (!(lane->traits & ONE_AT_A_TIME)) {
            set_useful(lane, youngest, false);
        }
        nng_aio_cancel(youngest->aio);
        if (lane->traits & ONE_AT_A_TIME) {
            break;
        }
    }
}

/* [caller] op->op.stage is OP_WAITING. */
int tnng_lane_leave(tnng_lane *lane, tnng_lane_op *op)
{
    tnng_ops_remove(&lane->waiting, &op->op);
    lane->waiters--;
    /* C1: a receive on Sub0 is never cancelled, nng before 1.6 would corrupt memory; on Req0 a
     * cancel would kill the request. Both stay posted for the next call. request() is over when its
     * caller leaves. */
    if (!(lane->traits & STANDING) || op->chain ||
        ((lane->traits & TRY_RECEIVE) && !TNNG_FIX_IS_ON(C1))) {
        tnng_lane_cancel_surplus(lane);
    }
    return TNNG_LEFT;
}

void tnng_lane_wait(tnng_lane *lane, tnng_lane_op *op)
{
    op->op.stage = OP_WAITING;
    lane->answerable = false;
    tnng_ops_append(&lane->waiting, &op->op);
    lane->waiters++;
    tnng_lane_settle(lane);
}

/* [caller] A new request: whoever waits for the old answer is told, and the old answer is thrown
 * away. */
void tnng_lane_supersede(tnng_lane *lane)
{
    for (tnng_slot *slot = lane->head; slot != NULL; slot = slot->next) {
        slot->unwanted = slot->superseded = true;
        set_useful(lane, slot, false);
    }
    tnng_ops_finish(&lane->waiting, lane->closed ? NNG_ECLOSED : TNNG_SUPERSEDED);
    lane->waiters = 0;
    lane->asked = false;
    tnng_lane_ready(lane);
    tell(lane);
}

/* [caller] One zero-timeout receive on an aio without a callback: decided when the call returns. */
int tnng_lane_try_receive(tnng_lane *lane, nng_msg **msg)
{
    /* For a message that its caller has to give back: that must not need memory. */
    if (lane->spare == NULL && (lane->spare = new_slot(lane)) == NULL) {
        return NNG_ENOMEM;
    }
    if (lane->try_receive == NULL) {
        if (nng_aio_alloc(&lane->try_receive, NULL, NULL) != 0) {
            return NNG_ENOMEM;
        }
        nng_aio_set_timeout(lane->try_receive, NNG_DURATION_ZERO);
    }
    if (lane->spare == NULL && (lane->spare = new_slot(lane)) == NULL) {
        return NNG_ENOMEM; /* a message that is given back needs a place */
    }
    tnng_wakes_may_wait(lane->is_context ? NULL : &lane->stream, false);
    tnng_submit_receive(lane, lane->try_receive);
    tnng_wakes_wait(NULL, true);
    *msg = nng_aio_get_msg(lane->try_receive);
    nng_aio_set_msg(lane->try_receive, NULL);
    return *msg != NULL ? 0 : nng_aio_result(lane->try_receive);
}

/* [caller] lane->lock held. What can be had at once: a message taken before, else, only when
 * nothing of ours stands before it, one that nng holds. NNG_ETIMEDOUT when there is nothing, and
 * NNG_EMSGSIZE when the message is longer than `room`: then it stays the next. */
int tnng_lane_receive_now(tnng_lane *lane, size_t room, nng_msg **msg)
{
    int code = NNG_ETIMEDOUT;

    if (lane->waiting.first != NULL) {
        return code;
    }
    if (tnng_lane_ready(lane)) {
        if (lane->head->msg != NULL && nng_msg_len(lane->head->msg) > room) {
            return NNG_EMSGSIZE;
        }
        code = hand_out(lane, msg);
        tnng_lane_settle(lane);
    } else if (lane->head == NULL && standing(lane) == 0 && (lane->traits & TRY_RECEIVE)) {
        code = tnng_lane_try_receive(lane, msg);
        if (code == 0 && nng_msg_len(*msg) > room) {
            tnng_lane_put_first(lane, *msg, false);
            return NNG_EMSGSIZE;
        }
        if (code == 0) {
            tnng_count_received(lane->socket, nng_msg_len(*msg));
        }
        if (code == 0 && (lane->traits & ANSWERS)) {
            lane->answerable = true;
            lane->asker = tnng_msg_pipe(*msg);
        }
    }
    return code;
}

/* [caller] */
tnng_slot *tnng_lane_put_first(tnng_lane *lane, nng_msg *msg, bool counted)
{
    tnng_slot *slot = lane->closed ? NULL : new_slot(lane);

    if (slot == NULL) {
        nng_msg_free(msg);
        return NULL;
    }
    slot->msg = msg;
    slot->code = 0;
    slot->counted = counted;
    slot->pending = slot->unwanted = slot->superseded = false;
    slot->next = lane->head;
    lane->head = slot;
    if (lane->tail == NULL) {
        lane->tail = slot;
    }
    set_useful(lane, slot, true);
    lane->answerable = false;
    tell(lane);
    return slot;
}

/* C10: nng has threads for fewer messages that are on their way to a receive. */
enum { ENOUGH_STANDING = 32 };

static int count_standing(const tnng_lane *lane)
{
    int count = 0;

    for (const tnng_slot *slot = lane->head; slot != NULL; slot = slot->next) {
        count += slot->pending && !slot->unwanted;
    }
    return count;
}

/* [nng] C10. Events of two connections can overtake each other, so each asks what holds now. A peer
 * that was lost can bring one message more; it may find that each receive that is pending has its
 * message already. */
void tnng_lanes_stand(tnng_socket *socket, bool lost)
{
    pthread_mutex_lock(&socket->contexts->lock);
    bool stand = atomic_load(&socket->parting) > 0 || !tnng_has_peer(socket);
    for (tnng_lane *lane = socket->contexts->first; lane != NULL; lane = lane->next) {
        tnng_lock(&lane->lock);
        lane->parting = stand;
        if (!lane->closed && stand && count_standing(lane) < (lost ? ENOUGH_STANDING : 1)) {
            tnng_lane_post(lane);
        } else if (!lane->closed) {
            tnng_lane_cancel_surplus(lane);
        }
        pthread_mutex_unlock(&lane->lock);
    }
    pthread_mutex_unlock(&socket->contexts->lock);
}

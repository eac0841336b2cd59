/* Receiving surveys (C3). Before nng 1.10 (issue 1959) a survey that lies unread in nng when its
 * connection goes leaves a dangling pipe behind, which the next receive follows: a peer can crash
 * the process with two surveys and a reset. So none may lie unread. The socket has a *source*, a
 * lane nobody sees, with receives that always stand, each in an nng context of its own. A survey
 * waits there together with its context; whoever asks gets both, because the context is the way
 * back. This may go when 1.10 is the oldest nng. */
#include <stdlib.h>

#include "sock/desk.h"

enum {
    STANDING_CONTEXTS = 64, /* surveys that may arrive between two callbacks */
    MAX_UNREAD = 1024,      /* what nobody asks for; beyond it the oldest is dropped, */
    LARGE_FROM = 128,       /* and from so many on what is beyond LARGE bytes */
    LARGE = 16 * 1024 * 1024,
};

/* [job] nng_close has ended all its contexts. */
static void source_close(tnng_socket *socket)
{
    pthread_mutex_lock(&socket->owner.lock);
    tnng_lane *source = socket->contexts->source;
    socket->contexts->source = NULL;
    pthread_mutex_unlock(&socket->owner.lock);
    if (source != NULL) {
        tnng_lane_release(source);
    }
}

/* [any] A counted reference, or NULL when the socket has closed. */
static tnng_lane *source_hold(tnng_socket *socket)
{
    pthread_mutex_lock(&socket->owner.lock);
    tnng_lane *source = socket->contexts->source;
    if (source != NULL) {
        tnng_lane_hold(source);
    }
    pthread_mutex_unlock(&socket->owner.lock);
    return source;
}

/* [any] source->lock held, the head is about to be taken for `home`: they change contexts. */
static void source_adopt(tnng_lane *home, tnng_slot *slot)
{
    nng_ctx previous;

    tnng_lock(&home->lock);
    if (slot->msg != NULL) {
        previous = home->context;
        home->context = slot->context;
        slot->context = previous; /* posted again, it gives up the survey that was not answered */
        home->answerable = true;
        home->asker = tnng_msg_pipe(slot->msg);
    }
    home->waiters = 0;
    pthread_mutex_unlock(&home->lock);
}

/* [any] source->lock held: how many receives there must be, whatever state they are in. */
static int source_wanted(tnng_lane *source)
{
    int unread = 0;
    size_t bytes = 0;

    for (tnng_slot *slot = source->head; slot != NULL; slot = slot->next) {
        if (slot->msg != NULL && !slot->superseded) {
            unread++;
            bytes += nng_msg_len(slot->msg);
        }
    }
    for (tnng_slot *slot = source->head;
         unread > MAX_UNREAD || (unread > LARGE_FROM && bytes > LARGE); slot = slot->next) {
        if (slot->msg != NULL && !slot->superseded) {
            slot->superseded = true;
            tnng_slot_set_useful(source, slot, false);
            atomic_fetch_add(&source->socket->traffic.dropped, 1);
            unread--;
            bytes -= nng_msg_len(slot->msg);
        }
    }
    return source->closed ? 0 : source->keep + unread;
}

/* [caller] The lane closes: its call, if one waits, is over. */
static void source_forget(tnng_lane *home)
{
    tnng_lane *source = source_hold(home->socket);

    if (source == NULL) {
        return;
    }
    tnng_lock(&source->lock);
    for (tnng_op *next, *op = source->waiting.first; op != NULL; op = next) {
        next = op->next;
        if (((tnng_lane_op *) op)->home == home) {
            tnng_ops_remove(&source->waiting, op);
            source->waiters--;
            tnng_op_finish(op, NNG_ECLOSED, NULL);
        }
    }
    pthread_mutex_unlock(&source->lock);
    tnng_lane_release(source);
}

/* [any] The lane asks for nothing any more. */
static void source_unreserve(tnng_lane *home)
{
    tnng_lock(&home->lock);
    home->waiters = 0;
    pthread_mutex_unlock(&home->lock);
}

static int reserve(tnng_lane *home)
{
    int code = 0;

    tnng_lock(&home->lock);
    if (home->closed) {
        code = NNG_ECLOSED;
    } else if (home->waiters > 0 || home->sending > 0) {
        code = NNG_EBUSY;
    } else {
        home->waiters = 1;
    }
    pthread_mutex_unlock(&home->lock);
    return code;
}

static int park(tnng_lane *source, tnng_lane *home, const tnng_call *call)
{
    tnng_lane_op *op;
    int code;

    if (call->port == NULL) {
        return NNG_EAGAIN;
    }
    if ((op = tnng_lane_op_new(source, &tnng_recv_kind, call, &code)) == NULL) {
        return code;
    }
    tnng_lock(&home->lock);
    home->answerable = false;
    pthread_mutex_unlock(&home->lock);
    tnng_lane_hold(home);
    op->home = home;
    code = tnng_park(&op->op, call->result);
    tnng_lane_wait(source, op);
    return code;
}

static int source_receive(tnng_lane *home, const tnng_call *call)
{
    tnng_lane *source;
    nng_msg *msg = NULL;
    int code = reserve(home);

    if (code != 0) {
        return tnng_answer(call->result, code, NULL);
    }
    if ((source = source_hold(home->socket)) == NULL) {
        return tnng_answer(call->result, NNG_ECLOSED, NULL);
    }
    tnng_lock(&source->lock);
    tnng_lock(&home->lock);
    bool closed = home->closed || source->closed;
    pthread_mutex_unlock(&home->lock);
    if (closed) {
        code = NNG_ECLOSED;
    } else if (source->waiting.first == NULL && tnng_lane_ready(source)) {
        code = tnng_lane_hand_out(source, &msg, home);
        tnng_lane_settle(source);
    } else {
        code = park(source, home, call);
    }
    pthread_mutex_unlock(&source->lock);
    if (code != TNNG_PARKED && msg == NULL) {
        source_unreserve(home);
    }
    tnng_lane_release(source);
    return code == TNNG_PARKED ? code : tnng_answer(call->result, code, msg);
}

/* [caller] The survey goes back to the front, and its context with it. */
static void source_give_back(tnng_lane *home, nng_msg *msg)
{
    tnng_lane *source = source_hold(home->socket);
    tnng_slot *slot;
    nng_ctx empty;

    if (source == NULL) {
        nng_msg_free(msg);
        return;
    }
    tnng_lock(&source->lock);
    tnng_lock(&home->lock);
    bool closed = home->closed; /* and its context, the way back, with it */
    pthread_mutex_unlock(&home->lock);
    if (closed) {
        nng_msg_free(msg);
    } else if ((slot = tnng_lane_put_first(source, msg, true)) != NULL) {
        tnng_lock(&home->lock);
        empty = slot->context;
        slot->context = home->context;
        home->context = empty;
        home->answerable = false;
        pthread_mutex_unlock(&home->lock);
        tnng_lane_settle(source);
    }
    pthread_mutex_unlock(&source->lock);
    tnng_lane_release(source);
}

/* [any] source->lock held: what is ready goes to the service, if there is one. */
static void source_feed(tnng_lane *source)
{
    tnng_lane *desk = source->socket->contexts->service;

    while (desk != NULL && tnng_lane_ready(source) && source->head->msg != NULL &&
           desk->kind->adopt(desk, source->head)) {
        tnng_lane_pop(source);
    }
}

/* [caller] A service takes all surveys from now on. It keeps the source, which a closed socket
 * forgets, until it ends. */
int tnng_source_attach(tnng_lane *desk, tnng_lane **out)
{
    tnng_lane *source = source_hold(desk->socket);

    if (source == NULL) {
        return NNG_ECLOSED;
    }
    tnng_lock(&source->lock);
    bool taken = desk->socket->contexts->service != NULL;
    if (!taken) {
        desk->socket->contexts->service = desk;
        tnng_lane_settle(source);
    }
    pthread_mutex_unlock(&source->lock);
    if (taken) {
        tnng_lane_release(source);
        return NNG_EBUSY;
    }
    *out = source;
    return 0;
}

/* [caller] The service ends: surveys are those of the socket's own calls again. */
void tnng_source_detach(tnng_lane *source)
{
    tnng_lock(&source->lock);
    source->socket->contexts->service = NULL;
    pthread_mutex_unlock(&source->lock);
    tnng_lane_release(source);
}

static const tnng_lane_kind source_kind = {.wanted = source_wanted,
    .feed = source_feed,
    .hand_over = source_adopt,
    .call_left = source_unreserve};

static const tnng_lane_kind respond_kind = {.receive = source_receive,
    .give_back = source_give_back,
    .source = source_hold,
    .shut = source_forget,
    .socket_closed = source_close};

/* [caller] Before the first endpoint, so that no survey is ever unread. */
int tnng_source_open(tnng_socket *socket)
{
    int code = tnng_lane_open(&socket->contexts->source, socket, false);
    tnng_lane *source = socket->contexts->source;

    if (code == 0) {
        tnng_lock(&source->lock);
        source->kind = &source_kind;
        source->traits = CAN_RECEIVE | STANDING | SOURCE;
        source->keep = STANDING_CONTEXTS;
        tnng_lane_settle(source);
        pthread_mutex_unlock(&source->lock);
        socket->contexts->kind = &respond_kind;
    }
    return code;
}

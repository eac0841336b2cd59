/* The receive ring of a context, and the calls that wait for what it brings.
 *
 * A slot is one receive that nng has, or a message it brought. Slots keep the order in which they
 * were submitted, and messages are handed out in that order, whichever callback came first. A
 * waiting call is not tied to a slot: when the head of the ring is done, the first waiting call
 * gets it. So a task can leave at once. Its slot is cancelled where nng can do that safely; a
 * message that came all the same keeps its place in the ring and goes to the next call. */
#include <stdlib.h>

#include "sock/sock.h"

static void recv_callback(void *);

static void recv_set_live(tnng_ctx *ctx, tnng_slot *slot, bool live)
{
    if (slot->live != live) {
        slot->live = live;
        ctx->live += live ? 1 : -1;
    }
}

static tnng_slot *recv_new_slot(tnng_ctx *ctx)
{
    tnng_slot *slot = ctx->free_list;
    if (slot != NULL) {
        ctx->free_list = slot->next;
    } else if ((slot = calloc(1, sizeof(*slot))) != NULL) {
        slot->ctx = ctx;
    }
    return slot;
}

static void recv_pop(tnng_ctx *ctx)
{
    tnng_slot *slot = ctx->head;
    ctx->head = slot->next;
    if (ctx->head == NULL) {
        ctx->tail = NULL;
    }
    recv_set_live(ctx, slot, false);
    slot->msg = NULL;
    slot->accounted = false;
    slot->next = ctx->free_list;
    ctx->free_list = slot;
}

/* [any] Submits one more receive. ctx->lock is held from here until nng has it, so that the order
 * of the ring is the order of submission, and a cancel cannot fall between the two. */
int tnng_ctx_post_recv(tnng_ctx *ctx)
{
    tnng_slot *slot = recv_new_slot(ctx);
    int code = 0;

    if (slot == NULL) {
        return NNG_ENOMEM;
    }
    if (slot->aio == NULL) {
        code = nng_aio_alloc(&slot->aio, recv_callback, slot);
    }
    if (code != 0) {
        slot->next = ctx->free_list;
        ctx->free_list = slot;
        return code;
    }
    nng_aio_set_timeout(slot->aio, NNG_DURATION_INFINITE);
    slot->next = NULL;
    slot->pending = true;
    slot->cancelled = slot->superseded = false;
    if (ctx->tail == NULL) {
        ctx->head = slot;
    } else {
        ctx->tail->next = slot;
    }
    ctx->tail = slot;
    recv_set_live(ctx, slot, true);
    tnng_ctx_ref(ctx);
    TNNG_PAUSE("receive.before_submit");
    tnng_submit_recv(ctx, slot->aio);
    TNNG_PAUSE("receive.after_submit");
    return 0;
}

/* [any] Removes what came to nothing from the head of the ring; true when the head has something to
 * give. */
bool tnng_ctx_head_ready(tnng_ctx *ctx)
{
    for (tnng_slot *slot; (slot = ctx->head) != NULL && !slot->pending; recv_pop(ctx)) {
        if (slot->superseded) {
            if (slot->msg != NULL) {
                nng_msg_free(slot->msg);
            }
        } else if (slot->msg != NULL || !slot->cancelled) {
            return true;
        }
    }
    return false;
}

static int recv_hand_out(tnng_ctx *ctx, nng_msg **msg)
{
    int code = ctx->head->code;

    *msg = ctx->head->msg;
    if (*msg != NULL && !ctx->head->accounted) {
        tnng_stats_add_received(ctx->socket, nng_msg_len(*msg));
    }
    ctx->request_sent = false;
    if (*msg != NULL && (ctx->traits & TRAIT_REPLIES)) {
        ctx->has_request = true;
        ctx->reply_pipe = tnng_msg_pipe(*msg);
    }
    recv_pop(ctx);
    return code;
}

/* How many receives stay posted although no call waits. A program that polls the descriptor has to
 * learn of the next message, so one receive is posted for it. Where a receive gives up the request
 * that is being answered, it is posted only while none is; where it is an error without a request,
 * only after one. */
static int recv_persistent(tnng_ctx *ctx)
{
    bool watched = ctx->pollfd != NULL;

    if (ctx->traits & TRAIT_SEND_SUPERSEDES) {
        watched = watched && ctx->request_sent;
    } else if (ctx->traits & TRAIT_REPLIES) {
        watched = watched && !ctx->has_request && ctx->sending == 0;
    }
    return ctx->prefetch == 0 && watched ? 1 : ctx->prefetch;
}

static int recv_target(tnng_ctx *ctx)
{
    int kept = recv_persistent(ctx);

    return ctx->waiters > kept ? ctx->waiters : kept;
}

static void recv_dispatch(tnng_ctx *ctx)
{
    int code = 0;
    nng_msg *msg = NULL;
    tnng_op *op;

    while (tnng_ctx_head_ready(ctx) && (op = ctx->waiting.first) != NULL) {
        TNNG_LIST_REMOVE(&ctx->waiting, op);
        ctx->waiters--;
        code = recv_hand_out(ctx, &msg);
        tnng_op_finish(op, code, msg);
    }
    int target = recv_target(ctx);
    if (ctx->waiters <= ctx->live && ctx->live > target / 2) {
        /* Enough for now: posted together they cost nng far less than one by one. */
        return;
    }
    while (!ctx->closed && ctx->live < target && (code = tnng_ctx_post_recv(ctx)) == 0) {
    }
    while (code == NNG_ENOMEM && ctx->live == 0 && (op = ctx->waiting.first) != NULL) {
        TNNG_LIST_REMOVE(&ctx->waiting, op);
        ctx->waiters--;
        tnng_op_finish(op, code, NULL);
    }
}

/* [any] Nearly always no descriptor was asked for. */
void tnng_pollfd_update(tnng_ctx *ctx, bool has_message)
{
    tnng_pollfd *pollfd = ctx->pollfd;
    bool now = ctx->closed || has_message;

    if (pollfd != NULL && now != pollfd->signaled) {
        pollfd->signaled = now;
        (now ? tnng_wakeup_fd_notify : tnng_wakeup_fd_clear)(&pollfd->fd);
    }
}

static void recv_update_pollfd(tnng_ctx *ctx)
{
    if (ctx->pollfd != NULL) {
        tnng_pollfd_update(ctx, ctx->waiting.first == NULL && tnng_ctx_head_ready(ctx));
    }
}

/* [any] Hands out what is ready, then posts the receives that are missing. */
void tnng_ctx_dispatch(tnng_ctx *ctx)
{
    recv_dispatch(ctx);
    recv_update_pollfd(ctx);
}

/* [any] A message that came too late may have served a call for which another receive was posted.
 */
static void recv_cancel_excess(tnng_ctx *ctx)
{
    if (!(ctx->traits & TRAIT_PERSISTENT_RECV) && !ctx->closed) {
        tnng_ctx_cancel_excess(ctx);
    }
}

/* C10: nng has threads for fewer messages that are on their way to a receive. */
enum { ENOUGH_POSTED = 32 };

static int recv_count_posted(const tnng_ctx *ctx)
{
    int count = 0;

    for (const tnng_slot *slot = ctx->head; slot != NULL; slot = slot->next) {
        count += slot->pending && !slot->cancelled;
    }
    return count;
}

/* C10: while nng frees a connection of a Pair, the next peer may use up the posted receives. */
static void recv_post_again(tnng_ctx *ctx)
{
    int unread = 0;

    for (const tnng_slot *slot = ctx->head; slot != NULL; slot = slot->next) {
        unread += !slot->pending;
    }
    for (int n = recv_count_posted(ctx); n < 2 && unread < ENOUGH_POSTED && !ctx->closed; n++) {
        tnng_ctx_post_recv(ctx);
    }
}

/* [nng] A receive ended. N1: this callback is the only thing that says so. */
static void recv_callback(void *arg)
{
    tnng_slot *slot = arg;
    tnng_ctx *ctx = slot->ctx;

    TNNG_PAUSE("receive.callback");
    tnng_lock(&ctx->lock);
    slot->msg = nng_aio_get_msg(slot->aio);
    slot->code = nng_aio_result(slot->aio);
    nng_aio_set_msg(slot->aio, NULL);
    if (slot->cancelled && TNNG_SIMULATE("N2")) {
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
    recv_set_live(ctx, slot, !slot->superseded && (slot->msg != NULL || !slot->cancelled));
    if (ctx->peer_lost) {
        recv_post_again(ctx);
    }
    tnng_ctx_dispatch(ctx);
    recv_cancel_excess(ctx);
    pthread_mutex_unlock(&ctx->lock);
    tnng_ctx_unref(ctx);
}

/* [caller] Cancels the youngest receives that no call is left for. */
void tnng_ctx_cancel_excess(tnng_ctx *ctx)
{
    int target = recv_target(ctx);

    while (ctx->live > target && !ctx->peer_lost) {
        tnng_slot *youngest = NULL;
        for (tnng_slot *slot = ctx->head; slot != NULL; slot = slot->next) {
            if (slot->pending && !slot->cancelled) {
                youngest = slot;
            }
        }
        if (youngest == NULL) {
            break;
        }
        youngest->cancelled = true;
        /* Where nng has room for one receive only, or takes the answer's route from the last one,
         * the cancelled one counts until it is known to have brought nothing. */
        if (!(ctx->traits & TRAIT_SINGLE_CALL)) {
            recv_set_live(ctx, youngest, false);
        }
        tnng_ctx_cancel_aio(ctx, youngest->aio);
        if (ctx->traits & TRAIT_SINGLE_CALL) {
            break;
        }
    }
}

/* [caller] op->op.stage is OP_WAITING. */
int tnng_ctx_cancel_recv(tnng_ctx *ctx, tnng_ctx_op *op)
{
    TNNG_LIST_REMOVE(&ctx->waiting, &op->op);
    ctx->waiters--;
    /* C1: a receive on Sub0 is never cancelled, nng before 1.6 would corrupt memory; on Req0 a
     * cancel would kill the request. Both stay posted for the next call. request() is over when its
     * caller leaves. */
    if (!(ctx->traits & TRAIT_PERSISTENT_RECV) || op->chain ||
        ((ctx->traits & TRAIT_TRY_RECV) && !TNNG_FIX_IS_ON(C1))) {
        tnng_ctx_cancel_excess(ctx);
    }
    return TNNG_CANCEL_DONE;
}

void tnng_ctx_park_recv(tnng_ctx *ctx, tnng_ctx_op *op)
{
    op->op.stage = OP_WAITING;
    ctx->has_request = false;
    TNNG_LIST_APPEND(&ctx->waiting, &op->op);
    ctx->waiters++;
    tnng_ctx_dispatch(ctx);
}

/* [caller] A new request: calls that wait for the old answer end with TNNG_SUPERSEDED, and the old
 * answer is dropped. */
void tnng_ctx_supersede(tnng_ctx *ctx)
{
    for (tnng_slot *slot = ctx->head; slot != NULL; slot = slot->next) {
        slot->cancelled = slot->superseded = true;
        recv_set_live(ctx, slot, false);
    }
    tnng_op_list_finish(&ctx->waiting, ctx->closed ? NNG_ECLOSED : TNNG_SUPERSEDED);
    ctx->waiters = 0;
    ctx->request_sent = false;
    tnng_ctx_head_ready(ctx);
    recv_update_pollfd(ctx);
}

/* [caller] One zero-timeout receive on an aio without a callback: decided when the call returns. */
int tnng_ctx_try_recv(tnng_ctx *ctx, nng_msg **msg)
{
    /* For a message that its caller has to give back: that must not need memory. */
    if (ctx->free_list == NULL && (ctx->free_list = recv_new_slot(ctx)) == NULL) {
        return NNG_ENOMEM;
    }
    if (ctx->try_recv == NULL) {
        if (nng_aio_alloc(&ctx->try_recv, NULL, NULL) != 0) {
            return NNG_ENOMEM;
        }
        nng_aio_set_timeout(ctx->try_recv, NNG_DURATION_ZERO);
    }
    tnng_wakeups_stream_begin(ctx->nng.id != 0 ? NULL : &ctx->stream, false);
    tnng_submit_recv(ctx, ctx->try_recv);
    tnng_wakeups_stream_end(NULL, true);
    *msg = nng_aio_get_msg(ctx->try_recv);
    nng_aio_set_msg(ctx->try_recv, NULL);
    return *msg != NULL ? 0 : nng_aio_result(ctx->try_recv);
}

/* [caller] ctx->lock held. What can be had at once: a message taken before, else, only when
 * no posted receive comes before it, one that nng holds. NNG_ETIMEDOUT when there is nothing, and
 * NNG_EMSGSIZE when the message is longer than `room`: then it stays the next. */
int tnng_ctx_recv_now(tnng_ctx *ctx, size_t room, nng_msg **msg)
{
    int code = NNG_ETIMEDOUT;

    if (ctx->waiting.first != NULL) {
        return code;
    }
    if (tnng_ctx_head_ready(ctx)) {
        if (ctx->head->msg != NULL && nng_msg_len(ctx->head->msg) > room) {
            return NNG_EMSGSIZE;
        }
        code = recv_hand_out(ctx, msg);
        tnng_ctx_dispatch(ctx);
    } else if (ctx->head == NULL && recv_persistent(ctx) == 0 && (ctx->traits & TRAIT_TRY_RECV)) {
        code = tnng_ctx_try_recv(ctx, msg);
        if (code == 0 && nng_msg_len(*msg) > room) {
            tnng_ctx_push_front(ctx, *msg, false);
            return NNG_EMSGSIZE;
        }
        if (code == 0) {
            tnng_stats_add_received(ctx->socket, nng_msg_len(*msg));
        }
        if (code == 0 && (ctx->traits & TRAIT_REPLIES)) {
            ctx->has_request = true;
            ctx->reply_pipe = tnng_msg_pipe(*msg);
        }
    }
    return code;
}

/* [caller] */
void tnng_ctx_push_front(tnng_ctx *ctx, nng_msg *msg, bool accounted)
{
    tnng_slot *slot = ctx->closed ? NULL : recv_new_slot(ctx);

    if (slot == NULL) {
        nng_msg_free(msg);
        return;
    }
    slot->msg = msg;
    slot->code = 0;
    slot->accounted = accounted;
    slot->pending = slot->cancelled = slot->superseded = false;
    slot->next = ctx->head;
    ctx->head = slot;
    if (ctx->tail == NULL) {
        ctx->tail = slot;
    }
    recv_set_live(ctx, slot, true);
    ctx->has_request = false;
    recv_update_pollfd(ctx);
}

/* [nng] C10. Events of two connections can overtake each other, so each asks what holds now. A peer
 * that was lost can bring one message more; it may find that each receive that is pending has its
 * message already. */
void tnng_contexts_set_persistent(tnng_socket *socket, bool lost)
{
    tnng_lock(&socket->contexts->lock);
    bool persistent = atomic_load(&socket->unfreed_pipes) > 0 || !tnng_has_peer(socket);
    for (tnng_ctx *ctx = socket->contexts->first; ctx != NULL; ctx = ctx->next) {
        tnng_lock(&ctx->lock);
        ctx->peer_lost = persistent;
        if (!ctx->closed && persistent && recv_count_posted(ctx) < (lost ? ENOUGH_POSTED : 1)) {
            tnng_ctx_post_recv(ctx);
        } else if (!ctx->closed) {
            tnng_ctx_cancel_excess(ctx);
        }
        pthread_mutex_unlock(&ctx->lock);
    }
    pthread_mutex_unlock(&socket->contexts->lock);
}

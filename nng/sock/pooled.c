/* Contexts whose requests come from a pool: those of Respondent0, and the workers of a service.
 *
 * C3: before nng 1.10 (issue 1959) a survey that lies unread in nng when its connection goes leaves
 * a dangling pipe behind, which the next receive follows: a peer can crash the process with two
 * surveys and a reset. So a Respondent0 socket has a pool of contexts whose receives are always
 * posted. A call takes a survey from the pool with its context, the way back, and leaves its own
 * there. This may go when 1.10 is the oldest nng. */
#include "sock/context_pool.h"

/* [caller] Locks the pool of a context, and the context. */
void tnng_pool_lock(tnng_lane *context)
{
    tnng_lock(&context->pool_lane->lock);
    tnng_lock(&context->lock);
}

/* [caller] Unlocks them, and hands out what has become possible. */
void tnng_pool_unlock(tnng_lane *context)
{
    pthread_mutex_unlock(&context->lock);
    tnng_pool_dispatch(context->pool_lane);
    pthread_mutex_unlock(&context->pool_lane->lock);
}

/* A worker whose service has ended gets nothing any more. */
static bool is_served(const tnng_lane *context)
{
    const tnng_service *service = context->pool_lane->pool->service;

    return context->service == 0 || (service != NULL && service->number == context->service);
}

/* [caller] False when the context, its pool, or the service it works for has ended. */
bool tnng_pool_is_open(const tnng_lane *context)
{
    return !context->closed && !context->pool_lane->closed && is_served(context);
}

static pool_requests *requests_of(const tnng_lane *context)
{
    tnng_pool *pool = context->pool_lane->pool;

    return context->service == 0 ? &pool->requests : &pool->service->requests;
}

static int cancel(tnng_op *op)
{
    tnng_lane *context = ((tnng_lane_op *) op)->home, *lane = context->pool_lane;
    int outcome = TNNG_LATE;

    tnng_lock(&lane->lock);
    if (op->stage != OP_FINISHED) {
        tnng_ops_remove(&requests_of(context)->waiting, op);
        tnng_lock(&context->lock);
        context->waiters = 0;
        pthread_mutex_unlock(&context->lock);
        outcome = TNNG_LEFT;
    }
    pthread_mutex_unlock(&lane->lock);
    return outcome;
}

static const tnng_op_kind receive_kind = {
    .cancel = cancel, .reclaim = tnng_recv_reclaim, .free = tnng_lane_op_free};

/* [caller] The next request: now, or through the port. */
int tnng_pool_receive(tnng_lane *context, const tnng_call *call, nng_msg **msg)
{
    tnng_lane *lane = context->pool_lane;
    tnng_pool *pool = lane->pool;
    pool_requests *requests = requests_of(context);
    tnng_lane_op *op;
    int code;

    if (context->service != 0) {
        tnng_pool_end_request(context, false);
        if (pool->service->slow_untold > 0) {
            return TNNG_SLOW;
        }
    }
    if (requests->ready.count > 0) {
        *msg = tnng_pool_hand_out(requests, context);
        return 0;
    }
    if (context->service != 0 && tnng_service_is_drained(pool->service)) {
        return TNNG_DRAINED;
    }
    if (call->port == NULL) {
        return NNG_EAGAIN;
    }
    if (!tnng_pool_post_missing(lane)) {
        return NNG_ENOMEM;
    }
    if ((op = tnng_lane_op_new(lane, &receive_kind, call, &code)) == NULL) {
        return code;
    }
    op->op.stage = OP_WAITING;
    op->home = context;
    tnng_lane_hold(context);
    tnng_ops_append(&requests->waiting, &op->op);
    context->waiters = 1;
    context->answerable = false;
    return tnng_park(&op->op, call->result);
}

/* [caller] Undoes tnng_pool_hand_out. */
static void put_back(tnng_lane *context, nng_msg *msg)
{
    tnng_lane *lane = context->pool_lane;
    tnng_pool *pool = lane->pool;
    tnng_pool_slot *slot = context->service != 0 ? context->slot : tnng_pool_take_idle(lane);
    pool_queue *ready = &pool->requests.ready;

    if (slot == NULL) {
        nng_msg_free(msg);
        return;
    }
    if (context->service != 0) {
        context->slot = NULL;
        tnng_pool_remove(&pool->service->taken, slot);
        ready = &pool->service->requests.ready;
    } else {
        nng_ctx empty = slot->context;
        slot->context = context->context;
        slot->pipe = context->asker;
        context->context = empty;
        context->answerable = false;
    }
    slot->msg = msg;
    slot->accounted = true;
    tnng_pool_push_first(ready, slot);
}

/* [caller] The call that waits for a request is over, and so is the request that was taken. */
static void leave(tnng_lane *context)
{
    pool_requests *requests = requests_of(context);

    for (tnng_op *op = requests->waiting.first; op != NULL; op = op->next) {
        if (((tnng_lane_op *) op)->home == context) {
            tnng_pool_finish(requests, op, NNG_ECLOSED);
            break;
        }
    }
    tnng_lock(&context->lock);
    tnng_pool_end_request(context, false);
    pthread_mutex_unlock(&context->lock);
}

/* [caller] One call at a time, and none while a reply is being sent. */
int tnng_pooled_receive(tnng_lane *context, const tnng_call *call)
{
    nng_msg *msg = NULL;
    int code;

    tnng_pool_lock(context);
    if (!tnng_pool_is_open(context)) {
        code = NNG_ECLOSED;
    } else if (context->waiters > 0 || context->sending > 0) {
        code = NNG_EBUSY;
    } else {
        code = tnng_pool_receive(context, call, &msg);
    }
    tnng_pool_unlock(context);
    return code == TNNG_PARKED ? code : tnng_answer(call->result, code, msg);
}

/* [caller] The request goes back to the front with its context. Both are gone when that has closed.
 */
void tnng_pooled_give_back(tnng_lane *context, nng_msg *msg)
{
    tnng_pool_lock(context);
    if (tnng_pool_is_open(context)) {
        put_back(context, msg);
    } else {
        nng_msg_free(msg);
    }
    tnng_pool_unlock(context);
}

/* [caller] */
void tnng_pooled_shut(tnng_lane *context)
{
    tnng_lock(&context->pool_lane->lock);
    if (is_served(context)) {
        leave(context);
    }
    pthread_mutex_unlock(&context->pool_lane->lock);
}

void tnng_pooled_free(tnng_lane *context) { tnng_lane_release(context->pool_lane); }

/* [job] nng_close has ended all contexts. */
static void respondent_closed(tnng_socket *socket)
{
    struct tnng_contexts *contexts = socket->contexts;

    pthread_mutex_lock(&contexts->lock);
    tnng_lane *pool = contexts->pool;
    contexts->pool = NULL;
    pthread_mutex_unlock(&contexts->lock);
    if (pool != NULL) {
        pool->kind->close(pool);
        tnng_lane_release(pool);
    }
}

static const tnng_lane_kind respondent_kind = {.receive = tnng_pooled_receive,
    .give_back = tnng_pooled_give_back,
    .shut = tnng_pooled_shut,
    .free = tnng_pooled_free,
    .socket_closed = respondent_closed};

/* [caller] Before the first endpoint, so that no survey is ever unread. */
int tnng_respondent_open(tnng_socket *socket)
{
    socket->contexts->kind = &respondent_kind;
    return tnng_pool_open(&socket->contexts->pool, socket);
}

/* The queues that the slots of a pool of contexts stand in. */
#include "sock/context_pool.h"

static void pool_queue_enter(pool_queue *queue, tnng_pool_slot *slot)
{
    slot->size = slot->msg == NULL ? 0 : nng_msg_len(slot->msg);
    queue->bytes += slot->size;
    queue->count++;
}

void tnng_pool_push(pool_queue *queue, tnng_pool_slot *slot)
{
    TNNG_LIST_APPEND(queue, slot);
    pool_queue_enter(queue, slot);
}

void tnng_pool_push_first(pool_queue *queue, tnng_pool_slot *slot)
{
    TNNG_LIST_PREPEND(queue, slot);
    pool_queue_enter(queue, slot);
}

void tnng_pool_remove(pool_queue *queue, tnng_pool_slot *slot)
{
    TNNG_LIST_REMOVE(queue, slot);
    queue->bytes -= slot->size;
    queue->count--;
}

/* NULL when it is empty. */
tnng_pool_slot *tnng_pool_pop(pool_queue *queue)
{
    tnng_pool_slot *slot = queue->first;

    if (slot != NULL) {
        tnng_pool_remove(queue, slot);
    }
    return slot;
}

/* [any] The context is free: it forgets the way back of its request when it is posted again. */
void tnng_pool_idle(tnng_pool *pool, tnng_pool_slot *slot)
{
    if (slot->msg != NULL) {
        nng_msg_free(slot->msg);
        slot->msg = NULL;
    }
    tnng_pool_push_first(&pool->idle, slot);
}

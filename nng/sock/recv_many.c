/* What is there already, taken without waiting: many messages with one call, packed one behind the
 * other. A message that does not fit any more stays in its lane, and was never handed
 * out. */
#include <string.h>

#include "sock/sock.h"

/* [caller] */
int tnng_receive_many(
    tnng_lane *lane, char *buffer, size_t capacity, uint32_t *sizes, int max, nng_msg **batch)
{
    size_t used = 0;
    int count = 0;
    nng_msg *msg = NULL;

    TNNG_GUARD_FORK(0);
    tnng_lock(&lane->lock);
    while (count < max && !lane->closed) {
        size_t room = count == 0 ? SIZE_MAX : capacity - used;
        if (tnng_lane_receive_now(lane, room, &msg) != 0 || msg == NULL) {
            break;
        }
        size_t size = nng_msg_len(msg);
        batch[count] = msg;
        sizes[count++] = (uint32_t) size;
        if (size > capacity) {
            break;
        }
        memcpy(buffer + used, nng_msg_body(msg), size);
        used += size;
    }
    pthread_mutex_unlock(&lane->lock);
    return count;
}

/* [caller] */
void tnng_messages_done(nng_msg **batch, int count)
{
    for (int i = 0; i < count; i++) {
        tnng_msg_done(batch[i]);
    }
}

/* [caller] The last one first, so that the first is the next again. */
void tnng_give_back_many(tnng_lane *lane, nng_msg **batch, int count)
{
    while (count > 0) {
        tnng_give_back(lane, batch[--count]);
    }
}

int tnng_waiter_receive_many(tnng_waiter *waiter, tnng_lane *lane, int max)
{
    size_t used = 0;
    nng_msg *msg = NULL;

    if (tnng_forked() || !tnng_waiter_make_room(waiter, &lane->origin)) {
        return 0;
    }
    tnng_lock(&lane->lock);
    while (waiter->count < max && waiter->count < TNNG_BATCH && !lane->closed &&
           tnng_lane_receive_now(lane, TNNG_BATCH_BYTES - used, &msg) == 0 && msg != NULL) {
        size_t size = nng_msg_len(msg);
        memcpy(waiter->packed + used, nng_msg_body(msg), size);
        used += size;
        waiter->sizes[waiter->count] = (uint32_t) size;
        waiter->batch[waiter->count++] = msg;
    }
    pthread_mutex_unlock(&lane->lock);
    return waiter->count;
}

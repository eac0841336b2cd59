/* What is there already, taken without waiting: many messages with one call, packed one behind the
 * other. A message that does not fit any more stays in its lane, and was never handed
 * out. */
#include <string.h>

#include "sock/sock.h"

/* Where a batch goes. */
typedef struct {
    char *packed;
    size_t used, capacity;
    uint32_t *sizes;
    nng_msg **messages;
    int count, max;
    bool takes_large; /* one that does not fit into an empty buffer comes alone and unpacked */
} batch_room;

/* [caller] */
static int fill(tnng_lane *lane, batch_room *to)
{
    nng_msg *msg = NULL;
    size_t size = 0;

    tnng_lock(&lane->lock);
    while (to->count < to->max && size <= to->capacity && !lane->closed) {
        bool any = to->takes_large && to->count == 0;
        size_t room = any ? SIZE_MAX : to->capacity - to->used;
        if (tnng_lane_receive_now(lane, room, &msg) != 0 || msg == NULL) {
            break;
        }
        size = nng_msg_len(msg);
        to->messages[to->count] = msg;
        to->sizes[to->count++] = (uint32_t) size;
        if (size <= to->capacity) {
            memcpy(to->packed + to->used, nng_msg_body(msg), size);
            to->used += size;
        }
    }
    pthread_mutex_unlock(&lane->lock);
    return to->count;
}

int tnng_receive_many(
    tnng_lane *lane, char *buffer, size_t capacity, uint32_t *sizes, int max, nng_msg **batch)
{
    batch_room to = {buffer, 0, capacity, sizes, batch, 0, max, true};

    return tnng_forked() ? 0 : fill(lane, &to);
}

int tnng_waiter_receive_many(tnng_waiter *waiter, tnng_lane *lane, int max)
{
    if (tnng_forked() || !tnng_waiter_make_room(waiter, &lane->origin)) {
        return 0;
    }
    batch_room to = {waiter->packed, 0, TNNG_BATCH_BYTES, waiter->sizes, waiter->batch,
        waiter->count, max < TNNG_BATCH ? max : TNNG_BATCH, false};
    return waiter->count = fill(lane, &to);
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

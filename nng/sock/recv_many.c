/* What is there already, taken without waiting: many messages with one call, packed one behind the
 * other. A message that does not fit any more stays in its context, and was never handed
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
static int recv_fill(tnng_ctx *ctx, batch_room *to)
{
    nng_msg *msg = NULL;
    size_t size = 0;

    tnng_lock(&ctx->lock);
    while (to->count < to->max && size <= to->capacity && !ctx->closed) {
        bool any = to->takes_large && to->count == 0;
        size_t room = any ? SIZE_MAX : to->capacity - to->used;
        if (tnng_ctx_recv_now(ctx, room, &msg) != 0 || msg == NULL) {
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
    pthread_mutex_unlock(&ctx->lock);
    return to->count;
}

int tnng_recv_many(
    tnng_ctx *ctx, char *buffer, size_t capacity, uint32_t *sizes, int max, nng_msg **batch)
{
    batch_room to = {buffer, 0, capacity, sizes, batch, 0, max, true};

    return tnng_forked() ? 0 : recv_fill(ctx, &to);
}

int tnng_waiter_recv_many(tnng_waiter *waiter, tnng_ctx *ctx, int max)
{
    if (tnng_forked() || !tnng_waiter_reserve_batch(waiter, &ctx->origin)) {
        return 0;
    }
    batch_room to = {waiter->packed, 0, TNNG_BATCH_BYTES, waiter->sizes, waiter->batch,
        waiter->count, max < TNNG_BATCH ? max : TNNG_BATCH, false};
    return waiter->count = recv_fill(ctx, &to);
}

/* [caller] */
void tnng_messages_recycle(nng_msg **batch, int count)
{
    for (int i = 0; i < count; i++) {
        tnng_msg_recycle(batch[i]);
    }
}

/* [caller] The last one first, so that the first is the next again. */
void tnng_unget_many(tnng_ctx *ctx, nng_msg **batch, int count)
{
    while (count > 0) {
        tnng_unget(ctx, batch[--count]);
    }
}

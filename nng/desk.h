/* What desk.c and seat.c share. */
#ifndef TNNG_DESK_H
#define TNNG_DESK_H

#include "internal.h"

/* Replies that may wait for their connections beside the free workers' receives. */
enum { UNREAD_REPLIES = 64 };

typedef enum {
    SEAT_IDLE,     /* in desk->idle */
    SEAT_POSTED,   /* with nng: a receive */
    SEAT_READY,    /* in desk->ready: a request nobody has taken */
    SEAT_TAKEN,    /* in desk->taken[worker]: a request that is being answered */
    SEAT_REPLYING, /* in desk->replying: nng has not accepted the reply yet */
} seat_stage;

typedef struct seat {
    struct seat *next; /* the list of its stage */
    struct seat *sibling;
    tnng_lane *lane;
    nng_ctx context;
    nng_aio *receive, *reply;
    nng_msg *msg; /* READY */
    bool counted; /* READY: it was handed out before, and given back */
    uint32_t pipe;
    seat_stage stage;
} seat;

/* All under lane->lock. */
struct tnng_desk {
    int workers;
    bool draining;
    seat *all, *idle, *replying;
    seat *ready, *last_ready;
    seat **taken;
    int posted, ready_count, taken_count, replying_count;
    uint64_t received, answered, abandoned;
};

/* seat.c: all with lane->lock held */
void tnng_desk_put_ready(tnng_desk *, seat *, nng_msg *, bool counted);
nng_msg *tnng_desk_take_ready(tnng_desk *, int worker);
void tnng_desk_put_idle(tnng_desk *, seat *);
void tnng_desk_collect(tnng_desk *);
bool tnng_desk_drained(tnng_desk *);
void tnng_desk_settle(tnng_lane *);
/* With no lock held; its context has closed. */
void tnng_seat_free(seat *);

#endif

/* What desk.c, seat.c and unread.c share, and what they have to do with respond.c. */
#ifndef TNNG_DESK_H
#define TNNG_DESK_H

#include "sock/sock.h"

typedef enum {
    SEAT_IDLE,     /* in desk->idle */
    SEAT_POSTED,   /* with nng: a receive */
    SEAT_READY,    /* in desk->ready: a request nobody has taken */
    SEAT_PARKED,   /* in reader->parked: a request that waits until its client has read replies */
    SEAT_TAKEN,    /* in desk->taken[worker]: a request that is being answered */
    SEAT_REPLYING, /* in reader->unread: nng has not accepted the reply yet */
} seat_stage;

typedef struct seat {
    struct seat *next; /* the list of its stage */
    struct seat *sibling;
    tnng_lane *lane;
    nng_ctx context;
    nng_aio *receive, *reply;
    nng_aio *told_reply; /* as reply, with a callback; made when it is needed */
    nng_msg *msg;        /* READY, PARKED */
    bool counted;        /* READY: it was handed out before, and given back */
    bool was_parked;     /* READY, TAKEN: it counts in reader->resumed */
    bool tells;          /* REPLYING: told_reply is with nng, and its callback has not run */
    uint32_t pipe;
    seat_stage stage;
} seat;

typedef struct {
    seat *first, *last;
} seats;

/* A connection that has replies to read; sock/unread.c. */
typedef struct reader {
    struct reader *next;      /* its bucket, or desk->spare_readers */
    struct reader *previous_reader, *next_reader;
    uint32_t pipe;
    seats unread, parked; /* oldest first */
    int unread_count, parked_count;
    size_t parked_bytes;
    int resumed;   /* requests that were parked, and are not answered yet */
    int64_t moved; /* when it last took a reply, or began to have any; milliseconds */
    bool ended;    /* it has not read: its connection is to be closed, */
    bool closed;   /* or was */
} reader;

enum { READER_BUCKETS = 256, SLOW_REMEMBERED = TNNG_MAX_SLOW };

/* All under lane->lock. */
struct tnng_desk {
    int workers, max_unread;
    bool draining;
    bool adopts;       /* C3: requests come from the socket's source, with their contexts */
    tnng_lane *source; /* a counted reference until the desk ends, or NULL */
    seat *all, *idle;
    seats ready;
    seat **taken;
    int posted, ready_count, taken_count, replying_count, parked_count;
    uint64_t received, answered, abandoned;

    reader *buckets[READER_BUCKETS]; /* by pipe */
    reader *readers;                 /* all of them */
    reader *spare_readers;           /* at least as many as could still become one */
    int collect_at;                  /* when so many replies wait, all are looked at */
    nng_aio *clock;                  /* looks again in a moment */
    bool ticks;                      /* it is with nng */
    uint64_t slow;                   /* connections that were closed because they did not read */
    uint32_t slow_pipes[SLOW_REMEMBERED];
    int slow_untold;   /* so many of them the program has not heard of */
    bool slow_telling; /* a worker is told of them just now */
};

/* sock/seat.c: all with lane->lock held */
void tnng_seats_append(seats *, seat *);
seat *tnng_seats_pop(seats *);
void tnng_desk_put_ready(tnng_desk *, seat *, nng_msg *, bool counted);
nng_msg *tnng_desk_take_ready(tnng_desk *, int worker);
void tnng_desk_put_idle(tnng_desk *, seat *);
bool tnng_desk_drained(tnng_desk *);
bool tnng_desk_has_news(tnng_desk *);
void tnng_desk_settle(tnng_lane *);
/* With no lock held; its context has closed. */
void tnng_seat_free(seat *);

/* Between a desk of surveys and their source. sock/respond.c: with no lock held; */
int tnng_source_attach(tnng_lane *desk, tnng_lane **source);
void tnng_source_detach(tnng_lane *source);
/* sock/seat.c, sock/recv.c: with source->lock held. */
bool tnng_desk_adopt(tnng_lane *desk, tnng_slot *);

/* sock/unread.c: all with lane->lock held */
int tnng_readers_open(tnng_lane *);
void tnng_readers_free(tnng_desk *);
void tnng_readers_end(tnng_desk *);
reader *tnng_reader_find(tnng_desk *, uint32_t pipe);
nng_aio *tnng_reader_aio(tnng_desk *, seat *);
void tnng_reader_add(tnng_lane *, seat *);
void tnng_reader_collect_all(tnng_desk *);
void tnng_reader_answered(tnng_desk *, seat *);
bool tnng_reader_parks(tnng_lane *, seat *, nng_msg *);

#endif

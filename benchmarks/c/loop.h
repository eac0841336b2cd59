/* The event loop of aio.c. Each flow of work has one aio, used again and again, one operation at a
 * time; its callback puts the flow on a list and rings an eventfd, which the only thread of ours
 * awaits with epoll. */
#ifndef LOOP_H
#define LOOP_H

#include "bench.h"

typedef struct flow {
    struct flow *next; /* in the list of finished ones; under lock */
    nng_aio *aio;
    nng_socket socket, acks;
    nng_ctx context;
    bool sending;
    int64_t index, received;
} flow;

void open_loop(void);
void prepare(flow *);
/* Waits for an operation to finish, and says whose it is. */
flow *next_done(void);
/* For closing: what finished and was not waited for. */
void forget_done(void);

void start_send(flow *, nng_socket, nng_msg *);
void start_receive(flow *);
/* One operation at a time: start it, and wait for it. */
void send_one(flow *, nng_socket, nng_msg *);
nng_msg *receive_one(flow *);

flow *open_contexts(nng_socket, int count);
void receive_in_context(flow *);
void send_in_context(flow *, nng_msg *);

#endif

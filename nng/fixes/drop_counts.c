/* F2: messages that nng drops because a receiver is slow. Where the queue of a subscriber is full,
 * Pub0 (on the side of the publisher) and Sub0 (on its own) take the oldest message out of it and
 * free it. Surveyor0 gives a respondent whose queue is full no survey, and frees a reply that finds
 * the queue of its survey full. No version of nng counts that or says so.
 *
 * Fix: all ask nni_lmq_full, which is wrapped, before they make room in a queue or drop.
 *
 *   - Pub0 asks once, in the thread that is inside a send on the socket. A full queue is a drop.
 *   - Sub0 asks in a thread of nng between nni_msg_set_pipe, with which the protocol begins to look
 *     at a message that has arrived, and nni_pipe_recv, with which it asks for the next one. It
 *     asks for each context twice: before it compares topics, and when the message is for that
 *     context. The second full answer for a queue is a drop.
 *   - Surveyor0 asks once in either place: for each respondent that is still being written to, and
 *     for a reply that belongs to a survey. A full queue is a drop. A reply of less than four bytes
 *     ends its connection without nni_pipe_recv, so nothing is asked for it; nor on a raw socket.
 *
 * F1 knows the socket of a connection; without F1 nothing is known of what is received. With
 * prefer_new=False a Sub0 drops the message that has arrived before it compares topics, so what it
 * drops is not known.
 *
 * This may go when nng has counters of all three. */
#include "fixes/fixes.h"

/* [any] Whether what Pub0 and Sub0 drop is counted. */
bool tnng_drops_are_known(void) { return TNNG_FIX_IS_ON(F2) && TNNG_FIX_IS_ON(F1); }

#ifdef TNNG_LINKED_IN

typedef struct nni_lmq nni_lmq;
typedef struct nni_pipe nni_pipe;
bool nni_lmq_full(nni_lmq *);
void nni_msg_set_pipe(nng_msg *, uint32_t);
void nni_pipe_recv(nni_pipe *, nng_aio *);

/* The socket whose full queues give up messages on this thread just now, how many did, and the
 * queue of a Sub0 that was full when it was asked first. */
static _Thread_local tnng_socket *dropping;
static _Thread_local uint64_t dropped;
static _Thread_local const nni_lmq *asked_once;

static void drops_add(void)
{
    tnng_socket *socket = dropping;
    uint64_t number = dropped;

    dropping = NULL;
    asked_once = NULL;
    dropped = 0;
    if (number > 0) {
        uint64_t before =
            atomic_fetch_add_explicit(&socket->traffic.dropped, number, memory_order_relaxed);
        socket->hooks->messages_dropped(socket, before == 0);
    }
}

/* [any] */
bool __wrap_nni_lmq_full(nni_lmq *queue)
{
    bool full = nni_lmq_full(queue);

    if (full && dropping != NULL) {
        if (dropping->protocol_number != TNNG_SUB0 || asked_once == queue) {
            dropped++;
            asked_once = NULL;
        } else {
            asked_once = queue;
        }
    }
    return full;
}

/* Whether the socket asks for a message that has arrived, and for the next one after that. */
static bool drops_of_receive(const tnng_socket *socket, nng_msg *msg)
{
    return socket->protocol_number == TNNG_SUB0 ||
           (socket->protocol_number == TNNG_SURVEYOR0 && !socket->raw && nng_msg_len(msg) >= 4);
}

/* [any] */
void __wrap_nni_msg_set_pipe(nng_msg *msg, uint32_t pipe)
{
    nni_msg_set_pipe(msg, pipe);
    if (tnng_drops_are_known()) {
        tnng_socket *socket = tnng_tx_socket(pipe);
        dropping = socket != NULL && drops_of_receive(socket, msg) ? socket : NULL;
    }
}

/* [nng] */
void __wrap_nni_pipe_recv(nni_pipe *pipe, nng_aio *aio)
{
    drops_add();
    nni_pipe_recv(pipe, aio);
}

/* [any] Around a submit of a send. */
void tnng_drops_begin(tnng_socket *socket)
{
    drops_add();
    bool asks = socket->protocol_number == TNNG_PUB0 ||
                (socket->protocol_number == TNNG_SURVEYOR0 && !socket->raw);

    if (asks && tnng_drops_are_known()) {
        dropping = socket;
    }
}

/* [any] */
void tnng_drops_end(void) { drops_add(); }

#else

void tnng_drops_begin(tnng_socket *socket) { (void) socket; }

void tnng_drops_end(void) {}

#endif

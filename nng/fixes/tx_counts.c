/* F1: what each connection was given, and has written. nng counts the messages that tcp, ipc and
 * tls have written; it counts nothing on ws and inproc, in every version to 1.12, and does not say
 * what waits in its queues. A read of its counters copies all counters of the process.
 *
 * Fix: every protocol passes messages to a connection through nni_pipe_send, and the transports
 * that count call nni_pipe_bump_tx; both are wrapped. ws finishes the write of a message in
 * nni_aio_finish_sync; its aio carries a mark of the shim from the submission on.
 *
 * A connection counts in a cell, which its id finds without a lock: ids are consecutive. When the
 * cell is in use, which needs 65 536 younger connections, nothing is known of the connection. nng
 * writes one message of a connection at a time, so one thread writes to a cell at a time.
 *
 * This may go when nng has counters on every transport that can be read one by one. */
#include "fixes/fixes.h"

enum { CELLS = 65536 };

typedef struct {
    atomic_uint_least32_t pipe;  /* 0: free */
    atomic_uint_least32_t ended; /* the last one that was in this cell */
    atomic_uint_fast64_t given, written, written_bytes;
} tx_cell;

static tx_cell cells[CELLS];
static _Atomic(tnng_socket *) sockets[CELLS]; /* of the connection in the cell, or the last one */

static tx_cell *tx_cell_of(uint32_t pipe)
{
    tx_cell *cell = &cells[pipe % CELLS];

    return atomic_load_explicit(&cell->pipe, memory_order_relaxed) == pipe ? cell : NULL;
}

#ifdef TNNG_LINKED_IN

typedef struct nni_pipe nni_pipe;
uint32_t nni_pipe_id(nni_pipe *);
void nni_pipe_send(nni_pipe *, nng_aio *);
void nni_pipe_bump_tx(nni_pipe *, size_t);
void nni_aio_finish_sync(nng_aio *, int, size_t);

/* The input of an aio that ws marks; libnng itself uses none but the first ones, elsewhere. */
enum { MARK = 3 };

static _Thread_local tx_cell *giving; /* what this thread gives a message to just now */

static void tx_add(atomic_uint_fast64_t *counter, uint64_t number)
{
    uint64_t before = atomic_load_explicit(counter, memory_order_relaxed);

    atomic_store_explicit(counter, before + number, memory_order_release);
}

static void tx_add_written(tx_cell *cell, size_t size)
{
    tx_add(&cell->written_bytes, size);
    tx_add(&cell->written, 1);
}

/* [any] Within a send on the socket, which is still open then. */
static void tx_add_late(uint32_t pipe)
{
    tnng_socket *socket = atomic_load(&sockets[pipe % CELLS]);

    if (atomic_load(&cells[pipe % CELLS].ended) == pipe) {
        atomic_fetch_add(&socket->traffic.given_late, 1);
    }
}

/* [any] */
tnng_socket *tnng_tx_socket(uint32_t pipe)
{
    tnng_socket *socket = atomic_load_explicit(&sockets[pipe % CELLS], memory_order_acquire);
    tx_cell *cell = &cells[pipe % CELLS];

    return atomic_load(&cell->pipe) == pipe || atomic_load(&cell->ended) == pipe ? socket : NULL;
}

/* [any] */
void __wrap_nni_pipe_send(nni_pipe *pipe, nng_aio *aio)
{
    tx_cell *outer = giving, *cell = tx_cell_of(nni_pipe_id(pipe));

    if (cell != NULL) {
        tx_add(&cell->given, 1);
    } else {
        tx_add_late(nni_pipe_id(pipe));
    }
    giving = cell;
    tnng_send_refused_watch(aio);
    nni_pipe_send(pipe, aio);
    tnng_send_refused_watch(NULL);
    giving = outer;
}

/* [nng] */
void __wrap_nni_pipe_bump_tx(nni_pipe *pipe, size_t size)
{
    tx_cell *cell = tx_cell_of(nni_pipe_id(pipe));

    nni_pipe_bump_tx(pipe, size);
    if (cell != NULL) {
        tx_add_written(cell, size);
    }
}

/* [nng] Of the transports only ws hands the message itself to its stream. */
void tnng_tx_mark(nng_aio *aio)
{
    if (giving != NULL && nng_aio_get_msg(aio) != NULL) {
        nng_aio_set_input(aio, MARK, giving);
    }
}

/* [nng] */
void __wrap_nni_aio_finish_sync(nng_aio *aio, int code, size_t size)
{
    tx_cell *cell = nng_aio_get_input(aio, MARK);

    if (cell >= cells && cell < cells + CELLS) {
        nng_aio_set_input(aio, MARK, NULL);
        if (code == 0) {
            tx_add_written(cell, size);
        }
    }
    TNNG_PAUSE("nng.finish_sync");
    nni_aio_finish_sync(aio, code, size);
}

#endif

/* [nng] Before the connection is used. False when nothing will be known of it. */
bool tnng_tx_begin(tnng_socket *socket, uint32_t pipe)
{
    size_t place = pipe % CELLS;
    tx_cell *cell = &cells[place];
    uint_least32_t free_cell = 0;

    if (!tnng_tx_is_counted() || !atomic_compare_exchange_strong(&cell->pipe, &free_cell, pipe)) {
        return false;
    }
    atomic_store(&cell->ended, 0);
    atomic_store(&sockets[place], socket);
    atomic_store(&cell->given, 0);
    atomic_store(&cell->written, 0);
    atomic_store(&cell->written_bytes, 0);
    return true;
}

/* [any] Of one that has begun, and not ended. */
void tnng_tx_read(uint32_t pipe, tnng_tx *tx)
{
    tx_cell *cell = tx_cell_of(pipe);

    if (cell != NULL) {
        /* Backwards, so that never more seems written than was given. */
        tx->written_bytes = atomic_load(&cell->written_bytes);
        tx->written = atomic_load(&cell->written);
        tx->given = atomic_load(&cell->given);
    }
}

/* [nng] */
void tnng_tx_end(uint32_t pipe, tnng_tx *tx)
{
    tx_cell *cell = tx_cell_of(pipe);

    if (cell != NULL) {
        tnng_tx_read(pipe, tx);
        atomic_store(&cell->ended, pipe);
        atomic_store(&cell->pipe, 0);
    }
}

/* [any] */
bool tnng_tx_is_counted(void) { return TNNG_FIX_IS_ON(F1); }

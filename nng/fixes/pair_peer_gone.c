/* C10: peers of Pair0 and Pair1 that leave while their messages arrive. nng forgets the connection,
 * and can then still note that this very connection holds a message (all versions): the next
 * receive follows a null pointer. It does not when somebody waits for that message.
 *
 * So a receive stands from the moment the peer is gone, which is before nng forgets the connection,
 * until the next one is there. What it brings keeps its place in the ring. */
#include "fixes/fixes.h"

static void part_or_join(tnng_socket *socket, bool parting)
{
    int number = socket->protocol_number;

    if ((number == TNNG_PAIR0 || number == TNNG_PAIR1) && TNNG_FIX_IS_ON(C10)) {
        socket->hooks->receives_stand(socket, parting);
    }
}

/* [nng] Told before nng forgets the connection. */
void tnng_pair_parts(tnng_socket *socket) { part_or_join(socket, true); }

/* [nng] Another one has taken its place. */
void tnng_pair_joins(tnng_socket *socket) { part_or_join(socket, false); }

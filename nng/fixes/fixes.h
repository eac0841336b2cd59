/* What the fixes of libnng's errors offer to the layers above; README.md is the table of them. Each
 * function works, and does nothing or what nng does, where its fix is off. Above core/, below the
 * other folders; what a fix needs of those is a hook (tnng_socket_hooks, tnng_causes_hooks). */
#ifndef TNNG_FIXES_H
#define TNNG_FIXES_H

#include "core/core.h"

#include "api/build.h"
#include "api/address.h"

#include "fixes/compat.h"
#include "fixes/table.h"
#include "fixes/wrap.h"

/* send_refused.c: L2 */
void tnng_send_refused_watch(nng_aio *);

/* ws_unsent.c: L6 */
void tnng_ws_unsent_mark(nng_aio *);
void tnng_ws_unsent_free(nng_aio *);

/* ws_unreceived.c: L7 */
void tnng_ws_unreceived_mark(nng_aio *);

/* ws_peer_gone.c: L5 */
void tnng_ws_peer_gone_check(nng_stream *, nng_aio *);

/* pair_peer_gone.c: C10 */
void tnng_pair_peer_lost(tnng_socket *);
void tnng_pair_peer_gained(tnng_socket *);

/* push_pipe_freed.c: C9 */
void tnng_push_peer_lost(tnng_socket *, uint32_t pipe);
void tnng_push_socket_closed(tnng_socket *);

/* epipe.c: S2 */
bool tnng_ipc_path_in_use(const char *path);

/* listener_names.c: L4 */
void tnng_listener_names_starting(const tnng_socket *, uint32_t listener);
int tnng_listener_names_close(int fd);
void tnng_listener_names_wait(const tnng_socket *, uint32_t listener);

/* addresses.c: M7 */
void tnng_addresses_aio_made(const nng_aio *);
void tnng_addresses_select(int which);
int tnng_addresses_count(uint32_t dialer);

/* handshake_timeout.c: S4 */
void tnng_handshake_timeout_stop(const tnng_addr *local, const tnng_addr *remote);

/* causes.c. An attempt of a dialer failed in the background; a peer did not get through the
 * handshake of a listener. */
typedef struct {
    void (*dial_failed)(uint32_t dialer, int code);
    void (*handshake_failed)(tnng_socket *, uint32_t listener, int code);
} tnng_causes_hooks;
typedef struct {
    int peer; /* the number of its protocol; 0 is not known */
    bool oversize;
} tnng_cause;
void tnng_causes_init(const tnng_causes_hooks *);
void tnng_causes_watch_next_aio(void);
void tnng_causes_aio_made(nng_aio *);
int tnng_causes_on_finish_error(nng_aio *, int code);
void tnng_causes_register(tnng_socket *, uint32_t id, bool listens);
/* 0: all of the socket. */
void tnng_causes_unregister(tnng_socket *, uint32_t id, bool listens);
tnng_cause tnng_cause_take(uint32_t pipe, bool gone);
int tnng_causes_registered(void);

/* tx_counts.c: F1. What a connection was given, and has written, as the last look saw it. */
typedef struct {
    uint64_t given, written, written_bytes;
} tnng_tx;
bool tnng_tx_is_counted(void);
bool tnng_tx_begin(tnng_socket *, uint32_t pipe);
void tnng_tx_read(uint32_t pipe, tnng_tx *);
void tnng_tx_end(uint32_t pipe, tnng_tx *);
void tnng_tx_mark(nng_aio *);
/* The socket of a connection that lives or has just ended; NULL: not known. */
tnng_socket *tnng_tx_socket(uint32_t pipe);

/* drop_counts.c: F2. Around every submit of a send. */
void tnng_drops_begin(tnng_socket *);
void tnng_drops_end(void);

#endif

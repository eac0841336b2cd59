/* Dialers and listeners, what becomes of attempts to connect, and who hears of it. */
#ifndef TNNG_DIALS_H
#define TNNG_DIALS_H

#include "internal.h"

/* conn/endpoint.c */
tnng_endpoint *tnng_endpoint_new(
    tnng_socket *, int (*work)(tnng_job *), int (*close)(tnng_job *));
void tnng_endpoint_hold(tnng_endpoint *);
void tnng_endpoint_release(tnng_endpoint *);
void tnng_endpoint_unlink(tnng_endpoint *);
tnng_endpoint *tnng_endpoint_find(tnng_socket *, uint32_t id, bool is_dialer);
void tnng_endpoints_free(tnng_socket *);
int tnng_endpoint_close(
    tnng_socket *, uint32_t id, bool is_dialer, tnng_port *, uint64_t tag, tnng_result *);
int tnng_endpoint_code(int code);
bool tnng_url_has_name(const char *url);
void tnng_endpoint_note_name(tnng_endpoint *, const char *url);
bool tnng_names_are_looked_up(void);

/* conn/dial.c: with endpoint_lock held; NULL is every dialer. With pipes_lock held. */
void tnng_let_dials_begin(tnng_socket *, tnng_endpoint *dialer);
void tnng_tell_dialer(tnng_socket *, tnng_pipe *);
void tnng_refuse_dial(tnng_socket *, uint32_t dialer, int code);

/* sock/close.c */
int tnng_run_socket_close(tnng_job *);

/* conn/admission.c */
bool tnng_pipe_is_admitted(tnng_socket *, const tnng_pipe_info *);
void tnng_rules_forget(tnng_socket *, uint32_t listener);
void tnng_rules_free(tnng_socket *);

/* conn/pipe_events.c: with pipes_lock held */
void tnng_events_tell(tnng_socket *, int kind, tnng_pipe *);
void tnng_events_shut(tnng_socket *);

/* conn/pipe_table.c: with pipes_lock held, except where no socket is named */
tnng_pipe *tnng_pipe_new(nng_pipe);
tnng_pipe *tnng_pipe_blank(void);
tnng_pipe *tnng_table_find(tnng_socket *, uint32_t id);
int tnng_table_add(tnng_socket *, tnng_pipe *);
void tnng_table_remove(tnng_socket *, tnng_pipe *);
void tnng_table_free(tnng_socket *);
int tnng_pipes_in_process(void);

/* conn/dialer_state.c: whatever was not dialled here is none of its business */
void tnng_dialer_add(tnng_socket *, uint32_t id);
void tnng_dialer_forget(uint32_t id);
void tnng_dialers_forget(tnng_socket *);
void tnng_dial_begins(uint32_t id);
void tnng_dial_ends(uint32_t id, int code);
void tnng_dial_failed(uint32_t id, int code);
void tnng_dial_tries(uint32_t id);
int tnng_dials_awaited(void);
enum { TNNG_DIAL_COUNTERS = 7 };
typedef struct {
    uint64_t of[TNNG_DIAL_COUNTERS];
} tnng_dial_counts;
void tnng_dial_counted(uint32_t id, const tnng_dial_counts *);
int64_t tnng_dial_settles(int64_t begun, bool ws);
int tnng_dial_code(int reason);
/* With pipes_lock held. */
void tnng_dial_connected(tnng_pipe *);
int tnng_dial_lost(tnng_pipe *, bool heard);
/* Without a lock. */
void tnng_dial_pauses(uint32_t id, int brief);

/* conn/dial_watch.c */
void tnng_dials_are_awaited(void);

/* fixes/causes.c */
typedef struct {
    int peer; /* the number of its protocol; 0 is not known */
    bool oversize;
} tnng_cause;
void tnng_causes_expect(void);
void tnng_causes_made(nng_aio *);
int tnng_cause_of_end(nng_aio *, int code);
void tnng_causes_of(tnng_socket *, uint32_t id, bool listens);
/* 0: all of the socket. */
void tnng_causes_forget(tnng_socket *, uint32_t id, bool listens);
tnng_cause tnng_cause_take(uint32_t pipe, bool gone);
int tnng_causes_count(void);

/* conn/pipes.c: [nng] a peer did not get through the handshake */
void tnng_stranger_failed(tnng_socket *, uint32_t listener, int code);

/* conn/reports.c */
void tnng_report_queue(tnng_report);
/* With pipes_lock held: a peer of a listener was refused, or sent too much. */
void tnng_report_peer(tnng_socket *, tnng_pipe *, int code);

#endif

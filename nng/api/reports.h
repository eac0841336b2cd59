/* Reports: failures that no call waits for, and what instruments are told of. */

/* Why a connection ended, or was never made. */
enum {
    TNNG_REASON_NONE,           /* not known, or nothing is wrong */
    TNNG_REASON_ADMISSION,      /* the listener's rule refused it */
    TNNG_REASON_PROTOCOL,       /* the peer speaks another protocol */
    TNNG_REASON_ALREADY_PAIRED, /* the socket has a peer, and takes only one */
    TNNG_REASON_OVERSIZE,       /* it sent a message above the limit */
    TNNG_REASON_HANDSHAKE,      /* its handshake failed */
    TNNG_REASON_SLOW,           /* it did not read what was sent to it */
    TNNG_REASON_REFUSED,        /* the peer closed it as soon as it was made */
    TNNG_REASON_DROPS,          /* only of reports: messages were dropped (F2) */
};

/* The taker of a report owns its `pipe`, if there is one. */
typedef struct {
    bool listener;     /* `endpoint` is the id of one, else that of a dialer */
    uint32_t endpoint; /* where it happened */
    int32_t code;      /* dialers: why an attempt failed; an nng error number, or TNNG_* below */
    int32_t reason;    /* TNNG_REASON_*: why a connection was refused, or ended */
    int32_t event;     /* TNNG_CONNECTED and its like, or TNNG_DROPPED; 0: a failure, for the log */
    tnng_pipe *pipe;
} tnng_report;

/* Codes for dialers, beside nng's. */
enum {
    TNNG_REFUSED = -40,        /* the peer closed the connection as soon as it was made */
    TNNG_ALREADY_PAIRED = -41, /* the socket has a peer, and takes only one */
    TNNG_FLAPPING = -42,       /* connections are made and end soon, several in a row */
    TNNG_UNKNOWN_CAUSE = -43,  /* an attempt failed, and nng does not say why */
};

enum { TNNG_DROPPED = 4 }; /* messages were; at most once in 0.1 s a socket */

/* False when there is no report. */
bool tnng_report_take(tnng_report *);
/* Whether events are reported, too; the first answer is no. */
void tnng_report_events(bool on);
/* How many events there was no room for, since the last call. */
uint32_t tnng_reports_lost(void);
/* The function that a thread calls when there are reports. */
void tnng_set_report_hook(void (*hook)(void));
/* The interpreter ends: when this returns, no call of the hook runs or starts. */
void tnng_reports_close(void);

/* The state of a dialer that has not been closed. */
typedef struct {
    bool connected;
    int32_t code; /* why it is not, as in tnng_report; 0: no attempt has failed yet */
} tnng_dialer_state;
tnng_dialer_state tnng_dialer_state_read(uint32_t dialer);

/* Reports: what goes wrong where no call waits for the answer. */

/* Why a connection ended, or was never made. */
enum {
    TNNG_REASON_NONE,           /* not known, or nothing is wrong */
    TNNG_REASON_ADMISSION,      /* our rule refused it */
    TNNG_REASON_PROTOCOL,       /* the peer speaks another protocol */
    TNNG_REASON_ALREADY_PAIRED, /* we have a peer already, and take only one */
    TNNG_REASON_OVERSIZE,       /* it sent a message larger than we take */
    TNNG_REASON_HANDSHAKE,      /* it never got so far */
    TNNG_REASON_SLOW,           /* it did not read what was sent to it */
    TNNG_REASON_REFUSED,        /* the peer closed it as soon as it was made */
};

/* `pipe`, if there is one, belongs to who takes the report. */
typedef struct {
    bool listener;     /* `endpoint` is the id of one, else that of a dialer */
    uint32_t endpoint; /* where it happened */
    int32_t code;      /* dialers: why an attempt failed; an nng error number, or TNNG_* below */
    int32_t reason;    /* TNNG_REASON_*: why a connection was refused, or ended */
    tnng_pipe *pipe;
} tnng_report;

/* Codes for dialers, beside nng's. */
enum {
    TNNG_REFUSED = -40,        /* the peer closed the connection as soon as it was made */
    TNNG_ALREADY_PAIRED = -41, /* we have a peer already, and take only one */
    TNNG_FLAPPING = -42,       /* connections are made, and end again and again */
    TNNG_UNKNOWN_CAUSE = -43,  /* an attempt failed, and nng does not say why */
};

/* False: there is none. */
bool tnng_report_take(tnng_report *);
/* Who to call, on a thread of its own, when there are some. */
void tnng_set_report_hook(void (*hook)(void));
/* The interpreter ends: no call begins any more, and none is under way. */
void tnng_reports_close(void);

/* What is known of a dialer that has not been closed. */
typedef struct {
    bool connected;
    int32_t code; /* why it is not, as in tnng_report; 0: no attempt has failed yet */
} tnng_dialer_state;
tnng_dialer_state tnng_dialer_state_read(uint32_t dialer);

/* The build: how libnng is linked, and which fixes of its errors are active. */

typedef struct {
    const char *code;  /* as in nng/fixes/README.md */
    const char *error; /* what happens without the fix */
    bool active;
    bool needed;        /* this libnng has the error, as far as can be told */
    const char *reason; /* why it is active, or not */
} tnng_fix_state;

/* True when libnng's calls of all these functions go to the wrappers (fixes/wrap.h). */
bool tnng_wraps(const char *names);

/* False: `index` is past the last fix. */
bool tnng_fix_state_at(int index, tnng_fix_state *);

typedef struct {
    const char *link;    /* "static" or "shared" */
    const char *library; /* the archive that was linked in, or the library the loader has found */
    const char *headers; /* the version that the headers have */
} tnng_build;

void tnng_build_read(tnng_build *);
/* True when wake-ups of nng's task threads are coalesced. */
bool tnng_wakeups_enabled(void);
/* True when libnng is 1.`minor` or later. Versions from 1.10 on cannot be told apart. */
bool tnng_nng_is(int minor);
/* Empty when libnng has no TLS. Called after a socket was opened. */
const char *tnng_tls_engine(void);

/* How many threads nng makes when it is first used. */
int tnng_threads_needed(void);

const char *nng_version(void);
const char *nng_strerror(int);
/* True when the cause of every failure is known, and messages that are too large are counted;
 * otherwise only nng's counters tell. */
bool tnng_causes_are_known(void);
/* True when the messages that a Pub0 or Sub0 drops are counted. */
bool tnng_drops_are_known(void);

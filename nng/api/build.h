/* What the module is made of, and which fixes of libnng's errors work in it. */

typedef struct {
    const char *code;  /* as in nng/fixes/README.md */
    const char *error; /* what happens without the fix */
    bool active;
    bool needed;        /* this libnng has the error, as far as can be told */
    const char *reason; /* why it is active, or not */
} tnng_fix_state;

/* Whether libnng's calls of all these functions reach ours (fixes/wrap.h). */
bool tnng_wraps(const char *names);

/* false: there are not so many. */
bool tnng_fix_state_at(int index, tnng_fix_state *);

typedef struct {
    const char *link;    /* "static" or "shared" */
    const char *library; /* the archive that was linked in, or the library the loader has found */
    const char *headers; /* the version that the headers have */
} tnng_build;

void tnng_build_read(tnng_build *);
/* Whether wake-ups of nng's task threads are coalesced. */
bool tnng_wakeups_enabled(void);
/* Whether libnng is 1.`minor` or later; nothing tells versions from 1.10 on apart. */
bool tnng_nng_is(int minor);
/* Empty: libnng has no TLS. A socket must have been opened before. */
const char *tnng_tls_engine(void);

/* How many threads nng makes when it is first used. */
int tnng_threads_needed(void);

const char *nng_version(void);
const char *nng_strerror(int);
/* Whether the cause of every failure is known, and messages that are too large; else only what
 * nng's counters tell. */
bool tnng_causes_are_known(void);

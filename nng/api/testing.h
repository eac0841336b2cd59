/* For tests: pause points, hazards without their fixes, and what the shim counts. */

/* The test build: pause points, and workarounds switched off by TNNG_WITHOUT=C1,... In the build
 * that is shipped, arming answers NNG_ENOTSUP and nothing can be switched off. */
bool tnng_testing(void);
int tnng_pause_arm(const char *point);
int tnng_pause_reached(const char *point, int milliseconds);
void tnng_pause_open(const char *point);
/* The allocation of the shim with this number, from now on, fails; 0 is none. Where it
 * did, or NULL. */
void tnng_fail_allocation(int number);
const char *tnng_allocation_failed(int *line);
/* Whether a stop of an aio waits for its operation. */
bool tnng_stop_waits(void);

/* Where each cancel landed, counted over the life of the process. */
typedef struct {
    uint64_t before_submit;
    uint64_t pending;
    uint64_t completed;
    uint64_t taken;
} tnng_cancel_counts;
void tnng_cancel_counts_read(tnng_cancel_counts *);
void tnng_cancel_counts_reset(void);
void tnng_count_cancel_before_submit(void);
void tnng_count_cancel_taken(void);

/* How many wake-ups of nng's threads were left to threads that are awake; how many had to wait. */
uint64_t tnng_wakeups_suppressed(void);
uint64_t tnng_wakeups_deferred(void);

/* C9: how many connections of Push0 nng has freed and not forgotten. */
int tnng_push_deferred_frees(void);
/* L2: how many messages were given to connections that had been stopped. */
uint64_t tnng_sends_refused(void);
/* L6: how many messages ws connections had when a send failed. */
uint64_t tnng_ws_unsent(void);
/* For tests: how many records the shim keeps of dialers and listeners that sockets have, where each
 * dialer has two in a static build. */
int tnng_endpoint_records(void);

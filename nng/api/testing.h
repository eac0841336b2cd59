/* For tests: pause points, hazards without their fixes, and what the shim counts. */

/* The test build has pause points, and TNNG_WITHOUT=C1,... switches fixes off. In the shipped build
 * tnng_pause_arm returns NNG_ENOTSUP. */
bool tnng_testing(void);
int tnng_pause_arm(const char *point);
int tnng_pause_reached(const char *point, int milliseconds);
void tnng_pause_open(const char *point);
/* The shim's allocation, thread, wake-up descriptor or socket with this number, from now on, fails;
 * 0: none. Then the place where it failed, or NULL. */
void tnng_fail_allocation(int number);
const char *tnng_allocation_failed(int *line);
/* True when a stop of an aio waits for its operation. */
bool tnng_stop_waits(void);

/* Counts where each cancel landed, over the life of the process. */
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

/* Counts the signals to nng's task threads that were suppressed, and those that were deferred. */
uint64_t tnng_wakeups_suppressed(void);
uint64_t tnng_wakeups_deferred(void);

/* C9: counts the connections of Push0 whose free is deferred. */
int tnng_push_deferred_frees(void);
/* L2: counts the messages that closing connections refused. */
uint64_t tnng_sends_refused(void);
/* L6: counts the messages that ws connections could not write. */
uint64_t tnng_ws_unsent(void);
/* L7: counts the messages that ws connections received and did not pass on. */
uint64_t tnng_ws_unreceived(void);
/* Counts the shim's records of dialers and listeners; in a static build each dialer has two. */
int tnng_endpoint_records(void);

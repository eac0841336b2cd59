/* Who may connect through a listener. */

/* An IPv4 (4 bytes) or IPv6 (16 bytes) network; a host is one with all its bits. */
typedef struct {
    uint32_t size;
    uint32_t prefix;
    uint8_t bytes[16];
} tnng_network;

/* All that is demanded must hold, and what a connection cannot show does not hold. A NULL list
 * demands nothing. */
typedef struct {
    const tnng_network *networks;
    int network_count;
    const uint64_t *uids;
    int uid_count;
    const char *const *origins;
    int origin_count;
    bool missing_origin; /* a request without an Origin is as good as one that is listed */
    bool tls_verified;
} tnng_admission;

/* Copies the rule. Before the listener starts, so that nobody comes before it. */
int tnng_listener_admit(tnng_socket *, uint32_t listener, const tnng_admission *);

/* Admission: which peers a listener accepts. */

/* An IPv4 (4 bytes) or IPv6 (16 bytes) network; a host is one with all its bits. */
typedef struct {
    uint32_t size;
    uint32_t prefix;
    uint8_t bytes[16];
} tnng_network;

/* A peer is admitted when it meets every demand; a demand that its transport cannot show is not
 * met. A NULL list demands nothing. */
typedef struct {
    const tnng_network *networks;
    int network_count;
    const uint64_t *uids;
    int uid_count;
    const char *const *origins;
    int origin_count;
    const char *const *tls_names; /* one of the alternative names; the common name if it has none */
    int tls_name_count;
    bool missing_origin; /* a request without an Origin is admitted too */
    bool tls_verified;
} tnng_admission;

/* Copies the rule. Called before the listener starts, so that it applies to the first peer. */
int tnng_listener_admit(tnng_socket *, uint32_t listener, const tnng_admission *);

/* TLS configurations, and what this libnng supports of TLS and WebSocket. */

typedef struct nng_tls_config nng_tls_config;

/* One for each endpoint: nng refuses to change a configuration that a connection uses. The caller
 * frees it; an endpoint keeps a reference of its own. Strings end with NUL; optional ones may be
 * NULL. */
int tnng_tls_new(bool server, nng_tls_config **);
int tnng_tls_server_name(nng_tls_config *, const char *name);
int tnng_tls_ca_chain(nng_tls_config *, const char *chain, const char *revoked);
int tnng_tls_own_cert(nng_tls_config *, const char *cert, const char *key, const char *password);
int tnng_tls_auth_mode(nng_tls_config *, int mode);
void tnng_tls_free(nng_tls_config *);

int tnng_tls_set(int on, uint32_t id, nng_tls_config *);
/* The configuration of an endpoint, for comparison only: no reference is taken. NULL: none. */
const void *tnng_tls_get(int on, uint32_t id);

/* True when the HTTP server of this libnng is safe against untrusted clients (S3). */
bool tnng_ws_is_hardened(void);
/* True when this libnng tells whom the certificate of a peer names. */
bool tnng_tells_tls_names(void);
/* True when a client's server name "\1example.org" is sent and not checked, and "\1" is neither
 * sent nor checked (T1). */
bool tnng_tls_sends_unchecked_names(void);

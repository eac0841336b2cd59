/* TLS configurations, and what this libnng has of TLS and WebSocket. */

typedef struct nng_tls_config nng_tls_config;

/* One an endpoint: nng refuses to change a configuration while a connection uses it. The caller
 * owns what it gets, and frees it; an endpoint it was put on keeps a reference of its own. Strings
 * are ASCIIZ; what may be absent may be NULL. */
int tnng_tls_new(bool server, nng_tls_config **);
int tnng_tls_server_name(nng_tls_config *, const char *name);
int tnng_tls_ca_chain(nng_tls_config *, const char *chain, const char *revoked);
int tnng_tls_own_cert(nng_tls_config *, const char *cert, const char *key, const char *password);
int tnng_tls_auth_mode(nng_tls_config *, int mode);
void tnng_tls_free(nng_tls_config *);

int tnng_tls_set(int on, uint32_t id, nng_tls_config *);
/* Which configuration an endpoint has, for comparing only: it is not held. NULL: none. */
const void *tnng_tls_get(int on, uint32_t id);

/* Whether strangers may reach a ws listener of this libnng (S3). */
bool tnng_ws_is_hardened(void);
/* Whether the server name "\1example.org" of a client's configuration is sent and not checked, and
 * "\1" neither. */
bool tnng_tls_sends_unchecked_names(void);

/* TLS configurations. */
#include "conn/conn.h"

#include <nng/supplemental/tls/tls.h>

int tnng_tls_new(bool server, nng_tls_config **config)
{
    int code = tnng_init(tnng_threads_needed());

    if (code != 0) {
        return code;
    }
    if (TNNG_SIMULATE("NOTLS")) {
        return NNG_ENOTSUP;
    }
    return nng_tls_config_alloc(config, server ? NNG_TLS_MODE_SERVER : NNG_TLS_MODE_CLIENT);
}

int tnng_tls_server_name(nng_tls_config *config, const char *name)
{
    return nng_tls_config_server_name(config, name);
}

int tnng_tls_ca_chain(nng_tls_config *config, const char *chain, const char *revoked)
{
    return nng_tls_config_ca_chain(config, chain, revoked);
}

int tnng_tls_own_cert(
    nng_tls_config *config, const char *cert, const char *key, const char *password)
{
    return nng_tls_config_own_cert(config, cert, key, password);
}

int tnng_tls_auth_mode(nng_tls_config *config, int mode)
{
    return nng_tls_config_auth_mode(config, (nng_tls_auth_mode) mode);
}

/* [any] A forked child leaves nng's locks alone. */
void tnng_tls_free(nng_tls_config *config)
{
    if (!tnng_forked()) {
        nng_tls_config_free(config);
    }
}

/* On endpoints only: before nng 1.9 a socket does not hold the configuration it is given (issue
 * 1835). */
int tnng_tls_set(int on, uint32_t id, nng_tls_config *config)
{
    TNNG_GUARD_FORK(TNNG_FORKED);
    return on == TNNG_ON_LISTENER
               ? nng_listener_set_ptr((nng_listener){id}, NNG_OPT_TLS_CONFIG, config)
               : nng_dialer_set_ptr((nng_dialer){id}, NNG_OPT_TLS_CONFIG, config);
}

/* nng holds a reference for each caller that asks; it is given back at once. */
const void *tnng_tls_get(int on, uint32_t id)
{
    void *config = NULL;

    TNNG_GUARD_FORK(NULL);
    int code = on == TNNG_ON_LISTENER
                   ? nng_listener_get_ptr((nng_listener){id}, NNG_OPT_TLS_CONFIG, &config)
                   : nng_dialer_get_ptr((nng_dialer){id}, NNG_OPT_TLS_CONFIG, &config);
    if (code != 0 || config == NULL) {
        return NULL;
    }
    nng_tls_config_free(config);
    return config;
}

/* S3: memory errors of the HTTP server that a request can trigger (issues 1595, 1611), mended in
 * 1.6. */
bool tnng_ws_is_hardened(void) { return tnng_nng_is(6); }

/* [caller] A socket has been opened before, so forks are watched. */
const char *tnng_tls_engine(void) { return tnng_forked() ? "" : nng_tls_engine_description(); }

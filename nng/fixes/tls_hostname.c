/* T1: a TLS client cannot send a server name without checking it. nng has one server name, which
 * Mbed TLS sends (SNI) and checks. So a client that verifies the certificate and not the name sends
 * none, and a server with many names shows the wrong certificate. From Mbed TLS 3.6.3 on such a
 * client connects to no server: the client must say that no name is to be checked, in a call that
 * nng never makes (error -0x5D80).
 *
 * Fix: nng's call that sets the name is wrapped. A name that begins with \1 is sent without that
 * character, and a name mismatch is removed from what Mbed TLS finds wrong with the certificate.
 * Only trionng makes such names. This may go when nng has a function for it.
 *
 * The functions of Mbed TLS are declared here as weak symbols, so neither its headers nor the
 * library has to be there. Their types and the number of the flag are the same in 2.16 to 3.6. */
#include "fixes/fixes.h"

enum { MARK = '\1', NAME_DIFFERS = 0x04 };

typedef int (*verify_function)(void *, void *certificate, int depth, uint32_t *flags);

__attribute__((weak)) int mbedtls_ssl_set_hostname(void *connection, const char *name);
__attribute__((weak)) void mbedtls_ssl_set_verify(
    void *connection, verify_function, void *argument);

/* [nng] `flags` says what is wrong with a certificate of the chain; depth 0 is the peer's own. */
static int tls_hostname_ignore_mismatch(void *unused, void *certificate, int depth, uint32_t *flags)
{
    (void) unused;
    (void) certificate;
    if (depth == 0) {
        *flags &= ~(uint32_t) NAME_DIFFERS;
    }
    return 0;
}

int __wrap_mbedtls_ssl_set_hostname(void *connection, const char *name)
{
    if (name == NULL || name[0] != MARK) {
        return mbedtls_ssl_set_hostname(connection, name);
    }
    if (name[1] == '\0') {
        return mbedtls_ssl_set_hostname(connection, NULL);
    }
    mbedtls_ssl_set_verify(connection, tls_hostname_ignore_mismatch, NULL);
    return mbedtls_ssl_set_hostname(connection, name + 1);
}

/* [any] */
bool tnng_tls_sends_unchecked_names(void)
{
    return TNNG_FIX_IS_ON(T1) && mbedtls_ssl_set_hostname != NULL && mbedtls_ssl_set_verify != NULL;
}

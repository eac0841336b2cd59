/* T1: nng knows one name of a server, which Mbed TLS both sends (SNI) and checks. So a client that
 * verifies a certificate but no name can send none, and a server of many names shows it the wrong
 * certificate; and from Mbed TLS 3.6.3 on it connects to nobody, because there a client must say
 * that it wants no name checked, with a call that nng never makes (error -0x5D80).
 *
 * Here nng's call that sets the name of a connection is ours. A name that begins with \1 is sent
 * without that character and not checked: of what Mbed TLS finds wrong with a certificate, the name
 * is struck out. Such a name comes from trionng alone. This may go when nng has a function for it.
 *
 * The functions of Mbed TLS are declared here, and weakly: its headers need not be there, nor it
 * itself. Their types and the number of the flag are the same in 2.16 to 3.6. */
#include "fixes/fixes.h"

enum { MARK = '\1', NAME_DIFFERS = 0x04 };

typedef int (*verify_function)(void *, void *certificate, int depth, uint32_t *flags);

__attribute__((weak)) int mbedtls_ssl_set_hostname(void *connection, const char *name);
__attribute__((weak)) void mbedtls_ssl_set_verify(
    void *connection, verify_function, void *argument);

/* [nng] What is wrong with a certificate of the chain; 0 is the peer's own. */
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

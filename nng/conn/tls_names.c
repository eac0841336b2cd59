/* Whom a peer's certificate names (nng 1.6). libnng gives the subject from "CN=" to its end as Mbed
 * TLS writes it, and alternative names of every kind as bare bytes; what is no text is left out. */
#include <stdlib.h>
#include <string.h>

#include "conn/conn.h"

/* Not in the headers of nng 1.5. */
static const char *const CN = "tls-peer-cn", *const ALT_NAMES = "tls-peer-alt-names";

bool tnng_tells_tls_names(void) { return tnng_nng_is(6); }

static bool tls_names_is_text(const char *name)
{
    for (const unsigned char *at = (const unsigned char *) name; *at != 0; at++) {
        if (*at < ' ' || *at == 0x7F) {
            return false;
        }
    }
    return *name != 0;
}

static int tls_names_hex(char digit)
{
    static const char digits[] = "0123456789ABCDEF";
    const char *found = digit == 0 ? NULL : strchr(digits, digit);

    return found == NULL ? -1 : (int) (found - digits);
}

/* The first value of a subject, in place: "a\\, b, O=c" is "a, b". One with a NUL in it is empty:
 * what stands before the NUL may be the name of another peer. */
static void tls_names_cut(char *subject)
{
    char *out = subject;

    for (const char *at = subject; *at != 0 && *at != ',' && strncmp(at, " + ", 3) != 0; at++) {
        if (*at == '\\' && at[1] != 0) {
            int high = tls_names_hex(at[1]), low = high < 0 ? -1 : tls_names_hex(at[2]);
            at += low < 0 ? 1 : 2;
            if (low >= 0 && (high << 4 | low) == 0) {
                out = subject;
                break;
            }
            *out++ = low < 0 ? *at : (char) (high << 4 | low);
        } else {
            *out++ = *at;
        }
    }
    *out = 0;
}

/* [nng] In ADD_PRE. Only of a certificate that was verified: on an empty alternative name libnng
 * (1.6 to 1.12) never returns. */
void tnng_tls_names_read(nng_pipe id, tnng_pipe_info *info)
{
    void *names = NULL;

    if (!tnng_tells_tls_names() || info->tls_verified != 1) {
        return;
    }
    if (nng_pipe_get_string(id, CN, &info->tls_cn) == 0 && info->tls_cn != NULL) {
        tls_names_cut(info->tls_cn);
    }
    if (nng_pipe_get_ptr(id, ALT_NAMES, &names) == 0 && names != NULL) {
        char **kept = info->tls_names = names;
        for (char **name = names; *name != NULL; name++) {
            if (tls_names_is_text(*name)) {
                *kept++ = *name;
            } else {
                free(*name);
            }
        }
        *kept = NULL;
    }
}

/* [any] A list that ends with NULL, and what is in it. */
void tnng_strings_free(char **strings)
{
    for (char **each = strings; each != NULL && *each != NULL; each++) {
        free(*each);
    }
    free(strings);
}

/* [any] libnng took them from malloc. */
void tnng_tls_names_free(tnng_pipe_info *info)
{
    tnng_strings_free(info->tls_names);
    free(info->tls_cn);
}

bool tnng_tls_is_named(const tnng_pipe_info *info, const char *wanted)
{
    if (info->tls_names == NULL || info->tls_names[0] == NULL) {
        return info->tls_cn != NULL && strcmp(info->tls_cn, wanted) == 0;
    }
    for (char **name = info->tls_names; *name != NULL; name++) {
        if (strcmp(*name, wanted) == 0) {
            return true;
        }
    }
    return false;
}

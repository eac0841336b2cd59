/* Admission: a listener's rule, looked at before a peer can exchange a message. That happens in a
 * callback of nng where no Python can run and only getters may be called, so a rule is data. */
#include <stdlib.h>
#include <string.h>

#include "conn/conn.h"

/* Under socket->pipes->lock once it is in the list; never changed then. */
struct tnng_admission_rule {
    tnng_admission_rule *next;
    uint32_t listener;
    tnng_admission demands; /* its lists are copies */
    tnng_network *networks;
    uint64_t *uids;
    char **origins;
    char **tls_names;
};

static void admission_rule_free(tnng_admission_rule *rule)
{
    if (rule == NULL) {
        return;
    }
    tnng_strings_free(rule->origins);
    tnng_strings_free(rule->tls_names);
    free(rule->networks);
    free(rule->uids);
    free(rule);
}

static void *admission_copy(const void *list, size_t size)
{
    void *copied = malloc(size > 0 ? size : 1);

    return copied == NULL ? NULL : memcpy(copied, list, size);
}

static char **admission_strings_copy(const char *const *strings, int count)
{
    char **copied = calloc((size_t) count + 1, sizeof(*copied));

    for (int i = 0; copied != NULL && i < count; i++) {
        if ((copied[i] = strdup(strings[i])) == NULL) {
            tnng_strings_free(copied);
            return NULL;
        }
    }
    return copied;
}

/* NULL when there is no memory. */
static tnng_admission_rule *admission_rule_new(uint32_t listener, const tnng_admission *demands)
{
    tnng_admission_rule *rule = calloc(1, sizeof(*rule));
    bool complete = rule != NULL;

    if (rule == NULL) {
        return NULL;
    }
    rule->listener = listener;
    rule->demands = *demands;
    if (demands->networks != NULL) {
        size_t size = (size_t) demands->network_count * sizeof(tnng_network);
        complete &= (rule->networks = admission_copy(demands->networks, size)) != NULL;
    }
    if (demands->uids != NULL) {
        size_t size = (size_t) demands->uid_count * sizeof(uint64_t);
        complete &= (rule->uids = admission_copy(demands->uids, size)) != NULL;
    }
    if (demands->origins != NULL) {
        rule->origins = admission_strings_copy(demands->origins, demands->origin_count);
        complete &= rule->origins != NULL;
    }
    if (demands->tls_names != NULL) {
        rule->tls_names = admission_strings_copy(demands->tls_names, demands->tls_name_count);
        complete &= rule->tls_names != NULL;
    }
    if (!complete) {
        admission_rule_free(rule);
        return NULL;
    }
    return rule;
}

int tnng_listener_admit(tnng_socket *socket, uint32_t listener, const tnng_admission *demands)
{
    tnng_admission_rule *rule;

    TNNG_GUARD_FORK(TNNG_FORKED);
    if ((rule = admission_rule_new(listener, demands)) == NULL) {
        return NNG_ENOMEM;
    }
    pthread_mutex_lock(&socket->pipes->lock);
    rule->next = socket->pipes->rules;
    socket->pipes->rules = rule;
    pthread_mutex_unlock(&socket->pipes->lock);
    return 0;
}

/* [job] The listener has closed: nng makes no more connections for it. */
void tnng_admission_rules_remove(tnng_socket *socket, uint32_t listener)
{
    tnng_admission_rule *rule;

    pthread_mutex_lock(&socket->pipes->lock);
    tnng_admission_rule **link = &socket->pipes->rules;
    while (*link != NULL && (*link)->listener != listener) {
        link = &(*link)->next;
    }
    rule = *link;
    if (rule != NULL) {
        *link = rule->next;
    }
    pthread_mutex_unlock(&socket->pipes->lock);
    admission_rule_free(rule);
}

/* [any] With the socket's last reference. */
void tnng_admission_rules_free(tnng_socket *socket)
{
    for (tnng_admission_rule *rule; (rule = socket->pipes->rules) != NULL;) {
        socket->pipes->rules = rule->next;
        admission_rule_free(rule);
    }
}

static bool admission_network_contains(
    const tnng_network *network, const uint8_t *bytes, uint32_t size)
{
    uint32_t whole = network->prefix / 8, rest = network->prefix % 8;

    return network->size == size && memcmp(network->bytes, bytes, whole) == 0 &&
           (rest == 0 || ((network->bytes[whole] ^ bytes[whole]) >> (8 - rest)) == 0);
}

static bool admission_addr_listed(const tnng_admission_rule *rule, const tnng_addr *addr)
{
    static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF};
    const uint8_t *bytes = addr->data;
    uint32_t size = addr->size;

    if (addr->family != NNG_AF_INET && addr->family != NNG_AF_INET6) {
        return false;
    }
    /* A socket that serves both families shows an IPv4 peer as ::ffff:a.b.c.d. */
    if (size == 16 && memcmp(bytes, mapped, sizeof(mapped)) == 0) {
        bytes += sizeof(mapped);
        size = 4;
    }
    for (int i = 0; i < rule->demands.network_count; i++) {
        if (admission_network_contains(&rule->networks[i], bytes, size)) {
            return true;
        }
    }
    return false;
}

static bool admission_uid_listed(const tnng_admission_rule *rule, const tnng_pipe_info *info)
{
    for (int i = 0; info->has_peer_ids && i < rule->demands.uid_count; i++) {
        if (rule->uids[i] == info->uid) {
            return true;
        }
    }
    return false;
}

static bool admission_origin_listed(const tnng_admission_rule *rule, uint32_t id)
{
    bool listed = false;
    char *origin;
    int code = nng_pipe_get_string((nng_pipe){id}, NNG_OPT_WS_REQUEST_HEADER "Origin", &origin);

    if (code != 0) {
        return code == NNG_ENOENT && rule->demands.missing_origin;
    }
    for (int i = 0; !listed && i < rule->demands.origin_count; i++) {
        listed = strcmp(rule->origins[i], origin) == 0;
    }
    nng_strfree(origin);
    return listed;
}

static bool admission_certificate_listed(
    const tnng_admission_rule *rule, const tnng_pipe_info *info)
{
    for (int i = 0; i < rule->demands.tls_name_count; i++) {
        if (tnng_tls_is_named(info, rule->tls_names[i])) {
            return true;
        }
    }
    return false;
}

/* [nng] In ADD_PRE, with pipes->lock held. */
bool tnng_pipe_is_admitted(tnng_socket *socket, const tnng_pipe_info *info)
{
    for (tnng_admission_rule *rule = info->listener == 0 ? NULL : socket->pipes->rules;
        rule != NULL; rule = rule->next) {
        if (rule->listener == info->listener) {
            return (rule->networks == NULL || admission_addr_listed(rule, &info->remote)) &&
                   (rule->uids == NULL || admission_uid_listed(rule, info)) &&
                   (rule->origins == NULL || admission_origin_listed(rule, info->id)) &&
                   (rule->tls_names == NULL || admission_certificate_listed(rule, info)) &&
                   (!rule->demands.tls_verified || info->tls_verified == 1);
        }
    }
    return true;
}

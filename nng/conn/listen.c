/* Listening. It is synchronous for its caller, but a name is looked up, and a ws server started, by
 * a helper thread: the caller waits in steps that Ctrl-C can come between. */
#include <stdlib.h>
#include <string.h>

#include "conn/conn.h"

/* [job] */
static int listen_close_run(tnng_job *job)
{
    tnng_socket *socket = job->socket;
    tnng_endpoint *listener = job->owner;

    pthread_mutex_lock(&socket->endpoints->lock);
    if (!socket->endpoints->closed && listener->id != 0) {
        tnng_causes_unregister(socket, listener->id, true);
        nng_listener_close((nng_listener){listener->id});
    }
    pthread_mutex_unlock(&socket->endpoints->lock);
    tnng_listener_names_wait(socket, listener->id);
    tnng_admission_rules_remove(socket, listener->id);
    tnng_endpoint_unlink(listener);
    return 0;
}

/* [job] [caller] */
static int listen_create_run(tnng_job *job)
{
    tnng_socket *socket = job->socket;
    tnng_endpoint *listener = job->owner;
    nng_listener made = NNG_LISTENER_INITIALIZER;

    tnng_causes_watch_next_aio();
    int code = nng_listener_create(&made, socket->nng, listener->url);
    TNNG_PAUSE("endpoint.made");
    tnng_causes_register(socket, code == 0 ? (uint32_t) made.id : 0, true);
    if (code == 0) {
        pthread_mutex_lock(&socket->pipes->lock);
        listener->id = (uint32_t) made.id;
        pthread_mutex_unlock(&socket->pipes->lock);
    } else {
        tnng_endpoint_unlink(listener);
    }
    return tnng_endpoint_code(code);
}

/* [job] [caller] */
static int listen_start_run(tnng_job *job)
{
    nng_listener listener = {((tnng_endpoint *) job->owner)->id};
    nng_sockaddr address;

    if (nng_listener_get_addr(listener, NNG_OPT_LOCADDR, &address) == 0 &&
        address.s_family == NNG_AF_IPC && tnng_ipc_path_in_use(address.s_ipc.sa_path)) {
        return NNG_EADDRINUSE;
    }
    tnng_listener_names_starting(job->socket, ((tnng_endpoint *) job->owner)->id);
    int code = nng_listener_start(listener, 0);
    tnng_listener_names_starting(NULL, 0);
    return tnng_endpoint_code(code);
}

static const tnng_job_kind create_job = {
    .run = listen_create_run, .ref = tnng_endpoint_ref, .unref = tnng_endpoint_unref, .slow = true};
static const tnng_job_kind start_job = {
    .run = listen_start_run, .ref = tnng_endpoint_ref, .unref = tnng_endpoint_unref, .slow = true};
static const tnng_job_kind close_job = {
    .run = listen_close_run, .ref = tnng_endpoint_ref, .unref = tnng_endpoint_unref, .once = true};

/* [caller] The answer, or NNG_EAGAIN, and then `pending` is waited for. */
static int listen_begin(tnng_endpoint *listener, bool is_quick, tnng_endpoint **pending)
{
    int code = is_quick ? 0 : tnng_job_enqueue(&listener->work, false);

    if (is_quick || code != 0) {
        return is_quick ? listener->work.kind->run(&listener->work) : code;
    }
    tnng_endpoint_ref(listener);
    *pending = listener;
    return NNG_EAGAIN;
}

int tnng_listener_create(
    tnng_socket *socket, const char *url, tnng_endpoint **pending, uint32_t *id)
{
    tnng_endpoint *listener;
    int code;

    TNNG_GUARD_FORK(TNNG_FORKED);
    if ((listener = tnng_endpoint_new(socket, &create_job, &close_job)) == NULL) {
        return NNG_ENOMEM;
    }
    code = NNG_ENOMEM;
    if ((listener->url = strdup(url)) != NULL) {
        /* An address needs no lookup, but stands in nng's queue behind those of names. */
        bool is_quick = !tnng_url_has_hostname(url) && !tnng_lookups_possible();
        code = listen_begin(listener, is_quick, pending);
    }
    if (code == 0) {
        *id = listener->id;
    } else if (code != NNG_EAGAIN) {
        tnng_endpoint_unlink(listener);
    }
    tnng_endpoint_unref(listener);
    return code;
}

int tnng_listener_start(tnng_socket *socket, uint32_t number, tnng_endpoint **pending, uint32_t *id)
{
    tnng_endpoint *listener;
    int code;

    TNNG_GUARD_FORK(TNNG_FORKED);
    if ((listener = tnng_endpoint_find(socket, number, false)) == NULL) {
        return NNG_ECLOSED;
    }
    listener->work.kind = &start_job;
    code = listen_begin(listener, strncmp(listener->url, "ws", 2) != 0, pending);
    *id = code == NNG_EAGAIN ? 0 : number;
    tnng_endpoint_unref(listener);
    return code;
}

int tnng_listener_wait(tnng_endpoint **pending, int milliseconds, uint32_t *id)
{
    tnng_endpoint *listener = *pending;
    int code = tnng_job_wait(&listener->work, milliseconds);

    if (code != NNG_EAGAIN) {
        *id = listener->id;
        *pending = NULL;
        tnng_endpoint_unref(listener);
    }
    return code;
}

void tnng_listener_detach(tnng_endpoint *listener)
{
    tnng_job_chain(&listener->work, &listener->close);
    tnng_endpoint_unref(listener);
}

int tnng_listener_close(
    tnng_socket *socket, uint32_t id, tnng_cq *cq, uint64_t tag, tnng_result *result)
{
    return tnng_endpoint_close(socket, id, false, &(tnng_call){cq, tag, result});
}

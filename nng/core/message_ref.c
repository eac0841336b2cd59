/* A message_ref holds a message for Python, and counts its views: a view of a body has a
 * message_ref of its own, which counts as one more holder of the first. So whether a send must copy
 * is decided here, when the message leaves, and holds for every thread and for finalisers of
 * collected cycles.
 *
 * Several threads may use one message_ref at once, with and without the GIL. Nothing outside this
 * file follows `ref->msg` once a second thread can have the message_ref. A thread that reads the
 * message first counts itself as a holder, then loads the pointer. `tnng_message_ref_take` first
 * takes the pointer, then looks at the count: either the reader finds no message, or the taker sees
 * the reader and gives a copy away. There is no lock, so a fork in the middle leaves none locked in
 * the child. */
#include <stdlib.h>
#include <string.h>

#include "core/core.h"

/* [caller] */
tnng_message_ref *tnng_message_ref_new(void)
{
    tnng_message_ref *ref = calloc(1, sizeof *ref);

    if (ref != NULL) {
        ref->refs = 1;
    }
    return ref;
}

/* [any] */
static void message_ref_unpin(tnng_message_ref *ref)
{
    if (__atomic_sub_fetch(&ref->refs, 1, __ATOMIC_SEQ_CST) == 0) {
        nng_msg_free(ref->msg);
        nng_msg_free(ref->viewed);
        free(ref);
    }
}

/* [any] */
void tnng_message_unref(tnng_message_ref *ref)
{
    if (ref != NULL) {
        if (ref->base != NULL) {
            message_ref_unpin(ref->base);
        }
        message_ref_unpin(ref);
    }
}

/* [caller] The message, which stays where it is until `message_ref_unpin`; or NULL. */
static nng_msg *message_ref_pin(tnng_message_ref *ref)
{
    __atomic_add_fetch(&ref->refs, 1, __ATOMIC_SEQ_CST);
    return __atomic_load_n(&ref->msg, __ATOMIC_SEQ_CST);
}

/* [caller] */
uintptr_t tnng_message_ref_view(tnng_message_ref *ref, tnng_message_ref *view)
{
    nng_msg *msg = message_ref_pin(ref);

    view->base = ref;
    if (msg == NULL) {
        return 0;
    }
    view->size = nng_msg_len(msg);
    return view->size > 0 ? (uintptr_t) nng_msg_body(msg) : (uintptr_t) view;
}

/* [caller] */
int64_t tnng_message_ref_size(tnng_message_ref *ref)
{
    nng_msg *msg = message_ref_pin(ref);
    int64_t size = msg == NULL ? -1 : (int64_t) nng_msg_len(msg);

    message_ref_unpin(ref);
    return size;
}

/* [caller] */
int64_t tnng_message_ref_header(tnng_message_ref *ref, char *out, size_t room)
{
    nng_msg *msg = message_ref_pin(ref);
    int64_t size = msg == NULL ? -1 : (int64_t) nng_msg_header_len(msg);

    if (size > 0 && (size_t) size <= room) {
        memcpy(out, nng_msg_header(msg), (size_t) size);
    }
    message_ref_unpin(ref);
    return size;
}

/* [caller] No other thread has the message_ref yet. */
int tnng_message_ref_fill(
    tnng_message_ref *ref, const char *data, size_t size, const char *header, size_t length)
{
    nng_msg *msg = tnng_msg_new(data, size);
    int code = 0;

    if (msg == NULL) {
        return NNG_ENOMEM;
    }
    if (length > 0 && (code = nng_msg_header_append(msg, header, length)) != 0) {
        nng_msg_free(msg);
        return code;
    }
    ref->msg = msg;
    return 0;
}

/* [caller] */
int tnng_message_ref_take(tnng_message_ref *ref, nng_msg **out)
{
    nng_msg *msg = __atomic_exchange_n(&ref->msg, NULL, __ATOMIC_SEQ_CST);

    if (msg == NULL) {
        return TNNG_GONE;
    }
    TNNG_PAUSE("message.taken");
    if (__atomic_load_n(&ref->refs, __ATOMIC_SEQ_CST) == 1) {
        *out = msg;
        return 0;
    }
    if (nng_msg_dup(out, msg) != 0) {
        __atomic_store_n(&ref->msg, msg, __ATOMIC_SEQ_CST);
        return NNG_ENOMEM;
    }
    ref->viewed = msg;
    return 0;
}

/* [caller] Only a thread that has taken the message comes here, so `viewed` is that thread's. */
void tnng_message_ref_restore(tnng_message_ref *ref, nng_msg *msg)
{
    if (ref->viewed != NULL) {
        nng_msg_free(msg);
        msg = ref->viewed;
        ref->viewed = NULL;
    }
    __atomic_store_n(&ref->msg, msg, __ATOMIC_SEQ_CST);
}

/* A box holds a message for Python, and knows who looks at it: a view of a body has a box of its
 * own, which counts as one more holder of the first. So whether a send must copy is decided here,
 * when the message leaves, and holds for every thread and for finalisers of collected cycles.
 *
 * Several threads may use one box at once, with and without the GIL. Nothing outside this file
 * follows `box->msg` once a second thread can know the box. A thread that reads the message first
 * counts itself as a holder, then loads the pointer. `tnng_box_take` first takes the pointer, then
 * looks at the count: either the reader finds no message, or the taker sees the reader and gives a
 * copy away. There is no lock, so a fork in the middle leaves none locked in the child. */
#include <stdlib.h>
#include <string.h>

#include "core/core.h"

/* [caller] */
tnng_box *tnng_box_new(void)
{
    tnng_box *box = calloc(1, sizeof *box);

    if (box != NULL) {
        box->holders = 1;
    }
    return box;
}

/* [any] */
static void unref(tnng_box *box)
{
    if (__atomic_sub_fetch(&box->holders, 1, __ATOMIC_SEQ_CST) == 0) {
        nng_msg_free(box->msg);
        nng_msg_free(box->seen);
        free(box);
    }
}

/* [any] */
void tnng_box_drop(tnng_box *box)
{
    if (box != NULL) {
        if (box->of != NULL) {
            unref(box->of);
        }
        unref(box);
    }
}

/* [caller] The message, which stays where it is until `unref`; or NULL. */
static nng_msg *ref(tnng_box *box)
{
    __atomic_add_fetch(&box->holders, 1, __ATOMIC_SEQ_CST);
    return __atomic_load_n(&box->msg, __ATOMIC_SEQ_CST);
}

/* [caller] */
uintptr_t tnng_box_look(tnng_box *box, tnng_box *view)
{
    nng_msg *msg = ref(box);

    view->of = box;
    if (msg == NULL) {
        return 0;
    }
    view->size = nng_msg_len(msg);
    return view->size > 0 ? (uintptr_t) nng_msg_body(msg) : (uintptr_t) view;
}

/* [caller] */
int64_t tnng_box_size(tnng_box *box)
{
    nng_msg *msg = ref(box);
    int64_t size = msg == NULL ? -1 : (int64_t) nng_msg_len(msg);

    unref(box);
    return size;
}

/* [caller] */
int64_t tnng_box_header(tnng_box *box, char *out, size_t room)
{
    nng_msg *msg = ref(box);
    int64_t size = msg == NULL ? -1 : (int64_t) nng_msg_header_len(msg);

    if (size > 0 && (size_t) size <= room) {
        memcpy(out, nng_msg_header(msg), (size_t) size);
    }
    unref(box);
    return size;
}

/* [caller] No other thread knows the box yet. */
int tnng_box_fill(tnng_box *box, const char *data, size_t size, const char *header, size_t length)
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
    box->msg = msg;
    return 0;
}

/* [caller] */
int tnng_box_take(tnng_box *box, nng_msg **out)
{
    nng_msg *msg = __atomic_exchange_n(&box->msg, NULL, __ATOMIC_SEQ_CST);

    if (msg == NULL) {
        return TNNG_GONE;
    }
    TNNG_PAUSE("message.taken");
    if (__atomic_load_n(&box->holders, __ATOMIC_SEQ_CST) == 1) {
        *out = msg;
        return 0;
    }
    if (nng_msg_dup(out, msg) != 0) {
        __atomic_store_n(&box->msg, msg, __ATOMIC_SEQ_CST);
        return NNG_ENOMEM;
    }
    box->seen = msg;
    return 0;
}

/* [caller] Only a thread that has taken the message comes here, so `seen` is that thread's. */
void tnng_box_put_back(tnng_box *box, nng_msg *msg)
{
    if (box->seen != NULL) {
        nng_msg_free(msg);
        msg = box->seen;
        box->seen = NULL;
    }
    __atomic_store_n(&box->msg, msg, __ATOMIC_SEQ_CST);
}

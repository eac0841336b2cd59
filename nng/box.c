/* A box holds a message for Python, and knows who looks at it: a view of a body has a box of its
 * own, which counts as one more holder of the first. So whether a send must copy is decided here,
 * when the message leaves, and holds for every thread and for finalisers of collected cycles. */
#include <stdlib.h>

#include "internal.h"

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
static void let_go(tnng_box *box)
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
            let_go(box->of);
        }
        let_go(box);
    }
}

/* [caller] First counts, then looks; `tnng_box_take` first takes, then looks at the count. Whoever
 * comes second sees the other. */
uintptr_t tnng_box_look(tnng_box *box, tnng_box *view)
{
    nng_msg *msg;

    __atomic_add_fetch(&box->holders, 1, __ATOMIC_SEQ_CST);
    view->of = box;
    msg = __atomic_load_n(&box->msg, __ATOMIC_SEQ_CST);
    if (msg == NULL) {
        return 0;
    }
    view->size = nng_msg_len(msg);
    return view->size > 0 ? (uintptr_t) nng_msg_body(msg) : (uintptr_t) view;
}

/* [caller] */
bool tnng_box_fill(tnng_box *box, const char *data, size_t size)
{
    box->msg = tnng_msg_new(data, size);
    return box->msg != NULL;
}

/* [caller] */
nng_msg *tnng_box_take(tnng_box *box)
{
    nng_msg *msg = __atomic_exchange_n(&box->msg, NULL, __ATOMIC_SEQ_CST);
    nng_msg *copy;

    if (msg == NULL || __atomic_load_n(&box->holders, __ATOMIC_SEQ_CST) == 1) {
        return msg;
    }
    if (nng_msg_dup(&copy, msg) != 0) {
        box->msg = msg;
        return NULL;
    }
    box->seen = msg;
    return copy;
}

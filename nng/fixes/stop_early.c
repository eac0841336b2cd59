/* N1: a stop that returns before the callback (nng issue 2208). From 1.9 to 1.11, nng undoes the
 * begin of an operation that cannot be cancelled at that moment (nni_task_abort), at every stop,
 * close, abort and free of its aio. But such an operation may just be finishing on another thread,
 * or have been cancelled already and finish later. Its callback still comes then: after the stop,
 * which has nothing left to wait for, and perhaps after the reaper has freed what the callback
 * works on.
 *
 * Nothing needs this step: every provider in nng finishes each operation that it has begun, also
 * one that it could not schedule. nng 1.12 leaves the step out, and so does this file. Before 1.9
 * nng takes it only where an operation cannot be scheduled.
 *
 * This may go when every nng in use is 1.12.1 or later. */
#include "fixes/fixes.h"

#ifdef TNNG_LINKED_IN

typedef struct nni_task nni_task;
void nni_task_abort(nni_task *);

/* [any] */
void __wrap_nni_task_abort(nni_task *task)
{
    if (!TNNG_FIX_IS_ON(N1)) {
        nni_task_abort(task);
    }
}

#endif

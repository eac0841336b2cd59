/* Counts where cancels landed: they prove that a stress run reached every place. */
#include <stdatomic.h>

#include "testing/testing.h"

static atomic_uint_fast64_t before_submit, pending, completed, taken;

void tnng_count_cancel_before_submit(void) { atomic_fetch_add(&before_submit, 1); }
void tnng_count_cancel_pending(void) { atomic_fetch_add(&pending, 1); }
void tnng_count_cancel_completed(void) { atomic_fetch_add(&completed, 1); }
void tnng_count_cancel_taken(void) { atomic_fetch_add(&taken, 1); }

void tnng_cancel_counts_read(tnng_cancel_counts *counts)
{
    counts->before_submit = atomic_load(&before_submit);
    counts->pending = atomic_load(&pending);
    counts->completed = atomic_load(&completed);
    counts->taken = atomic_load(&taken);
}

void tnng_cancel_counts_reset(void)
{
    atomic_store(&before_submit, 0);
    atomic_store(&pending, 0);
    atomic_store(&completed, 0);
    atomic_store(&taken, 0);
}

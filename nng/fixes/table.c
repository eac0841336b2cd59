/* Which fixes are on, and why; what the module is made of. */
#include <string.h>

#include "fixes/fixes.h"

static const struct {
    const char *code, *wraps, *error;
    int first, without;
} table[] = {
#define TNNG_FIX(code, wraps, first, without, error) {#code, wraps, error, first, without},
    TNNG_FIXES(TNNG_FIX)
#undef TNNG_FIX
};

bool tnng_fixes_on[TNNG_FIX_COUNT];

/* An error in the use of a function does not exist where libnng never calls that function. */
static bool table_needs(int i)
{
    if (table[i].wraps[0] != '\0' && tnng_never_called(table[i].wraps)) {
        return false;
    }
    if (i == TNNG_FIX_N1 && !tnng_stop_is_early()) {
        return false;
    }
    if (i == TNNG_FIX_L7) {
        return tnng_abort_rewrites();
    }
    return tnng_nng_is(table[i].first) && (table[i].without == 0 || !tnng_nng_is(table[i].without));
}

/* Before any thread of the module: what nng has was found out one step earlier. */
__attribute__((constructor(201))) static void table_decide(void)
{
    for (int i = 0; i < TNNG_FIX_COUNT; i++) {
        tnng_fixes_on[i] =
            table_needs(i) && tnng_wraps(table[i].wraps) && !TNNG_WITHOUT(table[i].code);
    }
}

bool tnng_fix_state_at(int i, tnng_fix_state *state)
{
    if (i < 0 || i >= TNNG_FIX_COUNT) {
        return false;
    }
    *state = (tnng_fix_state){
        .code = table[i].code,
        .error = table[i].error,
        .active = tnng_fixes_on[i],
        .needed = table_needs(i),
    };
    if (state->active) {
        state->reason = "";
    } else if (!state->needed) {
        state->reason = "this libnng does not have the error";
    } else if (TNNG_WITHOUT(table[i].code)) {
        state->reason = "switched off by TNNG_WITHOUT";
    } else if (strcmp(tnng_build_link, "static") != 0) {
        state->reason = "libnng is not linked in";
    } else {
        state->reason = "libnng's calls cannot be redirected";
    }
    return true;
}

void tnng_build_read(tnng_build *build)
{
    const char *file = tnng_nng_file();

    *build = (tnng_build){
        .link = tnng_build_link,
        .library = file != NULL ? file : tnng_build_library,
        .headers = tnng_build_version,
    };
}

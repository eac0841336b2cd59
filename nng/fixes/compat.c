#define _GNU_SOURCE
#include "fixes/compat.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nng/nng.h>

#include "fixes/wrap.h"

/* Functions that came with a version; build_ffi.py says which of them an archive has. */
static const struct {
    int minor;
    const char *function;
} additions[] = {
    {6, "nng_ctx_recvmsg"},
    {7, "nng_aio_set_expire"},
    {8, "nng_log_set_level"},
    {9, "nng_tls_config_psk"},
    {10, "nng_socket_proto_id"},
};

static int nng_minor = 5;

#ifdef TNNG_LINKED_IN

const char *tnng_nng_file(void) { return NULL; }

static bool compat_has(const char *function)
{
    const char *found = strstr(tnng_build_functions, function);

    return found != NULL && found[strlen(function)] == ' ';
}

#else

const char *tnng_nng_file(void)
{
    Dl_info info;

    return dladdr((void *) (uintptr_t) nng_version, &info) != 0 ? info.dli_fname : "";
}

/* Asks the library that the module is linked with, not the whole process. */
static bool compat_has(const char *function)
{
    void *library = dlopen(tnng_nng_file(), RTLD_LAZY | RTLD_NOLOAD);
    bool found = library != NULL && dlsym(library, function) != NULL;

    if (library != NULL) {
        dlclose(library);
    }
    return found;
}

#endif

__attribute__((constructor(200))) static void compat_find_version(void)
{
    for (size_t i = 0; i < sizeof(additions) / sizeof(additions[0]); i++) {
        if (compat_has(additions[i].function)) {
            nng_minor = additions[i].minor;
        }
    }
}

bool tnng_nng_is(int minor) { return nng_minor >= minor; }

/* 1.12.0 reports 1.11.0, so what reports 1.12 is a later one. */
bool tnng_stop_is_early(void)
{
    return tnng_nng_is(9) && atoi(strchr(nng_version(), '.') + 1) < 12;
}

bool tnng_abort_rewrites(void)
{
    return tnng_nng_is(10) && atoi(strchr(nng_version(), '.') + 1) >= 11;
}

/* What nng makes when it is first used: task threads, expiry, the reaper, the poller, a timer and
 * the resolver's. */
int tnng_threads_needed(void)
{
    static atomic_int known; /* the system opens a file to tell, and every socket asks */
    int needed = atomic_load(&known);

    if (needed != 0) {
        return needed;
    }
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    int count = processors < 1 ? 1 : (int) processors;
    int tasks = count < 8 ? 2 * count : 16;
    int expiry = count < 8 || !tnng_nng_is(7) ? count : 8;

    atomic_store(&known, needed = tasks + expiry + 7);
    return needed;
}

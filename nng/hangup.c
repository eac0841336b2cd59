/* S2: peers that hang up. Before nng 1.6 (issue 1518) a write that fails with EPIPE reads inside
 * nng as "closed by ourselves". When that write is a handshake, the listener that accepted the
 * connection stops for ever, while the system goes on connecting new clients to it; a dialer that
 * tries in the background stops in the same way. Whoever connects and hangs up at once does this.
 *
 * No call of nng starts such a listener again, and closing it would close the connections it made.
 * So the error is corrected where it comes in: libnng's import of sendmsg is pointed at a function
 * that reports EPIPE as ECONNRESET, which is what nng expects of a peer that went. Nothing else of
 * the process is changed: the slot is libnng's own. Newer libraries are left alone, and so are
 * systems that do not link by ELF.
 *
 * And listening on a path: nng finds out whether somebody is there by connecting, which ends
 * another process's listener in this very way; it also deletes a file that is no socket. Here a
 * datagram socket asks instead: the system refuses the type, and the server hears nothing. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "internal.h"

#if defined(NNG_OPT_TLS_PEER_CN) /* came with 1.6, as the mended write did */

bool tnng_hangups_are_survived(void) { return true; }

#elif defined(__linux__)

#include <dlfcn.h>
#include <link.h>
#include <sys/mman.h>

typedef ssize_t (*send_message)(int, const struct msghdr *, int);
typedef _Atomic(send_message) send_slot;

/* Part of libnng in memory, and what is looked for in it. */
typedef struct {
    uintptr_t inside;     /* an address of the library, by which it is known */
    uintptr_t start, end; /* what it occupies */
    uintptr_t sealed_start, sealed_end; /* what the loader has made read-only after linking */
    send_slot *slot;
} library;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static send_slot *slot;  /* under lock; where libnng finds sendmsg */
static send_message next; /* written before the slot leads here, and never again */

/* [nng] */
static ssize_t send_or_reset(int fd, const struct msghdr *message, int flags)
{
    ssize_t sent = next(fd, message, flags);
    if (sent < 0 && errno == EPIPE) {
        errno = ECONNRESET;
    }
    return sent;
}

/* Of the tables of one library: the slot its calls of sendmsg go through. */
static send_slot *find_slot(ElfW(Addr) base, const ElfW(Dyn) * dynamic)
{
    const ElfW(Sym) *symbols = NULL;
    const char *names = NULL;
    struct {
        uintptr_t at;
        size_t size, step;
    } tables[3] = {{0, 0, 0}, {0, 0, sizeof(ElfW(Rela))}, {0, 0, sizeof(ElfW(Rel))}};

    for (; dynamic->d_tag != DT_NULL; dynamic++) {
        /* Some loaders have added the base already, others have not. */
        uintptr_t value = dynamic->d_un.d_ptr;
        uintptr_t at = value < base ? base + value : value;
        switch (dynamic->d_tag) {
        case DT_SYMTAB:
            symbols = (const ElfW(Sym) *) at;
            break;
        case DT_STRTAB:
            names = (const char *) at;
            break;
        case DT_JMPREL:
            tables[0].at = at;
            break;
        case DT_PLTRELSZ:
            tables[0].size = value;
            break;
        case DT_PLTREL:
            tables[0].step = value == DT_RELA ? sizeof(ElfW(Rela)) : sizeof(ElfW(Rel));
            break;
        case DT_RELA:
            tables[1].at = at;
            break;
        case DT_RELASZ:
            tables[1].size = value;
            break;
        case DT_REL:
            tables[2].at = at;
            break;
        case DT_RELSZ:
            tables[2].size = value;
            break;
        }
    }
    if (symbols == NULL || names == NULL) {
        return NULL;
    }
    for (int i = 0; i < 3; i++) {
        if (tables[i].at == 0 || tables[i].step == 0) {
            continue;
        }
        for (size_t offset = 0; offset + tables[i].step <= tables[i].size;
            offset += tables[i].step) {
            /* A Rela begins like a Rel. */
            const ElfW(Rel) *entry = (const ElfW(Rel) *) (tables[i].at + offset);
            size_t symbol = (size_t) (sizeof(void *) == 8 ? (uint64_t) entry->r_info >> 32
                                                          : (uint64_t) entry->r_info >> 8);
            if (symbol != 0 && strcmp(names + symbols[symbol].st_name, "sendmsg") == 0) {
                return (send_slot *) (base + entry->r_offset);
            }
        }
    }
    return NULL;
}

static int look_at_library(struct dl_phdr_info *info, size_t size, void *arg)
{
    library *wanted = arg;
    const ElfW(Dyn) *dynamic = NULL;
    bool found = false;
    uintptr_t page = (uintptr_t) sysconf(_SC_PAGESIZE);

    (void) size;
    wanted->start = UINTPTR_MAX;
    wanted->end = wanted->sealed_start = wanted->sealed_end = 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        uintptr_t start = info->dlpi_addr + part->p_vaddr, end = start + part->p_memsz;
        if (part->p_type == PT_DYNAMIC) {
            dynamic = (const ElfW(Dyn) *) start;
        } else if (part->p_type == PT_GNU_RELRO) {
            wanted->sealed_start = start / page * page;
            wanted->sealed_end = end / page * page;
        } else if (part->p_type == PT_LOAD) {
            found |= wanted->inside >= start && wanted->inside < end;
            wanted->start = start < wanted->start ? start : wanted->start;
            wanted->end = end > wanted->end ? end : wanted->end;
        }
    }
    if (found && dynamic != NULL) {
        wanted->slot = find_slot(info->dlpi_addr, dynamic);
    }
    return found;
}

/* With the lock held: an address in memory that the loader may have made read-only. */
static bool store(const library *in, send_slot *at, send_message value)
{
    uintptr_t page = (uintptr_t) sysconf(_SC_PAGESIZE), address = (uintptr_t) at;
    void *around = (void *) (address / page * page);
    bool sealed = address >= in->sealed_start && address < in->sealed_end;

    if (sealed && mprotect(around, page, PROT_READ | PROT_WRITE) != 0) {
        return false;
    }
    atomic_store(at, value);
    if (sealed) {
        mprotect(around, page, PROT_READ);
    }
    return true;
}

/* [caller] [job] Sees to it, if it has not been done: before every endpoint that starts, because a
 * loader that links on first use may have undone it once. */
bool tnng_hangups_are_survived(void)
{
    library nng = {.inside = (uintptr_t) nng_listener_start};

    if (tnng_forked() || TNNG_WITHOUT("S2")) {
        return false;
    }
    pthread_mutex_lock(&lock);
    if (slot == NULL || atomic_load(slot) != send_or_reset) {
        dl_iterate_phdr(look_at_library, &nng);
        if (nng.slot != NULL) {
            send_message now = atomic_load(nng.slot);
            bool unresolved = (uintptr_t) now >= nng.start && (uintptr_t) now < nng.end;
            if (next == NULL) {
                next = unresolved ? (send_message) dlsym(RTLD_DEFAULT, "sendmsg") : now;
            }
            if (next != NULL && store(&nng, nng.slot, send_or_reset)) {
                slot = nng.slot;
            }
        }
    }
    bool survived = slot != NULL && atomic_load(slot) == send_or_reset;
    pthread_mutex_unlock(&lock);
    return survived;
}

#else

bool tnng_hangups_are_survived(void) { return false; }

#endif

/* [job] Whether a path is taken: by a socket somebody has bound, or by a file that is none. Nobody
 * notices being asked. */
bool tnng_path_is_taken(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat file;

    if (TNNG_WITHOUT("S2") || strlen(path) >= sizeof(address.sun_path) || stat(path, &file) != 0) {
        return false;
    }
    if (!S_ISSOCK(file.st_mode)) {
        return true;
    }
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    /* ECONNREFUSED is a socket's file that its owner has left; nng replaces it. */
    bool taken = connect(fd, (struct sockaddr *) &address, sizeof(address)) == 0 ||
                 (errno != ECONNREFUSED && errno != ENOENT);
    close(fd);
    return taken;
}

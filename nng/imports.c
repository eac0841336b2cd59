/* Pointing an import of libnng elsewhere. Some errors of nng cannot be mended through its calls,
 * only where it calls others: then the slot through which libnng, and nobody else of the process,
 * calls a function leads to one of ours. Only on systems that link by ELF. */
#define _GNU_SOURCE
#include "imports.h"

#if defined(__linux__)

#include <dlfcn.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef _Atomic(tnng_function) tnng_slot_of_import;

/* Part of libnng in memory, and what is looked for in it. */
typedef struct {
    const char *symbol;
    uintptr_t inside;                   /* an address of the library, by which it is known */
    uintptr_t start, end;               /* what it occupies */
    uintptr_t sealed_start, sealed_end; /* what the loader has made read-only after linking */
    tnng_slot_of_import *slot;
} library;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Of the tables of one library: the slot its calls of a function go through. */
static tnng_slot_of_import *find_slot(
    ElfW(Addr) base, const ElfW(Dyn) * dynamic, const char *symbol_name)
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
            if (symbol != 0 && strcmp(names + symbols[symbol].st_name, symbol_name) == 0) {
                return (tnng_slot_of_import *) (base + entry->r_offset);
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
        wanted->slot = find_slot(info->dlpi_addr, dynamic, wanted->symbol);
    }
    return found;
}

/* With the lock held: an address in memory that the loader may have made read-only. */
static bool store(const library *in, tnng_slot_of_import *at, tnng_function value)
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

/* [caller] [job] Sees to it, if it has not been done: it may be asked again at any time, because a
 * loader that links on first use may have undone it once. */
bool tnng_import_leads(tnng_import *import)
{
    library nng = {.symbol = import->symbol, .inside = (uintptr_t) nng_listener_start};
    tnng_slot_of_import *slot;

    pthread_mutex_lock(&lock);
    slot = import->slot;
    if (slot == NULL || atomic_load(slot) != import->ours) {
        dl_iterate_phdr(look_at_library, &nng);
        /* Where libnng is part of this module, our own calls go through the same slot. */
        bool is_us = (uintptr_t) &lock >= nng.start && (uintptr_t) &lock < nng.end;
        if (nng.slot != NULL && !is_us) {
            tnng_function now = atomic_load(nng.slot);
            bool unresolved = (uintptr_t) now >= nng.start && (uintptr_t) now < nng.end;
            if (import->theirs == NULL) {
                import->theirs =
                    unresolved ? (tnng_function) dlsym(RTLD_DEFAULT, import->symbol) : now;
            }
            if (import->theirs != NULL && store(&nng, nng.slot, import->ours)) {
                import->slot = nng.slot;
            }
        }
    }
    slot = import->slot;
    bool leads = slot != NULL && atomic_load(slot) == import->ours;
    pthread_mutex_unlock(&lock);
    return leads;
}

#else

bool tnng_import_leads(tnng_import *import)
{
    (void) import;
    return false;
}

#endif

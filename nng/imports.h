/* Pointing an import of libnng elsewhere. */
#ifndef TNNG_IMPORTS_H
#define TNNG_IMPORTS_H

#include "internal.h"

typedef void (*tnng_function)(void);

typedef struct {
    const char *symbol;
    tnng_function ours;
    tnng_function theirs; /* written before the slot leads to ours, and never again */
    void *slot;           /* where libnng finds it; under a lock of imports.c */
} tnng_import;

bool tnng_import_leads(tnng_import *);

#endif

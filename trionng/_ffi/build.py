"""What the native module is made of."""

from __future__ import annotations

from typing import NamedTuple

from trionng._ffi.load import ffi, lib, text


class FixState(NamedTuple):
    """One row of nng/fixes/table.h."""

    code: str
    error: str
    active: bool
    needed: bool
    reason: str


class NativeBuild(NamedTuple):
    """How the module was linked."""

    link: str
    library: str
    headers: str
    wakeups: bool


def read_fixes() -> list[FixState]:
    out = ffi.new("tnng_fix_state *")
    states: list[FixState] = []
    while lib.tnng_fix_state_at(len(states), out):
        texts = text(out.code), text(out.error), text(out.reason)
        states.append(FixState(texts[0], texts[1], out.active, out.needed, texts[2]))
    return states


def read_build() -> NativeBuild:
    out = ffi.new("tnng_build *")
    lib.tnng_build_read(out)
    return NativeBuild(
        text(out.link), text(out.library), text(out.headers), lib.tnng_wakeups_enabled()
    )


# Says whether libnng is 1.`minor` or later; nothing tells versions from 1.10 on apart.
nng_is = lib.tnng_nng_is


def tls_engine() -> str:
    """Describe the TLS engine of libnng; empty when there is none. A socket was opened before."""
    return text(lib.tnng_tls_engine())

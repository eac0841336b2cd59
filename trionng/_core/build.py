"""What the native module is made of: `build_info()`, and the warning where fixes are missing."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import attrs

from trionng import _ffi
from trionng._base.errors import ENOTSUP, error_for

_SCHEMES: Final = {
    "inproc": b"inproc://trionng-build-info",
    "ipc": b"ipc:///nonexistent/trionng-build-info",
    "abstract": b"abstract://trionng-build-info",
    "tcp": b"tcp://127.0.0.1:1",
    "tls+tcp": b"tls+tcp://127.0.0.1:1",
    "ws": b"ws://127.0.0.1:1/",
    "wss": b"wss://127.0.0.1:1/",
}


@attrs.frozen
class Fix:
    """One error of libnng, and what is done about it here.

    Attributes:
        error: what happens without the fix.
        active: the fix works in this process.
        needed: the libnng at hand has the error, as far as can be told.
        reason: why the fix is not active; empty when it is.
    """

    error: str
    active: bool
    needed: bool
    reason: str


@attrs.frozen
class BuildInfo:
    """What `build_info()` returns.

    Attributes:
        nng_version: as libnng itself reports it; 1.9.0 and 1.12.0 report the version before them.
        headers: version of the headers that trionng was compiled with.
        link: "static", libnng is part of the module; or "shared", the loader finds it.
        library: the static library that was linked in, or the file that the loader has found.
        tls: TLS engine of libnng, or None.
        transports: schemes of URLs that libnng understands.
        fixes: for each error of libnng that trionng knows, by its code in nng/fixes/README.md.
        wakeups_coalesced: nng's threads are woken less often, which makes round trips faster;
            needs libnng to be linked in.
    """

    nng_version: str
    headers: str
    link: str
    library: str
    tls: str | None
    transports: tuple[str, ...]
    fixes: Mapping[str, Fix] = attrs.field(repr=False)
    wakeups_coalesced: bool

    def __str__(self) -> str:
        how = "linked in from" if self.link == "static" else "shared library"
        lines = [
            f"libnng {self.nng_version}, {how} {self.library}",
            f"headers: {self.headers}",
            f"TLS: {self.tls or 'none'}",
            f"transports: {', '.join(self.transports)}",
            f"wake-ups coalesced: {'yes' if self.wakeups_coalesced else 'no'}",
            f"fixes active: {', '.join(code for code, fix in self.fixes.items() if fix.active)}",
        ]
        lines += [
            f"{code} is off, {fix.reason}: {fix.error}"
            for code, fix in self.fixes.items()
            if not fix.active
        ]
        return "\n".join(lines)


def build_info() -> BuildInfo:
    """Say what the native module is made of (`nng_version`, `nng_tls_engine_description`).

    Opens a socket to ask for transports, which starts nng's threads, and connects to nothing.

    Returns:
        A frozen object; `print` shows it in lines, for a report of an error.

    Raises:
        UsedAfterFork: the process is a forked child of one that used nng.

    Example:
        >>> print(trionng.build_info())
        libnng 1.5.2, linked in from /usr/lib/x86_64-linux-gnu/libnng.a
        ...
    """
    build = _ffi.read_build()
    code, native = _ffi.open_socket(_ffi.protocol("pair0"), raw=False)
    if native is None:
        raise error_for(code, "build_info")
    try:
        transports = [
            scheme for scheme, url in _SCHEMES.items() if native.create_dialer(url)[0] != ENOTSUP
        ]
        tls = _ffi.tls_engine()
    finally:
        native.close(None, 0)
    fixes = {
        state.code: Fix(state.error, state.active, state.needed, state.reason)
        for state in _ffi.read_fixes()
    }
    return BuildInfo(
        nng_version=_ffi.nng_version,
        headers=build.headers,
        link=build.link,
        library=build.library,
        tls=tls or None,
        transports=tuple(transports),
        fixes=MappingProxyType(fixes),
        wakeups_coalesced=build.wakeups,
    )

"""Loads the compiled module: the one that is shipped, or the test build when it is asked for."""

from __future__ import annotations

import os
from typing import Any

_NEEDED = "libnng 1.x, from 1.5.2 on"
_REMEDY = "build trionng against the libnng it is to run with"

try:
    if os.environ.get("TRIONNG_NATIVE") == "testing":
        from trionng._ffi._native_testing import ffi, lib
    else:
        from trionng._ffi._native import ffi, lib
except ImportError as _error:
    if "undefined symbol: nng_" not in str(_error):
        raise
    _missing = str(_error).partition("undefined symbol: ")[2]
    raise ImportError(
        f"trionng needs {_NEEDED}, and the library loaded has no {_missing}: {_REMEDY}"
    ) from _error


def text(characters: Any) -> str:
    """Read a C string."""
    return ffi.string(characters).decode(errors="replace")


def check_version(version: str) -> None:
    """Refuse a libnng of another series; it may have come after the build."""
    numbers = [int(number) if number.isdigit() else 0 for number in version.split(".")[:2]]
    if not [1, 5] <= numbers < [2]:
        raise ImportError(
            f"trionng needs {_NEEDED}, and the library loaded is {version}: {_REMEDY}"
        )


nng_version: str = text(lib.nng_version())
check_version(nng_version)


# Says whether this process is a forked child of one that used nng.
is_forked = lib.tnng_forked

__all__ = ["ffi", "is_forked", "lib", "nng_version", "text"]

"""Loads the compiled module: the one that is shipped, or the test build when it is asked for."""

from __future__ import annotations

import os

if os.environ.get("TRIONNG_NATIVE") == "testing":
    from trionng._ffi._native_testing import ffi, lib
else:
    from trionng._ffi._native import ffi, lib

NEEDED_MAJOR = "1"

nng_version: str = ffi.string(lib.nng_version()).decode()
if nng_version.split(".")[0] != NEEDED_MAJOR:
    raise ImportError(
        f"trionng needs libnng {NEEDED_MAJOR}.x, and the library loaded is {nng_version}: "
        "build trionng against the libnng it is to run with"
    )


def is_forked() -> bool:
    """Say whether this process is a forked child of one that used nng."""
    answer: bool = lib.tnng_forked()
    return answer


__all__ = ["ffi", "is_forked", "lib", "nng_version"]

"""Which errors of libnng the libnng at hand has, and which fixes are on."""

from __future__ import annotations

import faulthandler
import os

import pytest

from trionng import _ffi

# How libnng came into the module: "static" or "shared".
LINK = _ffi.read_build().link


def fix_state(code: str) -> _ffi.FixState:
    """Say what is done here about an error of libnng."""
    return next(state for state in _ffi.read_fixes() if state.code == code)


def needs_fix(*codes: str) -> pytest.MarkDecorator:
    """Skip a test whose promise does not hold without fixes that only linking libnng in gives.

    A fix that TNNG_WITHOUT leaves out skips nothing: tools/hazards.py asks what fails without it.
    """
    states = [fix_state(code) for code in codes if not is_off(code)]
    missing = [state for state in states if state.needed and not state.active]
    reason = ", ".join(f"{state.code}: {state.reason}" for state in missing)
    return pytest.mark.skipif(bool(missing), reason=reason or "never")


def has_error(code: str) -> pytest.MarkDecorator:
    """Skip a test that shows an error of libnng, where the libnng at hand has it no more."""
    return pytest.mark.skipif(not fix_state(code).needed, reason=f"this libnng is without {code}")


def is_off(code: str) -> bool:
    """Say whether this process of the test build leaves a fix out."""
    return code in os.environ.get("TNNG_WITHOUT", "").split(",")


def expect_to_hang(code: str) -> None:
    """Without this fix, give the process two seconds from here; the last call counts."""
    if is_off(code):
        faulthandler.dump_traceback_later(2, exit=True)

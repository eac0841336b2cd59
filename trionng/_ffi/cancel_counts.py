"""Tells the shim where a cancel landed, for its counters."""

from __future__ import annotations

from trionng._ffi.load import lib


def count_cancel_before_submit() -> None:
    lib.tnng_count_cancel_before_submit()


def count_cancel_taken() -> None:
    lib.tnng_count_cancel_taken()

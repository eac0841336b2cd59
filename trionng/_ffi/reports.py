"""Reports: failures that no call of the program waits for."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from trionng._ffi.load import ffi, lib
from trionng._ffi.pipe import NativePipe

REASON_ADMISSION: int = lib.TNNG_REASON_ADMISSION
REASON_PROTOCOL: int = lib.TNNG_REASON_PROTOCOL
REASON_ALREADY_PAIRED: int = lib.TNNG_REASON_ALREADY_PAIRED
REASON_OVERSIZE: int = lib.TNNG_REASON_OVERSIZE
REASON_HANDSHAKE: int = lib.TNNG_REASON_HANDSHAKE
REASON_SLOW: int = lib.TNNG_REASON_SLOW
REASON_REFUSED: int = lib.TNNG_REASON_REFUSED

REFUSED: int = lib.TNNG_REFUSED
ALREADY_PAIRED: int = lib.TNNG_ALREADY_PAIRED
FLAPPING: int = lib.TNNG_FLAPPING
UNKNOWN_CAUSE: int = lib.TNNG_UNKNOWN_CAUSE


class Report(NamedTuple):
    """A failure, and where it happened."""

    listener: bool
    endpoint: int
    code: int
    reason: int
    pipe: NativePipe | None


def _reports() -> Iterator[Report]:
    out = ffi.new("tnng_report *")
    while lib.tnng_report_take(out):
        pipe = _owned(out) if out.pipe else None
        yield Report(out.listener, out.endpoint, out.code, out.reason, pipe)


def _owned(report: Any) -> NativePipe:
    pipe = NativePipe()
    pipe._cell[0] = report.pipe
    pipe.made()
    return pipe


def _ignore(_report: Report) -> None:
    pass


_handler: Callable[[Report], None] = _ignore


def set_report_handler(handler: Callable[[Report], None]) -> None:
    """Set the function that gets each report; a thread made for this calls it."""
    global _handler
    _handler = handler


def _report_all() -> None:
    for report in _reports():
        _handler(report)


@ffi.def_extern(name="tnng_reports_python")  # type: ignore[untyped-decorator]
def _on_reports() -> None:
    # A thread of Python's own has a name in log records, and ends as such threads do.
    thread = threading.Thread(target=_report_all, name="trionng reports", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # no more threads
        _report_all()
    else:
        thread.join()


lib.tnng_set_report_hook(lib.tnng_reports_python)
atexit.register(lib.tnng_reports_close)


class DialerState(NamedTuple):
    """The state of a dialer; `code` says why its last attempt failed, or is 0."""

    connected: bool
    code: int


def dialer_state(dialer: int) -> DialerState:
    """Return the state of a dialer; a closed one is not connected."""
    state = lib.tnng_dialer_state_read(dialer)
    return DialerState(state.connected, state.code)


def causes_are_known() -> bool:
    """Return whether every failure has its cause, and messages that are too large are counted."""
    known: bool = lib.tnng_causes_are_known()
    return known

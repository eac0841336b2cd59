"""Reports: what goes wrong where no call of the program waits for the answer."""

from __future__ import annotations

import atexit
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from trionng._ffi._load import ffi, lib
from trionng._ffi._pipes import NativePipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BY_ADMISSION: int = lib.TNNG_BY_ADMISSION
BY_PROTOCOL: int = lib.TNNG_BY_PROTOCOL
BY_TAKEN: int = lib.TNNG_BY_TAKEN
BY_OVERSIZE: int = lib.TNNG_BY_OVERSIZE
BY_HANDSHAKE: int = lib.TNNG_BY_HANDSHAKE
BY_SLOW: int = lib.TNNG_BY_SLOW
BY_REFUSAL: int = lib.TNNG_BY_REFUSAL

REFUSED: int = lib.TNNG_REFUSED
TAKEN: int = lib.TNNG_TAKEN
ENDS: int = lib.TNNG_ENDS
NO_CAUSE: int = lib.TNNG_NO_CAUSE


class Report(NamedTuple):
    """What went wrong, and where."""

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


_tell: Callable[[Report], None] = _ignore


def tell_reports_to(tell: Callable[[Report], None]) -> None:
    """Say who hears of them; called in a thread that exists for this alone."""
    global _tell
    _tell = tell


def _tell_all() -> None:
    for report in _reports():
        _tell(report)


@ffi.def_extern(name="tnng_reports_python")  # type: ignore[untyped-decorator]
def _call() -> None:
    # A thread of Python's own has a name in log records, and ends as such threads do.
    thread = threading.Thread(target=_tell_all, name="trionng reports", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # no more threads
        _tell_all()
    else:
        thread.join()


lib.tnng_set_report_hook(lib.tnng_reports_python)
atexit.register(lib.tnng_reports_close)


class DialerState(NamedTuple):
    """What is known of a dialer: an error number where its last attempt failed, else 0."""

    connected: bool
    code: int


def dialer_state(dialer: int) -> DialerState:
    """Look at a dialer; one that has been closed is not connected."""
    state = lib.tnng_dialer_look(dialer)
    return DialerState(state.connected, state.code)


def causes_are_known() -> bool:
    """Say whether every failure has its cause, and messages that are too large are counted."""
    known: bool = lib.tnng_causes_are_known()
    return known

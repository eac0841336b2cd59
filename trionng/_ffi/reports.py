"""Reports: failures that no call of the program waits for, and events for instruments."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from typing import NamedTuple

from trionng._ffi.load import ffi, lib
from trionng._ffi.pipe import NativePipe

REASON_ADMISSION = lib.TNNG_REASON_ADMISSION
REASON_PROTOCOL = lib.TNNG_REASON_PROTOCOL
REASON_ALREADY_PAIRED = lib.TNNG_REASON_ALREADY_PAIRED
REASON_OVERSIZE = lib.TNNG_REASON_OVERSIZE
REASON_HANDSHAKE = lib.TNNG_REASON_HANDSHAKE
REASON_SLOW = lib.TNNG_REASON_SLOW
REASON_REFUSED = lib.TNNG_REASON_REFUSED
REASON_DROPS = lib.TNNG_REASON_DROPS

REFUSED = lib.TNNG_REFUSED
ALREADY_PAIRED = lib.TNNG_ALREADY_PAIRED
FLAPPING = lib.TNNG_FLAPPING
UNKNOWN_CAUSE = lib.TNNG_UNKNOWN_CAUSE


class Report(NamedTuple):
    """A failure or, with an `event`, what happened to a connection; and where."""

    listener: bool
    endpoint: int
    code: int
    reason: int
    event: int
    pipe: NativePipe | None


def _ignore(_report: Report) -> None:
    pass


_handler: Callable[[Report], None] = _ignore


def set_report_handler(handler: Callable[[Report], None]) -> None:
    """Set the function that gets each report; a thread made for this calls it."""
    global _handler
    _handler = handler


def _report_all() -> None:
    out = ffi.new("tnng_report *")
    while lib.tnng_report_take(out):
        pipe = NativePipe()
        pipe._cell[0] = out.pipe
        has_pipe = out.pipe and pipe.made()
        where = out.listener, out.endpoint
        _handler(Report(*where, out.code, out.reason, out.event, pipe if has_pipe else None))


@ffi.def_extern(name="tnng_reports_python")
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


# Whether events are reported, beside failures.
report_events = lib.tnng_report_events
# Counts the events that there was no room for, since the last call.
reports_lost = lib.tnng_reports_lost
# The state of a dialer: `connected`, which a closed one is not, and `code`, which says why its last
# attempt failed, or is 0.
dialer_state = lib.tnng_dialer_state_read
# Says whether every failure has its cause, and messages that are too large are counted.
causes_are_known = lib.tnng_causes_are_known
# Says whether the messages that a Pub0, Sub0 or Surveyor0 drops are counted.
drops_are_known = lib.tnng_drops_are_known

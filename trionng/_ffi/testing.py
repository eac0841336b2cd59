"""What tests see of the shim: where cancels landed, and the pause points of the test build.

Not part of a wheel.
"""

from __future__ import annotations

from typing import NamedTuple

from trionng._ffi.load import ffi, lib
from trionng._ffi.message import MessageHandle


class CancelCounts(NamedTuple):
    """How many cancels landed in each place, since the last reset."""

    before_submit: int
    pending: int
    completed: int
    taken: int


def cancel_counts() -> CancelCounts:
    out = ffi.new("tnng_cancel_counts *")
    lib.tnng_cancel_counts_read(out)
    return CancelCounts(out.before_submit, out.pending, out.completed, out.taken)


def reset_cancel_counts() -> None:
    lib.tnng_cancel_counts_reset()


def wakeups_suppressed() -> int:
    """Count the wake-ups of nng's threads that were left to one that is awake, in this process."""
    return lib.tnng_wakeups_suppressed()


def wakeups_deferred() -> int:
    """Count the wake-ups of nng's threads that had to wait a little, in this process."""
    return lib.tnng_wakeups_deferred()


def is_test_build() -> bool:
    return lib.tnng_testing()


def arm_pause(point: str) -> None:
    """Make the next thread that comes to `point` wait there."""
    if lib.tnng_pause_arm(point.encode()) != 0:
        raise RuntimeError("pause points exist in the test build only: TRIONNG_NATIVE=testing")


def fail_allocation(number: int) -> None:
    """Make one allocation of the shim fail: the `number`-th from now on; 0 is none."""
    lib.tnng_fail_allocation(number)


def allocation_failed() -> str | None:
    """Say where the allocation that was to fail did so, or None when it has not come."""
    line = ffi.new("int *")
    file = lib.tnng_allocation_failed(line)
    return f"{ffi.string(file).decode()}:{line[0]}" if file else None


def stop_waits() -> bool:
    """Say whether nng, stopping an aio, waits for the operation that is under way."""
    return bool(lib.tnng_stop_waits())


def pause_reached(point: str, milliseconds: int) -> bool:
    """Wait, without the GIL, until a thread stands at `point`."""
    return bool(lib.tnng_pause_reached(point.encode(), milliseconds) == 0)


def open_pause(point: str) -> None:
    lib.tnng_pause_open(point.encode())


def address_of(view: memoryview) -> int:
    """Return where the memory of a view begins."""
    return int(ffi.cast("uintptr_t", ffi.from_buffer(view)))


def native_address(message: MessageHandle) -> int:
    """Return where nng says that the body of a message begins."""
    return int(ffi.cast("uintptr_t", lib.tnng_msg_chars(message.ref.msg)))

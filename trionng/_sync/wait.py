"""How a thread waits for an operation (floor 3).

A call is submitted with a `Waiter` of the thread, which waits for it without the GIL. Timeouts are
of `time.monotonic`. Threads that are not the main thread sleep until the operation has finished;
the main thread is also there for signals. It polls a pipe that CPython's own signal handler writes
to (`signal.set_wakeup_fd`), so no signal can fall between the last look at it and the sleep.

Rules of this file, which are about Ctrl-C between any two steps of the main thread:
* A waiter is borrowed and used in `try`. A call that succeeded ends with `keep` or `hand_over`, any
  other with `give_up`: what the waiter holds then goes back where it came from.
* CPython looks for signals where code calls or jumps back, not elsewhere (before 3.11 also where a
  function of Python returns). So the last thing done to a call that succeeded is storing, and
  descriptors are swapped by iterators, whose steps are no calls.
"""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Callable
from itertools import chain, islice
from typing import Final

from trionng import _ffi
from trionng._base.errors import OutOfFiles

Submit = Callable[[_ffi.Port, int], _ffi.Answer]

ETIMEDOUT: Final = 5
ENOFILES: Final = 21
SPIN_LIMIT: Final = 0.001
RETRY_INTERVAL: Final = 0.02


class _Thread(threading.local):
    """What a thread keeps for its next call."""

    idle: _ffi.Waiter | None = None

    def __init__(self) -> None:
        self.is_main = threading.current_thread() is threading.main_thread()


thread = _Thread()


def acquire_waiter() -> _ffi.Waiter:
    """Take the thread's waiter, or another one for a call from inside a signal handler."""
    waiter = thread.idle
    if waiter is None:
        return _ffi.Waiter()
    thread.idle = None
    return waiter


def rollback(waiter: _ffi.Waiter, reclaim: _ffi.PutBack = _ffi.drop) -> None:
    """Undo a call that did not come to its end."""
    msg = waiter.undo()
    if msg:
        reclaim(msg)
    thread.idle = waiter


class _SignalPipe:
    """What the main thread polls: signals write their numbers, a finished call writes a 0."""

    _fds: list[int] | tuple[()] = ()

    def __init__(self) -> None:
        # The list owns the descriptors in the step that makes them.
        self._fds = []
        try:
            self._fds.extend(chain.from_iterable(islice(iter(os.pipe, None), 1)))
        except OSError as error:
            raise OutOfFiles("wait: out of file descriptors") from error
        self.read_fd, self.write_fd = self._fds
        os.set_blocking(self.read_fd, False)
        os.set_blocking(self.write_fd, False)
        self._pid = os.getpid()

    def __del__(self, _close: Callable[[int], None] = os.close) -> None:
        # One that was interrupted while it was made, or that a forked child has no use for.
        fds, self._fds = self._fds, ()
        for fd in fds:
            _close(fd)

    def is_ours(self) -> bool:
        return self._pid == os.getpid()

    def drain(self, previous: int) -> None:
        """Empty the pipe, and ring whoever else wanted to hear of signals."""
        try:
            numbers = os.read(self.read_fd, 4096).replace(b"\0", b"")
            if numbers and previous >= 0:
                os.write(previous, numbers)
        except OSError:
            pass  # nothing there, or the other one is full and will be read


_pipe: _SignalPipe | None = None


def _signal_pipe() -> _SignalPipe:
    global _pipe
    if _pipe is None or not _pipe.is_ours():
        _pipe = _SignalPipe()
    return _pipe


def _wait_with_signals(waiter: _ffi.Waiter, until: float | None) -> int:
    """Wait in the main thread until something happened; the caller looks what it was."""
    pipe = _signal_pipe()
    previous = [-1]
    installing = map(signal.set_wakeup_fd, (pipe.write_fd,))
    restoring = map(signal.set_wakeup_fd, previous)
    # From here to the `try`, and from `finally` to the end of its first line, nothing is called by
    # this code, so no signal is looked at: the descriptor of somebody else is never lost.
    (previous[0],) = installing
    try:
        code = waiter.wait(until, pipe.read_fd, pipe.write_fd)
    finally:
        (_,) = restoring
        pipe.drain(previous[0])
    return code


def deadline(timeout: float | None, option: int) -> float | None:
    """Return when a call is over: `timeout` in seconds, else the option in milliseconds."""
    if timeout is None:
        return None if option < 0 else time.monotonic() + option / 1000
    if not isinstance(timeout, (int, float)):
        raise TypeError(f"timeout: seconds are needed, not {type(timeout).__name__}")
    if timeout == math.inf:
        return None
    if not timeout >= 0:
        raise ValueError(f"timeout: {timeout} is not a number of seconds")
    return time.monotonic() + timeout


def _wait_in_main_thread(waiter: _ffi.Waiter, until: float | None, *, must_end: bool) -> int:
    """Wait, as far as there are descriptors; without them only for what must end, in steps."""
    try:
        return _wait_with_signals(waiter, until)
    except OutOfFiles:
        if must_end:
            step = time.monotonic() + RETRY_INTERVAL
            return waiter.wait(step if until is None else min(until, step))
        code = waiter.leave()
        return ENOFILES if code == ETIMEDOUT else code


def run(
    waiter: _ffi.Waiter, submit: Submit, until: float | None = None, *, must_end: bool = False
) -> int:
    """Submit an operation and wait for it; its code, ETIMEDOUT when the time was up first.

    What it received, and what a send gave back, stays in the waiter. Signal handlers run while it
    waits. One that must end is also waited for when there are no descriptors.
    """
    if until is not None:
        waiter.be_patient(max(0.0, until - time.monotonic()))
    code, _ = submit(waiter, 0)
    while code == _ffi.PARKED:
        if until is not None and until <= time.monotonic():
            return waiter.leave()
        if not thread.is_main:
            code = waiter.wait(until)
        else:
            code = _wait_in_main_thread(waiter, until, must_end=must_end)
    return code


def wait_for(submit: Submit, timeout: float | None = None, *, must_end: bool = False) -> int:
    """Run an operation that moves no message; None waits for ever."""
    waiter = acquire_waiter()
    try:
        code = run(waiter, submit, deadline(timeout, -1), must_end=must_end)
        waiter.keep(thread)
    except BaseException:
        rollback(waiter)
        raise
    return code

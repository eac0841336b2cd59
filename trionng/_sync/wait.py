"""How a thread waits for an operation.

Each thread has a `Waiter`: a completion queue without a descriptor, and the one call that the
thread is in. The thread submits the call with it, and waits in C without the GIL. Deadlines are
those of `time.monotonic`. A thread that is not the main thread sleeps until the operation has
finished. The main thread must also run signal handlers: it polls a pipe that CPython's C signal
handler writes to (`signal.set_wakeup_fd`), so a signal that arrives just before the sleep ends the
sleep as well.

Rules of this file. They make Ctrl-C safe between any two steps of the main thread:
* A waiter is acquired and used inside `try`. A call that succeeded ends with `commit` or
  `commit_message`, any other with `rollback`: a message that the waiter holds goes back to where it
  came from.
* CPython checks for signals when code calls or jumps back, nowhere else (before 3.11 also when a
  Python function returns). So a call that succeeded ends with stores only, and descriptors are
  swapped by iterators, whose steps are no calls.
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
from trionng._base.errors import ENOFILES, ETIMEDOUT, OutOfFiles

Submit = Callable[[_ffi.CompletionQueue, int], _ffi.SubmitResult]

SPIN_LIMIT: Final = 0.001
RETRY_INTERVAL: Final = 0.02


class _Thread(threading.local):
    """What a thread keeps for its next call."""

    idle: _ffi.Waiter | None = None

    def __init__(self) -> None:
        self.is_main = threading.current_thread() is threading.main_thread()


thread = _Thread()


def acquire_waiter() -> _ffi.Waiter:
    """Take the thread's waiter, or a new one for a call from inside a signal handler."""
    waiter = thread.idle
    if waiter is None:
        return _ffi.Waiter()
    thread.idle = None
    return waiter


def rollback(waiter: _ffi.Waiter, reclaim: _ffi.Reclaim = _ffi.drop) -> None:
    """Undo a call that did not complete."""
    msg = waiter.rollback()
    if msg:
        reclaim(msg)
    thread.idle = waiter


class _SignalPipe:
    """The pipe that the main thread polls: signals write their numbers, a finished call a 0."""

    _fds: list[int] | tuple[()] = ()

    def __init__(self) -> None:
        # The list owns the descriptors from the step that makes them.
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
        # Interrupted while it was made, or inherited by a forked child.
        fds, self._fds = self._fds, ()
        for fd in fds:
            _close(fd)

    def is_ours(self) -> bool:
        return self._pid == os.getpid()

    def drain(self, previous: int) -> None:
        """Empty the pipe, and pass signal numbers on to the wake-up descriptor set before."""
        try:
            numbers = os.read(self.read_fd, 4096).replace(b"\0", b"")
            if numbers and previous >= 0:
                os.write(previous, numbers)
        except OSError:
            pass  # it is empty, or the other one is full and will be read


_pipe: _SignalPipe | None = None


def _signal_pipe() -> _SignalPipe:
    global _pipe
    if _pipe is None or not _pipe.is_ours():
        _pipe = _SignalPipe()
    return _pipe


def _wait_with_signals(waiter: _ffi.Waiter, until: float | None) -> int:
    """Wait in the main thread until the call has finished, a signal came, or time is over."""
    pipe = _signal_pipe()
    previous = [-1]
    installing = map(signal.set_wakeup_fd, (pipe.write_fd,))
    restoring = map(signal.set_wakeup_fd, previous)
    # From here to the `try`, and from `finally` to the end of its first line, this code calls
    # nothing, so CPython checks for no signal: the descriptor set before is always restored.
    (previous[0],) = installing
    try:
        code = waiter.wait(until, pipe.read_fd, pipe.write_fd)
    finally:
        (_,) = restoring
        pipe.drain(previous[0])
    return code


def deadline(timeout: float | None, option: int) -> float | None:
    """Return the deadline of a call: `timeout` in seconds, else the option in milliseconds."""
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
    """Wait with signals; without descriptors wait only for a call that must end, in steps."""
    try:
        return _wait_with_signals(waiter, until)
    except OutOfFiles:
        if must_end:
            step = time.monotonic() + RETRY_INTERVAL
            return waiter.wait(step if until is None else min(until, step))
        code = waiter.cancel()
        return ENOFILES if code == ETIMEDOUT else code


def run(
    waiter: _ffi.Waiter, submit: Submit, until: float | None = None, *, must_end: bool = False
) -> int:
    """Submit an operation and wait for it; return its code, or ETIMEDOUT.

    A received message, and that of a failed send, stays in the waiter. Signal handlers run during
    the wait. With `must_end` it also waits when no descriptor can be had.
    """
    if until is not None:
        limit_spin(waiter, until)
    code, _ = submit(waiter, 0)
    return finish(waiter, until, must_end=must_end) if code == _ffi.PARKED else code


def limit_spin(waiter: _ffi.Waiter, until: float) -> None:
    """Keep the submit that follows from waiting beyond a deadline."""
    waiter.spin_for(max(0.0, until - time.monotonic()))


def finish(waiter: _ffi.Waiter, until: float | None, *, must_end: bool = False) -> int:
    """Wait for the operation that the waiter has submitted; see `run`."""
    code = _ffi.PARKED
    while code == _ffi.PARKED:
        if until is not None and until <= time.monotonic():
            return waiter.cancel()
        if not thread.is_main:
            code = waiter.wait(until)
        else:
            code = _wait_in_main_thread(waiter, until, must_end=must_end)
    return code


def wait_for(submit: Submit, timeout: float | None = None, *, must_end: bool = False) -> int:
    """Run an operation without a message; `timeout` is in seconds, None waits for ever."""
    waiter = acquire_waiter()
    try:
        code = run(waiter, submit, deadline(timeout, -1), must_end=must_end)
        waiter.commit(thread)
    except BaseException:
        rollback(waiter)
        raise
    return code

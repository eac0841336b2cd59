"""A clock for tests that jumps when the whole process is idle, nng included.

Trio's MockClock can jump as soon as all tasks are blocked. With sockets of nng that is too early:
a message on its way is with a thread of nng, all tasks wait for it, and the timeout around them
expires. `NngClock` also looks at the threads of the process, see `trionng._testing.idle`.

How it works, with public parts of Trio only. Trio asks the clock how long it may sleep when no
task can run. The clock answers with a short time, and looks at the threads before each sleep. When
nothing has run it answers "for ever"; Trio then shortens the sleep only for a task that is in
`wait_all_tasks_blocked`, and tells instruments how long it will sleep. If the sleep is not
shortened the clock jumps, and wakes the loop through the token of the run.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Iterator
from typing import Final, final
from weakref import WeakKeyDictionary

import attrs
import trio.testing

from trionng._testing.idle import IdleWatch
from trionng._trio.run import Task, TrioToken, add_instrument, current_clock, current_trio_token

_logger: Final = logging.getLogger("trionng")

# Longer than any cushion of wait_all_tasks_blocked; Trio shortens a sleep to a day.
_FOR_EVER: Final = 999_999_999.0
_NO_CUSHION: Final = 3600.0
# At most so often the clock looks at the threads.
_LOOK_EVERY: Final = 0.0005
# After so many real seconds in which Trio had nothing to do and something else worked, say what.
_SAY_AFTER: Final = 5.0


@final
class NngClock(trio.abc.Clock, trio.abc.Instrument):
    """A clock that jumps to the next deadline when Trio, nng and all other threads are idle.

    Use it as `trio.testing.MockClock`: `trio.run(main, clock=NngClock())`, or the pytest fixture
    `nng_clock`. Trio's class cannot be subclassed, so this one has the same attributes: `rate`,
    `autojump_threshold`, `jump`.

    Time stands still while a thread of nng, or any other thread of the process, runs. It also
    stands still during `trio.to_thread.run_sync`, except while the thread waits in a call of
    `trionng.blocking`; during `aclose` and `flush`; and for the first second of `dial` and
    `wait_connected`. Other processes are not seen, nor are the time limits of nng, which are real
    time, such as the pause before a dialer connects again: use `hold_clock` around what waits for
    them. While a task is in `trio.testing.wait_all_tasks_blocked` the clock does not jump.

    Where the system has no `/proc` (it is not Linux), 0.05 s without an event count as idle.

    Concurrency: one Trio run at a time; also in guest mode.

    Args:
        rate: seconds of this clock for a real second; default 0: it only jumps.
        autojump_threshold: real seconds for which nothing may have run before a jump; `math.inf`
            never jumps by itself.
    """

    def __init__(self, rate: float = 0.0, autojump_threshold: float = 0.005) -> None:
        self._time = trio.testing.MockClock(rate)
        self._threshold = 0.0
        self.autojump_threshold = autojump_threshold
        self._watch = IdleWatch()
        self._jump_to: float | None = None
        self._blocked_since = math.inf
        self._said = False
        self._token: TrioToken | None = None

    def __repr__(self) -> str:
        return f"<NngClock, time={self.current_time():.7f}, rate={self.rate}>"

    @property
    def rate(self) -> float:
        """Seconds of this clock for a real second."""
        return self._time.rate

    @rate.setter
    def rate(self, rate: float) -> None:
        self._time.rate = rate

    @property
    def autojump_threshold(self) -> float:
        """Real seconds for which nothing may have run before a jump; `math.inf` never jumps."""
        return self._threshold

    @autojump_threshold.setter
    def autojump_threshold(self, seconds: float) -> None:
        if not seconds >= 0:
            raise ValueError(f"autojump_threshold: {seconds} is not a number of seconds")
        self._threshold = float(seconds)

    def jump(self, seconds: float) -> None:
        """Move the clock forward by so many seconds, at once.

        Raises:
            ValueError: `seconds` is negative.
        """
        self._time.jump(seconds)

    def start_clock(self) -> None:
        """Begin a run; Trio calls this."""
        self._token = current_trio_token()
        self._watch.reset()
        self._jump_to = None
        self._blocked_since = math.inf
        add_instrument(self)

    def current_time(self) -> float:
        """Return the time of this clock, in seconds."""
        return self._time.current_time()

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Say how long Trio may sleep; Trio calls this when no task can run."""
        self._jump_to = None
        sleep = self._time.deadline_to_sleep_time(deadline)
        if sleep == 0 or deadline == math.inf or self._threshold == math.inf:
            self._watch.reset()
            return sleep
        if self._watch.is_quiet(self._threshold):
            self._jump_to = deadline
            return _FOR_EVER
        self._say_what_is_busy()
        return min(sleep, max(self._threshold, _LOOK_EVERY))

    def before_io_wait(self, timeout: float) -> None:
        """Jump, if nothing is at work anywhere; Trio calls this before each sleep."""
        if self._jump_to is not None and timeout >= _NO_CUSHION and self._token is not None:
            self._time.jump(max(0.0, self._jump_to - self.current_time()))
            self._token.run_sync_soon(_wake, idempotent=True)

    def task_scheduled(self, task: Task) -> None:
        """Note that a task can run; Trio calls this."""
        self._watch.reset()
        self._blocked_since = math.inf

    def _say_what_is_busy(self) -> None:
        now = time.perf_counter()
        self._blocked_since = min(self._blocked_since, now)
        if self._watch.busy and not self._said and now - self._blocked_since >= _SAY_AFTER:
            self._said = True
            _logger.warning(
                "NngClock: all tasks have been blocked for %.0f s, and the clock does not jump "
                "because something still works: %s",
                now - self._blocked_since,
                self._watch.busy,
            )


def _wake() -> None:
    """Do nothing: the call ends the sleep of the loop."""


@attrs.define
class _Hold:
    """How a clock was set before it was held, and by how many blocks it is held now."""

    rate: float
    threshold: float
    blocks: int = 0


_holds: WeakKeyDictionary[NngClock | trio.testing.MockClock, _Hold] = WeakKeyDictionary()


@contextlib.contextmanager
def hold_clock() -> Iterator[None]:
    """Let the clock of this run go as a real one does, without jumps, for the time of a block.

    Use it around what waits for something that no clock can see: another process, or a time limit
    of nng. Timeouts and sleeps inside the block take real time. Blocks may be nested, and overlap
    in several tasks: the clock jumps again after the last of them. It holds a
    `trio.testing.MockClock` as well, and does nothing where the clock is Trio's own.

    Raises:
        RuntimeError: no Trio run is under way.

    Example:
        with hold_clock(), trio.fail_after(10):
            await socket.wait_connected()
    """
    clock = current_clock()
    if not isinstance(clock, (NngClock, trio.testing.MockClock)):
        yield
        return
    hold = _holds.setdefault(clock, _Hold(clock.rate, clock.autojump_threshold))
    hold.blocks += 1
    clock.autojump_threshold = math.inf
    clock.rate = max(hold.rate, 1.0)
    try:
        yield
    finally:
        hold.blocks -= 1
        if hold.blocks == 0:
            del _holds[clock]
            clock.rate, clock.autojump_threshold = hold.rate, hold.threshold

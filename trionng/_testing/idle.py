"""Whether anything but Trio's loop works in this process.

nng works on threads that Trio does not see. A message that was sent and has not arrived is with
such a thread, and so is a connection that is being made. The kernel tells of each thread whether
it sleeps, and how often it has been put to sleep. So two looks that are equal, with all threads
asleep in both, say that no thread has run between them. What a thread did before the first look
has reached Trio's descriptors by then: a poll of Trio between the looks that finds nothing proves
that nothing is on its way.

No thread runs while a message waits for a peer that does not read, for a time limit of nng, or for
another process: that counts as idle.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Final

import attrs
import trio

from trionng import _ffi
from trionng._trio.run import real_waits

_THREADS: Final = Path("/proc/self/task")
# Without /proc, nothing tells whether a thread has run: this many seconds stand for it.
WITHOUT_PROC: Final = 0.0 if _THREADS.is_dir() else 0.05
# Threads of Trio that wait for work, or wait for I/O in guest mode. Trio gives a thread that works
# for `trio.to_thread` another name.
_TRIO_THREAD: Final = "Trio thread"


@attrs.frozen
class Look:
    """What the threads of this process do now.

    Attributes:
        busy: which of them work, or why that counts as work; "" when all are asleep.
        switches: of each thread that counts, how often the kernel has put it to sleep.
    """

    busy: str
    switches: dict[str, bytes]


def look() -> Look:
    """Look at the threads of this process, from the thread and the run that Trio is in."""
    skipped = {
        thread.native_id for thread in threading.enumerate() if thread.name.startswith(_TRIO_THREAD)
    }
    skipped.add(threading.get_native_id())
    switches: dict[str, bytes] = {}
    busy: list[str] = []
    for number in os.listdir(_THREADS) if WITHOUT_PROC == 0 else ():
        if int(number) in skipped:
            continue
        try:
            status = (_THREADS / number / "status").read_bytes()
        except OSError:
            continue  # it has just ended
        switches[number] = status[status.rfind(b"\nvoluntary_ctxt_switches") :]
        if b"\nState:\tS" not in status:
            busy.append(f"thread {status[6 : status.index(10)].decode(errors='replace')!r} runs")
    working = trio.to_thread.current_default_thread_limiter().borrowed_tokens - _blocked_threads()
    if working > 0:
        busy.append(f"{working} x trio.to_thread.run_sync")
    if real_waits():
        busy.append("a dial, close or flush, which takes real time")
    return Look(", ".join(busy), switches)


def _blocked_threads() -> int:
    """Count the threads that wait inside a call of trionng.blocking."""
    frames = dict(sys._current_frames())
    frames.pop(threading.get_ident(), None)
    return sum(frame.f_code is _ffi.Waiter.wait.__code__ for frame in frames.values())


class IdleWatch:
    """Compares looks, and says for how long nothing has run."""

    def __init__(self) -> None:
        self._last: Look | None = None
        self._quiet_since = 0.0
        self.busy = ""

    def reset(self) -> None:
        """Forget the looks so far: a task of Trio has run."""
        self._last = None

    def is_quiet(self, seconds: float) -> bool:
        """Look; say whether no thread has run for so many real seconds, and for two looks."""
        now = time.perf_counter()
        this = look()
        self.busy = this.busy
        if this != self._last or this.busy:
            self._last = this
            self._quiet_since = now
            return False
        return now - self._quiet_since >= max(seconds, WITHOUT_PROC)

"""What a process holds, sampled while it is at rest, and whether it grows."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
import time
from pathlib import Path
from typing import NamedTuple

import trio

import trionng
from tests.support.resources import descriptors, resident
from trionng import blocking
from trionng._ffi.load import lib

# A ws listener is freed so many seconds after its close.
WS_FREED_AFTER = 4.0
# How long what was closed may take to be gone.
PATIENCE = 30.0
# What may grow: KiB a minute. Judged from so many minutes on, since caches fill before.
MOST_RSS, MOST_HEAP = 50.0, 50.0
JUDGED_FROM = 10.0


class _Mallinfo(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


_libc = ctypes.CDLL(None)
_libc.mallinfo2.restype = _Mallinfo


def heap() -> float:
    """Return what malloc has handed out, in KiB."""
    information = _libc.mallinfo2()
    return float(information.uordblks + information.hblkhd) / 1024


def anonymous() -> float:
    """Return the resident memory that is of no file, in KiB."""
    status = Path("/proc/self/status").read_text("ascii")
    return float(status.partition("RssAnon:")[2].split()[0])


class Counts(NamedTuple):
    """What must be the same whenever the process is at rest."""

    fds: int
    threads: int
    tasks: int
    pipes: int
    endpoints: int
    objects: int


class Sample(NamedTuple):
    """The process at rest; memory in KiB, that which malloc can return was returned.

    `blocks` are those of Python's allocator.
    """

    minutes: float
    rss: float
    heap: float
    counts: Counts
    anonymous: float
    blocks: int


def _sockets() -> list[trionng.Socket]:
    return [each for each in gc.get_objects() if isinstance(each, trionng.Socket)]


def counts() -> Counts:
    """Count what is open: `objects` are sockets, contexts and pipes of Python."""
    gc.collect()
    kinds = (trionng.Socket, trionng.Context, trionng.Pipe, blocking.Socket)
    return Counts(
        fds=descriptors(),
        threads=len(_threads()),
        tasks=trio.lowlevel.current_statistics().tasks_living,
        pipes=sum(len(socket.pipes) for socket in _sockets()),
        endpoints=lib.tnng_endpoint_records(),
        objects=sum(isinstance(each, kinds) for each in gc.get_objects()),
    )


def _threads() -> list[str]:
    """Return the names of the threads, but for those that Trio keeps for ten seconds."""
    names = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # it ended meanwhile
            names.append((task / "comm").read_text("utf-8"))
    return [name for name in names if not name.startswith("Trio thread")]


def _extra_helpers() -> bool:
    """Say whether helper threads of trionng, of which two stay, have yet to end."""
    return _threads().count("trionng:helper\n") > 2


async def sample(since: float, expected: Counts | None, *, freed: bool) -> Sample:
    """Wait until the process holds what it held before, and measure it.

    What it still holds after PATIENCE is in the sample, for `flaws` to find.
    """
    await trio.sleep(WS_FREED_AFTER if freed else 0.5)
    now = counts()
    until = time.monotonic() + PATIENCE
    while (_extra_helpers() or now != (expected or now)) and time.monotonic() < until:
        await trio.sleep(0.25)
        now = counts()
    _libc.malloc_trim(0)
    rss = resident() / 1024
    minutes = (time.monotonic() - since) / 60
    return Sample(minutes, rss, heap(), now, anonymous(), sys.getallocatedblocks())


def slope(points: list[tuple[float, float]]) -> float:
    """Return how much a number grows a minute, by least squares."""
    if not points:
        return 0.0
    mean_time = sum(time for time, _ in points) / len(points)
    mean = sum(value for _, value in points) / len(points)
    spread = sum((time - mean_time) ** 2 for time, _ in points)
    return sum((t - mean_time) * (v - mean) for t, v in points) / spread if spread else 0.0


class Growth(NamedTuple):
    """The growth of the last two thirds of a run, KiB a minute."""

    rss: float
    heap: float


def growth(samples: list[Sample]) -> Growth:
    """Leave out the first third, in which caches fill."""
    later = samples[len(samples) // 3 :]
    return Growth(
        slope([(each.minutes, each.rss) for each in later]),
        slope([(each.minutes, each.heap) for each in later]),
    )


def flaws(samples: list[Sample]) -> list[str]:
    """Say what grew that must not."""
    found = []
    expected = samples[0].counts
    for each in samples[1:]:
        if each.counts != expected:
            found.append(f"at {each.minutes:.1f} minutes {each.counts}, before {expected}")
    if samples[-1].minutes >= JUDGED_FROM:
        rss, heap = growth(samples)
        if rss >= MOST_RSS:
            found.append(f"resident memory grows by {rss:.0f} KiB a minute")
        if heap >= MOST_HEAP:
            found.append(f"the heap grows by {heap:.0f} KiB a minute")
    return found

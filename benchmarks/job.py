"""One piece of work, as a peer process sees it: the line protocol, the messages, the counting.

The runner writes `open KIND ROLE MODE SIZE BUFFERS FLOWS URL BACK`, then any number of `go N`, then
`end`; the peer answers `ready`, one `result START END COUNT CPU` a round, and `closed`. Between
rounds a peer has nothing to do, so it reads its input with a plain blocking read, in whatever loop
it runs. c/bench.h says the same for C.
"""

from __future__ import annotations

import gc
import os
import resource
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SUBSCRIBERS = 4
BURST = 64
# The workers of a service.
CONCURRENT = 64
# The publisher sends this until every subscriber has answered; it is no message of the work.
HELLO = b"hello"

_LARGE = 4096
_ENDS = 16

now = time.monotonic_ns


class WrongMessage(Exception):
    """A message that arrived is not the one that was due."""


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@dataclass
class Job:
    """What to do: the fields are the words of the `open` line."""

    kind: str
    role: str
    mode: str
    size: int
    buffers: int
    flows: int
    url: str
    back: str
    messages: list[bytes] = field(init=False)
    _cpu: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        # Message number i is i in 8 bytes, over and over.
        variants = 4 if self.size > _LARGE else 256
        self.messages = [i.to_bytes(8, "little") * (self.size // 8) for i in range(variants)]

    @property
    def mask(self) -> int:
        """`messages[i & mask]` is message number i."""
        return len(self.messages) - 1

    @property
    def tls(self) -> bool:
        return self.url.startswith("tls")

    @property
    def topics(self) -> list[bytes]:
        """What a subscriber asks for: everything, or `flows` topics, of which 257 occur."""
        if not self.flows:
            return [b""]
        others = range(1 << 32, (1 << 32) + self.flows - len(self.messages) - 1)
        occurring = [message[:8] for message in self.messages]
        return [*(number.to_bytes(8, "little") for number in others), *occurring, HELLO]

    @property
    def large(self) -> bool:
        return self.size > _LARGE

    def ready(self) -> None:
        _say("ready")

    def rounds(self) -> Iterator[int]:
        """Yield the number of messages of each round."""
        for line in sys.stdin:
            if not line.startswith("go "):
                return
            self._cpu = time.process_time_ns()
            yield int(line[3:])

    def result(self, start: int, end: int, count: int) -> None:
        _say(f"result {start} {end} {count} {time.process_time_ns() - self._cpu}")

    def samples(self, times: list[int]) -> None:
        """Say how long each round trip took, before its result."""
        _say("samples " + " ".join(map(str, times)))

    def check_large(self, got: bytes | memoryview, index: int, *, whole: bool = False) -> None:
        """Compare the length and both ends; with `whole`, which is not timed, everything."""
        want = self.messages[index & self.mask]
        ends = got[:_ENDS] == want[:_ENDS] and got[-_ENDS:] == want[-_ENDS:]
        if len(got) != len(want) or not ends or (whole and got != want):
            self.wrong(index)

    def wrong(self, index: int) -> None:
        raise WrongMessage(f"{self.kind}/{self.role}: not message number {index}")


class Credit:
    """The progress of the subscribers: at most two bursts are on their way to any of them."""

    def __init__(self, count: int) -> None:
        self._acked = [0] * SUBSCRIBERS
        self.bursts = count // BURST

    def ack(self, data: bytes) -> None:
        self._acked[data[0]] += 1

    def must_wait(self, burst: int) -> bool:
        """Whether this burst may not be sent yet; the one after the last waits for all."""
        slowest = min(self._acked)
        return slowest < (self.bursts if burst == self.bursts else burst - 1)


class Tally:
    """The requests of one round, shared by the tasks that ask or answer."""

    def __init__(self) -> None:
        self.done = 0
        self.goal = 0
        self._next = 0

    def start(self, goal: int) -> None:
        self.done, self._next, self.goal = 0, 0, goal

    def take(self) -> int:
        """Give the number of the next request, or -1 when there is none."""
        if self._next == self.goal:
            return -1
        self._next += 1
        return self._next - 1

    def add(self) -> bool:
        """Count one; True when it was the last."""
        self.done += 1
        return self.done == self.goal


def resident_bytes() -> int:
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def serve(name: str, versions: str, run: Callable[[Job], None]) -> None:
    """Do what the runner asks, until it asks no more."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    _say(f"hello {name}: {versions}; Python {sys.version.split()[0]}")
    while line := sys.stdin.readline():
        _, kind, role, mode, size, buffers, flows, url, back = line.split()
        try:
            run(Job(kind, role, mode, int(size), int(buffers), int(flows), url, back))
        except BaseException as exc:
            while group := getattr(exc, "exceptions", None):
                exc = group[0]
            _say(f"failed {type(exc).__name__}: {str(exc).splitlines()[0] if str(exc) else ''}")
            raise
        _say("closed")

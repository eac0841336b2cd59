"""A mixed soak: every kind of work at once, for minutes, while the memory of the process is seen.

    python -m benchmarks.soak [--minutes 12] [--every 30] [--only kinds] [--trace]

From time to time all of it comes to rest, with every socket closed, and the process is looked at:
a line has resident memory, what malloc has handed out (`used`) and what it
holds free (`free`) over all arenas, Python's own objects and blocks, descriptors, threads. At the
end stands the slope of each number over the second half, per minute. A leak shows in `used`, in
`objects` or in `blocks`; what grows in `free` and `rss` alone is fragmentation: run it again with
MALLOC_ARENA_MAX=1 to see. `--trace` adds tracemalloc's largest differences, and is slow.
"""

from __future__ import annotations

import argparse
import collections
import ctypes
import gc
import logging
import os
import random
import sys
import tempfile
import time
import tracemalloc
from typing import TYPE_CHECKING, NamedTuple

import trio

import trionng
from trionng.exceptions import NNGException

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

TRANSPORTS = ("inproc", "ipc", "tcp", "ws")
# A ws listener is freed so many seconds after its close.
AT_REST = 4
SIZES = (1, 100, 1000, 5000, 20_000, 70_000, 200_000)


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


class Sample(NamedTuple):
    """The process at one moment; memory in KiB."""

    minutes: float
    rss: float
    used: float
    free: float
    mapped: float
    blocks: int
    objects: int
    fds: int
    threads: int


def sample(since: float) -> Sample:
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as file:
        rss = int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 1024
    heap = _libc.mallinfo2()
    return Sample(
        (time.monotonic() - since) / 60,
        rss,
        heap.uordblks / 1024,
        heap.fordblks / 1024,
        heap.hblkhd / 1024,
        sys.getallocatedblocks(),
        len(gc.get_objects()),
        len(os.listdir("/proc/self/fd")),
        len(os.listdir("/proc/self/task")),
    )


def slope(samples: list[Sample], field: str) -> float:
    """Return how much a number grows a minute, by least squares."""
    times = [each.minutes for each in samples]
    values = [float(getattr(each, field)) for each in samples]
    mean_time, mean = sum(times) / len(times), sum(values) / len(values)
    spread = sum((time - mean_time) ** 2 for time in times)
    pairs = zip(times, values, strict=True)
    return sum((t - mean_time) * (v - mean) for t, v in pairs) / spread if spread else 0.0


class Soak:
    """The kinds of work; each is one round, and is begun again when it has ended."""

    def __init__(self, directory: str, seed: int) -> None:
        self._directory = directory
        self._random = random.Random(seed)
        self._names = 0
        self.rounds: collections.Counter[str] = collections.Counter()

    def url(self) -> str:
        self._names += 1
        return {
            "inproc": f"inproc://soak-{self._names}",
            "ipc": f"ipc://{self._directory}/{self._names}",
            "tcp": "tcp://127.0.0.1:0",
            "ws": f"ws://127.0.0.1:0/{self._names}",
        }[self._random.choice(TRANSPORTS)]

    def data(self) -> bytes:
        return os.urandom(16) * (self._random.choice(SIZES) // 16 + 1)

    async def requests(self) -> None:
        """Clients of a service; some give up, some are cancelled."""

        async def handler(request: bytes) -> bytes:
            if len(request) % 3 == 0:
                await trio.sleep(0.002)
            return request

        async with (
            trio.open_nursery() as nursery,
            trionng.Rep0() as rep,
            trionng.Req0(resend_time=1000) as req,
        ):
            await req.dial(rep.listen(self.url()).url, block=True)
            service = await trionng.serve_rep(nursery, handler, socket=rep, workers=4)

            async def ask() -> None:
                for _ in range(20):
                    data = self.data()
                    with trio.move_on_after(self._random.choice((0.001, 5))):
                        assert await req.request(data) == data

            async with trio.open_nursery() as askers:
                for _ in range(8):
                    askers.start_soon(ask)
            await service.aclose()

    async def news(self) -> None:
        async with trionng.Pub0() as pub, trio.open_nursery() as nursery:
            url = pub.listen(self.url()).url
            for topic in (b"a", b"b", b""):
                nursery.start_soon(self._read, url, topic)
            await pub.wait_connected(3)
            for i in range(200):
                await pub.send(b"ab"[i % 2 : i % 2 + 1] + self.data())
                if i % 16 == 0:
                    await trio.sleep(0.001)
            nursery.cancel_scope.cancel()

    async def _read(self, url: str, topic: bytes) -> None:
        async with trionng.Sub0(topics=[topic]) as sub, sub.new_context() as context:
            context.subscribe(topic)
            await sub.dial(url, block=True)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._drain, sub)
                nursery.start_soon(self._drain, context)

    async def _drain(self, source: trionng.Sub0 | trionng.SubContext | trionng.Pull0) -> None:
        async for _ in source:
            pass

    async def stream(self) -> None:
        async with trionng.Pull0(recv_buffer_size=32) as pull, trionng.Push0() as push:
            await push.dial(pull.listen(self.url()).url, block=True)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._drain, pull)
                await push.send_many([self.data() for _ in range(64)])
                for _ in range(200):
                    await push.send(self.data())
                with trio.move_on_after(1):
                    await push.flush()
                nursery.cancel_scope.cancel()

    async def pair(self) -> None:
        async with trionng.Pair1() as one, trionng.Pair1(dial=one.listen(self.url()).url) as two:
            await one.wait_connected()
            for _ in range(50):
                data = self.data()
                await two.send_msg(trionng.Message(data))
                message = await one.recv_msg()
                assert message.bytes == data
                with trio.move_on_after(0.0005):
                    await one.recv()

    async def surveys(self) -> None:
        async def handler(question: bytes) -> bytes:
            return question

        async with trionng.Surveyor0() as surveyor, trio.open_nursery() as nursery:
            url = surveyor.listen(self.url()).url
            for _ in range(3):
                await trionng.serve_respondent(nursery, handler, dial=url)
            await surveyor.wait_connected(3)
            for _ in range(10):
                async with surveyor.survey(b"?" * 50, timeout=0.05) as replies:
                    async for _ in replies:
                        pass
            nursery.cancel_scope.cancel()

    async def bus(self) -> None:
        async with trionng.Bus0() as one, trionng.Bus0() as two, two.pipe_events() as events:
            await two.dial(one.listen(self.url()).url, block=True)
            await one.wait_connected()
            for _ in range(30):
                await one.send(self.data())
                with trio.move_on_after(0.05):
                    await two.recv()
            async for event in events:
                assert event.pipe is not None
                break

    async def churn(self) -> None:
        """Connections that come and go, dials that fail, contexts that are opened and closed."""
        async with trionng.Rep0() as rep:
            url = rep.listen(self.url()).url
            for _ in range(5):
                async with trionng.Req0() as req:
                    await req.dial(url, block=True)
                    async with req.new_context() as context:
                        with trio.move_on_after(0.001):
                            await context.send(b"no answer comes")
                            await context.recv()
            async with trionng.Pair0() as pair:
                try:
                    await pair.dial("tcp://127.0.0.1:1", block=True)
                except NNGException:
                    pass
                with trio.move_on_after(0.003):
                    await pair.dial("tcp://127.0.0.1:1", block=None)

    async def keep_at(self, kind: str, until: float) -> None:
        work: Callable[[], Awaitable[None]] = getattr(self, kind)
        while time.monotonic() < until:
            await work()
            self.rounds[kind] += 1


KINDS = ("requests", "news", "stream", "pair", "surveys", "bus", "churn")


def show(samples: list[Sample]) -> None:
    print(" ".join(f"{float(value):>10.1f}" for value in samples[-1]), flush=True)


async def main(arguments: argparse.Namespace) -> None:
    logging.getLogger("trionng").setLevel(logging.ERROR)
    since = time.monotonic()
    samples: list[Sample] = []
    kinds = arguments.only.split(",") if arguments.only else KINDS
    print(" ".join(f"{name:>10}" for name in Sample._fields), flush=True)
    with tempfile.TemporaryDirectory(prefix="tng-") as directory:
        soak = Soak(directory, arguments.seed)
        while time.monotonic() - since < arguments.minutes * 60:
            async with trio.open_nursery() as nursery:
                for kind in kinds:
                    nursery.start_soon(soak.keep_at, kind, time.monotonic() + arguments.every)
            await trio.sleep(AT_REST)
            samples.append(sample(since))
            show(samples)
            if arguments.trace and len(samples) == 2:
                tracemalloc.start(5)
                before = tracemalloc.take_snapshot()
        if arguments.trace and tracemalloc.is_tracing():
            for line in tracemalloc.take_snapshot().compare_to(before, "lineno")[:15]:
                print(line)
    print("rounds:", dict(soak.rounds))
    half = samples[len(samples) // 2 :]
    for field in Sample._fields[1:]:
        print(f"{field}: {slope(half, field):+.1f} a minute")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=12)
    parser.add_argument(
        "--every", type=float, default=30, help="seconds of work between two samples"
    )
    parser.add_argument("--only", help="kinds of work, with commas: " + ",".join(KINDS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--trace", action="store_true")
    trio.run(main, parser.parse_args())

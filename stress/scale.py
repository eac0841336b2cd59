"""Scale: many connections, contexts, topics, sockets and clients; what one costs, and the stall.

    python -m stress.scale [--only contexts,topics] [--share 0.1]

A step makes many of one thing, uses them, and closes them. Its line has how many there were, time
and memory of each, and the longest time for which Trio's loop did nothing else. `--share` makes all
numbers smaller. A step fails when what it made does not work, or when the loop stood too long.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import resource
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import trio

import trionng
from stress.common import finish, first_of, parser, watchdog
from tests.support.resources import resident

# The longest that the loop may stand, in seconds, beside the time that others had the processor.
MOST_STALL = 2.0
# Work between two looks at the loop, as a program would do it.
BATCH = 50


class Meter:
    """Measures one step: time, memory, and how long the loop stood still."""

    def __init__(self) -> None:
        self.stall = 0.0

    async def watch(self) -> None:
        """Wake up every few milliseconds, and see how late it is."""
        while True:
            due, waited = trio.current_time() + 0.005, _waited()
            await trio.sleep_until(due)
            self.stall = max(self.stall, trio.current_time() - due - (_waited() - waited))


def _waited() -> float:
    """Return the seconds for which this thread has waited for a processor, which others had."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text("ascii").split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


@asynccontextmanager
async def measured() -> AsyncIterator[Meter]:
    """Watch the loop for the time of a block."""
    meter = Meter()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(meter.watch)
        yield meter
        nursery.cancel_scope.cancel()


async def _rest(number: int) -> None:
    if number % BATCH == 0:
        await trio.lowlevel.checkpoint()


async def _echo(request: bytes) -> bytes:
    return request


async def _side_by_side(function: Callable[[int], Awaitable[None]], count: int) -> None:
    """Do something so many times, by a few tasks."""
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await function(number)

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(work)


def _descriptors_for(wanted: int, each: int) -> int:
    """Return how many things fit that need so many descriptors each; root may raise the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = max(hard, wanted * each + 200)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, needed))
        hard = needed
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return min(wanted, (hard - 200) // each)


async def connections(count: int) -> int:
    """Connect, ask once over each, flush, and close: one listener, one Req0 a connection."""
    count = _descriptors_for(count, 2)
    async with trionng.Rep0() as rep, trio.open_nursery() as nursery:
        url = rep.listen("abstract://").url
        await trionng.serve_rep(nursery, _echo, socket=rep)
        async with AsyncExitStack() as stack:

            async def use(_: int) -> None:
                req = await stack.enter_async_context(trionng.Req0())
                await req.dial(url, block=True)
                assert await req.request(b"x") == b"x"

            await _side_by_side(use, count)
            assert rep.statistics().pipes == count
            await rep.flush()
        nursery.cancel_scope.cancel()
    return count


async def contexts(count: int) -> int:
    """Open contexts of one Req0, ask by some, and close them all."""
    async with trionng.Rep0() as rep, trionng.Req0() as req, trio.open_nursery() as nursery:
        await req.dial(rep.listen("inproc://contexts").url, block=True)
        await trionng.serve_rep(nursery, _echo, socket=rep)
        opened = []
        for number in range(count):
            opened.append(req.new_context())
            await _rest(number)
        for context in opened[:: max(1, count // 1000)]:
            await context.send(b"x")
            assert await context.recv() == b"x"
        for context in opened:
            await context.aclose()
        nursery.cancel_scope.cancel()
    return count


async def topics(count: int) -> int:
    """Subscribe to topics, get a message of the last one, unsubscribe."""
    async with trionng.Pub0() as pub, trionng.Sub0() as sub:
        await sub.dial(pub.listen("inproc://topics").url, block=True)
        await pub.wait_connected()
        for number in range(count):
            sub.subscribe(b"%08d" % number)
            await _rest(number)
        await pub.send(b"%08d!" % (count - 1))
        assert await sub.recv() == b"%08d!" % (count - 1)
        for number in range(count):
            sub.unsubscribe(b"%08d" % number)
            await _rest(number)
    return count


async def sockets(count: int) -> int:
    """Have sockets open at once, each with a listener, and close them."""
    count = _descriptors_for(count, 2)
    async with AsyncExitStack() as stack:
        for number in range(count):
            socket = await stack.enter_async_context(trionng.Pull0())
            socket.listen("inproc://" + str(number))
    return count


async def clients(count: int) -> int:
    """Serve clients of which each tenth says nothing and reads nothing; the rest is answered."""
    silent = count // 10
    async with trionng.Rep0() as rep, trio.open_nursery() as nursery, AsyncExitStack() as stack:
        url = rep.listen("abstract://").url
        service = await trionng.serve_rep(nursery, _echo, socket=rep, max_unread=8)
        for _ in range(silent):
            raw = await stack.enter_async_context(trionng.Req0(raw=True))
            await raw.dial(url, block=True)
            with trio.move_on_after(0.01):
                for request in range(32):
                    header = (0x80000000 + request).to_bytes(4, "big")
                    await raw.send_msg(trionng.Message(bytes(10_000), header=header))
        answered: collections.Counter[int] = collections.Counter()

        async def ask(number: int) -> None:
            async with trionng.Req0() as req:
                await req.dial(url, block=True)
                for _ in range(5):
                    assert await req.request(b"x") == b"x"
                    answered[number] += 1

        await _side_by_side(ask, count - silent)
        assert answered.total() == 5 * (count - silent), "clients beside silent ones wait"
        assert service.statistics().answered >= answered.total()
        nursery.cancel_scope.cancel()
    return count


STEPS: dict[str, tuple[Callable[[int], Awaitable[int]], int]] = {
    "connections": (connections, 5000),
    "contexts": (contexts, 100_000),
    "topics": (topics, 20_000),
    "sockets": (sockets, 10_000),
    "clients": (clients, 1000),
}


async def run(name: str, share: float, figures: dict[str, object]) -> None:
    """Do one step, and print its line."""
    step, wanted = STEPS[name]
    before = resident()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with measured() as meter:
        begin = time.monotonic()
        count = await step(max(10, int(wanted * share)))
        seconds = time.monotonic() - begin
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - max(peak, before // 1024)
    print(
        f"{name:12} {count:7} {seconds / count * 1e6:9.1f} us each, "
        f"{max(0, grown) * 1024 / count:8.0f} bytes each, loop stood {meter.stall * 1000:6.1f} ms",
        flush=True,
    )
    figures[name] = count
    figures[f"{name}_stall"] = f"{meter.stall * 1000:.0f}ms"
    if meter.stall > MOST_STALL:
        raise AssertionError(f"the loop stood for {meter.stall:.1f} s")


def main() -> None:
    """Do the steps of the command line."""
    arguments = parser(__doc__)
    arguments.add_argument("--only", help="steps, with commas: " + ",".join(STEPS))
    arguments.add_argument("--share", type=float, default=1.0, help="of each number")
    given = arguments.parse_args()
    logging.getLogger("trionng").setLevel(logging.CRITICAL)
    figures: dict[str, object] = {}
    failures: list[str] = []
    with watchdog(10):
        for name in given.only.split(",") if given.only else STEPS:
            try:
                trio.run(run, name, given.share, figures)
            except Exception as error:
                failures.append(f"{name}: {first_of(error)!r}")
    finish("scale", given.seed, figures, failures)


if __name__ == "__main__":
    main()

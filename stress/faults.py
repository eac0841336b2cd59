"""Faults: each allocation, thread, wake-up descriptor and socket of the shim fails once.

    TRIONNG_NATIVE=testing python -m stress.faults [--transport ipc] [--only surveys] [--every 3]

A scenario runs again and again; each time the next call of the shim that could fail does. The
scenario must then raise that memory, threads or descriptors are lacking, or not notice. Whatever it
raises, its sockets close, it does not hang, and nothing stays behind: descriptors, threads, memory.
"""

from __future__ import annotations

import collections
import gc
import logging
import os
import signal
import sys
import time
import warnings
from collections.abc import Awaitable, Callable

import trio

import trionng
from stress.common import Address, Addresses, finish, parser, watchdog
from stress.measure import heap
from tests.support.certificates import CA
from tests.support.errors import leaves
from tests.support.resources import descriptors
from trionng import blocking
from trionng._ffi import testing

WITHIN = 4
# What a fault may raise, wherever it is.
LACKING = (MemoryError, trionng.OutOfFiles, trionng.OutOfThreads, trionng.EventsLost)
# Where a connection that cannot be kept is dropped, with what was under way on it: the other side
# sees a lost connection, or waits for what does not come.
DROPPING = {"conn/pipe_table.c", "conn/pipes.c", "conn/pipe_events.c"}
DROPPED = (
    *(AssertionError, TimeoutError, trio.TooSlowError),
    *(trionng.ConnectionReset, trionng.ConnectionRefused, trionng.Closed),
)
# The heap may grow by so much for each fault: caches of Python and of nng, and no struct of ours.
MOST_GROWTH = 64
_NO_FAULT = 100

New = Callable[[], Address]


async def _dial(listening: trionng.Socket, dialing: trionng.Socket, new: New) -> None:
    address = new()
    url = listening.listen(address.url, tls_config=address.server).url
    await dialing.dial(url, tls_config=address.client, block=True)
    await listening.wait_connected()


async def _echo(data: bytes) -> bytes:
    return data


async def services(new: New) -> None:
    """Requests by every call, to a service; events, flush, drain."""
    async with trionng.Rep0() as rep, trionng.Req0() as req, trio.open_nursery() as nursery:
        async with req.pipe_events() as events:
            await _dial(rep, req, new)
            async for event in events:
                repr(event)
                break
        service = await trionng.serve_rep(nursery, _echo, socket=rep, workers=2)
        assert await req.request(b"a") == b"a"
        async with req.new_context() as context:
            await context.send(b"b")
            assert await context.recv() == b"b"
        with trio.move_on_after(0):
            await req.request(b"given up")
        await req.flush()
        await service.drain()
        await service.aclose()


async def streams(new: New) -> None:
    """Streams by every call, one of them cancelled."""
    async with trionng.Pull0(recv_buffer_size=4) as pull, trionng.Push0() as push:
        await _dial(pull, push, new)
        await push.send_many([b"1", b"2", b"3"])
        assert await pull.recv() == b"1"
        got: list[bytes] = []
        while len(got) < 2:
            got += await pull.recv_many(2)
        assert got == [b"2", b"3"]
        with trio.move_on_after(0.001):
            await pull.recv()
        await push.send_msg(trionng.Message(b"4"))
        message = await pull.recv_msg()
        view = memoryview(message.body)
        assert bytes(view) == b"4"
        view.release()
        pull.statistics()
        await push.dialers[0].aclose()
        await pull.listeners[0].aclose()


async def news(new: New) -> None:
    """Subscribers with topics, of a socket and of a context."""
    async with trionng.Pub0() as pub, trionng.Sub0(topics=("a", "b")) as sub:
        await _dial(pub, sub, new)
        async with sub.new_context() as context:
            context.subscribe("a")
            await pub.send(b"a1")
            assert await sub.recv() == b"a1"
            assert await context.recv() == b"a1"
            sub.unsubscribe("a")
            await pub.send_many([b"a2", b"b3"])
            assert await sub.recv() == b"b3"


async def surveys(new: New) -> None:
    """Surveys to a service, one after another and by contexts."""
    async with (
        trionng.Surveyor0() as surveyor,
        trionng.Respondent0() as respondent,
        trio.open_nursery() as nursery,
    ):
        await _dial(surveyor, respondent, new)
        service = await trionng.serve_respondent(nursery, _echo, socket=respondent, workers=2)
        for question in (b"1", b"2"):
            async with surveyor.survey(question, timeout=WITHIN) as replies:
                async for reply in replies:
                    assert reply == question
                    break
        await surveyor.send(b"3")
        assert await surveyor.recv() == b"3"
        await service.aclose()


async def pairs(new: New) -> None:
    """Pairs: several peers of one, a task for each, and options."""

    async def answer(channel: trionng.PipeChannel) -> None:
        async for data in channel:
            await channel.send(data)

    hub = trionng.Pair1(polyamorous=True, recv_max_size=1000)
    async with hub, trionng.Pair1(polyamorous=True) as peer, trio.open_nursery() as nursery:
        await trionng.serve_pipes(nursery, hub, answer)
        await _dial(hub, peer, new)
        await peer.send(b"1")
        assert await peer.recv() == b"1"
        nursery.cancel_scope.cancel()
    async with trionng.Bus0() as one, trionng.Bus0() as two:
        await _dial(one, two, new)
        await two.send(b"2")
        assert await one.recv() == b"2"


async def devices(new: New) -> None:
    """Requests through `forward`, and a rule of admission."""
    rule = trionng.Admission(addresses=["127.0.0.0/8"]) if ":0" in new().url else None
    async with trionng.Rep0(raw=True, accept=rule) as front, trionng.Req0(raw=True) as back:
        async with trionng.Rep0() as rep, trionng.Req0() as req, trio.open_nursery() as nursery:
            await _dial(front, req, new)
            await _dial(back, rep, new)
            nursery.start_soon(trionng.forward, front, back)
            nursery.start_soon(req.request, b"1")
            await rep.send(await rep.recv())
            while rep.statistics().messages_sent == 0:
                await trio.sleep(0.001)
            nursery.cancel_scope.cancel()


async def failing_dials(new: New) -> None:
    """Dials that fail, that are cancelled, and that go on in the background."""
    async with trionng.Pair0() as pair:
        for url in ("tcp://127.0.0.1:1", "tcp://localhost:1", "ipc:///nowhere/at/all"):
            try:
                await pair.dial(url, block=True)
            except LACKING:
                raise
            except trionng.NNGException:
                pass
        with trio.move_on_after(0.001):
            await pair.dial("tcp://127.0.0.1:1", block=None)
        dialer = await pair.dial("tcp://127.0.0.1:1", block=False)
        repr(dialer)
        with trio.move_on_after(0.002):
            await pair.send(b"no peer takes it")


async def in_threads(new: New) -> None:
    """Blocking sockets."""

    def run() -> None:
        address = new()
        with blocking.Rep0() as rep, blocking.Req0() as req:
            url = rep.listen(address.url, tls_config=address.server).url
            with blocking.serve_rep(bytes, socket=rep, workers=2):
                req.dial(url, tls_config=address.client, block=True, timeout=WITHIN)
                assert req.request(b"1", timeout=WITHIN) == b"1"
        address = new()
        with blocking.Pull0(recv_buffer_size=2) as pull, blocking.Push0() as push:
            url = pull.listen(address.url, tls_config=address.server).url
            push.dial(url, tls_config=address.client, block=True, timeout=WITHIN)
            push.send_many([b"1", b"2"], timeout=WITHIN)
            assert pull.recv(timeout=WITHIN) == b"1"
            assert pull.recv_many(1, timeout=WITHIN) == [b"2"]
            try:
                pull.recv(timeout=0.001)
            except trionng.Timeout:
                pass

    await trio.to_thread.run_sync(run)


SCENARIOS = {
    each.__name__: each
    for each in (services, streams, news, surveys, pairs, devices, failing_dials, in_threads)
}
Scenario = Callable[[New], Awaitable[None]]


async def _within(scenario: Scenario, new: New) -> None:
    with trio.fail_after(WITHIN):
        await scenario(new)


class Faults:
    """Runs scenarios with faults, and judges what they raise and leave."""

    def __init__(self, addresses: Addresses, transport: str, every: int) -> None:
        self._new = lambda: addresses.new(transport)
        self._every = every
        self.failures: list[str] = []
        self.raised: collections.Counter[str] = collections.Counter()
        self.unnoticed: collections.Counter[str] = collections.Counter()

    def _run(self, scenario: Scenario) -> BaseException | None:
        try:
            trio.run(_within, scenario, self._new)
        except BaseException as error:
            return error
        return None

    def first_use(self) -> None:
        """The same in new processes, where nng and the shim have yet to make their threads."""
        number = 1
        while True:
            child = os.fork()
            if child == 0:
                os._exit(self._first_use_in_child(number))
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            if code == _NO_FAULT:
                break
            self.raised["first_use"] += 1
            if code != 0:
                self.failures.append(f"first use, call {number}: ended with {code}")
            number += self._every

    def _first_use_in_child(self, number: int) -> int:
        signal.alarm(5 * WITHIN)
        testing.fail_allocation(number)
        error = self._run(streams)
        where = testing.allocation_failed()
        testing.fail_allocation(0)
        if where is None:
            return _NO_FAULT
        self._judge("first use", number, where, error)
        if (error := self._run(streams)) is not None:
            self.failures.append(f"fails after a fault at {where}: {error!r}")
        print(*self.failures, sep="\n", end="", file=sys.stderr, flush=True)
        return len(self.failures)

    def go_through(self, name: str) -> None:
        """Let each call of a scenario fail once."""
        scenario = SCENARIOS[name]
        for _ in range(3):
            if (error := self._run(scenario)) is not None:
                raise AssertionError(f"{name} fails without a fault") from error
        before = _settled(0)
        self._sweep(name, scenario)
        held = heap()
        faults = self._sweep(name, scenario)
        if (error := self._run(scenario)) is not None:
            self.failures.append(f"{name} fails after its faults: {error!r}")
        after = _settled(before)
        if after > before:
            self.failures.append(f"{name} left {after - before} descriptors")
        growth = (heap() - held) * 1024 / max(1, faults)
        if growth > MOST_GROWTH:
            self.failures.append(f"{name} left {growth:.0f} bytes of memory a fault")

    def _sweep(self, name: str, scenario: Scenario) -> int:
        """Run a scenario until each of its calls has failed; return how many there are."""
        number, faults = 1, 0
        while True:
            testing.fail_allocation(number)
            error = self._run(scenario)
            where = testing.allocation_failed()
            testing.fail_allocation(0)
            if where is None:
                break
            faults += 1
            self._judge(name, number, where, error)
            number += self._every
        self.raised["faults"] += faults
        return faults

    def _judge(self, name: str, number: int, where: str, error: BaseException | None) -> None:
        place = where.rpartition("nng/")[2]
        if error is None:
            self.unnoticed[place] += 1
            return
        file = place.partition(":")[0]
        for each in leaves(error):
            kinds = LACKING + DROPPED if file in DROPPING else LACKING
            self.raised[type(each).__name__] += 1
            if not isinstance(each, kinds):
                self.failures.append(f"{name}, call {number}, at {place}: {each!r}")


def _settled(expected: int) -> int:
    """Count the descriptors when those of closed sockets are gone."""
    until = time.monotonic() + 10
    gc.collect()
    while (count := descriptors()) > expected and time.monotonic() < until:
        if expected == 0 and time.monotonic() > until - 9:
            break
        time.sleep(0.02)
    return count


def main() -> None:
    """Run the faults of the command line."""
    arguments = parser(__doc__)
    arguments.add_argument("--transport", default="ipc")
    arguments.add_argument("--only", help="scenarios, with commas: " + ",".join(SCENARIOS))
    arguments.add_argument("--every", type=int, default=1, help="only each n-th call fails")
    arguments.add_argument("--verbose", action="store_true", help="also where no one noticed")
    given = arguments.parse_args()
    if not testing.is_test_build():
        raise SystemExit("stress.faults needs the test build: TRIONNG_NATIVE=testing")
    logging.getLogger("trionng").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", category=ResourceWarning)
    warnings.filterwarnings("ignore", ".*libnng", RuntimeWarning)
    CA.cert_pem.bytes()
    with watchdog(5), Addresses() as addresses:
        faults = Faults(addresses, given.transport, given.every)
        for name in given.only.split(",") if given.only else ("first_use", *SCENARIOS):
            if name == "first_use":
                faults.first_use()
            else:
                faults.go_through(name)
            if given.verbose:
                print(name, dict(faults.raised), faults.failures, flush=True)
    figures: dict[str, object] = {"transport": given.transport, **faults.raised}
    figures["unnoticed"] = faults.unnoticed.total()
    if given.verbose and faults.unnoticed:
        print(*faults.unnoticed.most_common(), sep="\n")
    finish("faults", 0, figures, faults.failures)


if __name__ == "__main__":
    main()

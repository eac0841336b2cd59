"""Clocks that are not the world's, and loops that are not Trio's."""

from __future__ import annotations

import asyncio
import re
import time
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import sniffio
import trio
import trio.testing

import trionng
from trionng import blocking
from trionng._trio import wait as trio_wait
from trionng.testing import new_url

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SAYS = (
    "trionng's sockets are awaited in Trio tasks, and this is {}: run it with trio.run, in an "
    "asyncio program with trionng.guest, or use trionng.blocking in a thread"
)

CALLS: dict[str, Callable[[Any], Awaitable[object]]] = {
    "recv": lambda pair: pair.recv(),
    "recv_msg": lambda pair: pair.recv_msg(),
    "recv_many": lambda pair: pair.recv_many(3),
    "anext": lambda pair: pair.__anext__(),
    "send": lambda pair: pair.send(b"x"),
    "send_msg": lambda pair: pair.send_msg(trionng.Message(b"x")),
    "send_many": lambda pair: pair.send_many([b"x"]),
    "dial": lambda pair: pair.dial(new_url(), block=True),
    "wait_connected": lambda pair: pair.wait_connected(),
    "flush": lambda pair: pair.flush(),
    "aclose": lambda pair: pair.aclose(),
}


@pytest.fixture
def pair():
    """A socket with a message to receive, and room to send one; made and closed outside Trio."""
    with blocking.Pair0(listen=new_url()) as other:
        pair = trionng.Pair0(dial=other.listeners[0].url)
        other.wait_connected()
        other.send(b"kept")
        yield pair
        pair._abort()


@pytest.mark.parametrize("call", CALLS)
def test_call_under_asyncio_says_that_a_socket_needs_trio(pair, call: str):
    """A socket awaited under asyncio names Trio and trionng.blocking, in one sentence."""

    async def main() -> None:
        await CALLS[call](pair)

    with pytest.raises(RuntimeError, match=re.escape(SAYS.format("none"))):
        asyncio.run(main())


def as_trio_asyncio_does(coroutine: Any) -> object:
    """Make the first step of a coroutine where trio-asyncio makes it: inside a Trio task."""
    before, sniffio.thread_local.name = sniffio.thread_local.name, "asyncio"
    try:
        return coroutine.send(None)
    finally:
        sniffio.thread_local.name = before


@pytest.mark.parametrize("call", CALLS)
def test_call_in_trio_asyncio_code_leaves_the_run_alone(pair, call: str):
    """Nothing is submitted, taken or parked for a task that is not Trio's to wake."""

    async def main() -> None:
        with pytest.raises(RuntimeError, match=re.escape(SAYS.format("asyncio code"))):
            as_trio_asyncio_does(CALLS[call](pair))
        if call != "aclose":
            assert await pair.recv() == b"kept"
        await trio.testing.wait_all_tasks_blocked()

    trio.run(main)


def test_call_without_any_loop_says_that_a_socket_needs_trio(pair):
    """A coroutine that is stepped by hand says the same."""
    with pytest.raises(RuntimeError, match="awaited in Trio tasks"):
        pair.recv().send(None)


def test_close_under_a_clock_that_jumps_warns_of_nothing():
    """`aclose` measures nng in real time: a MockClock that jumps at once leaves it all it needs."""

    async def main() -> None:
        for _ in range(20):
            async with trionng.Req0() as req, trionng.Rep0(listen=new_url("tcp", "")) as rep:
                dialer = await req.dial(rep.listeners[0].url, block=True)
                await dialer.aclose()
                await rep.listeners[0].aclose()
        assert trio.current_time() - start == 0  # nothing of ours is a deadline of Trio's

    clock = trio.testing.MockClock(autojump_threshold=0)
    start = clock.current_time()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trio.run(main, clock=clock)


def test_linger_and_flush_under_an_autojump_clock_write_all():
    """`linger` and `flush` bound nng, so they are real time, too."""

    async def main() -> None:
        async with trionng.Pull0(listen=new_url("tcp", "")) as pull:
            async with trionng.Push0(dial=pull.listeners[0].url, linger=60) as push:
                push.send_buffer_size = 100
                await push.wait_connected()
                for number in range(100):
                    await push.send(b"%d" % number)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(push.flush)
                    received = [await pull.recv() for _ in range(50)]
                await push.send(b"last")
            received += [await pull.recv() for _ in range(51)]
        assert received == [b"%d" % number for number in range(100)] + [b"last"]

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.parametrize("clock", [None, trio.testing.MockClock(autojump_threshold=0)])
def test_bound_on_nng_is_real_time_and_holds(clock: trio.testing.MockClock | None):
    """A limit ends a block after so many real seconds, whatever the clock; a cancel ends it too."""

    async def main() -> None:
        begin = time.monotonic()
        with trio_wait.real_time_limit(0.05) as scope:
            await trio.sleep_forever()
        assert scope.cancelled_caught
        await trio_wait.sleep_in_real_time(0.05)
        assert 0.1 <= time.monotonic() - begin < 60
        with trio.CancelScope() as outer, trio_wait.real_time_limit(60):
            outer.cancel()
            await trio_wait.sleep_in_real_time(60)
        assert outer.cancelled_caught

    trio.run(main, clock=clock)


def test_close_that_hangs_under_a_mock_clock_ends_in_real_time(monkeypatch):
    """A MockClock that never moves does not make a close wait for ever: it warns, as ever."""
    monkeypatch.setattr("trionng._trio.socket.CLOSE_WITHIN", 0.05)

    async def main() -> None:
        pair = trionng.Pair0()
        begin = time.monotonic()
        with pytest.warns(UserWarning, match="has not closed it"):
            await _close_that_hangs(pair)
        assert 0.05 <= time.monotonic() - begin < 60
        pair._native.close(None, 0)

    async def _close_that_hangs(pair: trionng.Pair0) -> None:
        native = pair._native
        never = trionng.Pair0()
        pair._native = _Hangs(never)  # type: ignore[assignment]
        try:
            await pair.aclose()
        finally:
            pair._native = native
            await trio.to_thread.run_sync(never._abort)

    trio.run(main, clock=trio.testing.MockClock())


class _Hangs:
    """A native socket whose close does not end: it waits for a peer."""

    def __init__(self, socket: trionng.Pair0) -> None:
        self._wait = socket._native.wait_pipes

    def close(self, port: Any, tag: int) -> Any:
        return self._wait(1, port, tag)

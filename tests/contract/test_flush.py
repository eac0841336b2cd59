"""`flush`, `linger` and `drain`: every transport, every protocol, peers that are slow, stopped or
gone, and what a check of thousands of connections costs."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest
import trio
import trio.testing

import trionng
from tests.support.apis import SyncApi
from tests.support.certificates import client, server
from tests.support.fixes import needs_fix
from tests.support.pauses import WITHIN
from tests.support.sockets import ALL_TRANSPORTS
from tests.support.sp import PULL0, raw_peer
from tests.support.subprocesses import run_test_build
from trionng._ffi import testing
from trionng._trio.wait import wait_for
from trionng.testing import new_url

ALL = (*ALL_TRANSPORTS, "tls+tcp", "wss")
# Who sends to whom, and with which arguments.
PAIRS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "Pair0": ("Pair0", "Pair0", {}),
    "Pair1": ("Pair1", "Pair1", {}),
    "Pair1 poly": ("Pair1", "Pair1", {"polyamorous": True}),
    "Push0": ("Push0", "Pull0", {}),
    "Pub0": ("Pub0", "Sub0", {}),
    "Bus0": ("Bus0", "Bus0", {}),
    "Req0": ("Req0", "Rep0", {}),
    "Surveyor0": ("Surveyor0", "Respondent0", {}),
    "raw Pair0": ("Pair0", "Pair0", {"raw": True}),
    "raw Push0": ("Push0", "Pull0", {"raw": True}),
    "raw Pub0": ("Pub0", "Sub0", {"raw": True}),
    "raw Bus0": ("Bus0", "Bus0", {"raw": True}),
}

counted = needs_fix("F1")
on_every_transport = pytest.mark.parametrize("transport", ALL)
# Their last words to each other are what a close can come in the middle of.
where_nothing_closes_in_a_step = pytest.mark.parametrize(
    "transport",
    [
        pytest.param(each, marks=needs_fix("H1")) if each in ("tls+tcp", "ws", "wss") else each
        for each in ALL
    ],
)
# Of these three nothing is known without F1, neither what is written nor what waits.
where_it_is_counted = pytest.mark.parametrize(
    "transport",
    [
        pytest.param(each, marks=counted) if each in ("ws", "wss", "inproc") else each
        for each in ALL
    ],
)


@contextlib.asynccontextmanager
async def linked(api, listening, dialing, transport, directory):
    """Connect two sockets of any transport for the time of a block."""
    url = {"tls+tcp": "tls+tcp4://localhost:0", "wss": "wss4://localhost:0/x"}.get(transport)
    secure = url is not None
    try:
        listener = listening.listen(
            url or new_url(transport, directory), tls_config=server() if secure else None
        )
        # nng gives a WebSocket handshake a second or two; in the background it tries again.
        block = not transport.startswith("ws")
        await api.call(
            dialing.dial, listener.url, block=block, tls_config=client() if secure else None
        )
        await api.call(listening.wait_connected)
        await api.call(dialing.wait_connected)
        yield
    finally:
        await api.close(dialing)
        await api.close(listening)


@where_nothing_closes_in_a_step
async def test_flush_of_every_protocol_returns(api, transport, tmp_path):
    """`flush` returns soon after the messages are written, whichever side listens."""

    # Each WebSocket handshake, with TLS in it, shall be over in time.
    at_once = trio.CapacityLimiter(4)

    async def use(name, listens):
        async with at_once:
            await use_now(name, listens)

    async def use_now(name, listens):
        sender, receiver, options = PAIRS[name]
        ours = getattr(api.module, sender)(**options)
        theirs = getattr(api.module, receiver)(**options)
        if receiver == "Sub0" and not options:
            theirs.subscribe(b"")
        if sender == "Surveyor0":
            ours.survey_time = 60_000
        ends = (ours, theirs) if listens else (theirs, ours)
        async with linked(api, *ends, transport, tmp_path):
            await api.call(ours.flush)
            await api.call(ours.send, b"x" * 1000)
            await api.call(ours.flush)
            assert await api.call(theirs.recv) == b"x" * 1000
            if receiver in ("Rep0", "Respondent0"):
                await api.call(theirs.send, b"answer")
                await api.call(theirs.flush)
                assert await api.call(ours.recv) == b"answer"
            await api.call(ours.flush)

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for name in PAIRS:
                nursery.start_soon(use, name, True)
                nursery.start_soon(use, name, False)


@on_every_transport
async def test_drain_of_a_service_with_nothing_to_do_returns(transport, tmp_path):
    """A service that has answered everything drains at once."""

    async def shout(request):
        return request.upper()

    url = {"tls+tcp": "tls+tcp4://localhost:0", "wss": "wss4://localhost:0/x"}.get(transport)
    secure = url is not None
    with trio.fail_after(60):
        async with trionng.Rep0() as rep, trionng.Req0() as req, trio.open_nursery() as nursery:
            listener = rep.listen(
                url or new_url(transport, tmp_path), tls_config=server() if secure else None
            )
            service = await trionng.serve_rep(nursery, shout, socket=rep)
            await req.dial(listener.url, tls_config=client() if secure else None)
            assert await req.request(b"x") == b"X"
            await service.drain()
            nursery.cancel_scope.cancel()


@where_it_is_counted
async def test_linger_delivers_what_a_slow_reader_has_not_read(api, transport, tmp_path):
    """Closing with `linger` loses nothing, on any transport, as long as the peer reads."""
    push = api.module.Push0(send_buffer_size=100, linger=60)
    pull = api.module.Pull0()
    received = []

    async def read():
        for _ in range(60):
            received.append(await api.call(pull.recv))

    with trio.fail_after(60):
        async with linked(api, pull, push, transport, tmp_path):
            for number in range(60):
                await api.call(push.send, bytes([number]) * 40_000)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(read)
                nursery.start_soon(api.close, push)
    assert [data[0] for data in received] == list(range(60))


@where_it_is_counted
async def test_flush_to_a_peer_not_reading_waits_until_the_timeout(api, transport, tmp_path):
    """What is not written keeps `flush` waiting; the caller decides how long."""
    push = api.module.Push0(send_buffer_size=100, recv_max_size=0)
    pull = api.module.Pull0(recv_max_size=0)
    with trio.fail_after(60):
        async with linked(api, pull, push, transport, tmp_path):
            for _ in range(20):
                await api.call(push.send, b"x" * 1_000_000)
            began = time.monotonic()
            with trio.move_on_after(0.4), contextlib.suppress(trionng.Timeout):
                if isinstance(api, SyncApi):
                    await api.call(push.flush, timeout=0.4)
                else:
                    await push.flush()
                pytest.fail("flushed what nobody reads")
            assert time.monotonic() - began >= 0.3
            for _ in range(20):
                await api.call(pull.recv)
            await api.call(push.flush)


async def test_flush_ends_when_the_peer_leaves_meanwhile(api):
    """A peer that takes messages with it does not hold `flush` up."""
    with trio.fail_after(60):
        pair = api.module.Pair0(send_buffer_size=20, listen="tcp://127.0.0.1:0")
        async with raw_peer(pair.listeners[0].url) as peer:
            await peer.greet(0x10)
            await api.call(pair.wait_connected)
            for _ in range(10):
                await api.call(pair.send, b"x" * 900_000)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(api.call, pair.flush)
                await trio.sleep(0.05)  # so long at least it waits
                await peer.close()
        await api.close(pair)


@counted
async def test_flush_of_push0_after_a_peer_left_waits_for_the_others():
    """What went down with one connection is known, so the others are still waited for."""
    with trio.fail_after(60):
        async with trionng.Push0(send_buffer_size=20, listen="tcp://127.0.0.1:0") as push:
            url = push.listeners[0].url
            async with raw_peer(url) as first:
                await first.greet(PULL0)
                await push.wait_connected()
                await push.send(b"x" * 900_000)
                await push.send(b"x" * 900_000)
                async with push.pipe_events() as events:
                    await anext(events)
                    await first.close()
                    assert (await anext(events)).kind == "disconnected"
            async with raw_peer(url) as second:
                await second.greet(PULL0)
                await push.wait_connected()
                for _ in range(8):
                    await push.send(b"x" * 900_000)
                with trio.move_on_after(0.3) as scope:
                    await push.flush()
                assert scope.cancelled_caught

                async def read():
                    while True:
                        await second.receive()

                async with trio.open_nursery() as nursery:
                    nursery.start_soon(read)
                    await push.flush()
                    nursery.cancel_scope.cancel()


async def flush_after_a_peer_nng_was_late_to_report():
    """Let a worker take a message and go while the thread that would report it is held up."""
    with trio.fail_after(60):
        async with trionng.Push0(listen="tcp://127.0.0.1:0") as push:
            url = push.listeners[0].url
            events = push.pipe_events()
            testing.arm_pause("pipe.added")
            async with raw_peer(url) as peer:
                await peer.greet(PULL0)
                await push.send(b"given")
                await peer.receive()
            print((await anext(events)).kind)
            testing.open_pause("pipe.added")
            with trio.move_on_after(40) as scope:
                await push.flush()
            print("late" if scope.cancelled_caught else "flushed")


@counted
def test_flush_after_a_peer_took_messages_and_left_returns():
    """What a connection took is known, also when nng never said that it came."""
    finished = run_test_build(flush_after_a_peer_nng_was_late_to_report)

    assert finished.clean, finished
    assert finished.output.split() == ["rejected", "flushed"]


async def test_flush_of_pub0_with_a_stopped_subscriber_returns():
    """A broadcast is not waited for where nothing moves: that peer will miss messages."""
    with trio.fail_after(60):
        async with trionng.Pub0(listen="tcp://127.0.0.1:0") as pub:
            async with raw_peer(pub.listeners[0].url) as peer:
                await peer.greet(0x21)
                await pub.wait_connected()
                for _ in range(40):
                    await pub.send(b"x" * 900_000)
                await pub.flush()


async def check_flush_while_another_check_ends():
    """Send and check again while a helper thread has checked, and has not said so yet."""
    with trio.fail_after(60):
        async with (
            trionng.Rep0(listen="inproc://many") as rep,
            trionng.Push0(send_buffer_size=1) as push,
        ):
            sockets = [trionng.Req0(dial="inproc://many") for _ in range(40)]
            await rep.wait_connected(len(sockets))
            testing.arm_pause("flush.checked")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait_for, push._native.check_flush)
                await trio.to_thread.run_sync(testing.pause_reached, "flush.checked", WITHIN)
                await push.send(b"later")
                nursery.start_soon(wait_for, push._native.check_flush)
                with trio.move_on_after(0) as scope:
                    await wait_for(push._native.check_flush)
                assert scope.cancelled_caught
                await trio.testing.wait_all_tasks_blocked()
                testing.open_pause("flush.checked")
            print(push._native.unflushed()[0])
            for each in sockets:
                await each.aclose()


def test_flush_check_counts_all_that_was_sent_before_it():
    """It never ends with a check that began before it, which may have counted less."""
    finished = run_test_build(check_flush_while_another_check_ends, without="F1")

    assert finished.clean, finished
    assert finished.output.strip() == "1"


async def cost_of_a_flush_check(without: str) -> None:
    """Print how the caller's own time for one check grows with four times the connections."""
    costs = []
    async with trionng.Rep0(listen="inproc://checked") as rep:
        for count in (500, 2000):
            sockets = [trionng.Req0(dial="inproc://checked") for _ in range(count)]
            await rep.wait_connected(count)
            began, checks = time.thread_time(), 20
            for _ in range(checks):
                code, _ = await wait_for(rep._native.check_flush)
                assert code == 0
            costs.append((time.thread_time() - began) / checks)
            async with trio.open_nursery() as nursery:
                for each in sockets:
                    nursery.start_soon(each.aclose)
            while rep.pipes:
                await trio.sleep(0.001)
    print("quadratic" if costs[1] > 10 * costs[0] and costs[1] > 0.01 else "fine", without)


@pytest.mark.parametrize("without", ["", "F1"], ids=["counted", "statistics"])
def test_flush_check_of_thousands_of_connections_is_fast(without):
    """What a flush costs its caller grows with the connections, not with their square."""
    done = run_test_build(cost_of_a_flush_check, without, seconds=180, without=without)
    assert done.output.startswith("fine"), done

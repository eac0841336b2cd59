"""forward: what goes in comes out, once, whatever is cancelled meanwhile."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.lowlevel
import trio.testing

import trionng
from trionng.testing import connected, new_url

if TYPE_CHECKING:
    from pathlib import Path

if sys.version_info < (3, 11):
    from exceptiongroup import ExceptionGroup

WITHIN = 60


PAIRS = [
    (trionng.Rep0, trionng.Req0),
    (trionng.Respondent0, trionng.Surveyor0),
    (trionng.Pull0, trionng.Push0),
    (trionng.Push0, trionng.Pull0),
    (trionng.Sub0, trionng.Pub0),
    (trionng.Pair0, trionng.Pair0),
    (trionng.Pair1, trionng.Pair1),
    (trionng.Bus0, trionng.Bus0),
]


@pytest.mark.parametrize(("front", "back"), PAIRS, ids=lambda kind: kind.__name__)
async def test_forward_each_pair_of_protocols_passes_messages(
    front: type[trionng.Socket], back: type[trionng.Socket]
) -> None:
    """Every device pair of nng: a message of the one end arrives at the other, counted."""
    peer = {"rep": trionng.Req0, "respondent": trionng.Surveyor0, "pull": trionng.Push0,
            "push": trionng.Pull0, "sub": trionng.Pub0, "pair": front, "bus": front}  # fmt: skip
    client_type = next(
        each for name, each in peer.items() if front.__name__.lower().startswith(name)
    )
    server_type = next(
        each for name, each in
        {"req": trionng.Rep0, "surveyor": trionng.Respondent0, "push": trionng.Pull0,
         "pull": trionng.Push0, "pub": trionng.Sub0, "pair": back, "bus": back}.items()
        if back.__name__.lower().startswith(name)
    )  # fmt: skip
    options = {"topics": ""} if server_type is trionng.Sub0 else {}
    with trio.fail_after(WITHIN):
        async with (
            front(raw=True, listen=new_url()) as a,
            back(raw=True, listen=new_url()) as b,
            client_type() as client,
            server_type(**options) as server,  # type: ignore[operator]
            trio.open_nursery() as nursery,
        ):
            await client.dial(a.listeners[0].url, block=True)
            await server.dial(b.listeners[0].url, block=True)
            await a.wait_connected()
            await b.wait_connected()
            forwarding = await nursery.start(trionng.forward, a, b)
            if isinstance(client, trionng.Surveyor0):
                client.survey_time = 60_000
            if front is trionng.Push0:
                await server.send(b"there")
                assert await client.recv() == b"there"
                expected = (0, 1)
            else:
                await client.send(b"there")
                assert await server.recv() == b"there"
                expected = (1, 0)
            if front not in (trionng.Pull0, trionng.Push0, trionng.Sub0):
                await server.send(b"and back")
                assert await client.recv() == b"and back"
                expected = (1, 1)
            while forwarding.statistics().messages != expected:
                await trio.lowlevel.checkpoint()
            statistics = forwarding.statistics()
            nursery.cancel_scope.cancel()

    assert statistics.dropped == 0


async def test_forward_with_one_bus_reflects_to_the_others() -> None:
    """A reflector sends what a peer says to every other peer, and not back to it."""
    with trio.fail_after(WITHIN):
        async with (
            trionng.Bus0(raw=True, listen=new_url()) as hub,
            trionng.Bus0(dial=hub.listeners[0].url) as one,
            trionng.Bus0(dial=hub.listeners[0].url) as two,
            trio.open_nursery() as nursery,
        ):
            await hub.wait_connected(2)
            await nursery.start(trionng.forward, hub)
            await one.send(b"1")
            assert await two.recv() == b"1"
            await two.send(b"2")
            assert await one.recv() == b"2"
            nursery.cancel_scope.cancel()


COUNTING: list[tuple[Any, ...]] = [  # who asks, who passes on, who answers
    (trionng.Req0, trionng.Rep0, trionng.Req0, trionng.Rep0),
    (trionng.Surveyor0, trionng.Respondent0, trionng.Surveyor0, trionng.Respondent0),
    (trionng.Pair1, trionng.Pair1, trionng.Pair1, trionng.Pair1),
]


@pytest.mark.parametrize("hops", [2, 4])
@pytest.mark.parametrize("kinds", COUNTING, ids=lambda kinds: kinds[0].__name__)
async def test_forward_more_hops_than_ttl_max_drops_the_message(
    kinds: tuple[type[trionng.Socket], ...], hops: int
) -> None:
    """The hop limit holds across forwarders, on each protocol that counts hops."""
    asking, front_kind, back_kind, answering = kinds
    with trio.fail_after(WITHIN):
        async with contextlib.AsyncExitStack() as stack, trio.open_nursery() as nursery:
            server = await stack.enter_async_context(answering(listen=new_url()))
            client = await stack.enter_async_context(asking())
            server.ttl_max = 3
            url = server.listeners[0].url
            for _ in range(hops):
                front = await stack.enter_async_context(front_kind(raw=True, listen=new_url()))
                back = await stack.enter_async_context(back_kind(raw=True))
                await back.dial(url, block=True)
                await nursery.start(trionng.forward, front, back)
                url = front.listeners[0].url
            await client.dial(url, block=True)
            await client.send(b"far")
            with trio.move_on_after(WITHIN if hops == 2 else 0.1) as scope:
                assert await server.recv() == b"far"
            nursery.cancel_scope.cancel()

    assert scope.cancelled_caught == (hops == 4)


async def test_forward_cancelled_before_its_send_keeps_the_message() -> None:
    """What was received and could not be sent is the next message of its socket, in order."""
    with trio.fail_after(WITHIN):
        async with connected(trionng.Pull0(raw=True), trionng.Push0(), "inproc") as (pull, push):
            async with trionng.Push0(raw=True) as nobody:
                for i in range(3):
                    async with trio.open_nursery() as nursery:
                        await nursery.start(trionng.forward, pull, nobody)
                        if i == 0:
                            await push.send(b"1")
                            await push.send(b"2")
                        await trio.testing.wait_all_tasks_blocked()
                        nursery.cancel_scope.cancel()
                assert [await pull.recv() for _ in range(2)] == [b"1", b"2"]


async def test_forward_under_many_cancels_loses_nothing() -> None:
    """Cancelled at any moment, every message goes on once and in order."""
    count = 400
    got: list[bytes] = []
    async with (
        trionng.Pull0(raw=True, listen=new_url()) as a,
        trionng.Push0(raw=True, listen=new_url()) as b,
        trionng.Push0(dial=a.listeners[0].url) as push,
        trionng.Pull0(dial=b.listeners[0].url) as pull,
    ):

        async def send() -> None:
            for i in range(count):
                await push.send(b"%d" % i)

        async def receive() -> None:
            for _ in range(count):
                got.append(await pull.recv())
            done.set()

        done = trio.Event()
        with trio.fail_after(WITHIN):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send)
                nursery.start_soon(receive)
                i = 0
                while not done.is_set():
                    i += 1
                    with trio.move_on_after(0.0002 * (i % 7)):
                        await trionng.forward(a, b)

    assert got == [b"%d" % i for i in range(count)]


async def test_forward_capture_gets_a_copy_of_everything() -> None:
    """A copy of each message goes to the capture socket; what it cannot take is counted."""
    with trio.fail_after(WITHIN):
        async with (
            trionng.Rep0(raw=True, listen=new_url()) as a,
            trionng.Req0(raw=True, listen=new_url()) as b,
            trionng.Pair0(listen=new_url(), send_buffer_size=16) as capture,
            trionng.Req0(dial=a.listeners[0].url) as client,
            trio.open_nursery() as nursery,
        ):
            await trionng.serve_rep(nursery, _upper, dial=b.listeners[0].url)
            forwarding = await nursery.start(
                lambda task_status: trionng.forward(a, b, capture=capture, task_status=task_status)
            )
            for _ in range(10):
                assert await client.request(b"x") == b"X"
            with contextlib.suppress(trionng.TryAgain):
                while True:
                    capture.send_nowait(b"-")
            assert await client.request(b"x") == b"X"
            statistics = forwarding.statistics()
            async with trionng.Pair0(dial=capture.listeners[0].url) as reader:
                first = [await reader.recv() for _ in range(4)]
            nursery.cancel_scope.cancel()

    assert first == [b"x", b"X", b"x", b"X"]
    assert statistics.messages == (11, 11)
    assert statistics.bytes == (11, 11)
    assert statistics.uncaptured >= 2


async def _upper(request: bytes) -> bytes:
    return request.upper()


async def test_forward_wrong_sockets_are_refused() -> None:
    """Cooked sockets, and protocols that do not talk to each other, raise before anything runs."""
    async with (
        trionng.Rep0(raw=True) as rep,
        trionng.Req0() as cooked,
        trionng.Push0(raw=True) as push,
    ):
        for other in (cooked, push, None):
            with pytest.raises(trionng.InvalidOperation, match="forward"):
                await trionng.forward(rep, other)


async def test_forward_socket_closed_raises_closed() -> None:
    """Closing one of the sockets ends it, as it ends nng's device."""

    async def close_and_forward() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_close_soon, a)
            await trionng.forward(a, b)

    with trio.fail_after(WITHIN):
        async with trionng.Rep0(raw=True) as a, trionng.Req0(raw=True) as b:
            with trio.testing.assert_checkpoints(), pytest.raises(ExceptionGroup) as caught:
                await close_and_forward()

    assert "Closed" in repr(caught.value)


async def _close_soon(socket: trionng.Socket) -> None:
    await trio.testing.wait_all_tasks_blocked()
    await socket.aclose()


@pytest.mark.parametrize("transport", ["inproc", "ipc", "tcp"])
@pytest.mark.parametrize(
    ("front", "back"),
    [(trionng.Bus0, trionng.Bus0), (trionng.Sub0, trionng.Pub0), (trionng.Pull0, trionng.Push0)],
)
async def test_forward_ring_of_a_protocol_without_hop_count_is_refused(
    front: type[trionng.Socket], back: type[trionng.Socket], transport: str, tmp_path: Path
) -> None:
    """A ring in one process, in which a message would run for ever, ends with the reason."""
    with trio.fail_after(WITHIN):
        async with contextlib.AsyncExitStack() as stack:
            fronts = [
                await stack.enter_async_context(
                    front(raw=True, listen=new_url(transport, tmp_path))
                )
                for _ in range(3)
            ]
            backs = [await stack.enter_async_context(back(raw=True)) for _ in range(3)]
            for each, target in zip(backs, (*fronts[1:], fronts[0]), strict=True):
                await each.dial(target.listeners[0].url, block=True)
            senders: dict[Any, Any] = {trionng.Sub0: trionng.Pub0, trionng.Pull0: trionng.Push0}
            client_type = senders.get(front, front)
            client = await stack.enter_async_context(client_type())
            await client.dial(fronts[0].listeners[0].url, block=True)
            await fronts[0].wait_connected(2)

            async def run() -> None:
                async with trio.open_nursery() as nursery:
                    for pair in zip(fronts, backs, strict=True):
                        await nursery.start(trionng.forward, *pair)
                    await client.send(b"round")

            with pytest.raises(ExceptionGroup) as caught:
                await run()
            assert caught.group_contains(trionng.InvalidOperation, match="ring")


async def test_forward_line_without_hop_count_passes_all_messages() -> None:
    """A line of Bus0 forwarders is no ring: it passes on more messages than are looked at."""
    with trio.fail_after(WITHIN):
        async with contextlib.AsyncExitStack() as stack, trio.open_nursery() as nursery:
            last = await stack.enter_async_context(trionng.Bus0(listen=new_url()))
            url = last.listeners[0].url
            for _ in range(3):
                front = await stack.enter_async_context(trionng.Bus0(raw=True, listen=new_url()))
                back = await stack.enter_async_context(trionng.Bus0(raw=True))
                await back.dial(url, block=True)
                await nursery.start(trionng.forward, front, back)
                url = front.listeners[0].url
            first = await stack.enter_async_context(trionng.Bus0())
            await first.dial(url, block=True)
            for number in range(200):
                await first.send(b"%d" % number)
                assert await last.recv() == b"%d" % number
            nursery.cancel_scope.cancel()

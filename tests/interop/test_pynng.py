"""Interoperation with pynng, which runs in a process of its own (`pynng_peer.py`)."""

from __future__ import annotations

import contextlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

import trionng
from tests.support.processes import PYTHON, OtherProcess, other_process

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    Connect = Callable[
        [trionng.Socket, str, int], contextlib.AbstractAsyncContextManager[OtherProcess]
    ]

PEER = Path(__file__).with_name("pynng_peer.py")
EVERY_BYTE = bytes(range(256))
SECONDS = 60
COUNT = 10

# The whole file stands and falls with it; where it is not to be had, the report says so.
pytest.importorskip("pynng", reason="pynng is not installed: nothing here has been tried with it")


@pytest.fixture(params=["trionng listens", "pynng listens"])
def connect(request: pytest.FixtureRequest, free_url: str) -> Connect:
    """Join a socket and a pynng socket of this role, for the time of a block."""

    @contextlib.asynccontextmanager
    async def connected(
        socket: trionng.Socket, role: str, count: int
    ) -> AsyncIterator[OtherProcess]:
        if request.param == "trionng listens":
            listener = socket.listen(free_url)
            words = (role, "dial", listener.url, str(count))
            async with other_process(*PYTHON, PEER, *words) as peer:
                assert await peer.line() == f"ready {listener.url}"
                await socket.wait_connected()
                yield peer
        else:
            words = (role, "listen", free_url, str(count))
            async with other_process(*PYTHON, PEER, *words) as peer:
                url = (await peer.line()).removeprefix("ready ")
                await socket.dial(url, block=True)
                yield peer

    return connected


async def printed(peer: OtherProcess) -> bytes:
    """Return the next message that the peer received."""
    return bytes.fromhex(await peer.line())


def messages(kind: str) -> list[bytes]:
    """Return what the peer sends of this kind."""
    return [f"{kind} {number} ".encode() + EVERY_BYTE for number in range(COUNT)]


async def test_pynng_rep0_asked_by_req0_replies(connect: Connect) -> None:
    """A Req0 gets pynng's reply to each of its requests."""
    with trio.fail_after(SECONDS):
        async with trionng.Req0() as req, connect(req, "rep", 0) as peer:
            for request in messages("ours"):
                await req.send(request)
                reply = await req.recv()

                assert reply == b"reply to " + request
                assert await printed(peer) == request


async def test_pynng_rep0_asked_at_once_replies_to_each(connect: Connect) -> None:
    """Requests in flight together get each its own reply."""
    replies: dict[bytes, bytes] = {}

    async def ask(req: trionng.Req0, request: bytes) -> None:
        replies[request] = await req.request(request)

    with trio.fail_after(SECONDS):
        async with trionng.Req0() as req, connect(req, "rep", 0):
            async with trio.open_nursery() as nursery:
                for request in messages("ours"):
                    nursery.start_soon(ask, req, request)

    assert replies == {request: b"reply to " + request for request in messages("ours")}


async def test_pynng_req0_asking_rep0_gets_its_replies(connect: Connect) -> None:
    """A Rep0 gets pynng's requests in order, and its replies arrive there."""
    with trio.fail_after(SECONDS):
        async with trionng.Rep0() as rep, connect(rep, "req", COUNT) as peer:
            for expected in messages("request"):
                request = await rep.recv()
                await rep.send(b"our reply to " + request)

                assert request == expected
                assert await printed(peer) == b"our reply to " + expected


async def test_pynng_sub0_of_pub0_receives_its_topic_only(connect: Connect) -> None:
    """A pynng subscriber receives what a Pub0 sends on its topic, in order."""
    with trio.fail_after(SECONDS):
        async with trionng.Pub0() as pub, connect(pub, "sub", 0) as peer:
            for other, message in zip(messages("ours"), messages("topic"), strict=True):
                await pub.send(other)
                await pub.send(message)
                assert await printed(peer) == message


async def test_pynng_pub0_to_sub0_delivers_the_topic_only(connect: Connect) -> None:
    """A Sub0 receives what pynng publishes on its topic, in order."""
    with trio.fail_after(SECONDS):
        async with trionng.Sub0(topics="topic") as sub, connect(sub, "pub", COUNT):
            received = [await sub.recv() for _ in range(COUNT)]

    assert received == messages("topic")


async def test_pynng_pull0_of_push0_receives_in_order(connect: Connect) -> None:
    """A pynng Pull0 receives what a Push0 sends, in order."""
    with trio.fail_after(SECONDS):
        async with trionng.Push0() as push, connect(push, "pull", 0) as peer:
            for message in messages("ours"):
                await push.send(message)

            assert [await printed(peer) for _ in range(COUNT)] == messages("ours")


async def test_pynng_push0_to_pull0_delivers_in_order(connect: Connect) -> None:
    """A Pull0 receives what pynng pushes, in order."""
    with trio.fail_after(SECONDS):
        async with trionng.Pull0() as pull, connect(pull, "push", COUNT):
            received = [await pull.recv() for _ in range(2 * COUNT)]

    both = zip(messages("other"), messages("topic"), strict=True)
    assert received == [message for pair in both for message in pair]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (trionng.Pair0, "pair0"),
        (trionng.Pair1, "pair1"),
        (trionng.Pair1, "pair1 polyamorous"),
        (partial(trionng.Pair1, polyamorous=True), "pair1"),
        (trionng.Bus0, "bus"),
    ],
    ids=["pair0", "pair1", "pair1 with polyamorous", "polyamorous with pair1", "bus0"],
)
async def test_pynng_pair_or_bus_echoes_in_order(
    connect: Connect, ours: Callable[[], trionng.Socket], theirs: str
) -> None:
    """What goes to a pynng socket of the same protocol comes back, message by message."""
    with trio.fail_after(SECONDS):
        async with ours() as socket, connect(socket, theirs, 0) as peer:
            await socket.wait_connected()
            for data in messages("ours"):
                await socket.send(data)

                assert await printed(peer) == data
                assert await socket.recv() == b"echo of " + data


async def test_pynng_respondent0_surveyed_replies(connect: Connect) -> None:
    """A Surveyor0 gets pynng's reply to each of its surveys."""
    with trio.fail_after(SECONDS):
        async with trionng.Surveyor0() as surveyor, connect(surveyor, "respondent", 0) as peer:
            await surveyor.wait_connected()
            for data in messages("ours"):
                async with surveyor.survey(data, timeout=SECONDS) as replies:
                    assert await replies.__anext__() == b"reply to " + data

                assert await printed(peer) == data


async def test_pynng_surveyor0_asking_respondent0_gets_its_replies(connect: Connect) -> None:
    """A Respondent0 gets pynng's surveys in order, and its replies arrive there."""
    with trio.fail_after(SECONDS):
        async with (
            trionng.Respondent0() as respondent,
            connect(respondent, "surveyor", COUNT) as peer,
        ):
            for expected in messages("survey"):
                survey = await respondent.recv()
                await respondent.send(b"our reply to " + survey)

                assert survey == expected
                assert await printed(peer) == b"our reply to " + expected

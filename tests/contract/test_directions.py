"""The direction that a protocol lacks raises NotSupported, in both APIs; the other one is there."""

from __future__ import annotations

from typing import Any

import pytest
import trio

import trionng
from trionng import blocking
from trionng.testing import connected

SECONDS = 60
SENDS = {
    "send": (b"x",),
    "send_msg": (trionng.Message(b"x"),),
    "send_many": ([b"x"],),
    "send_nowait": (b"x",),
    "send_msg_nowait": (trionng.Message(b"x"),),
}
RECEIVES = {
    "recv": (),
    "recv_msg": (),
    "recv_many": (1,),
    "recv_nowait": (),
    "recv_msg_nowait": (),
}
MISSING = {"Pull0": SENDS, "Sub0": SENDS, "Push0": RECEIVES, "Pub0": RECEIVES}
CASES = [(name, call, MISSING[name][call]) for name in MISSING for call in MISSING[name]]  # type: ignore[attr-defined, index]
IDS = [f"{name}.{call}" for name, call, _ in CASES]


async def attempt(socket: trionng.Socket, call: str, arguments: tuple[Any, ...]) -> None:
    await getattr(socket, call)(*arguments)


@pytest.mark.parametrize(("name", "call", "arguments"), CASES, ids=IDS)
async def test_call_in_a_direction_that_is_missing_raises(
    name: str, call: str, arguments: tuple[Any, ...]
) -> None:
    """A socket that only receives cannot send, and says so at once; likewise the other way."""
    async with getattr(trionng, name)() as socket:
        with pytest.raises(trionng.NotSupported, match=r"only (sends|receives)"):
            await attempt(socket, call, arguments)


@pytest.mark.parametrize(("name", "call", "arguments"), CASES, ids=IDS)
def test_sync_call_in_a_direction_that_is_missing_raises(
    name: str, call: str, arguments: tuple[Any, ...]
) -> None:
    """The sync counterpart raises the same."""
    with getattr(blocking, name)() as socket:
        with pytest.raises(trionng.NotSupported, match=r"only (sends|receives)"):
            getattr(socket, call)(*arguments)


@pytest.mark.parametrize("name", ["Push0", "Pub0"])
async def test_iteration_over_a_socket_that_only_sends_raises(name: str) -> None:
    """The first step of a loop over a socket that never receives gives the reason."""
    async with getattr(trionng, name)() as socket:
        with pytest.raises(trionng.NotSupported, match="only sends"):
            await anext(aiter(socket))


@pytest.mark.parametrize("name", ["Push0", "Pub0"])
def test_sync_iteration_over_a_socket_that_only_sends_raises(name: str) -> None:
    """The same of the sync counterpart."""
    with getattr(blocking, name)() as socket:
        with pytest.raises(trionng.NotSupported, match="only sends"):
            next(iter(socket))


@pytest.mark.parametrize("name", ["Req0", "Rep0"])
def test_sync_batch_of_a_conversation_raises(name: str) -> None:
    """One request and one reply at a time: a batch of them is refused."""
    with getattr(blocking, name)() as socket:
        with pytest.raises(trionng.NotSupported, match="recv_many"):
            socket.recv_many(5)
        with pytest.raises(trionng.NotSupported, match="send_many"):
            socket.send_many([b"x"])


CHANNELS = [("Push0", "Pull0"), ("Pub0", "Sub0"), *((name, name) for name in ("Pair0", "Bus0"))]


@pytest.mark.parametrize(("sending", "receiving"), CHANNELS)
async def test_receive_of_a_channel_is_recv(sending: str, receiving: str) -> None:
    """`receive`, which Trio's channel interface names, returns the next message."""
    topics = {"topics": ""} if receiving == "Sub0" else {}
    sockets = getattr(trionng, receiving)(**topics), getattr(trionng, sending)()
    with trio.fail_after(SECONDS):
        async with connected(*sockets, "inproc") as (receiver, sender):
            await sender.wait_connected()
            await sender.send(b"one")
            assert await receiver.receive() == b"one"


@pytest.mark.parametrize(("sending", "receiving"), CHANNELS)
def test_sync_receive_of_a_channel_is_recv(sending: str, receiving: str) -> None:
    """The same of the sync counterpart."""
    topics = {"topics": ""} if receiving == "Sub0" else {}
    url = f"inproc://receive-{sending}"
    with getattr(blocking, receiving)(listen=url, **topics) as receiver:
        with getattr(blocking, sending)(dial=url) as sender:
            receiver.wait_connected(timeout=SECONDS)
            sender.send(b"one")
            assert receiver.receive(timeout=SECONDS) == b"one"

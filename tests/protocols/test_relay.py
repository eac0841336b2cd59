"""Relaying: what one protocol received, any other sends on, byte for byte.

nng keeps a header beside the body of a message. What came with it from one protocol must not leave
with another: the message would arrive longer than it was.
"""

from __future__ import annotations

import contextlib
import uuid
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

import trionng
from tests.support.sockets import TRANSPORTS
from trionng.testing import connected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SECONDS = 60
# From 1024 on, powers of two have no spare room for a header in nng: it copies them.
BODIES = (b"", b"x", b"\x80\0\0\1", bytes(range(256)), bytes(1024), bytes(4096), bytes(100_001))
RECEIVING = {
    trionng.Pair0: trionng.Pair0,
    trionng.Req0: trionng.Rep0,
    trionng.Rep0: trionng.Req0,
    trionng.Sub0: trionng.Pub0,
    trionng.Pull0: trionng.Push0,
}
SENDING = {
    trionng.Pair0: trionng.Pair0,
    trionng.Req0: trionng.Rep0,
    trionng.Rep0: trionng.Req0,
    trionng.Pub0: trionng.Sub0,
    trionng.Push0: trionng.Pull0,
}


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    """The transport of both connections; inproc hands over the very memory."""
    return str(request.param)


def name_of(kind: type[trionng.Socket]) -> str:
    """Return the name of a protocol for the name of a test."""
    return kind.__name__


@contextlib.asynccontextmanager
async def joined(
    kind: type[trionng.Socket], peer_kind: type[trionng.Socket], transport: str
) -> AsyncIterator[tuple[trionng.Socket, trionng.Socket]]:
    """Open two connected sockets for the time of a block, subscribed to everything."""
    async with connected(kind(), peer_kind(), transport) as sockets:
        for socket in sockets:
            if isinstance(socket, trionng.Sub0):
                socket.subscribe("")
        yield sockets


async def receive_on(socket: trionng.Socket, peer: trionng.Socket, body: bytes) -> trionng.Message:
    """Make the socket receive this body from its peer."""
    if isinstance(socket, trionng.Req0):
        await socket.send(b"a question")
        await peer.recv()
    await peer.send(body)
    return await socket.recv_msg()


async def send_on(socket: trionng.Socket, peer: trionng.Socket, message: trionng.Message) -> bytes:
    """Send the message on by the socket, and return what its peer receives."""
    if isinstance(socket, trionng.Rep0):
        await peer.send(b"a question")
        await socket.recv()
    await socket.send_msg(message)
    return await peer.recv()


@pytest.mark.parametrize("sending", SENDING, ids=name_of)
@pytest.mark.parametrize("receiving", RECEIVING, ids=name_of)
async def test_relay_of_a_received_message_arrives_equal(
    receiving: type[trionng.Socket], sending: type[trionng.Socket], transport: str
) -> None:
    """A message received on any protocol and sent on by any other arrives as it was sent first."""
    source = joined(receiving, RECEIVING[receiving], transport)
    target = joined(sending, SENDING[sending], transport)
    with trio.fail_after(SECONDS):
        async with source as (receiver, first), target as (sender, last):
            for body in BODIES:
                message = await receive_on(receiver, first, body)

                assert message.bytes == body
                assert await send_on(sender, last, message) == body


@pytest.mark.parametrize("sending", SENDING, ids=name_of)
async def test_relay_of_a_body_two_subscribers_share_arrives_equal(
    sending: type[trionng.Socket], transport: str
) -> None:
    """Sending on what one subscriber received leaves the other's copy as it was."""
    source = joined(trionng.Sub0, trionng.Pub0, transport)
    target = joined(sending, SENDING[sending], transport)
    with trio.fail_after(SECONDS):
        async with (
            source as (receiver, first),
            target as (sender, last),
            trionng.Sub0(topics="") as other,
        ):
            await first.dial(other.listen(f"inproc://{uuid.uuid4()}").url, block=True)
            await other.wait_connected()
            for body in BODIES:
                message = await receive_on(receiver, first, body)

                assert await send_on(sender, last, message) == body
                assert await other.recv() == body


@pytest.mark.parametrize("sending", SENDING, ids=name_of)
async def test_relay_of_a_message_with_views_keeps_them(
    sending: type[trionng.Socket], transport: str
) -> None:
    """A view of a message that was sent on still shows what was received."""
    body = bytes(range(256)) * 16
    source = joined(trionng.Pull0, trionng.Push0, transport)
    target = joined(sending, SENDING[sending], transport)
    with trio.fail_after(SECONDS):
        async with source as (receiver, first), target as (sender, last):
            message = await receive_on(receiver, first, body)
            with message.body as view:
                assert await send_on(sender, last, message) == body
                assert view == body


@pytest.mark.parametrize("receiving", RECEIVING, ids=name_of)
async def test_relay_to_a_context_arrives_equal(
    receiving: type[trionng.Socket], transport: str
) -> None:
    """A context sends on what a socket received as its request, another sends it back."""
    source = joined(receiving, RECEIVING[receiving], transport)
    target = joined(trionng.Req0, trionng.Rep0, transport)
    with trio.fail_after(SECONDS):
        async with (
            source as (receiver, first),
            target as (req, rep),
            req.new_context() as asking,
            rep.new_context() as answering,
        ):
            for body in BODIES:
                await asking.send_msg(await receive_on(receiver, first, body))
                await answering.send_msg(await answering.recv_msg())

                assert await asking.recv() == body


async def give_back(kind: type[trionng.Socket], ending: str, message: trionng.Message) -> None:
    """Let a send that waits for a peer fail, after nng has prepared the message for it."""
    async with kind() as lonely, trio.open_nursery() as nursery:
        if ending == "cancelled":
            nursery.start_soon(lonely.send_msg, message)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        else:
            nursery.start_soon(send_until_closed, lonely, message)
            await trio.testing.wait_all_tasks_blocked()
            await lonely.aclose()


async def send_until_closed(socket: trionng.Socket, message: trionng.Message) -> None:
    """Send a message that will not be taken."""
    with pytest.raises(trionng.Closed):
        await socket.send_msg(message)


@pytest.mark.parametrize("sending", SENDING, ids=name_of)
@pytest.mark.parametrize("ending", ["cancelled", "closed"])
@pytest.mark.parametrize("giving", [trionng.Pair0, trionng.Req0, trionng.Push0], ids=name_of)
async def test_relay_of_a_message_given_back_arrives_equal(
    giving: type[trionng.Socket], ending: str, sending: type[trionng.Socket], transport: str
) -> None:
    """What a send that failed put into the header of its message does not leave with the next."""
    with trio.fail_after(SECONDS):
        async with joined(sending, SENDING[sending], transport) as (sender, last):
            for body in BODIES:
                message = trionng.Message(body)
                await give_back(giving, ending, message)

                assert await send_on(sender, last, message) == body

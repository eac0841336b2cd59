"""What `recv_max_size` means: the size of the message a user sees, whatever the protocol adds."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import trio

import trionng
from trionng.testing import connected

LIMIT = 1000
TRANSPORTS = ("tcp", "ipc", "ws")
PROTOCOLS: dict[str, tuple[Any, Any]] = {
    "req to rep": (trionng.Rep0, partial(trionng.Req0, resend_time=-1)),
    "rep to req": (trionng.Req0, trionng.Rep0),
    "pair1": (trionng.Pair1, trionng.Pair1),
    "polyamorous pair1": (
        partial(trionng.Pair1, polyamorous=True),
        partial(trionng.Pair1, polyamorous=True),
    ),
    "survey": (trionng.Respondent0, trionng.Surveyor0),
    "push": (trionng.Pull0, trionng.Push0),
}
both = pytest.mark.parametrize("transport", TRANSPORTS)
each = pytest.mark.parametrize("protocol", PROTOCOLS)


async def ready_to_send(receiver: trionng.Socket, sender: trionng.Socket) -> None:
    """Let a Rep0 have a request to answer."""
    await sender.wait_connected()
    if isinstance(sender, trionng.Rep0):
        await receiver.send(b"")
        await sender.recv()


@both
@each
async def test_recv_max_size_exactly_reached_passes(protocol: str, transport: str) -> None:
    """A message of exactly `recv_max_size` bytes is received, the header comes on top."""
    receiving, sending = PROTOCOLS[protocol]
    with trio.fail_after(60):
        sockets = connected(receiving(recv_max_size=LIMIT), sending(), transport)
        async with sockets as (receiver, sender):
            await ready_to_send(receiver, sender)
            await sender.send(bytes(LIMIT))

            assert await receiver.recv() == bytes(LIMIT)
            assert receiver.recv_max_size == receiver.listeners[0].recv_max_size == LIMIT


@both
@each
async def test_recv_max_size_exceeded_by_one_drops_it(protocol: str, transport: str) -> None:
    """A message that is one byte longer is never received, and its connection is dropped."""
    receiving, sending = PROTOCOLS[protocol]
    with trio.fail_after(60):
        sockets = connected(receiving(recv_max_size=LIMIT), sending(), transport)
        async with sockets as (receiver, sender):
            await ready_to_send(receiver, sender)
            (pipe,) = receiver.pipes
            await sender.send(bytes(LIMIT + 1))
            while not pipe.closed:
                await trio.sleep(0.01)

            with pytest.raises(trionng.TryAgain):
                receiver.recv_nowait()


@each
async def test_recv_max_size_default_lets_one_mebibyte_pass(protocol: str) -> None:
    """The default is the size of the message too: REQ would send a longer one for ever."""
    receiving, sending = PROTOCOLS[protocol]
    with trio.fail_after(60):
        async with connected(receiving(), sending(), "tcp") as (receiver, sender):
            await ready_to_send(receiver, sender)
            await sender.send(bytes(1024 * 1024))

            assert len(await receiver.recv()) == 1024 * 1024
            assert receiver.recv_max_size == 1024 * 1024


async def test_recv_max_size_of_zero_or_near_the_end_is_no_limit() -> None:
    """What leaves no room for a header is no limit, and 0 is none."""
    async with trionng.Req0(recv_max_size=0) as req:
        assert req.recv_max_size == 0
        req.recv_max_size = 2**32 - 2
        assert req.recv_max_size == 0

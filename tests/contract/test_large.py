"""Large messages, whose memory is used again."""

from __future__ import annotations

import os
import struct
from urllib.parse import urlsplit

import pytest
import trio
import trio.lowlevel

import trionng
from tests.support.sockets import TRANSPORTS
from tests.support.sp import PUSH0, greeting
from trionng.testing import connected

KIB = 1024
SIZES = [1024, 700, 64, 63, 1024, 1023, 3000, 5000, 1024, 100, 1024]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_large_messages_of_changing_size_arrive_unchanged(transport):
    """A message made in the memory of an earlier one has its own size and content."""
    rep, req = trionng.Rep0(recv_max_size=0), trionng.Req0(recv_max_size=0)
    async with connected(rep, req, transport), trio.open_nursery() as nursery:

        async def answer() -> None:
            async for request in rep:
                await rep.send(request[::-1])

        nursery.start_soon(answer)
        for size in SIZES:
            data = os.urandom(size * KIB + 3)
            assert await req.request(data) == data[::-1]
        nursery.cancel_scope.cancel()


async def test_large_message_never_goes_back_where_the_last_came_from():
    """The memory of a received message brings neither its sender nor its header along."""
    first = trionng.Pair1(polyamorous=True)
    third = trionng.Pair1()
    with trio.fail_after(60):
        async with first, trionng.Pair1() as second, third:
            url = first.listen("inproc://large-and-used-again").url
            await second.dial(url)
            await second.send(os.urandom(100 * KIB))
            await first.recv()
            await second.aclose()
            while first.pipes:
                await trio.lowlevel.checkpoint()
            await third.dial(url)
            data = os.urandom(90 * KIB)
            await first.send(data)

            assert await third.recv() == data
            message = trionng.Message(os.urandom(80 * KIB))
            assert message.pipe is None
            assert message.header == b""


async def test_part_of_a_large_message_is_never_received():
    """A peer that leaves in the middle of a message leaves nothing of it behind."""
    with trio.fail_after(60):
        async with trionng.Pull0() as pull, trionng.Push0() as push:
            url = pull.listen("tcp://127.0.0.1:0").url
            stream = await trio.open_tcp_stream("127.0.0.1", urlsplit(url).port or 0)
            async with stream:
                await stream.send_all(greeting(PUSH0))
                await stream.send_all(struct.pack(">Q", 100 * KIB) + bytes(60 * KIB))
            await push.dial(url, block=True)
            await push.send(b"whole")

            assert await pull.recv() == b"whole"

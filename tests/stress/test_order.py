"""Messages of one connection are handed out in the order they were sent, at every buffer depth.

The receives that trionng keeps in flight call back in any order on threads of nng; the ring puts
them right. Full-size runs are slow tests, and in batches: only then a million takes seconds.
"""

from __future__ import annotations

import struct

import pytest
import trio

import trionng
from tests.support.sockets import ALL_TRANSPORTS
from tests.support.subprocesses import run_in_subprocess
from trionng.testing import connected

DEPTHS = (1, 2, 64, 1024)
NUMBER = struct.Struct("<I")
BATCH = 128


def sockets(protocol, depth):
    """Return a sender and a receiver whose queues hold `depth` messages."""
    if protocol == "pull":
        return trionng.Push0(send_buffer_size=128), trionng.Pull0(recv_buffer_size=depth)
    pair = trionng.Pair0 if protocol == "pair0" else trionng.Pair1
    return pair(send_buffer_size=128), pair(recv_buffer_size=depth)


async def send_numbers(socket, count):
    for start in range(0, count, BATCH):
        numbers = range(start, min(start + BATCH, count))
        assert await socket.send_many([NUMBER.pack(number) for number in numbers]) == len(numbers)


async def receive_batches(protocol, transport, depth, count):
    """Send so many numbers, receive them in batches, and check each.

    The sender never fills its queue: a wake-up for each message that leaves it would take longer
    than all the rest.
    """
    depth, count = int(depth), int(count)
    room = trio.Semaphore(4)
    share = 2048
    async with connected(*sockets(protocol, depth), transport=transport) as (sender, receiver):
        sender.send_buffer_size = 8192

        async def send():
            for start in range(0, count, share):
                await room.acquire()
                numbers = range(start, min(start + share, count))
                batch = [NUMBER.pack(number) for number in numbers]
                assert await sender.send_many(batch) == len(batch)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            expected = 0
            while expected < count:
                batch = await receiver.recv_many(256)
                end = expected + len(batch)
                assert batch == [NUMBER.pack(number) for number in range(expected, end)]
                if expected // share < end // share:
                    room.release()
                expected = end
        if protocol == "pull":
            assert receiver._ctx.prefetched() == 0


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("transport", ALL_TRANSPORTS)
@pytest.mark.parametrize("protocol", ["pull", "pair0", "pair1"])
async def test_order_of_single_receives_is_the_order_sent(protocol, transport, depth):
    """Received one by one, 3 000 messages come in order."""
    count = 3000
    with trio.fail_after(60):
        async with connected(*sockets(protocol, depth), transport=transport) as (sender, receiver):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send_numbers, sender, count)
                for expected in range(count):
                    assert NUMBER.unpack(await receiver.recv())[0] == expected


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("transport", ALL_TRANSPORTS)
@pytest.mark.parametrize("protocol", ["pull", "pair0", "pair1"])
async def test_order_of_batches_is_the_order_sent(protocol, transport, depth):
    """Received in batches, 5 000 messages come in order."""
    with trio.fail_after(60):
        await receive_batches(protocol, transport, depth, 5000)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("transport", ALL_TRANSPORTS)
async def test_order_between_several_receivers_is_kept_for_each(transport, depth):
    """Tasks that share a Pull0 get ascending numbers each, and together all of them."""
    count = 2000
    got: dict[object, list[int]] = {}
    with trio.fail_after(60):
        async with connected(*sockets("pull", depth), transport=transport) as (sender, receiver):
            done = trio.Event()

            async def take(who):
                mine: list[int] = []
                got[who] = mine
                while True:
                    mine.append(NUMBER.unpack(await receiver.recv())[0])
                    if sum(map(len, got.values())) == count:
                        done.set()

            async with trio.open_nursery() as nursery:
                for who in range(5):
                    nursery.start_soon(take, who)
                await send_numbers(sender, count)
                await done.wait()
                nursery.cancel_scope.cancel()
    assert all(mine == sorted(mine) for mine in got.values())
    assert sorted(number for mine in got.values() for number in mine) == list(range(count))


@pytest.mark.slow
@pytest.mark.parametrize("depth", DEPTHS)
async def test_order_of_a_million_is_the_order_sent(depth):
    """A million numbered messages per transport arrive in order, a quarter over ws and at depth 2.

    At depth 2 they take as long as at depth 1, and little happens that does not happen there.
    """

    async def run(transport):
        count = 250_000 if transport == "ws" or depth == 2 else 1_000_000
        arguments = ("pull", transport, str(depth), str(count))
        finished = await trio.to_thread.run_sync(
            lambda: run_in_subprocess(receive_batches, *arguments, seconds=600)
        )
        assert finished.clean, f"{transport}: {finished}"

    async with trio.open_nursery() as nursery:
        for transport in ALL_TRANSPORTS:
            nursery.start_soon(run, transport)

"""Replies that meet a busy connection, and what a request costs nng."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

import trionng
from tests.support.sp import REQ0, RawPeer, raw_peer
from trionng.testing import connected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MUCH = 8 << 20  # more than the buffers of a connection hold
PATIENCE = 60


@contextlib.asynccontextmanager
async def busy_connection() -> AsyncIterator[tuple[trionng.Rep0, trionng.Context, RawPeer]]:
    """Have a context with a request of a connection that is busy with another, large reply."""
    with trio.fail_after(PATIENCE):
        async with trionng.Rep0(listen="tcp://127.0.0.1:0") as rep:
            async with raw_peer(rep.listeners[0].url) as peer:
                await peer.greet(REQ0)
                for number in (1, 2):
                    await peer.send(struct.pack(">I", 0x80000000 + number))
                first, second = rep.new_context(), rep.new_context()
                await first.recv()
                await second.recv()
                await first.send(bytes(MUCH))
                yield rep, second, peer


async def test_reply_to_a_busy_connection_waits_and_then_goes():
    """A reply waits while its connection is busy with another, and arrives behind it."""
    async with busy_connection() as (_rep, context, peer), trio.open_nursery() as nursery:
        sent = trio.Event()

        async def reply() -> None:
            await context.send(b"second")
            sent.set()

        nursery.start_soon(reply)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert not sent.is_set()

        assert len(await peer.receive()) == 4 + MUCH
        assert await peer.receive() == struct.pack(">I", 0x80000002) + b"second"
        await sent.wait()


async def test_reply_cancelled_on_a_busy_connection_was_not_sent():
    """A cancelled reply ends at once, is the caller's again, and its socket answers on."""
    async with busy_connection() as (rep, context, peer):
        message = trionng.Message(b"second")
        with trio.move_on_after(0.05) as scope:
            await context.send_msg(message)

        assert scope.cancelled_caught
        assert message.bytes == b"second"
        assert len(await peer.receive()) == 4 + MUCH
        await peer.send(struct.pack(">I", 0x80000003))
        assert await context.recv() == b""
        await context.send(b"third")
        assert await peer.receive() == struct.pack(">I", 0x80000003) + b"third"
        assert rep.pipes


async def test_reply_on_a_busy_connection_after_close_raises_closed():
    """Closing the context ends a reply that waits."""
    async with busy_connection() as (_rep, context, _peer), trio.open_nursery() as nursery:

        async def reply() -> None:
            with pytest.raises(trionng.Closed):
                await context.send(b"second")

        nursery.start_soon(reply)
        await trio.testing.wait_all_tasks_blocked(0.05)
        await context.aclose()


async def test_socket_closed_while_a_reply_waits_ends_the_reply():
    """Closing the socket ends a reply that waits; nng takes one for a departed peer as sent."""
    async with busy_connection() as (rep, context, _peer), trio.open_nursery() as nursery:

        async def reply() -> None:
            with contextlib.suppress(trionng.Closed):
                await context.send(b"second")

        nursery.start_soon(reply)
        await trio.testing.wait_all_tasks_blocked(0.05)
        await rep.aclose()


async def test_replies_of_many_contexts_arrive_once_each():
    """Replies to one connection that are sent in one go all arrive, also those that had to wait."""
    async with connected(trionng.Rep0(), trionng.Req0(), "ipc") as (rep, req):
        contexts = [rep.new_context() for _ in range(16)]
        answers: list[bytes] = []

        async def ask(number: int) -> None:
            for turn in range(50):
                data = b"%d %d" % (number, turn)
                answers.append(await req.request(data))
                assert answers[-1] == data

        async def answer(context: trionng.Context) -> None:
            async for request in context:
                await context.send(request)

        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as workers:
                for context in contexts:
                    workers.start_soon(answer, context)
                async with trio.open_nursery() as nursery:
                    for number in range(16):
                        nursery.start_soon(ask, number)
                workers.cancel_scope.cancel()
        assert len(set(answers)) == 16 * 50


def wakes_of_timer_thread() -> int:
    """Count how often nng's timer thread has slept; newer versions of nng have none."""
    wakes = 0
    for path in Path("/proc/self/task").glob("*/status"):
        status = dict(line.split(":\t", 1) for line in path.read_text().splitlines())
        if status["Name"] == "nng:timer":
            wakes += int(status["voluntary_ctxt_switches"])
    return wakes


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads in /proc")
async def test_requests_one_after_the_other_let_the_timer_thread_sleep():
    """A request sets a timer in nng without waking the thread that waits for the first to end."""
    async with connected(trionng.Rep0(), trionng.Req0(), "inproc") as (rep, req):

        async def answer() -> None:
            async for request in rep:
                await rep.send(request)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer)
            before = wakes_of_timer_thread()
            for _ in range(600):
                await req.request(b"")
            assert wakes_of_timer_thread() - before < 60
            nursery.cancel_scope.cancel()

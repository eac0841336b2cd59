"""Connection, the channel of serve_pipes: bounded, in order, a checkpoint in every call."""

from __future__ import annotations

import sys

import pytest
import trio
import trio.abc
import trio.testing

import trionng
from trionng.testing import new_url

if sys.version_info < (3, 11):
    from exceptiongroup import ExceptionGroup

WITHIN = 60


async def test_handler_that_does_not_receive_keeps_its_queue_only() -> None:
    """What is beyond the queue waits at the sender; all of it is received later, in order."""
    may_receive = trio.Event()
    received: list[bytes] = []

    async def handler(connection: trionng.PipeChannel) -> None:
        await may_receive.wait()
        async for data in connection:
            received.append(data)

    with trio.fail_after(WITHIN):
        async with (
            trionng.Pair1(polyamorous=True, listen=new_url()) as server,
            trio.open_nursery() as nursery,
            trionng.Pair1(dial=server.listeners[0].url) as peer,
        ):
            await trionng.serve_pipes(nursery, server, handler, queue=2)
            sent = 0
            waits = False
            while not (waits and sent > 2):
                with trio.move_on_after(0.2) as scope:
                    await peer.send(b"%d" % sent)
                    sent += 1
                waits = scope.cancelled_caught
                assert sent < 20
            may_receive.set()
            while len(received) < sent:
                await trio.sleep(0.001)
            assert received == [b"%d" % number for number in range(sent)]
            nursery.cancel_scope.cancel()


async def test_calls_of_a_connection_are_checkpoints() -> None:
    """Sending and receiving are checkpoints, whether they wait, finish at once, or are refused."""
    finished = trio.Event()

    async def handler(connection: trionng.PipeChannel) -> None:
        assert isinstance(connection, trio.abc.Channel)
        with trio.testing.assert_checkpoints():
            assert await connection.receive() == b"parked"
        await arrived.wait()
        with trio.testing.assert_checkpoints():
            assert await connection.receive() == b"at once"
        with trio.testing.assert_checkpoints():
            await connection.send(b"back")
        # The handler is cancelled when its connection has gone, also when it has closed it itself.
        with trio.CancelScope(shield=True):
            for _ in range(2):
                with trio.testing.assert_checkpoints():
                    await connection.aclose()
            with trio.testing.assert_checkpoints(), pytest.raises(trionng.Closed):
                await connection.send(b"")
            with trio.testing.assert_checkpoints(), pytest.raises(trionng.Closed):
                await connection.receive()
        finished.set()

    with trio.fail_after(WITHIN):
        async with (
            trionng.Pair1(polyamorous=True, listen=new_url()) as server,
            trio.open_nursery() as nursery,
            trionng.Pair1() as peer,
        ):
            arrived = trio.Event()
            await trionng.serve_pipes(nursery, server, handler)
            await peer.dial(server.listeners[0].url, block=True)
            await trio.testing.wait_all_tasks_blocked(0.01)
            await peer.send(b"parked")
            await peer.send(b"at once")
            await trio.testing.wait_all_tasks_blocked(0.05)
            arrived.set()
            await finished.wait()
            nursery.cancel_scope.cancel()


async def test_exception_of_a_handler_has_a_note_that_names_the_peer() -> None:
    """The traceback names the peer that sent the message."""

    async def handler(connection: trionng.PipeChannel) -> None:
        raise ValueError(await connection.receive())

    async def serve_and_send() -> None:
        async with trio.open_nursery() as nursery:
            await trionng.serve_pipes(nursery, server, handler)
            async with trionng.Pair1(dial=server.listeners[0].url) as peer:
                await peer.send(b"x")
                await trio.sleep_forever()

    with trio.fail_after(WITHIN):
        async with trionng.Pair1(polyamorous=True, listen="tcp://127.0.0.1:0") as server:
            with pytest.raises(ExceptionGroup) as caught:
                await serve_and_send()

    error: BaseException = caught.value
    while isinstance(error, ExceptionGroup):
        (error,) = error.exceptions
    assert isinstance(error, ValueError)
    (note,) = error.__notes__  # type: ignore[attr-defined]
    assert "serve_pipes" in note
    assert "127.0.0.1:" in note

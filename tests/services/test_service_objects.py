"""What a service is as an object: its block, its URL, its channels, the notes of its exceptions."""

from __future__ import annotations

import sys
import threading
import time

import pytest
import trio

import trionng
from trionng import blocking

if sys.version_info < (3, 11):
    from exceptiongroup import ExceptionGroup

SECONDS = 60


async def echo(request: bytes) -> bytes:
    return request


async def test_service_is_closed_at_the_end_of_its_block() -> None:
    """`async with` of a service closes it, and the socket that it opened."""
    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            async with await trionng.serve_rep(nursery, echo, listen="inproc://block") as service:
                async with trionng.Req0(dial=service.url) as req:
                    assert await req.request(b"x") == b"x"
            assert "ended" in repr(service)
            with pytest.raises(trionng.Closed):
                await service.socket.recv()


async def test_url_of_a_service_with_several_listeners_is_ambiguous() -> None:
    """`url` is for the one listener; `listeners` has all of them."""
    urls = ["inproc://first", "inproc://second"]
    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            async with await trionng.serve_rep(nursery, echo, listen=urls) as service:
                with pytest.raises(trionng.Ambiguous, match="2 listeners"):
                    _ = service.url
                assert [listener.url for listener in service.listeners] == urls


async def test_drain_of_a_service_whose_socket_was_closed_returns() -> None:
    """A socket that its owner closed has nothing left to write."""
    with trio.fail_after(SECONDS):
        async with trionng.Rep0(listen="inproc://given") as rep, trio.open_nursery() as nursery:
            service = await trionng.serve_rep(nursery, echo, socket=rep)
            await service.aclose()
            await rep.aclose()
            await service.drain()


async def test_exception_with_a_note_of_its_own_keeps_it() -> None:
    """The note of the service comes after the notes that an exception has already."""

    async def fail(_request: bytes) -> bytes:
        error = ValueError("no")
        error.__notes__ = ["mine"]  # type: ignore[attr-defined]  # add_note, on Python 3.10 too
        raise error

    async def ask() -> None:
        async with trionng.Req0() as req, trio.open_nursery() as nursery:
            service = await trionng.serve_rep(nursery, fail, listen="inproc://notes")
            await req.dial(service.url)
            await req.request(b"x")

    with trio.fail_after(SECONDS), pytest.raises(ExceptionGroup) as caught:
        await ask()
    found = caught.value.exceptions[0]
    while isinstance(found, ExceptionGroup):
        found = found.exceptions[0]
    assert found.__notes__[0] == "mine"
    assert "serve_rep" in found.__notes__[1]


async def test_serve_pipes_with_a_negative_queue_raises() -> None:
    """A queue holds no message or some."""
    async with trionng.Pair1(polyamorous=True) as hub, trio.open_nursery() as nursery:
        with pytest.raises(trionng.InvalidOperation, match="queue=-1"):
            await trionng.serve_pipes(nursery, hub, echo, queue=-1)


async def test_serve_pipes_handler_that_returns_no_awaitable_raises() -> None:
    """A handler that turns out not to be async ends the nursery, and is named."""

    class Handler:
        def __call__(self, _channel: object) -> object:
            return 5

    async def serve() -> None:
        async with (
            trionng.Pair1(polyamorous=True, listen="inproc://sync-handler") as hub,
            trionng.Pair1(dial="inproc://sync-handler"),
            trio.open_nursery() as nursery,
        ):
            await trionng.serve_pipes(nursery, hub, Handler())

    with trio.fail_after(SECONDS), pytest.raises(ExceptionGroup) as caught:
        await serve()
    (wrong,) = caught.value.split(TypeError)[0].exceptions
    assert "the handler must be async" in str(wrong) + str(wrong.exceptions)


async def test_pipe_channel_says_when_its_peer_has_gone() -> None:
    """After the last message of a peer that has left comes the end of the channel."""
    seen: list[object] = []

    async def read(channel: trionng.PipeChannel) -> None:
        seen.append(repr(channel))
        with trio.CancelScope(shield=True):
            async for data in channel:
                seen.append(data)
            with pytest.raises(trio.EndOfChannel):
                await channel.receive()
            seen.append("end")

    with trio.fail_after(SECONDS):
        async with trionng.Pair1(polyamorous=True, listen="inproc://end") as hub:
            async with trio.open_nursery() as nursery:
                await trionng.serve_pipes(nursery, hub, read)
                async with trionng.Pair1(dial="inproc://end") as peer:
                    await peer.wait_connected()
                    await peer.send(b"last")
                    await peer.flush()
                    while b"last" not in seen:
                        await trio.sleep(0.01)
                while "end" not in seen:
                    await trio.sleep(0.01)
                nursery.cancel_scope.cancel()
    assert "PipeChannel of" in str(seen[0])
    assert seen[1:] == [b"last", "end"]


async def test_serve_rep_takes_the_requests_of_a_connection_in_order() -> None:
    """Requests that arrive while the loop is busy are handled in the order they were sent in."""
    handled: list[bytes] = []

    async def handler(request: bytes) -> bytes:
        handled.append(request)
        return b""

    sent = [b"%d" % number for number in range(8)]

    def send(req: blocking.Req0) -> None:
        for request in sent:
            req.new_context().send(request)

    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            async with await trionng.serve_rep(
                nursery, handler, listen="inproc://order"
            ) as service:
                req = blocking.Req0()
                await trio.to_thread.run_sync(req.dial, service.url)
                thread = threading.Thread(target=send, args=(req,))
                thread.start()
                thread.join()
                time.sleep(0.1)  # noqa: ASYNC251  # the loop is busy while they arrive
                while len(handled) < len(sent):
                    await trio.sleep(0.01)
                await trio.to_thread.run_sync(req.close)

    assert handled == sent


async def test_service_on_a_raw_socket_is_refused() -> None:
    """A raw socket has no requests; the error names what serves it."""
    async with trionng.Rep0(raw=True) as rep:
        with pytest.raises(ExceptionGroup) as caught:
            async with trio.open_nursery() as nursery:
                await trionng.serve_rep(nursery, echo, socket=rep)

    assert caught.group_contains(trionng.InvalidOperation, match="use trionng.forward")

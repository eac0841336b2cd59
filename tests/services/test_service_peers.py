"""Services that know their peers: cancel_on_disconnect, serve_pipes."""

from __future__ import annotations

import socket
import struct
import sys

import pytest
import trio
import trio.testing

import trionng
from tests.support.sp import REQ0, greeting, raw_peer
from tests.support.waiting import wait_until
from trionng._services.disconnects import DisconnectScopes
from trionng.testing import new_url

if sys.version_info < (3, 11):
    from exceptiongroup import ExceptionGroup

WITHIN = 60


async def test_cancel_on_disconnect_ends_the_handler_with_its_peer() -> None:
    """A client that goes ends the handling of its request; others go on, and it is counted."""
    started = trio.Event()
    ended: list[str] = []

    async def handler(request: bytes) -> bytes:
        if request != b"for ever":
            return request
        started.set()
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            ended.append("cancelled")
            raise
        return b""

    with trio.fail_after(WITHIN):
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_rep(
                nursery, handler, listen="tcp://127.0.0.1:0", cancel_on_disconnect=True
            )
            async with trionng.Req0(dial=service.url) as req:
                assert await req.request(b"x") == b"x"
                async with raw_peer(service.url) as peer:
                    await peer.greet(REQ0)
                    await peer.send(struct.pack(">I", 0x80000001) + b"for ever")
                    await started.wait()
                    assert await req.request(b"x") == b"x"
                while not ended:
                    await trio.sleep(0.001)
                assert await req.request(b"x") == b"x"
            await service.drain()
            await service.aclose()

    counts = service.statistics()
    assert (counts.received, counts.answered, counts.abandoned) == (4, 3, 1)


async def test_cancel_on_disconnect_skips_a_peer_that_has_gone() -> None:
    """A request whose client left while it waited for a worker is never handled."""
    handled: list[bytes] = []

    def ask_and_leave() -> None:
        host, port = service.url.removeprefix("tcp://").split(":")
        with socket.create_connection((host, int(port))) as peer:
            peer.sendall(greeting(REQ0))
            body = struct.pack(">I", 0x80000001) + b"gone"
            peer.sendall(struct.pack(">Q", len(body)) + body)
            wait_until(lambda: service.statistics().received == 3)
        wait_until(lambda: len(service.socket.pipes) == 1)

    async def handler(request: bytes) -> bytes:
        handled.append(request)
        if request == b"first":
            ask_and_leave()
        return request

    with trio.fail_after(WITHIN):
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_rep(
                nursery, handler, listen="tcp://127.0.0.1:0", cancel_on_disconnect=True
            )
            async with trionng.Req0(dial=service.url) as req:
                for request in (b"zero", b"first", b"last"):
                    assert await req.request(request) == request
            await service.drain()
            await service.aclose()

    counts = service.statistics()
    assert handled == [b"zero", b"first", b"last"]
    assert (counts.received, counts.answered, counts.abandoned) == (4, 3, 1)


async def test_cancel_on_disconnect_peer_gone_before_watch_is_noticed() -> None:
    """Connections are watched from the start: what happens before the first turn is not missed."""
    with trio.fail_after(WITHIN):
        async with trionng.Rep0(listen=new_url()) as rep, trio.open_nursery() as nursery:
            watch = DisconnectScopes(rep)
            async with trionng.Req0(dial=rep.listeners[0].url):
                await rep.wait_connected()
                (pipe,) = rep.pipes
                with watch.scope_for(pipe.id) as scope:
                    assert not scope.cancel_called
                    nursery.start_soon(leave_and_watch, pipe, watch)
                    await trio.sleep_forever()
                assert scope.cancelled_caught
            nursery.cancel_scope.cancel()


async def leave_and_watch(pipe: trionng.Pipe, watch: DisconnectScopes) -> None:
    pipe.close()
    while not pipe.closed:
        await trio.sleep(0.001)
    await watch.run(trio.CancelScope())


async def echo(connection: trionng.PipeChannel) -> None:
    async for data in connection:
        await connection.send(data)


async def test_serve_pipes_each_peer_has_its_own_channel() -> None:
    """What a peer sends is read by its handler, and the answer goes to that peer alone."""
    with trio.fail_after(WITHIN):
        async with (
            trionng.Pair1(polyamorous=True, listen=new_url()) as server,
            trio.open_nursery() as nursery,
        ):
            with trio.testing.assert_checkpoints():
                await trionng.serve_pipes(nursery, server, echo)
            url = server.listeners[0].url
            async with trionng.Pair1(dial=url) as one, trionng.Pair1(dial=url) as two:
                for i in range(20):
                    await one.send(b"one %d" % i)
                    await two.send(b"two %d" % i)
                    assert await one.recv() == b"one %d" % i
                    assert await two.recv() == b"two %d" % i
            nursery.cancel_scope.cancel()


async def test_serve_pipes_handler_ends_with_its_connection() -> None:
    """The handler's task is cancelled when its peer goes, and the other's is not."""
    ended: list[bytes] = []

    async def handler(connection: trionng.PipeChannel) -> None:
        name = await connection.receive()
        await connection.send(name)
        try:
            await trio.sleep_forever()
        finally:
            ended.append(name)

    with trio.fail_after(WITHIN):
        async with trionng.Pair1(polyamorous=True, listen="tcp://127.0.0.1:0") as server:
            async with trio.open_nursery() as nursery:
                await trionng.serve_pipes(nursery, server, handler)
                url = server.listeners[0].url
                async with trionng.Pair1(dial=url) as stays:
                    await stays.send(b"stays")
                    assert await stays.recv() == b"stays"
                    async with trionng.Pair1(dial=url) as goes:
                        await goes.send(b"goes")
                        assert await goes.recv() == b"goes"
                    while not ended:
                        await trio.sleep(0.001)
                    assert ended == [b"goes"]
                await server.aclose()

    assert sorted(ended) == [b"goes", b"stays"]


async def test_serve_pipes_handler_that_returns_drops_its_connection() -> None:
    """When the handler is done with its peer, so is the socket."""

    async def handler(connection: trionng.PipeChannel) -> None:
        await connection.send(await connection.receive())

    with trio.fail_after(WITHIN):
        async with (
            trionng.Pair1(polyamorous=True, listen=new_url()) as server,
            trio.open_nursery() as nursery,
        ):
            await trionng.serve_pipes(nursery, server, handler)
            async with trionng.Pair1() as peer:
                dialer = await peer.dial(server.listeners[0].url, block=True)
                async with peer.pipe_events() as events:
                    await peer.send(b"x")
                    assert await peer.recv() == b"x"
                    async for event in events:
                        if event.kind == "disconnected":
                            break
                await dialer.aclose()
            nursery.cancel_scope.cancel()


async def test_serve_pipes_handler_that_raises_ends_the_nursery() -> None:
    """Its exception propagates, with a note that names the peer."""

    async def handler(connection: trionng.PipeChannel) -> None:
        raise ValueError(repr(await connection.receive()))

    async def serve_and_send() -> None:
        async with trio.open_nursery() as nursery:
            await trionng.serve_pipes(nursery, server, handler)
            async with trionng.Pair1(dial=server.listeners[0].url) as peer:
                await peer.send(b"x")
                await trio.sleep_forever()

    with trio.fail_after(WITHIN):
        async with trionng.Pair1(polyamorous=True, listen=new_url()) as server:
            with pytest.raises(ExceptionGroup) as caught:
                await serve_and_send()

    assert "ValueError" in repr(caught.value)


@pytest.mark.parametrize("protocol", [trionng.Pair1, trionng.Pair0, trionng.Bus0])
async def test_serve_pipes_without_polyamorous_is_refused(protocol) -> None:
    """Only a polyamorous Pair1 has peers to tell apart."""
    async with protocol() as socket, trio.open_nursery() as nursery:
        with pytest.raises(trionng.InvalidOperation, match="polyamorous"):
            await trionng.serve_pipes(nursery, socket, echo)

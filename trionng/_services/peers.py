"""A handler for every peer of a polyamorous Pair1.

One task receives for all connections and puts each message into the bounded queue of its peer.
While a queue is full, that task waits and receives for no peer: no message is dropped, and no queue
grows without limit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from inspect import isawaitable
from typing import Final, final

import trio
from trio.abc import Channel

from trionng._base.callables import check_async, check_nursery, not_awaitable
from trionng._base.errors import Closed, ConnectionReset, InvalidOperation
from trionng._base.sealed import Sealed
from trionng._base.types import Buffer
from trionng._core import hooks
from trionng._services.handlers import observed
from trionng._services.service import add_note
from trionng._sockets import Pair1
from trionng._trio.pipes import Pipe
from trionng._trio.wait import checkpoint, real_time_limit

_QUEUE: Final = 16
# How long a connection stays open for the last messages of its handler to be written, seconds.
_WRITTEN_WITHIN: Final = 1.0
# Events that are kept while a handler lets no other task run.
_EVENTS: Final = 65536


@final
class PipeChannel(Sealed, Channel[bytes]):
    """The channel to one peer of `serve_pipes`: its messages, and sends to it."""

    def __init__(self, pipe: Pipe, queue: int) -> None:
        self._pipe = pipe
        self._put, self._get = trio.open_memory_channel[bytes](queue)
        self._closed = False

    @property
    def pipe(self) -> Pipe:
        """The connection."""
        return self._pipe

    async def send(self, value: Buffer) -> None:
        """Send to this peer; nng drops what it does not read in time.

        Raises:
            ConnectionReset: it has gone.
            Closed: this channel was closed.
        """
        if self._closed:
            await checkpoint()
            raise Closed("send: this connection was closed", url=self._pipe.url)
        await self._pipe.send(value)

    async def receive(self) -> bytes:
        """Receive from this peer, in order.

        Raises:
            trio.EndOfChannel: it has gone, and everything was read.
            Closed: this channel was closed.
        """
        try:
            return await self._get.receive()
        except trio.EndOfChannel:
            await checkpoint()
            raise
        except trio.ClosedResourceError:
            await checkpoint()
            raise Closed("receive: this connection was closed", url=self._pipe.url) from None

    async def aclose(self) -> None:
        """Drop the connection."""
        self._closed = True
        self._get.close()
        self._pipe.close()
        await checkpoint()

    def __repr__(self) -> str:
        return f"<PipeChannel of {self._pipe!r}>"


class _Peers:
    """The peers of one socket, and the tasks that serve them."""

    def __init__(
        self,
        socket: Pair1,
        handler: Callable[[PipeChannel], Awaitable[object]],
        queue: int,
    ) -> None:
        self._socket = socket
        self._handler = handler
        self._queue = queue
        self._peers: dict[int, tuple[PipeChannel, trio.CancelScope]] = {}

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        """Serve until the socket closes or the nursery ends."""
        async with (
            self._socket.pipe_events(capacity=_EVENTS) as events,
            trio.open_nursery() as handlers,
        ):
            receiving = trio.CancelScope()
            handlers.start_soon(self._receive, receiving, handlers)
            task_status.started()
            async for event in events:
                if event.kind == "connected":
                    self._welcome(event.pipe, handlers)
                elif event.kind == "disconnected" and event.pipe.id in self._peers:
                    channel, scope = self._peers.pop(event.pipe.id)
                    scope.cancel()  # before its receive can end otherwise
                    channel._put.close()
            receiving.cancel()
            for _, scope in self._peers.values():
                scope.cancel()

    def _welcome(self, pipe: Pipe, handlers: trio.Nursery) -> PipeChannel:
        if pipe.id not in self._peers:
            self._peers[pipe.id] = PipeChannel(pipe, self._queue), trio.CancelScope()
            handlers.start_soon(self._serve, *self._peers[pipe.id], name="serve_pipes peer")
        return self._peers[pipe.id][0]

    async def _serve(self, channel: PipeChannel, scope: trio.CancelScope) -> None:
        with scope:
            try:
                with self._observed(channel.pipe):
                    awaitable = self._handler(channel)
                    if not isawaitable(awaitable):
                        raise not_awaitable("serve_pipes", self._handler, awaitable)
                    await awaitable
            except (ConnectionReset, trio.EndOfChannel):
                if not channel.pipe.closed:
                    raise
            except Exception as exc:
                add_note(exc, f"while serve_pipes served {channel.pipe!r}")
                raise
            # nng drops what is not written when a connection closes.
            with real_time_limit(_WRITTEN_WITHIN):
                await self._socket.flush()
            await channel.aclose()

    def _observed(self, pipe: Pipe) -> AbstractContextManager[None]:
        if hooks.handler is None:
            return nullcontext()
        return observed(partial(hooks.handler, "serve_pipes", self._socket, pipe.id, None))

    async def _receive(self, scope: trio.CancelScope, handlers: trio.Nursery) -> None:
        with scope:
            while True:
                try:
                    msg = await self._socket.recv_msg()
                except Closed:
                    return
                pipe = msg.pipe
                if pipe is None or (pipe.closed and pipe.id not in self._peers):
                    continue  # the peer is gone, and so is its handler
                channel = self._welcome(pipe, handlers)
                try:
                    await channel._put.send(msg.bytes)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    pass  # the handler has closed its channel


async def serve_pipes(
    nursery: trio.Nursery,
    socket: Pair1,
    handler: Callable[[PipeChannel], Awaitable[object]],
    *,
    queue: int = _QUEUE,
) -> None:
    """Run a handler for every peer of a polyamorous Pair1, for as long as it is connected.

    `handler(channel)` gets a `PipeChannel` to its peer, a `trio.abc.Channel[bytes]`. Its task is
    cancelled when the connection is lost. When the handler returns, the connection is dropped, at
    most a second later, so that its last messages can be written. Everything ends when the socket
    is closed.

    An exception of a handler ends the nursery. It carries a note that names the peer and is raised
    in an ExceptionGroup within another: the handlers run in a nursery of their own.

    A peer's messages wait in a queue for its handler. While one queue is full, nothing is received
    from any peer: no message is dropped, but a handler that does not read delays the others.

    Cancellation: ends with the nursery. Cancelling this call itself starts nothing.

    Args:
        nursery: where the tasks run.
        socket: a `Pair1(polyamorous=True)`; it stays yours. No other task should receive on it.
        handler: an async function, or any callable that returns an awaitable. Each call has its own
            copy of the context (`contextvars`) of this call.
        queue: how many messages of a peer may wait; 0 or more.

    Raises:
        InvalidOperation: the socket is not polyamorous.
        TypeError: the handler is not async.

    Example:
        async def echo(channel):
            async for data in channel:
                await channel.send(data)

        await serve_pipes(nursery, Pair1(polyamorous=True, listen=url), echo)
    """
    check_nursery("serve_pipes", nursery)
    check_async("serve_pipes", handler)
    if not getattr(socket, "polyamorous", False):
        raise InvalidOperation("serve_pipes: the socket is not Pair1(polyamorous=True)")
    if queue < 0:
        raise InvalidOperation(f"serve_pipes: queue={queue} is not at least 0")
    await checkpoint()
    await nursery.start(_Peers(socket, handler, queue).run, name="serve_pipes")

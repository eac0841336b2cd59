"""A proxy between dialers and a listener that makes the network fail on command."""

from __future__ import annotations

import contextlib
import os
import socket as stdlib
import struct
from typing import final

import trio

from trionng._base.errors import InvalidOperation
from trionng._base.sealed import Sealed
from trionng._core.urls import FILES, Url, read_url
from trionng._testing.faults import Direction, Flow
from trionng._testing.pairs import new_url
from trionng._trio.wait import checkpoint

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close at once, with a reset


class _Connection:
    """A dialer's connection, and that to the listener which belongs to it."""

    def __init__(self, proxy: FaultyProxy, streams: tuple[trio.SocketStream, ...]) -> None:
        self.flows = {proxy.to_listener: Flow(), proxy.to_dialer: Flow()}
        self.ended = False
        self._streams = streams
        self._scope = trio.CancelScope()
        self._proxy = proxy

    def end(self, *, reset: bool) -> None:
        """End it: no byte passes any more."""
        if not self.ended:
            self.ended = True
            self._proxy._connections.remove(self)
        if reset:
            for stream in self._streams:
                _close_with_reset(stream)
        self._scope.cancel()

    async def run(self) -> None:
        """Pass bytes on in both directions until either ends."""
        dialer, listener = self._streams
        with self._scope:
            async with trio.open_nursery() as nursery:
                for direction, source, sink in (
                    (self._proxy.to_listener, dialer, listener),
                    (self._proxy.to_dialer, listener, dialer),
                ):
                    nursery.start_soon(self._run_one_way, direction, source, sink)

    async def _run_one_way(
        self, direction: Direction, source: trio.SocketStream, sink: trio.SocketStream
    ) -> None:
        await direction._carry(self, source, sink)
        self._scope.cancel()


def _close_with_reset(stream: trio.SocketStream) -> None:
    with contextlib.suppress(OSError):
        if stream.socket.family != stdlib.AF_UNIX:
            stream.setsockopt(stdlib.SOL_SOCKET, stdlib.SO_LINGER, _RESET)


@final
class FaultyProxy(Sealed, trio.abc.AsyncResource):
    """Stands between dialers and a listener, and makes their connections fail on command.

    Made by `open_proxy`. Dial `url` instead of the listener's. What happens to the bytes of each
    direction is told to `to_listener` and `to_dialer`, at any time; what concerns both is told to
    the proxy itself. A new proxy passes everything on.

    When one end of a connection closes, the proxy passes on what it has read, and closes the other
    end. When the target cannot be reached it closes the dialer's connection, and `last_error` says
    why: the dialer tries again, as after any lost connection.

    Concurrency: tasks of the run that the proxy was opened in.
    """

    def __init__(self, target: Url, listens: Url, listener: trio.SocketListener) -> None:
        self._target = target
        self._listens = listens
        self._listener = listener
        self._connections: list[_Connection] = []
        self._to_listener = Direction("to_listener", lambda: [*self._connections])
        self._to_dialer = Direction("to_dialer", lambda: [*self._connections])
        self._accepted = 0
        self._last_error: OSError | None = None
        self._scope = trio.CancelScope()
        self._ended = trio.Event()

    def __repr__(self) -> str:
        state = "closed" if self._ended.is_set() else f"{len(self._connections)} connections"
        return f"<FaultyProxy {self.url} to {self.target}: {state}>"

    @property
    def url(self) -> str:
        """What to dial."""
        return self._listens.text

    @property
    def target(self) -> str:
        """The URL of the listener."""
        return self._target.text

    @property
    def to_listener(self) -> Direction:
        """What happens to bytes from dialers to the listener."""
        return self._to_listener

    @property
    def to_dialer(self) -> Direction:
        """What happens to bytes from the listener to dialers."""
        return self._to_dialer

    @property
    def accepted(self) -> int:
        """How many connections have been made to the proxy so far."""
        return self._accepted

    @property
    def last_error(self) -> OSError | None:
        """Why the target could not be reached, the last time that it could not."""
        return self._last_error

    @property
    def connections(self) -> int:
        """How many connections pass through it now."""
        return len(self._connections)

    def stop(self) -> None:
        """Let nothing pass in either direction; connections stay open, new ones can be made."""
        self.to_listener.stop()
        self.to_dialer.stop()

    def resume(self) -> None:
        """Let bytes pass again in both directions, those that came meanwhile first."""
        self.to_listener.resume()
        self.to_dialer.resume()

    def reset(self) -> None:
        """End every connection of this moment, with a reset (RST) on tcp.

        Bytes that the proxy has not passed on are lost. Dialers connect again.
        """
        for connection in [*self._connections]:
            connection.end(reset=True)

    async def aclose(self) -> None:
        """End every connection, and accept no more. Closing it again does nothing.

        Cancellation: closes, then raises.
        """
        self._scope.cancel()
        with trio.CancelScope(shield=True):
            await self._ended.wait()
        await checkpoint()

    async def _serve(self, *, task_status: trio.TaskStatus[list[trio.SocketListener]]) -> None:
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    await trio.serve_listeners(
                        self._handle,
                        [self._listener],
                        handler_nursery=nursery,
                        task_status=task_status,
                    )
        finally:
            if self._listens.scheme in FILES:
                with contextlib.suppress(OSError):
                    os.unlink(self._listens.rest)
            self._ended.set()

    async def _handle(self, dialer: trio.SocketStream) -> None:
        self._accepted += 1
        async with dialer:
            try:
                listener = await _connect(self._target)
            except OSError as error:
                self._last_error = error
                return
            async with listener:
                connection = _Connection(self, (dialer, listener))
                self._connections.append(connection)
                try:
                    await connection.run()
                finally:
                    connection.end(reset=False)


async def _connect(url: Url) -> trio.SocketStream:
    if url.has_port:
        return await trio.open_tcp_stream(url.host.strip("[]"), int(url.port))
    with contextlib.ExitStack() as stack:
        socket = stack.enter_context(trio.socket.socket(trio.socket.AF_UNIX))
        await socket.connect(_unix_name(url))
        stack.pop_all()
    return trio.SocketStream(socket)


def _unix_name(url: Url) -> str:
    return f"\0{url.rest}" if url.scheme == "abstract" else url.rest


async def _listen(url: Url) -> trio.SocketListener:
    family = trio.socket.AF_UNIX
    name: str | tuple[str, int] = _unix_name(url)
    if url.has_port:
        is_6 = ":" in url.host or url.scheme.endswith("6")
        family = trio.socket.AF_INET6 if is_6 else trio.socket.AF_INET
        name = url.host.strip("[]"), int(url.port)
    with contextlib.ExitStack() as stack:
        socket = stack.enter_context(trio.socket.socket(family))
        if url.has_port:
            socket.setsockopt(stdlib.SOL_SOCKET, stdlib.SO_REUSEADDR, 1)
        await socket.bind(name)
        socket.listen()
        stack.pop_all()
    return trio.SocketListener(socket)


async def open_proxy(
    nursery: trio.Nursery, target: str | bytes, *, listen: str | bytes | None = None
) -> FaultyProxy:
    """Start a proxy to `target` in the caller's nursery; return it when it accepts connections.

    Its tasks run in the nursery, and end when the proxy is closed or the nursery is cancelled.
    They raise nothing that happens to a connection.

    Args:
        nursery: runs the proxy.
        target: what `listener.url` says: a tcp, ipc, abstract, tls+tcp, ws or wss URL. The proxy
            passes bytes on, and needs no certificate. The listener need not exist yet.
        listen: URL to accept on, of the same transport; default: a new one on this machine, with
            the host and path of the target.

    Returns:
        The proxy; close it, or cancel the nursery.

    Raises:
        InvalidOperation: the transport has no bytes that could be passed on, or the two differ.
        AddressInvalid: a URL cannot be parsed.
        OSError: the URL cannot be listened on.

    Example:
        async with trio.open_nursery() as nursery:
            async with await open_proxy(nursery, rep.listeners[0].url) as proxy:
                await req.dial(proxy.url, block=True)
                proxy.reset()
    """
    address = read_url("open_proxy", target, listens=False)
    if not (address.has_port or address.scheme in FILES or address.scheme == "abstract"):
        raise InvalidOperation(f"open_proxy {address.text}: no bytes pass through {address.scheme}")
    where = _near(address) if listen is None else read_url("open_proxy", listen, listens=True)
    if where.scheme != address.scheme:
        raise InvalidOperation(
            f"open_proxy {where.text}: its transport is not that of the target, {address.text}"
        )
    listener = await _listen(where)
    if where.has_port:
        where = where.at(listener.socket.getsockname()[1], None)
    proxy = FaultyProxy(address, where, listener)
    try:
        await nursery.start(proxy._serve)
    except BaseException:
        listener.socket.close()
        raise
    return proxy


def _near(target: Url) -> Url:
    """Return where to accept connections for a target, on this machine."""
    if target.has_port:
        return read_url("open_proxy", target.at(0, None).text, listens=True)
    url = new_url("abstract" if target.scheme == "abstract" else "ipc")
    rest = url.partition("://")[2]
    return read_url("open_proxy", f"{target.scheme}://{rest}", listens=True)

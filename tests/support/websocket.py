"""A WebSocket client and server that know nothing of nng: wsproto on plain Trio streams."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    RejectConnection,
    Request,
    TextMessage,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator


class Rejected(Exception):
    """Say that the server did not take the connection."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Ended(Exception):
    """Say that the server ended the connection, with a code where it gave one."""

    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code


class Browser:
    """A connection that sends one frame a message, as browsers do."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._connection = WSConnection(ConnectionType.CLIENT)
        self._events: list[Event] = []
        self.subprotocol: str | None = None

    async def _tell(self, event: Event) -> None:
        await self._stream.send_all(self._connection.send(event))

    async def _next(self) -> Event:
        while not self._events:
            try:
                data = await self._stream.receive_some()
            except trio.BrokenResourceError:
                data = b""
            if not data:
                raise Ended(None)
            self._connection.receive_data(bytes(data))
            self._events += self._connection.events()
        return self._events.pop(0)

    async def ask(self, request: Request) -> None:
        """Ask the server to speak WebSocket."""
        await self._tell(request)
        answer = await self._next()
        if isinstance(answer, RejectConnection):
            raise Rejected(answer.status_code)
        assert isinstance(answer, AcceptConnection)
        self.subprotocol = answer.subprotocol

    async def send(self, message: bytes | str) -> None:
        """Send a message in one frame; str is a text frame."""
        frame = TextMessage(message) if isinstance(message, str) else BytesMessage(message)
        with contextlib.suppress(trio.BrokenResourceError):
            await self._tell(frame)

    async def receive(self) -> bytes:
        """Return the next message, put together of its frames."""
        parts = []
        while True:
            event = await self._next()
            if isinstance(event, CloseConnection):
                raise Ended(event.code)
            assert isinstance(event, BytesMessage)
            parts.append(event.data)
            if event.message_finished:
                return b"".join(parts)


@contextlib.asynccontextmanager
async def browser(
    url: str,
    protocol: str | None,
    *,
    headers: dict[str, str] | None = None,
    trust: ssl.SSLContext | None = None,
) -> AsyncIterator[Browser]:
    """Connect for the time of a block.

    Args:
        url: the listener's.
        protocol: the listener's protocol, such as `rep.sp.nanomsg.org`.
        headers: more of the request, such as Origin.
        trust: for wss.
    """
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    stream: trio.abc.Stream = await trio.open_tcp_stream(parts.hostname, parts.port)
    if trust is not None:
        stream = trio.SSLStream(
            stream, trust, server_hostname=parts.hostname, https_compatible=True
        )
    async with stream:
        peer = Browser(stream)
        await peer.ask(
            Request(
                host=parts.netloc,
                target=parts.path,
                subprotocols=[protocol] if protocol else [],
                extra_headers=[
                    (name.encode(), value.encode()) for name, value in (headers or {}).items()
                ],
            )
        )
        yield peer


Say = Callable[[bytes | str], Awaitable[None]]


@contextlib.asynccontextmanager
async def serve_websocket(
    talk: Callable[[bytes, Say], Awaitable[None]], *, protocol: str | None = None
) -> AsyncIterator[str]:
    """Serve WebSocket for the time of a block; the value is the URL.

    `talk(message, say)` runs for each message, and with b"" when a client has connected. If it
    raises StopAsyncIteration, the connection ends. The server speaks what the client wants, or the
    protocol given, "" for none.
    """

    async def serve(stream: trio.SocketStream) -> None:
        connection = WSConnection(ConnectionType.SERVER)

        async def say(message: bytes | str) -> None:
            frame = TextMessage(message) if isinstance(message, str) else BytesMessage(message)
            await stream.send_all(connection.send(frame))

        with contextlib.suppress(trio.BrokenResourceError, StopAsyncIteration):
            async for data in stream:
                connection.receive_data(bytes(data))
                for event in connection.events():
                    if isinstance(event, Request):
                        chosen = event.subprotocols[0] if protocol is None else protocol
                        accepted = AcceptConnection(subprotocol=chosen or None)
                        await stream.send_all(connection.send(accepted))
                        await talk(b"", say)
                    elif isinstance(event, BytesMessage):
                        await talk(bytes(event.data), say)
                    elif isinstance(event, CloseConnection):
                        await stream.send_all(connection.send(event.response()))
                        return

    async with trio.open_nursery() as nursery:
        [listener] = await nursery.start(
            functools.partial(trio.serve_tcp, serve, 0, host="127.0.0.1")
        )
        yield f"ws://127.0.0.1:{listener.socket.getsockname()[1]}/"
        nursery.cancel_scope.cancel()

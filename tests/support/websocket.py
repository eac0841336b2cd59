"""A WebSocket client that knows nothing of nng: wsproto on a plain Trio stream."""

from __future__ import annotations

import contextlib
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

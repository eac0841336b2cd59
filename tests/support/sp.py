"""A client of the SP wire protocol made of plain Trio streams, for peers that misbehave."""

from __future__ import annotations

import contextlib
import struct
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# What a peer says it is.
PAIR0, PAIR1, REQ0, REP0, PUSH0, PULL0, SURVEYOR0 = 0x10, 0x11, 0x30, 0x31, 0x50, 0x51, 0x62


def greeting(protocol: int) -> bytes:
    """Return the eight bytes with which both sides begin."""
    return struct.pack(">4sHH", b"\0SP\0", protocol, 0)


class RawPeer:
    """A connection that sends what it is told to, valid or not."""

    def __init__(self, stream: trio.SocketStream, *, ipc: bool) -> None:
        self._stream = stream
        self._ipc = ipc

    async def greet(self, protocol: int) -> None:
        """Exchange the greetings, so that the other side takes this for a peer."""
        await self._stream.send_all(greeting(protocol))
        received = b""
        while len(received) < 8:
            chunk = await self._stream.receive_some(8 - len(received))
            assert chunk, "closed during the greeting"
            received += chunk
        assert received.startswith(b"\0SP\0")

    def frame(self, body: bytes, *, length: int | None = None) -> bytes:
        """Return a message as it is on the wire, with a length of its own choice."""
        size = struct.pack(">Q", len(body) if length is None else length)
        return (b"\1" if self._ipc else b"") + size + body

    async def send_raw(self, data: bytes) -> None:
        """Send bytes; the other side may have closed already."""
        with contextlib.suppress(trio.BrokenResourceError):
            await self._stream.send_all(data)

    async def send(self, body: bytes, *, length: int | None = None) -> None:
        """Send a message."""
        await self.send_raw(self.frame(body, length=length))

    async def receive(self) -> bytes:
        """Receive a message."""
        prefix = await self._read(9 if self._ipc else 8)
        return await self._read(struct.unpack(">Q", prefix[-8:])[0])

    async def _read(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            chunk = await self._stream.receive_some(size - len(data))
            assert chunk, "closed within a message"
            data += chunk
        return bytes(data)

    async def wait_dropped(self) -> None:
        """Wait until the other side has closed the connection."""
        with contextlib.suppress(trio.BrokenResourceError):
            while await self._stream.receive_some():
                pass

    async def close(self, *, reset: bool = False) -> None:
        """Close the connection, with a TCP RST if asked to."""
        if reset:
            self._stream.setsockopt(
                trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
        await self._stream.aclose()


@contextlib.asynccontextmanager
async def raw_peer(url: str) -> AsyncIterator[RawPeer]:
    """Connect to a tcp, ipc or abstract URL for the time of a block."""
    scheme, _, rest = url.partition("://")
    if scheme.startswith("tcp"):
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        stream = await trio.open_tcp_stream(parts.hostname, parts.port)
    else:
        socket = trio.socket.socket(trio.socket.AF_UNIX)
        await socket.connect(f"\0{rest}" if scheme == "abstract" else rest)
        stream = trio.SocketStream(socket)
    async with stream:
        yield RawPeer(stream, ipc=not scheme.startswith("tcp"))

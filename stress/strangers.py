"""Strangers that do what a case says: as clients of a listener, or as the server of a dialer."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import ssl
import struct
from collections.abc import Callable
from typing import ClassVar

import trio

from stress.common import Address
from stress.targets import Target
from stress.wire import ACCEPT, FIN, PATH, PAUSE, READ, RESET, SEND, TLS, Case, Step
from tests.support.certificates import CA

# What a stranger waits for, seconds.
_PATIENCE = 0.05
# A dialer connects again at once, to meet the next case.
BETWEEN_CASES = 0.02
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def _client_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    CA.configure_trust(context)
    return context


def _server_context() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    CA.issue_cert("localhost").configure_cert(context)
    return context


class Stranger:
    """A connection that goes through the steps of a case."""

    contexts: ClassVar[dict[bool, ssl.SSLContext]] = {}

    def __init__(self, stream: trio.SocketStream, *, is_server: bool, path: bytes = b"/") -> None:
        self._plain = stream
        self._stream: trio.abc.Stream = stream
        self._is_server = is_server
        self._path = path
        self._read = b""

    async def run(self, case: Case) -> None:
        """Do it all; what the other side does is no error."""
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            for step in case.steps:
                await self._do(step)
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
            await trio.aclose_forcefully(self._stream)
            await self._plain.aclose()

    async def _do(self, step: Step) -> None:
        with trio.move_on_after(1):
            if step.word == SEND:
                await self._stream.send_all(step.data.replace(PATH, self._path))
            elif step.word == READ:
                await self._receive(len(step.data))
            elif step.word == PAUSE:
                await trio.sleep(int.from_bytes(step.data[:1], "big") / 1000)
            elif step.word == TLS:
                await self._begin_tls()
            elif step.word == ACCEPT:
                await self._accept()
            elif step.word == FIN:
                await self._plain.send_eof()
                await self._receive(100)
            elif step.word == RESET:
                with contextlib.suppress(OSError):
                    self._plain.setsockopt(
                        trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, struct.pack("ii", 1, 0)
                    )

    async def _receive(self, size: int) -> None:
        with trio.move_on_after(_PATIENCE):
            while len(self._read) < size:
                chunk = await self._stream.receive_some(4096)
                if not chunk:
                    break
                self._read += chunk
        self._read = self._read[-8192:]

    async def _begin_tls(self) -> None:
        if self._is_server not in self.contexts:
            make = _server_context if self._is_server else _client_context
            self.contexts[self._is_server] = make()
        self._stream = trio.SSLStream(
            self._plain,
            self.contexts[self._is_server],
            server_hostname=None if self._is_server else "localhost",
            server_side=self._is_server,
            https_compatible=True,
        )
        await self._stream.do_handshake()

    async def _accept(self) -> None:
        """Answer the client's request as a WebSocket server does."""
        key = re.search(rb"Sec-WebSocket-Key: *(\S+)", self._read, re.IGNORECASE)
        speaks = re.search(rb"Sec-WebSocket-Protocol: *(\S+)", self._read, re.IGNORECASE)
        digest = hashlib.sha1((key[1] if key else b"") + _GUID).digest()
        lines = [
            b"HTTP/1.1 101 Switching Protocols",
            b"Upgrade: websocket",
            b"Connection: Upgrade",
            b"Sec-WebSocket-Accept: " + base64.b64encode(digest),
            b"Sec-WebSocket-Protocol: " + (speaks[1] if speaks else b"x"),
        ]
        await self._stream.send_all(b"\r\n".join([*lines, b"", b""]))


async def attack(target: Target, case: Case) -> None:
    """Connect to a listener, and do what the case says."""
    scheme, _, rest = target.url.partition("://")
    try:
        with trio.fail_after(10):
            if scheme in ("ipc", "abstract"):
                socket = trio.socket.socket(trio.socket.AF_UNIX)
                await socket.connect(f"\0{rest}" if scheme == "abstract" else rest)
                stream = trio.SocketStream(socket)
            else:
                port = int(rest.partition("/")[0].rpartition(":")[2])
                stream = await trio.open_tcp_stream("127.0.0.1", port)
    except (OSError, trio.TooSlowError):
        return
    path = b"/" + rest.partition("/")[2].encode()
    await Stranger(stream, is_server=False, path=path).run(case)


async def serve_strangers(
    nursery: trio.Nursery, address: Address, next_case: Callable[[], Case]
) -> str:
    """Listen; each client meets the next case. Returns what to dial."""
    scheme, _, rest = address.url.partition("://")
    if scheme in ("ipc", "abstract"):
        socket = trio.socket.socket(trio.socket.AF_UNIX)
        await socket.bind(f"\0{rest}" if scheme == "abstract" else rest)
        url = address.url
    else:
        socket = trio.socket.socket()
        socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_REUSEADDR, 1)
        await socket.bind(("127.0.0.1", 0))
        url = address.url.replace(":0", f":{socket.getsockname()[1]}")
    socket.listen()

    async def handle(stream: trio.SocketStream) -> None:
        await trio.sleep(BETWEEN_CASES)
        await Stranger(stream, is_server=True).run(next_case())

    nursery.start_soon(trio.serve_listeners, handle, [trio.SocketListener(socket)])
    return url

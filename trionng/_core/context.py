"""What a context is in both APIs: a state of its own on the connections of a socket."""

from __future__ import annotations

from trionng import _ffi
from trionng._base.errors import Closed
from trionng._core.abc import AnySocket
from trionng._core.io import BaseIO
from trionng._ffi import Context as NativeContext


class ContextBase(BaseIO):
    """What the contexts of both APIs share."""

    _socket: AnySocket

    def __init__(self, socket: AnySocket, ctx: NativeContext) -> None:
        self._socket = socket
        self._ctx = ctx
        self._closed = False
        # An instance without attributes of its own is smaller.
        if socket._recv_timeout_ms != self._recv_timeout_ms:
            self._recv_timeout_ms = socket._recv_timeout_ms
        if socket._send_timeout_ms != self._send_timeout_ms:
            self._send_timeout_ms = socket._send_timeout_ms

    def _get_socket(self) -> AnySocket:
        return self._socket

    def _option_target(self, attempted: str) -> tuple[int, int, str | None]:
        if self._closed or self._socket._closed:
            what = "context" if self._closed else "socket"
            raise Closed(f"{attempted}: the {what} is closed", url=self._socket._urls())
        return _ffi.ON_CONTEXT, self._ctx.id, self._socket._urls()

    def _close_ctx(self) -> None:
        if not self._closed:
            self._closed = True
            self._ctx.close()

    def __repr__(self) -> str:
        state = " (closed)" if self._closed else ""
        return f"<{type(self).__name__} of {self._socket!r}{state}>"

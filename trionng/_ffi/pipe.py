"""Pipes (connections) and pipe events, as thin, typed calls."""

from __future__ import annotations

from typing import Any, NamedTuple

from trionng._ffi.completion_queue import NULL, PARKED, CompletionQueue
from trionng._ffi.load import ffi, lib
from trionng._ffi.owned import Owned
from trionng._ffi.types import SubmitResult

CONNECTED = lib.TNNG_CONNECTED
DISCONNECTED = lib.TNNG_DISCONNECTED
REJECTED = lib.TNNG_REJECTED


class Address(NamedTuple):
    """An address of nng: family number, port and scope where it has them, and the raw bytes."""

    family: int
    port: int
    scope: int
    data: bytes


def address(addr: Any) -> Address:
    """Copy an address out."""
    return Address(addr.family, addr.port, addr.scope, bytes(ffi.buffer(addr.data, addr.size)))


class NativePipe(Owned):
    """A connection; its `info` outlives it. Owns one reference."""

    __slots__ = ("info",)
    info: lib.tnng_pipe_info
    _kind = "tnng_pipe **"

    def made(self) -> bool:
        """Take note that C has written the pointer."""
        self.info = lib.tnng_pipe_get_info(self._made())
        return True

    def own(self, pipes: Any, index: int) -> None:
        """Take the reference out of an array of C."""
        cell = self._cell
        # No call in these two: see _wait_blocking.
        native = pipes[index]
        pipes[index], cell[0] = NULL, native
        self.made()

    def __del__(self, _drop: Any = lib.tnng_pipe_unref) -> None:
        native = self._disown()
        if native is not None:
            _drop(native)

    @property
    def local(self) -> Address:
        return address(self.info.local)

    @property
    def remote(self) -> Address:
        return address(self.info.remote)

    @property
    def tls_cn(self) -> bytes | None:
        """The common name of a verified certificate."""
        return (ffi.string(self.info.tls_cn) or None) if self.info.tls_cn else None

    @property
    def tls_names(self) -> list[bytes]:
        """The alternative names of a verified certificate."""
        names: Any = self.info.tls_names
        found: list[bytes] = []
        while names and names[len(found)]:
            found.append(ffi.string(names[len(found)]))
        return found

    def is_gone(self) -> bool:
        return lib.tnng_pipe_is_gone(self._native)

    def close(self, reason: int = 0) -> int:
        """Close the connection; its event and the reports carry `reason`, one of REASON_*."""
        return lib.tnng_pipe_close(self._native, reason)


class NativeEvents(Owned):
    """A subscription to the pipe events of a socket."""

    __slots__ = ()
    _kind = "tnng_events **"

    def __del__(self, _drop: Any = lib.tnng_events_destroy) -> None:
        native = self._disown()
        if native is not None:
            _drop(native)

    def wait(self, cq: CompletionQueue, tag: int) -> SubmitResult:
        """Wait until `take` does not answer EAGAIN."""
        code = lib.tnng_events_wait(self._native, cq.native, tag, cq.scratch)
        return code, cq.scratch.op if code == PARKED else ffi.NULL

    def take(self) -> tuple[int, int, int, NativePipe | None]:
        """Return (code, kind, reason, connection)."""
        kind, reason = ffi.new("int *"), ffi.new("int *")
        pipe = NativePipe()
        code = lib.tnng_events_take(self._native, kind, reason, pipe._cell)
        return code, kind[0], reason[0], (pipe if code == 0 and pipe.made() else None)

    def close(self) -> None:
        lib.tnng_events_close(self._native)

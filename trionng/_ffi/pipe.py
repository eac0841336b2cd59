"""Pipes (connections) and pipe events, as thin, typed calls."""

from __future__ import annotations

from typing import Any, NamedTuple

from trionng._ffi.completion_queue import NULL, PARKED, CompletionQueue
from trionng._ffi.load import ffi, lib
from trionng._ffi.owned import Owned
from trionng._ffi.types import SubmitResult

CONNECTED: int = lib.TNNG_CONNECTED
DISCONNECTED: int = lib.TNNG_DISCONNECTED
REJECTED: int = lib.TNNG_REJECTED


class Address(NamedTuple):
    """An address of nng: family number, port and scope where it has them, and the raw bytes."""

    family: int
    port: int
    scope: int
    data: bytes


def address(addr: Any) -> Address:
    """Copy an address out."""
    return Address(addr.family, addr.port, addr.scope, bytes(ffi.buffer(addr.data, addr.size)))


class PeerIds(NamedTuple):
    """The process at the other end of an ipc connection."""

    uid: int
    gid: int
    pid: int


class NativePipe(Owned):
    """A connection; its data outlive it. Owns one reference."""

    __slots__ = ("_about",)
    _kind = "tnng_pipe **"

    def made(self) -> bool:
        """Take note that C has written the pointer."""
        self._about = lib.tnng_pipe_get_info(self._made())
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
    def serial(self) -> int:
        """Its number among all connections of this process; never used again."""
        number: int = self._about.serial
        return number

    @property
    def id(self) -> int:
        number: int = self._about.id
        return number

    @property
    def dialer(self) -> int:
        number: int = self._about.dialer
        return number

    @property
    def listener(self) -> int:
        number: int = self._about.listener
        return number

    @property
    def local(self) -> Address:
        return address(self._about.local)

    @property
    def remote(self) -> Address:
        return address(self._about.remote)

    @property
    def peer_ids(self) -> PeerIds | None:
        about = self._about
        return PeerIds(about.uid, about.gid, about.pid) if about.has_peer_ids else None

    def flag(self, name: str) -> bool | None:
        """Return tcp_nodelay, tcp_keepalive or tls_verified as they were when it was made."""
        value: int = getattr(self._about, name)
        return None if value < 0 else bool(value)

    def is_gone(self) -> bool:
        gone: bool = lib.tnng_pipe_is_gone(self._native)
        return gone

    def close(self, reason: int = 0) -> int:
        """Close the connection; its event and the reports carry `reason`, one of REASON_*."""
        code: int = lib.tnng_pipe_close(self._native, reason)
        return code


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

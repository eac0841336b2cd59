"""Pipes, the connections of a socket (`nng_pipe`), and pipe events (`nng_pipe_notify`).

The shim reads the properties of a pipe when nng adds it, so they stay readable after it closed.
"""

from __future__ import annotations

import weakref
from typing import Final, Generic, Literal, NoReturn, TypeVar

import attrs

from trionng import _ffi
from trionng._base.errors import EAGAIN, ECLOSED, Closed, ConnectionReset, NotSupported, error_for
from trionng._base.sealed import Sealed
from trionng._core.abc import AnyEndpoint, AnySocket
from trionng._core.addresses import SockAddr, from_native
from trionng._core.endpoints import DialerBase, ListenerBase
from trionng._ffi import NativePipe

S = TypeVar("S", bound=AnySocket)

DEFAULT_CAPACITY: Final = 4096


class PipeBase(Sealed):
    """What the pipes of both APIs share."""

    __slots__ = ("__weakref__", "_endpoint", "_native", "_protocol_ids", "_socket")

    def __init__(self, socket: AnySocket, native: NativePipe) -> None:
        self._socket = weakref.ref(socket)
        self._native = native
        self._protocol_ids = socket._protocol_ids
        self._endpoint: AnyEndpoint | None = None
        self._find_endpoint()

    def _find_endpoint(self) -> AnyEndpoint | None:
        """Find the dialer or listener that made it, and keep a reference."""
        socket = self._socket()
        if self._endpoint is None and socket is not None:
            info = self._native.info
            side = _ffi.ON_DIALER if info.dialer else _ffi.ON_LISTENER
            self._endpoint = socket._find_endpoint(side, info.dialer or info.listener)
        return self._endpoint

    @property
    def id(self) -> int:
        """nng's number for it, unique in this process while it lives."""
        return self._native.info.id

    @property
    def socket(self) -> AnySocket | None:
        """The socket it belongs to."""
        return self._socket()

    @property
    def dialer(self) -> DialerBase | None:
        """The dialer that made the connection, else None; it may be closed by now."""
        endpoint = self._find_endpoint()
        return endpoint if isinstance(endpoint, DialerBase) else None

    @property
    def listener(self) -> ListenerBase | None:
        """The listener that accepted the connection, else None; it may be closed by now."""
        endpoint = self._find_endpoint()
        return endpoint if isinstance(endpoint, ListenerBase) else None

    @property
    def url(self) -> str | None:
        """The URL of the dialer or listener it came from."""
        endpoint = self._find_endpoint()
        return None if endpoint is None else endpoint.url

    @property
    def local_address(self) -> SockAddr:
        """The address of this side."""
        return from_native(self._native.local)

    @property
    def remote_address(self) -> SockAddr:
        """The address of the peer."""
        return from_native(self._native.remote)

    @property
    def protocol(self) -> int:
        """The number of our protocol."""
        return self._protocol_ids[0]

    @property
    def protocol_name(self) -> str:
        """The name of our protocol."""
        return self._protocol_ids[1]

    @property
    def peer(self) -> int:
        """The number of the protocol that the peer must speak."""
        return self._protocol_ids[2]

    @property
    def peer_name(self) -> str:
        """The name of the protocol that the peer must speak."""
        return self._protocol_ids[3]

    def _lacks(self, what: str) -> NoReturn:
        raise NotSupported(
            f"get {what} {self.url or self.remote_address}: this transport has none", url=self.url
        )

    def _flag(self, name: str) -> bool:
        value: int = getattr(self._native.info, name)
        return self._lacks(name) if value < 0 else bool(value)

    @property
    def tcp_nodelay(self) -> bool:
        """Whether small messages are sent at once.

        Raises:
            NotSupported: it is not a TCP connection.
        """
        return self._flag("tcp_nodelay")

    @property
    def tcp_keepalive(self) -> bool:
        """Whether the system probes it when it is idle.

        Raises:
            NotSupported: it is not a TCP connection.
        """
        return self._flag("tcp_keepalive")

    @property
    def tls_verified(self) -> bool:
        """Whether the peer has shown a certificate that was verified; False without TLS."""
        endpoint = self._find_endpoint()
        # Mbed TLS 2 also calls a skipped check verified, so the settings decide too.
        verified = self._native.info.tls_verified > 0
        return verified and endpoint is not None and endpoint._verifies

    def _tells_names(self, what: str) -> bool:
        if not _ffi.tells_tls_names:
            raise NotSupported(
                f"get {what} {self.url or self.remote_address}: this needs libnng 1.6 or later, "
                f"and here is {_ffi.nng_version}",
                url=self.url,
            )
        return self.tls_verified

    @property
    def tls_peer_cn(self) -> str | None:
        """The common name in the certificate that the peer has shown (`NNG_OPT_TLS_PEER_CN`).

        None if there is none, or no verified certificate.

        Raises:
            NotSupported: libnng is older than 1.6.
        """
        name = self._native.tls_cn if self._tells_names("tls_peer_cn") else None
        return None if name is None else name.decode(errors="replace")

    @property
    def tls_peer_alt_names(self) -> tuple[str, ...]:
        """The alternative names in the peer's certificate (`NNG_OPT_TLS_PEER_ALT_NAMES`).

        Empty if it has none, or was not verified. nng does not say which kind a name is (DNS,
        email, URI); IP addresses are in it as raw bytes and left out as far as they are no text.

        Raises:
            NotSupported: libnng is older than 1.6.
        """
        names = self._native.tls_names if self._tells_names("tls_peer_alt_names") else ()
        return tuple(name.decode(errors="replace") for name in names)

    def _peer_id(self, name: str) -> int:
        number: int = getattr(self._native.info, name)
        return number if self._native.info.has_peer_ids else self._lacks(name)

    @property
    def uid(self) -> int:
        """The user of the process at the other end.

        Raises:
            NotSupported: only ipc and abstract know it.
        """
        return self._peer_id("uid")

    @property
    def gid(self) -> int:
        """The group of the process at the other end; raises as `uid`."""
        return self._peer_id("gid")

    @property
    def pid(self) -> int:
        """The process at the other end; raises as `uid`."""
        return self._peer_id("pid")

    @property
    def closed(self) -> bool:
        """Whether the connection has ended."""
        socket = self._socket()
        return socket is None or socket._closed or self._native.is_gone()

    def close(self) -> None:
        """Drop the connection (`nng_pipe_close`), in the background. A dialer makes a new one."""
        self._native.close()

    def _may_send(self, operation: str, socket: S | None) -> S:
        """Return the pipe's socket, if a message can be sent to this very connection."""
        attempted = f"Pipe.{operation}"
        if socket is None or socket._closed:
            raise Closed(f"{attempted}: the socket is closed", url=self.url)
        if not socket._chooses_pipe:
            raise NotSupported(
                f"{attempted} {self.url}: on {type(socket).__name__} nng chooses the peer; only a "
                "polyamorous Pair1 sends to the one it is told",
                url=self.url,
            )
        if self._native.is_gone():
            raise ConnectionReset(f"{attempted} {self.url}: this connection has gone", url=self.url)
        return socket

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PipeBase):
            return NotImplemented
        return self._native.info.serial == other._native.info.serial

    def __hash__(self) -> int:
        return hash(self._native.info.serial)

    def __repr__(self) -> str:
        state = " (closed)" if self.closed else ""
        return f"<Pipe {self.id:#x} to {self.remote_address}{state}>"


P = TypeVar("P", bound=PipeBase)
Q = TypeVar("Q", bound=PipeBase, covariant=True)

PipeEventKind = Literal["connected", "disconnected", "rejected"]
_KINDS: Final[dict[int, PipeEventKind]] = {
    _ffi.CONNECTED: "connected",
    _ffi.DISCONNECTED: "disconnected",
    _ffi.REJECTED: "rejected",
}


PipeEventReason = Literal[
    "admission", "protocol", "taken", "oversize", "handshake", "slow", "refused"
]
REASONS: Final[dict[int, PipeEventReason]] = {
    _ffi.REASON_ADMISSION: "admission",
    _ffi.REASON_PROTOCOL: "protocol",
    _ffi.REASON_ALREADY_PAIRED: "taken",
    _ffi.REASON_OVERSIZE: "oversize",
    _ffi.REASON_HANDSHAKE: "handshake",
    _ffi.REASON_SLOW: "slow",
    _ffi.REASON_REFUSED: "refused",
}


@attrs.frozen
class PipeEvent(Generic[Q]):
    """What happened to a connection.

    "connected" comes once, when it can be used; "disconnected" only after that. "rejected" comes
    once for one that never could be used: we refused it, or the peer speaks another protocol, or
    went away at once.

    Attributes:
        kind: what happened.
        pipe: the connection.
        reason: why it was rejected or has ended, where that is known, else None. "admission": our
            `accept` does not admit the peer. "protocol": it speaks another protocol, or went away
            at once. "taken": a Pair0 or Pair1 of ours has its peer. "oversize": it sent a message
            larger than `recv_max_size`. "handshake": it did not get through the handshake, so
            little is known of it. "slow": it did not read what was sent to it. "refused": it closed
            the connection that a dialer of ours made as soon as that was made.
    """

    kind: PipeEventKind
    pipe: Q
    reason: PipeEventReason | None = None


class PipeEventsBase(Sealed, Generic[P]):
    """What the subscriptions of both APIs share."""

    def __init__(self, socket: AnySocket, pipe_type: type[P], capacity: int) -> None:
        self._socket = socket
        self._pipe_type = pipe_type
        if socket._closed:
            raise Closed(f"{type(socket).__name__}.pipe_events: the socket is closed")
        code, native = socket._native.open_events(capacity)
        if native is None:
            raise socket._failed(code, "pipe_events")
        self._native = native

    def _take(self) -> tuple[bool, PipeEvent[P] | None]:
        """Return (whether more can come, the next event or None)."""
        code, kind, reason, native = self._native.take()
        if code == 0 and native is not None:
            pipe = self._socket._known_pipe(native)
            assert isinstance(pipe, self._pipe_type)
            return True, PipeEvent(_KINDS[kind], pipe, REASONS.get(reason))
        if code in (EAGAIN, ECLOSED):
            return code == EAGAIN, None
        raise self._failed(code)

    def _failed(self, code: int) -> Exception:
        reason = "this subscription is closed" if code == ECLOSED else None
        name = f"{type(self._socket).__name__}.pipe_events"
        return error_for(code, name, self._socket._urls(), reason)

    def close(self) -> None:
        """End the subscription; a call that waits for an event raises `Closed`."""
        self._native.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._socket!r}>"

"""Dialers and listeners (floor 4): what both flavours know of them."""

from __future__ import annotations

import re
import warnings
import weakref
from typing import TYPE_CHECKING, ClassVar

from trionng import _ffi
from trionng._addresses import SockAddr, from_native
from trionng._admission import Admission
from trionng._errors import BadState, Closed, InvalidOperation, error_for
from trionng._options import NO_LIMIT, BoolOption, IntOption, SizeLimit
from trionng._tls import NO_AUTH, Applied, TLSConfig, TLSOption, apply, handshake_reason, has_tls

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trionng._core import AnyCore


class Endpoint:
    """What dialers and listeners share."""

    _on: ClassVar[int]

    recv_max_size: SizeLimit = SizeLimit()
    tcp_nodelay: BoolOption = BoolOption("tcp-nodelay")
    tcp_keepalive: BoolOption = BoolOption("tcp-keepalive")
    tls_config: TLSOption = TLSOption()

    def __init__(self, socket: AnyCore, number: int, url: str) -> None:
        self._socket = weakref.ref(socket)
        self._number = number
        self._url = url
        self._closed = False
        self._header_room = socket._header_room
        # All it ever had: nng's accept and dial read the pointer without a lock.
        self._tls: list[Applied] = []

    @property
    def id(self) -> int:
        """nng's number for it."""
        return self._number

    @property
    def url(self) -> str:
        """The URL it uses; a listener's shows the port it really got."""
        return self._url

    @property
    def socket(self) -> AnyCore | None:
        """The socket it belongs to."""
        return self._socket()

    def _option_target(self, attempted: str) -> tuple[int, int, str | None]:
        socket = self._socket()
        if self._closed or socket is None or socket._closed:
            raise Closed(f"{attempted} {self._url}: it is closed", url=self._url)
        return self._on, self._number, self._url

    def _set_options(self, options: Mapping[str, object]) -> None:
        """Set what was given; None is "as the socket has it"."""
        for name, value in options.items():
            if value is not None:
                setattr(self, name, value)

    def _prepare(self, tls_config: TLSConfig | None, of_socket: TLSConfig | None) -> None:
        """Set before the start what is more than an option."""
        on, number, _ = self._option_target("set tls_config")
        if has_tls(self._url):
            self._tls.append(apply(tls_config or of_socket, on, number, self._url))
        elif tls_config is not None:
            raise InvalidOperation(
                f"{self._url}: tls_config is given, and {scheme_of(self._url)} has no TLS; "
                "tls+tcp and wss have",
                url=self._url,
            )
        if scheme_of(self._url).startswith("ws"):
            # A frame may be as long as a message: browsers send one frame a message.
            limit = self.recv_max_size
            size = min(limit + self._header_room, NO_LIMIT) if limit else NO_LIMIT
            code = _ffi.set_number(on, number, "size", "ws:rxframe-max", size)
            if code != 0:
                raise error_for(code, "set recv_max_size", self._url)

    def _take_tls_config(self, config: TLSConfig) -> None:
        """Change the configuration of connections made from now on."""
        on, number, _ = self._option_target("set tls_config")
        if not has_tls(self._url):
            raise InvalidOperation(
                f"set tls_config {self._url}: {scheme_of(self._url)} has no TLS", url=self._url
            )
        if on == _ffi.ON_LISTENER and self._url.startswith("wss"):
            raise BadState(
                f"set tls_config {self._url}: listeners on one wss port share theirs; close and "
                "listen again",
                url=self._url,
            )
        self._tls.append(apply(config, on, number, self._url))

    @property
    def _verifies(self) -> bool:
        """Whether a peer's certificate is looked at: Mbed TLS 2 calls verified what it skipped."""
        return bool(self._tls) and all(each.recipe.auth_mode != NO_AUTH for each in self._tls)

    def _start_error(self, code: int, operation: str) -> Exception:
        return endpoint_error(code, operation, self._url, self._tls[-1] if self._tls else None)

    @property
    def local_address(self) -> SockAddr:
        """The address of our side, where nng knows it."""
        attempted = f"get {type(self).__name__}.local_address"
        on, number, url = self._option_target(attempted)
        code, address = _ffi.get_address(on, number, "local-address")
        if code != 0 or address is None:
            raise error_for(code, attempted, url)
        return from_native(address)

    def __repr__(self) -> str:
        state = " (closed)" if self._closed else ""
        return f"<{type(self).__name__} {self._url}{state}>"


class DialerCore(Endpoint):
    """Makes one connection at a time, and makes it again when it is lost (`nng_dialer`)."""

    _on: ClassVar[int] = _ffi.ON_DIALER

    reconnect_time_min: IntOption = IntOption("reconnect-time-min", "ms")
    reconnect_time_max: IntOption = IntOption("reconnect-time-max", "ms")

    def _leave_socket(self) -> AnyCore | None:
        socket = self._socket()
        self._closed = True
        if socket is not None:
            socket._dialers.pop(self._number, None)
            socket._closed_endpoints.append(self)
        return socket


class ListenerCore(Endpoint):
    """Accepts connections (`nng_listener`)."""

    _asks_certificates = False
    _on: ClassVar[int] = _ffi.ON_LISTENER

    def _leave_socket(self) -> AnyCore | None:
        socket = self._socket()
        self._closed = True
        if socket is not None:
            socket._listeners.pop(self._number, None)
            socket._closed_endpoints.append(self)
        return socket

    def _admit(self, rule: Admission | None) -> None:
        """Set before the start who may connect."""
        socket = self._socket()
        if rule is None or socket is None:
            return
        if not isinstance(rule, Admission):
            raise TypeError(f"accept is an Admission, not {type(rule).__name__}")
        never = rule._never_for(self._url, certificates_asked=self._verifies)
        if never is not None:
            raise InvalidOperation(f"listen {self._url}: accept: {never}", url=self._url)
        rule._put(socket._native, self._number, self._url)
        self._asks_certificates = rule.tls_verified

    def _take_tls_config(self, config: TLSConfig) -> None:
        if self._asks_certificates and config._recipe.auth_mode == NO_AUTH:
            raise InvalidOperation(
                f"set tls_config {self._url}: its `accept` demands tls_verified, and this asks "
                "peers for no certificate",
                url=self._url,
            )
        super()._take_tls_config(config)

    def _resolve(self) -> None:
        """Learn what the system chose: the port of tcp://host:0, the name of abstract://."""
        if re.search(r":0(/|$)", self._url):
            code, port = _ffi.get_number(self._on, self._number, "int", "tcp-bound-port")
            if code == 0:
                self._url = re.sub(r":0(/|$)", rf":{port}\1", self._url, count=1)
        elif self._url == "abstract://":
            self._url = str(self.local_address)


# What nng says of a handshake that failed: ECRYPTO and EPEERAUTH, or what became of the connection
# when the peer ended it.
_HANDSHAKE_ENDED = (18, 19, 26, 27, 31)

_warned_of_old_ws = False


def warn_of_old_ws(url: str) -> None:
    """Warn, once a process, of a WebSocket server that strangers can crash (S3)."""
    global _warned_of_old_ws
    if not _warned_of_old_ws and not _ffi.ws_is_hardened and scheme_of(url).startswith("ws"):
        _warned_of_old_ws = True
        warnings.warn(
            f"listen {url}: the WebSocket server of libnng before 1.6 has memory errors that a "
            "request can trigger; let only peers reach it that you trust, or use a later libnng",
            RuntimeWarning,
            stacklevel=3,
        )


_warned_of: set[str] = set()


def warn_of_hangups(url: str) -> None:
    """Warn, once a process, where a client that hangs up can end a listener (S2).

    libnng before 1.6 does that; the shim mends it where libnng is linked in.
    """
    if scheme_of(url) != "inproc" and not _ffi.hangups_are_survived():
        _warn_once(
            f"listen {url}: with libnng before 1.6, on this system, a client that connects and "
            "hangs up at once can end a listener for newcomers; use a later libnng"
        )


def warn_of_closes(call: str, url: str) -> None:
    """Warn, once a process, where a close while messages pass can hang (H1).

    libnng before 2.0 does that; the shim mends it as it does the other.
    """
    if scheme_of(url) != "inproc" and not _ffi.closes_end():
        _warn_once(
            f"{call} {url}: with libnng before 2.0, built as it is here, a connection that is "
            "closed while messages pass can keep all that is closed later from being closed"
        )


def _warn_once(text: str) -> None:
    _, _, kind = text.partition(": ")
    if kind not in _warned_of:
        _warned_of.add(kind)
        warnings.warn(text, RuntimeWarning, stacklevel=4)


def scheme_of(url: str) -> str:
    """Return the transport a URL names."""
    return url.partition("://")[0]


def endpoint_error(code: int, operation: str, url: str, tls: Applied | None = None) -> Exception:
    """Make the exception for an endpoint that could not be made or started."""
    reasons = {
        9: f"the libnng in use has no transport {scheme_of(url)!r}",
        13: "the peer refused the connection, or speaks another protocol",
    }
    if scheme_of(url) in ("ipc", "unix"):
        reasons[10] = "somebody listens on that path, or the file there is not a socket"
    if scheme_of(url).startswith("ws") and operation == "dial":
        reasons[6] = (
            "nobody listens there, or on another path or host name: a ws listener compares the "
            "host of the URL that is dialled with that of its own"
        )
    if tls is not None:
        reasons.update(dict.fromkeys(_HANDSHAKE_ENDED, handshake_reason(tls)))
    return error_for(code, operation, url, reasons.get(code))

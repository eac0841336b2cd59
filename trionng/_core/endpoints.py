"""Dialers and listeners: what those of both APIs share."""

from __future__ import annotations

import ipaddress
import os
import weakref
from collections.abc import Callable, Mapping
from functools import partial
from typing import ClassVar, Final

from trionng import _ffi
from trionng._base.errors import (
    EADDRINUSE,
    EADDRINVAL,
    EAGAIN,
    EBUSY,
    ECONNABORTED,
    ECONNREFUSED,
    ECONNRESET,
    ECONNSHUT,
    ECRYPTO,
    EPEERAUTH,
    EPROTO,
    ETIMEDOUT,
    EUNREACHABLE,
    BadState,
    Closed,
    InvalidOperation,
    NNGException,
    NotSupported,
    error_for,
    shown,
)
from trionng._base.sealed import Sealed
from trionng._core.abc import AnySocket
from trionng._core.addresses import AbstractAddr, In6Addr, InAddr, SockAddr, from_native
from trionng._core.admission import Admission
from trionng._core.options import (
    NO_LIMIT,
    BoolOption,
    HasOptions,
    HasSizeLimit,
    IntOption,
    SizeLimit,
)
from trionng._core.tls import (
    NO_AUTH,
    EndpointTLS,
    TLSConfig,
    TLSOption,
    configure_endpoint,
    handshake_reason,
    has_tls,
)
from trionng._core.urls import FILES, SCHEMES, WEB, Url, meant_scheme, read_url, scheme_of


def _must_have(obj: HasOptions, attempted: str, has: Callable[[Url], bool], others: str) -> None:
    """Refuse an option that the transport of the endpoint would accept and ignore."""
    if isinstance(obj, Endpoint) and not has(obj._parsed_url):
        url, scheme = obj._parsed_url.text, obj._parsed_url.scheme
        kind = NotSupported if attempted.startswith("get ") else InvalidOperation
        raise kind(f"{attempted} {url}: {scheme} has no such option; {others}", url=url)


class _TCPFlag(BoolOption):
    """A flag of the connections that go through TCP."""

    def _attempted(self, verb: str, obj: HasOptions) -> str:
        attempted = super()._attempted(verb, obj)
        _must_have(obj, attempted, lambda url: url.has_port, "tcp, tls+tcp, ws and wss have it")
        return attempted


class _StreamLimit(SizeLimit):
    """The size limit of every transport but inproc, where nng does not check it."""

    def __set__(self, obj: HasSizeLimit, value: int) -> None:
        attempted = self._attempted("set", obj)
        _must_have(obj, attempted, lambda url: url.scheme != "inproc", "all others have it")
        super().__set__(obj, value)


# Every endpoint in use, by side and number: reports of the shim name an endpoint by its number.
# Each reference removes itself, without code in Python.
_all: dict[tuple[int, int], weakref.ref[Endpoint]] = {}

# The types of options of which none is given.
NONE_GIVEN: Final = {type(None)}


def endpoint_of(*, listener: bool, number: int) -> Endpoint | None:
    """Return the dialer or listener with this number of nng's, if it is still in use."""
    found = _all.get((_ffi.ON_LISTENER if listener else _ffi.ON_DIALER, number))
    return None if found is None else found()


class Endpoint(Sealed):
    """What dialers and listeners share."""

    _on: ClassVar[int]
    _verb: ClassVar[str]

    recv_max_size: SizeLimit = _StreamLimit()
    tcp_nodelay: BoolOption = _TCPFlag("tcp-nodelay")
    tcp_keepalive: BoolOption = _TCPFlag("tcp-keepalive")
    tls_config: TLSOption = TLSOption()

    _closed = False
    # All settings it has had: nng's accept and dial read the pointer without a lock.
    _tls: tuple[EndpointTLS, ...] = ()

    def __init__(self, socket: AnySocket, number: int, where: Url) -> None:
        self._socket = weakref.ref(socket)
        self._number = number
        self._parsed_url = where
        self._url = where.text
        self._header_room = socket._header_room
        key = self._on, number
        _all[key] = weakref.ref(self, partial(_all.pop, key))

    @property
    def id(self) -> int:
        """nng's number for it."""
        return self._number

    @property
    def url(self) -> str:
        """The URL it uses; that of a listener has the port that the system chose."""
        return self._url

    @property
    def socket(self) -> AnySocket | None:
        """The socket it belongs to."""
        return self._socket()

    def _option_target(self, attempted: str) -> tuple[int, int, str | None]:
        socket = self._socket()
        if self._closed or socket is None or socket._closed:
            raise Closed(f"{attempted} {self._url}: it is closed", url=self._url)
        return self._on, self._number, self._url

    def _set_options(self, options: Mapping[str, object]) -> None:
        """Set the options that are given; None leaves the value of the socket."""
        if set(map(type, options.values())) == NONE_GIVEN:
            return
        for name, value in options.items():
            if value is not None:
                setattr(self, name, value)

    def _prepare(self, tls_config: TLSConfig | None, of_socket: TLSConfig | None) -> None:
        """Apply, before the start, TLS settings and the frame limit of ws."""
        on, number, _ = self._option_target("set tls_config")
        if tls_config is not None and not isinstance(tls_config, TLSConfig):
            raise TypeError(
                f"{self._verb} {shown(self._url)}: tls_config is a TLSConfig, not "
                f"{type(tls_config).__name__}"
            )
        if has_tls(self._url):
            config = of_socket if tls_config is None else tls_config
            self._tls += (configure_endpoint(config, on, number, self._url),)
        elif tls_config is not None:
            raise InvalidOperation(
                f"{self._verb} {self._url}: tls_config is given, and "
                f"{self._parsed_url.scheme} has no TLS; tls+tcp and wss have",
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
        self._tls += (configure_endpoint(config, on, number, self._url),)

    @property
    def _verifies(self) -> bool:
        """Whether peers' certificates are verified: Mbed TLS 2 calls a skipped check verified."""
        return bool(self._tls) and all(each.settings.auth_mode != NO_AUTH for each in self._tls)

    def _start_error(self, code: int, operation: str) -> NNGException:
        tls = self._tls[-1] if self._tls else None
        socket = self._socket()
        if code == EPROTO and operation == "dial" and tls is None and socket is not None:
            _, ours, _, theirs = socket._protocol_ids
            reason = (
                f"the peer refused the connection, or is no {theirs}: a {ours} talks to no other"
            )
            return error_for(code, operation, self._url, reason)
        return endpoint_error(code, operation, self._parsed_url, tls)

    @property
    def local_address(self) -> SockAddr:
        """The address of this side, where nng knows it."""
        attempted = f"get {type(self).__name__}.local_address"
        on, number, url = self._option_target(attempted)
        code, address = _ffi.get_address(on, number, "local-address")
        if code != 0 or address is None:
            raise error_for(code, attempted, url)
        return from_native(address)

    def __repr__(self) -> str:
        state = " (closed)" if self._closed else ""
        return f"<{type(self).__name__} {shown(self._url)}{state}>"

    def _close_failed(self, socket: AnySocket, code: int) -> Exception:
        """Undo a close that did not begin, so that it can be repeated; return the exception."""
        self._rejoin_socket(socket)
        return error_for(code, f"close {type(self).__name__}", self._url)

    def _leave_socket(self) -> AnySocket | None:
        socket = self._socket()
        self._closed = True
        if socket is not None:
            socket._remove_endpoint(self)
        return socket

    def _rejoin_socket(self, socket: AnySocket) -> None:
        self._closed = False
        socket._add_endpoint(self)

    def _close_native(
        self, socket: AnySocket, cq: _ffi.CompletionQueue | None, tag: int
    ) -> _ffi.SubmitResult:
        raise NotImplementedError


class DialerBase(Endpoint):
    """Makes one connection at a time, and makes it again when it is lost (`nng_dialer`)."""

    _on: ClassVar[int] = _ffi.ON_DIALER
    _verb: ClassVar[str] = "dial"

    reconnect_time_min: IntOption = IntOption("reconnect-time-min", "ms")
    reconnect_time_max: IntOption = IntOption("reconnect-time-max", "ms")

    @property
    def connected(self) -> bool:
        """Whether it has a connection."""
        return not self._closed and _ffi.dialer_state(self._number).connected

    @property
    def last_error(self) -> NNGException | None:
        """How the last attempt failed, if it is not connected.

        None while it is connected, before the first attempt has failed, and when it is closed.
        """
        state = _ffi.dialer_state(self._number)
        return None if self._closed or state.code == 0 else self._start_error(state.code, "dial")

    def __repr__(self) -> str:
        if self._closed:
            return super().__repr__()
        native = _ffi.dialer_state(self._number)
        state = "connected" if native.connected else "not connected"
        if native.code != 0:
            cause = str(self._start_error(native.code, "dial")).removeprefix(f"dial {self._url}: ")
            state = f"{state}: {cause}"
        return shown(f"<{type(self).__name__} {self._url} ({state})>")

    def _close_native(
        self, socket: AnySocket, cq: _ffi.CompletionQueue | None, tag: int
    ) -> _ffi.SubmitResult:
        return socket._native.close_dialer(self._number, cq, tag)


class ListenerBase(Endpoint):
    """Accepts connections (`nng_listener`)."""

    _asks_certificates = False
    _on: ClassVar[int] = _ffi.ON_LISTENER
    _verb: ClassVar[str] = "listen"

    def _close_native(
        self, socket: AnySocket, cq: _ffi.CompletionQueue | None, tag: int
    ) -> _ffi.SubmitResult:
        return socket._native.close_listener(self._number, cq, tag)

    def _admit(self, rule: Admission | None) -> None:
        """Give the listener its admission rule, before the start."""
        socket = self._socket()
        if rule is None or socket is None:
            return
        if not isinstance(rule, Admission):
            raise TypeError(
                f"listen {shown(self._url)}: accept is an Admission, such as "
                f"Admission(addresses='127.0.0.1'), not {type(rule).__name__}"
            )
        never = rule._never_for(self._url, certificates_asked=self._verifies)
        if never is not None:
            raise InvalidOperation(f"listen {self._url}: accept: {never}", url=self._url)
        rule._put(socket._native, self._number, self._url)
        self._asks_certificates = rule._asks_certificates

    def _take_tls_config(self, config: TLSConfig) -> None:
        if self._asks_certificates and config._settings.auth_mode == NO_AUTH:
            raise InvalidOperation(
                f"set tls_config {self._url}: its `accept` demands a certificate, and this asks "
                "peers for none",
                url=self._url,
            )
        super()._take_tls_config(config)

    def _permit(self, mode: int) -> None:
        """Set the permissions of the socket's file, before the start."""
        attempted, url = "listen: ipc_permissions", self._url
        if self._parsed_url.scheme not in FILES:
            raise InvalidOperation(
                f"{attempted} {url}: {self._parsed_url.scheme} has no file; only ipc has "
                "permissions",
                url=url,
            )
        if isinstance(mode, bool) or not isinstance(mode, int):
            kind = type(mode).__name__
            raise TypeError(f"{attempted} {shown(url)}: an int such as 0o600 is needed, not {kind}")
        if not 0 <= mode <= 0o777:
            raise InvalidOperation(
                f"{attempted} {url}: {oct(mode)} is not between 0 and 0o777; write it in octal, "
                "such as 0o600",
                url=url,
            )
        code = _ffi.set_number(self._on, self._number, "int", "ipc:permissions", mode)
        if code != 0:
            raise error_for(code, attempted, url)

    def _resolve(self) -> None:
        """Read what the system chose: a port, the address of a wildcard host, an abstract name."""
        if not self._parsed_url.wants_name:
            return
        address = self.local_address
        if isinstance(address, (InAddr, In6Addr)):
            self._parsed_url = self._parsed_url.at(address.port, address.host)
        elif isinstance(address, AbstractAddr):
            self._parsed_url = read_url("listen", str(address), listens=True)
        self._url = self._parsed_url.text


def close_failed(code: int) -> bool:
    """Tell whether a close did not begin; in a forked child there is nothing to close."""
    return code not in (0, ETIMEDOUT, _ffi.FORKED)


# Codes of a failed handshake: ECRYPTO and EPEERAUTH, or the end of the connection when the peer
# closed it.
_HANDSHAKE_ENDED: Final = (ECONNABORTED, ECONNRESET, ECRYPTO, EPEERAUTH, ECONNSHUT)

# The shim's own codes for a dialer: the nearest error of nng, and the cause.
_OWN_CODES: Final = {
    _ffi.REFUSED: (
        ECONNREFUSED,
        "the peer closes the connection as soon as it is made: it has a peer already (Pair0, "
        "Pair1), its `accept` refuses us, or what is sent to it is larger than its recv_max_size",
    ),
    _ffi.ALREADY_PAIRED: (EBUSY, "this socket has a peer already, and takes only one"),
    _ffi.FLAPPING: (
        ECONNRESET,
        "the connection is made and ends, again and again: perhaps what is sent on it is larger "
        "than the peer's recv_max_size",
    ),
    _ffi.UNKNOWN_CAUSE: (EUNREACHABLE, "the host is not known, or cannot be reached"),
}


def endpoint_error(
    code: int, operation: str, where: Url, tls: EndpointTLS | None = None
) -> NNGException:
    """Make the exception for an endpoint that cannot be created or started."""
    if code in _OWN_CODES:
        code, reason = _OWN_CODES[code]
        return error_for(code, operation, where.text, reason)
    reasons = _words(operation, where)
    if tls is not None:
        reasons.update(dict.fromkeys(_HANDSHAKE_ENDED, handshake_reason(tls)))
    if code == EAGAIN and where.has_port:
        code = EADDRINVAL  # the resolver has no answer yet
    return error_for(code, operation, where.text, reasons.get(code))


def _words(operation: str, where: Url) -> dict[int, str]:
    """Return what nng's error numbers mean for this URL."""
    meant = "" if where.scheme in SCHEMES else meant_scheme(where.scheme)
    reasons = {
        9: f"the libnng in use has no transport {where.scheme!r}{meant}",
        13: "the peer speaks another protocol, or went away at once",
    }
    listens = operation == "listen"
    if where.scheme in FILES:
        folder = os.path.dirname(os.path.abspath(where.rest))
        reasons[EADDRINUSE] = "another listener has that path, or the file there is not a socket"
        reasons[12] = f"there is no folder {folder}; ipc://name is relative to the current folder"
        reasons[16] = (
            f"the system does not allow it in {folder}"
            if listens
            else ("the permissions of the socket's file do not allow it")
        )
        if not listens:
            exists = os.path.exists(where.rest)
            reasons[6] = f"nothing listens there{'' if exists else ', and there is no such file'}"
    elif where.scheme == "inproc" and not listens:
        reasons[6] = "nothing in this process listens on that name"
    elif where.has_port:
        reasons[EADDRINUSE] = "something listens on that port already, or a connection still has it"
        host = where.host.strip("[]").partition(";")[0].partition("%")[0]
        try:
            ipaddress.ip_address(host)
        except ValueError:
            reasons[15] = f"the host {where.host!r} is not known, or not as {where.scheme} needs it"
        else:
            reasons[15] = (
                f"this machine has no address {where.host}, or {where.scheme} is of the other "
                "version of IP"
            )
        reasons[16] = "the system does not allow it; ports below 1024 take privileges"
    if where.scheme in WEB and not listens:
        reasons[6] = (
            "no peer listens there, or on another path or host name: a ws listener compares the "
            "host of the URL that is dialled with that of its own"
        )
    return reasons

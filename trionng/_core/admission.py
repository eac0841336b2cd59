"""Admission: a rule for connections, checked in C before a peer can exchange a message."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from typing import Final, TypeVar
from urllib.parse import urlsplit

from attrs import Attribute, field, frozen

from trionng import _ffi
from trionng._base.errors import InvalidOperation, NotSupported, error_for

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = str | ipaddress.IPv4Address | ipaddress.IPv6Address | Network

T = TypeVar("T")

_ADDRESSED: Final = ("tcp", "tls+tcp", "ws", "wss")
_LOCAL: Final = ("ipc", "unix", "abstract")
_SECURE: Final = ("tls+tcp", "wss")
_WEB: Final = ("ws", "wss")
_UID_MAX: Final = 2**32 - 1


def _network(value: object) -> Network:
    if isinstance(value, (ipaddress.IPv4Network, ipaddress.IPv6Network)):
        return value
    if isinstance(value, bool) or not isinstance(
        value, (str, ipaddress.IPv4Address, ipaddress.IPv6Address)
    ):
        raise TypeError(f"addresses: {value!r} is no address or network")
    try:
        network = ipaddress.ip_network(value)
    except ValueError as exc:
        raise InvalidOperation(f"addresses: {exc}") from None
    mapped = network.network_address
    if isinstance(mapped, ipaddress.IPv6Address) and mapped.ipv4_mapped is not None:
        # Peers that come this way are compared as what they are, IPv4.
        return ipaddress.ip_network((mapped.ipv4_mapped, network.prefixlen - 96))
    return network


def _uid(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"uids: {value!r} is not an int")
    if not 0 <= value <= _UID_MAX:
        raise InvalidOperation(f"uids: {value} is not between 0 and {_UID_MAX}")
    return value


def _origin(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"origins: {value!r} is not a str")
    if value == "null":
        return value
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError as exc:
        raise InvalidOperation(f"origins: {value!r}: {exc}") from None
    host = parts.hostname or ""
    if not (parts.scheme and host and value.isascii() and value.isprintable()) or (
        parts.path or parts.query or parts.fragment or parts.username is not None
    ):
        raise InvalidOperation(
            f"origins: {value!r} is not like 'https://example.org' or 'https://example.org:8443'"
        )
    # As a browser writes it: small letters, and no port that goes without saying.
    host = f"[{host}]" if ":" in host else host
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{host}" + ("" if port in (None, usual) else f":{port}")


def _tls_name(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"tls_names: {value!r} is not a str")
    if not value or "\0" in value:
        raise InvalidOperation(f"tls_names: {value!r} is no name")
    return value


def _all_of(name: str, values: Iterable[object], convert: Callable[[object], T]) -> tuple[T, ...]:
    """Convert each value; refuse an empty rule, which no peer can meet."""
    converted = tuple(convert(value) for value in values)
    if not converted:
        raise InvalidOperation(f"{name} is empty: no peer could connect")
    return converted


def _networks(value: Address | Iterable[Address] | None) -> tuple[Network, ...] | None:
    if value is None:
        return None
    if isinstance(value, str) or not isinstance(value, Iterable):
        return (_network(value),)
    if isinstance(value, (ipaddress.IPv4Network, ipaddress.IPv6Network)):
        return (value,)  # iterating over it would list its hosts
    return _all_of("addresses", value, _network)


def _uids(value: int | Iterable[int] | None) -> tuple[int, ...] | None:
    if value is None:
        return None
    if not isinstance(value, Iterable) or isinstance(value, (str, bytes)):
        return (_uid(value),)
    return _all_of("uids", value, _uid)


def _texts(
    name: str, value: str | Iterable[str] | None, convert: Callable[[object], str]
) -> tuple[str, ...] | None:
    if value is None:
        return None
    if isinstance(value, str) or not isinstance(value, Iterable):
        return (convert(value),)
    return _all_of(name, value, convert)


def _origins(value: str | Iterable[str] | None) -> tuple[str, ...] | None:
    return _texts("origins", value, _origin)


def _tls_names(value: str | Iterable[str] | None) -> tuple[str, ...] | None:
    return _texts("tls_names", value, _tls_name)


def _is_bool(_self: object, attribute: Attribute[bool], value: object) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"{attribute.name} is a bool, not {type(value).__name__}")


@frozen(kw_only=True)
class Admission:
    """Which peers may connect to a listener: `accept=` of every socket and of `listen`.

    The shim checks the rule in nng's pipe callback, before the peer can exchange a message. Every
    condition that is given must hold; a condition that the transport cannot show does not hold. A
    refused peer is disconnected and other peers do not notice; `pipe_events` and `statistics`
    report it. Some clients notice a refusal only when the connection ends.

    Args:
        addresses: networks or hosts, such as "10.0.0.0/8", "::1"; for tcp, tls+tcp, ws and wss.
            An IPv4 peer of a socket that serves both families counts as IPv4.
        uids: users that the peer's process may run as; for ipc and abstract.
        tls_verified: the peer must have shown a certificate that was verified; for tls+tcp and wss
            listeners that ask for one (`auth_mode` OPTIONAL or REQUIRED).
        tls_names: the peer must have shown a certificate that was verified and has one of these
            among its alternative names, or as its common name if it has no alternative names;
            letter for letter. For the same listeners; libnng 1.6 or later.
        origins: web pages that a browser may connect from, such as "https://example.org"; for ws
            and wss. Programs that are no browsers can claim any origin.
        allow_missing_origin: with `origins`, admit also peers that send no origin, as programs that
            are no browsers do.

    Raises:
        InvalidOperation: something cannot be parsed, or is empty. `listen` raises it for a rule
            that no peer of its URL can ever meet.
        NotSupported: `listen` raises it for `tls_names` with libnng before 1.6.

    Example:
        rep = trionng.Rep0(accept=trionng.Admission(addresses=["10.0.0.0/8", "127.0.0.1"]))
    """

    addresses: tuple[Network, ...] | None = field(default=None, converter=_networks)
    uids: tuple[int, ...] | None = field(default=None, converter=_uids)
    tls_verified: bool = field(default=False, validator=_is_bool)
    tls_names: tuple[str, ...] | None = field(default=None, converter=_tls_names)
    origins: tuple[str, ...] | None = field(default=None, converter=_origins)
    allow_missing_origin: bool = field(default=False, validator=_is_bool)

    def __attrs_post_init__(self) -> None:
        if self.allow_missing_origin and self.origins is None:
            raise InvalidOperation("allow_missing_origin without origins admits no further peer")

    def _never_for(self, url: str, *, certificates_asked: bool) -> str | None:
        """Say why no peer of a listener on `url` can ever meet the rule, if that is so."""
        scheme = url.partition("://")[0]
        kind = scheme.rstrip("46")
        for given, name, kinds in (
            (self.addresses, "addresses", _ADDRESSED),
            (self.uids, "uids", _LOCAL),
            (self.tls_verified, "tls_verified", _SECURE),
            (self.tls_names, "tls_names", _SECURE),
            (self.origins, "origins", _WEB),
        ):
            if given and kind not in kinds:
                return f"{name} can be asked of {', '.join(kinds)} only"
        if self._asks_certificates and not certificates_asked:
            name = "tls_names" if self.tls_names else "tls_verified"
            return f"{name} needs a tls_config that asks peers for a certificate (auth_mode)"
        if self.addresses is not None:
            versions = {network.version for network in self.addresses}
            served = _served_version(scheme, url)
            if served is not None and served not in versions:
                return f"addresses has no IPv{served} network, and no other peer can come"
        return None

    @property
    def _asks_certificates(self) -> bool:
        return self.tls_verified or self.tls_names is not None

    def _put(self, socket: _ffi.NativeSocket, listener: int, url: str) -> None:
        """Give the rule to a listener that has not started."""
        if self.tls_names is not None and not _ffi.tells_tls_names:
            raise NotSupported(
                f"listen {url}: accept: tls_names needs libnng 1.6 or later, and here is "
                f"{_ffi.nng_version}",
                url=url,
            )
        networks = None
        if self.addresses is not None:
            networks = [(each.network_address.packed, each.prefixlen) for each in self.addresses]
        code = socket.admit(
            listener,
            networks,
            self.uids,
            self.origins,
            self.tls_names,
            missing_origin=self.allow_missing_origin,
            tls_verified=self.tls_verified,
        )
        if code != 0:
            raise error_for(code, "listen", url)


def _served_version(scheme: str, url: str) -> int | None:
    """Return the only IP version that peers of a URL can have; None when both can come."""
    if scheme.endswith("4"):
        return 4
    try:
        host = ipaddress.ip_address(urlsplit(url).hostname or "")
    except ValueError:
        return 6 if scheme.endswith("6") else None
    if host.version == 4:
        return 4
    if host.ipv4_mapped is not None:
        return 4
    return None if host.is_unspecified else 6  # the unspecified address may serve both

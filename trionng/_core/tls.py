"""TLS configurations (`nng_tls_config`).

A `TLSConfig` holds settings in Python. Each dialer and listener gets an `nng_tls_config` of its own
that is built from them, because nng does not allow changes while a connection uses one. Settings
with which nng would skip a check, or fail in each handshake without a reason, are refused here: a
client that verifies but checks no name, a server without a certificate, settings for the other
side.
"""

from __future__ import annotations

import ipaddress
import os
import re
import threading
import weakref
from collections.abc import Iterable
from typing import Final, NoReturn, Protocol, overload
from urllib.parse import urlsplit

from attrs import evolve, field, frozen

from trionng import _ffi
from trionng._base.errors import (
    ECRYPTO,
    ENOTSUP,
    EWRITEONLY,
    AddressInUse,
    InvalidOperation,
    NoArgument,
    error_for,
    shown,
)
from trionng._base.sealed import Sealed
from trionng._base.types import Self
from trionng._core.option_texts import text_of
from trionng._core.pem import as_bytes, as_paths, as_pem, fit, read_file, why_no_chain, why_no_own

_CLIENT, _SERVER = 0, 1
_NONE, _OPTIONAL, _REQUIRED = 0, 1, 2
_REVOKED = b"-----BEGIN X509 CRL-----"
# Prefix of a name that is sent to the server but not checked (nng/fixes/tls_hostname.c).
_UNCHECKED = "\1"
# Mbed TLS refuses a longer name, and nng ignores that: then no name would be checked.
_MAX_NAME = 255

NO_AUTH: Final = 0
NO_TLS: Final = "the libnng in use was built without TLS"
ALIEN: Final = "the key does not belong to the certificate"


@frozen(repr=False)
class TLSSettings:
    """The settings of a TLSConfig at one moment; equal settings build equal configurations."""

    mode: int
    auth_mode: int
    check_hostname: bool
    server_name: str | None = None
    chains: tuple[tuple[bytes, bytes | None], ...] = ()
    own: tuple[tuple[bytes, bytes, bytes | None], ...] = ()


class TLSConfig(Sealed):
    """Own certificate and trusted authorities, for `tls+tcp://` and `wss://`.

    Dialers and listeners copy the settings when they are made; a later change holds for those made
    later. A client that verifies always checks a name too: `server_name`, else the host of the URL
    it dials.

    Args:
        mode: `MODE_CLIENT` to dial with it, `MODE_SERVER` to listen with it.
        server_name: the name the server's certificate must have; default: the URL's host.
        ca_string: certificates of authorities to trust, PEM.
        own_key_string, own_cert_string: our own key and certificate (with its chain), PEM.
        auth_mode: `AUTH_MODE_REQUIRED`, a client's default: the peer must show a certificate we
            trust. `AUTH_MODE_NONE`, a server's default: no certificate is asked for.
            `AUTH_MODE_OPTIONAL`: a certificate is verified, and the peer may connect anyway.
        ca_files: one path or several instead of `ca_string`; revocation lists may be in them.
        cert_key_file: one path of a file with own certificate and key.
        passwd: of the own key.
        check_hostname: False lets any server pass whose certificate is trusted, whatever its name.
            The host of the URL is sent all the same (SNI), as with `AUTH_MODE_NONE`.

    Raises:
        CryptoError: what should be PEM is not, or the password does not fit, or the key does not
            belong to the certificate.
        InvalidOperation: arguments that contradict each other.
        NoEntry: there is no such file.
        NotSupported: the libnng in use was built without TLS.
    """

    MODE_CLIENT: Final = _CLIENT
    MODE_SERVER: Final = _SERVER
    AUTH_MODE_NONE: Final = _NONE
    AUTH_MODE_OPTIONAL: Final = _OPTIONAL
    AUTH_MODE_REQUIRED: Final = _REQUIRED

    def __init__(
        self,
        mode: int,
        server_name: str | None = None,
        ca_string: str | bytes | None = None,
        own_key_string: str | bytes | None = None,
        own_cert_string: str | bytes | None = None,
        auth_mode: int | None = None,
        ca_files: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | None = None,
        cert_key_file: str | os.PathLike[str] | None = None,
        passwd: str | bytes | None = None,
        *,
        check_hostname: bool = True,
    ) -> None:
        if isinstance(mode, bool) or mode not in (_CLIENT, _SERVER):
            raise InvalidOperation(f"TLSConfig: mode is MODE_CLIENT or MODE_SERVER, not {mode!r}")
        if ca_string is not None and ca_files is not None:
            raise InvalidOperation("TLSConfig: give ca_string or ca_files, not both")
        if (own_cert_string is None) != (own_key_string is None):
            raise InvalidOperation("TLSConfig: own_cert_string and own_key_string go together")
        if own_cert_string is not None and cert_key_file is not None:
            raise InvalidOperation("TLSConfig: give own_cert_string or cert_key_file, not both")
        if passwd is not None and own_key_string is None and cert_key_file is None:
            raise InvalidOperation("TLSConfig: passwd is for own_key_string or cert_key_file")
        self._settings = TLSSettings(
            mode=mode,
            auth_mode=_REQUIRED if mode == _CLIENT else _NONE,
            check_hostname=check_hostname,
        )
        self._new_native("TLSConfig")
        if server_name is not None:
            self.set_server_name(server_name)
        if ca_string is not None:
            self._add_chain("TLSConfig: ca_string", as_pem("TLSConfig: ca_string", ca_string), None)
        for path in as_paths("TLSConfig: ca_files", ca_files):
            self._add_ca_file("TLSConfig: ca_files", path)
        if own_cert_string is not None and own_key_string is not None:
            cert = as_pem("TLSConfig: own_cert_string", own_cert_string)
            key = as_pem("TLSConfig: own_key_string", own_key_string)
            self._add_own("TLSConfig: own_cert_string and own_key_string", cert, key, passwd)
        if cert_key_file is not None:
            self._add_cert_key_file("TLSConfig: cert_key_file", cert_key_file, passwd)
        if auth_mode is not None:
            self.set_auth_mode(auth_mode)

    @classmethod
    def client(
        cls,
        *,
        ca_string: str | bytes | None = None,
        ca_files: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | None = None,
        server_name: str | None = None,
        own_cert_string: str | bytes | None = None,
        own_key_string: str | bytes | None = None,
        cert_key_file: str | os.PathLike[str] | None = None,
        passwd: str | bytes | None = None,
        check_hostname: bool = True,
    ) -> Self:
        """Make the configuration of a client that verifies the server.

        Args:
            ca_string, ca_files: whom to trust; one of them is needed.
            server_name: the name the server's certificate must have; default: the URL's host.
            own_cert_string, own_key_string, cert_key_file, passwd: own certificate, for a server
                that asks for one.
            check_hostname: False lets any server pass whose certificate is trusted.
        """
        if ca_string is None and ca_files is None:
            raise InvalidOperation("TLSConfig.client: whom to trust? Give ca_string or ca_files")
        return cls(
            _CLIENT,
            server_name=server_name,
            ca_string=ca_string,
            own_key_string=own_key_string,
            own_cert_string=own_cert_string,
            ca_files=ca_files,
            cert_key_file=cert_key_file,
            passwd=passwd,
            check_hostname=check_hostname,
        )

    @classmethod
    def server(
        cls,
        *,
        own_cert_string: str | bytes | None = None,
        own_key_string: str | bytes | None = None,
        cert_key_file: str | os.PathLike[str] | None = None,
        passwd: str | bytes | None = None,
        ca_string: str | bytes | None = None,
        ca_files: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | None = None,
    ) -> Self:
        """Make the configuration of a server; with an authority, clients need a certificate too.

        Args:
            own_cert_string, own_key_string: own certificate and key; or else
            cert_key_file: one file with both.
            passwd: of the key.
            ca_string, ca_files: authorities of the clients' certificates; default: any client may
                connect.
        """
        if own_cert_string is None and own_key_string is None and cert_key_file is None:
            raise InvalidOperation(
                "TLSConfig.server: give own_cert_string and own_key_string, or cert_key_file"
            )
        mutual = ca_string is not None or ca_files is not None
        return cls(
            _SERVER,
            ca_string=ca_string,
            own_key_string=own_key_string,
            own_cert_string=own_cert_string,
            auth_mode=_REQUIRED if mutual else _NONE,
            ca_files=ca_files,
            cert_key_file=cert_key_file,
            passwd=passwd,
        )

    def set_server_name(self, server_name: str | None) -> None:
        """Set the name the server's certificate must have (`nng_tls_config_server_name`).

        None goes back to the default, the host of the URL that is dialled.
        """
        if server_name is None:
            self._settings = evolve(self._settings, server_name=None)
            return
        if not isinstance(server_name, str):
            raise TypeError(f"server_name is a str, not {type(server_name).__name__}")
        if not self._settings.check_hostname:
            raise InvalidOperation("server_name with check_hostname=False: shall it be checked?")
        _check_name("server_name", server_name)
        self._settings = evolve(self._settings, server_name=server_name)

    def set_ca_chain(self, chain: str | bytes, crl: str | bytes | None = None) -> None:
        """Trust the authorities in `chain`, PEM (`nng_tls_config_ca_chain`).

        Those set before stay.

        Args:
            chain: certificates, PEM.
            crl: what they have revoked, PEM.
        """
        revoked = None if crl is None else as_pem("set_ca_chain: crl", crl)
        self._add_chain("set_ca_chain: chain", as_pem("set_ca_chain: chain", chain), revoked)

    def add_ca_file(self, path: str | os.PathLike[str]) -> None:
        """Trust the authorities in a file, which is read now (`nng_tls_config_ca_file`)."""
        self._add_ca_file("add_ca_file", path)

    def set_own_cert(
        self, cert: str | bytes, key: str | bytes, passwd: str | bytes | None = None
    ) -> None:
        """Set an own certificate and key, PEM (`nng_tls_config_own_cert`).

        A server may have several, for instance for several algorithms: those set before stay.
        """
        own = as_pem("set_own_cert: cert", cert), as_pem("set_own_cert: key", key)
        self._add_own("set_own_cert", *own, passwd)

    def set_cert_key_file(
        self, path: str | os.PathLike[str], passwd: str | bytes | None = None
    ) -> None:
        """Set both from one file, which is read now (`nng_tls_config_cert_key_file`)."""
        self._add_cert_key_file("set_cert_key_file", path, passwd)

    def set_auth_mode(self, mode: int) -> None:
        """Set what is asked of the peer: an `AUTH_MODE_...` (`nng_tls_config_auth_mode`)."""
        if isinstance(mode, bool) or mode not in (_NONE, _OPTIONAL, _REQUIRED):
            raise InvalidOperation(f"set_auth_mode: there is no AUTH_MODE_ {mode!r}")
        self._settings = evolve(self._settings, auth_mode=mode)

    def _add_ca_file(self, operation: str, path: str | os.PathLike[str]) -> None:
        chain = read_file(operation, path)
        revoked = chain if _REVOKED in chain else None
        self._add_chain(f"{operation} {os.fsdecode(path)}", chain, revoked)

    def _add_chain(self, operation: str, chain: bytes, crl: bytes | None) -> None:
        settings = evolve(self._settings, chains=(*self._settings.chains, (chain, crl)))
        code = self._new_native(operation).add_ca_chain(chain, crl)
        if code != 0:
            raise error_for(
                code, operation, reason=why_no_chain(chain, crl) if code == ECRYPTO else None
            )
        self._settings = settings

    def _add_cert_key_file(
        self, operation: str, path: str | os.PathLike[str], passwd: str | bytes | None
    ) -> None:
        both = read_file(operation, path)
        self._add_own(f"{operation} {os.fsdecode(path)}", both, both, passwd)

    def _add_own(self, operation: str, cert: bytes, key: bytes, passwd: str | bytes | None) -> None:
        password = (None if passwd is None else as_bytes("passwd", passwd)) or None
        settings = evolve(self._settings, own=(*self._settings.own, (cert, key, password)))
        code = self._new_native(operation).add_own_cert(cert, key, password)
        if code != 0:
            why = why_no_own(cert, key, password) if code == ECRYPTO else None
            raise error_for(code, operation, reason=why)
        if fit(cert, key, password) == "alien":  # every handshake would fail
            raise error_for(ECRYPTO, operation, reason=ALIEN)
        self._settings = settings

    def _new_native(self, operation: str) -> _ffi.NativeTLS:
        """Make a throw-away configuration, so that bad settings fail now and not at an endpoint."""
        return _open_native(self._settings.mode, operation)

    def __repr__(self) -> str:
        # Without keys and passwords.
        settings = self._settings
        mode = "server" if settings.mode == _SERVER else "client"
        auth = ("none", "optional", "required")[settings.auth_mode]
        parts = [mode, f"auth {auth}", f"{len(settings.chains)} ca", f"{len(settings.own)} own"]
        if settings.server_name is not None:
            parts.append(f"server_name {settings.server_name!r}")
        if not settings.check_hostname:
            parts.append("check_hostname=False")
        return f"<TLSConfig {', '.join(parts)}>"


def _check_name(what: str, name: str) -> None:
    if not 0 < len(as_bytes(what, name)) <= _MAX_NAME:
        raise InvalidOperation(f"{what}: a name has 1 to {_MAX_NAME} bytes")
    if not name.isprintable() or re.search(r"[/\s]", name):
        raise InvalidOperation(f"{what}: {name!r} is no name of a host, such as example.org")


def _open_native(mode: int, operation: str, url: str | None = None) -> _ffi.NativeTLS:
    native = _ffi.NativeTLS(server=mode == _SERVER)
    if native.code != 0:
        raise error_for(native.code, operation, url, NO_TLS if native.code == ENOTSUP else None)
    return native


# The configuration of an endpoint.


@frozen(eq=False)
class EndpointTLS:
    """A configuration of nng on an endpoint, which keeps a reference to it."""

    native: _ffi.NativeTLS
    settings: TLSSettings = field(repr=False)
    checked_name: str | None


# wss listeners on one port share one server of nng, and its TLS configuration: the last one that is
# set. A different one is refused, as it would also hold for the first listener.
_servers: weakref.WeakSet[EndpointTLS] = weakref.WeakSet()
_servers_lock = threading.Lock()


def has_tls(url: str) -> bool:
    """Say whether the transport of a URL is encrypted."""
    return url.startswith(("tls+", "wss"))


def configure_endpoint(config: TLSConfig | None, on: int, number: int, url: str) -> EndpointTLS:
    """Give a dialer or listener of an encrypted transport its configuration."""
    listens = on == _ffi.ON_LISTENER
    operation = "listen" if listens else "dial"
    settings = _check_settings(config, listens, operation, url)
    checked = None
    if not listens and settings.auth_mode != _NONE and settings.check_hostname:
        checked = settings.server_name or _host(operation, url)
    name = checked if listens else checked or _sent_name(settings, url)
    with _servers_lock:
        for other in list(_servers) if listens and url.startswith("wss") else ():
            if other.native.is_on(on, number):
                if other.settings == settings:
                    return other
                raise AddressInUse(
                    f"{operation} {url}: a listener with another tls_config has this port; "
                    "listeners on one wss port share theirs",
                    url=url,
                )
        endpoint_tls = EndpointTLS(build_native(settings, name, operation, url), settings, checked)
        code = endpoint_tls.native.put(on, number)
        if code != 0:
            raise error_for(code, f"{operation}: set tls_config", url)
        if listens:
            _servers.add(endpoint_tls)
    return endpoint_tls


def _check_settings(
    config: TLSConfig | None, listens: bool, operation: str, url: str
) -> TLSSettings:
    """Refuse settings with which every handshake would fail."""

    def refuse(why: str) -> NoReturn:
        raise InvalidOperation(f"{operation} {url}: {why}", url=url)

    if config is None:
        side = "server" if listens else "client"
        raise NoArgument(
            f"{operation} {url}: it takes a tls_config, such as TLSConfig.{side}(...)", url=url
        )
    settings = config._settings
    if settings.mode != (_SERVER if listens else _CLIENT):
        refuse(f"its tls_config is for {'dialling' if listens else 'listening'}: {config!r}")
    if listens and not settings.own:
        refuse("a server needs a certificate: own_cert_string and own_key_string, or cert_key_file")
    if settings.auth_mode == _REQUIRED and not settings.chains:
        refuse("its tls_config trusts no authority: give it ca_string or ca_files")
    return settings


def _host_of(url: str) -> str:
    # nng has source addresses: tls+tcp://source;host:port.
    return (urlsplit(url).hostname or "").rpartition(";")[2].rstrip(".")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _host(operation: str, url: str) -> str:
    """Return the name to check when there is no server_name."""
    host = _host_of(url)
    if not _is_address(host):
        _check_name(f"{operation} {url}: the host", host)
        return host
    raise InvalidOperation(
        f"{operation} {url}: {host} is an address, not a name that a certificate is checked for; "
        "give tls_config a server_name, or check_hostname=False to trust whatever name it has",
        url=url,
    )


def _sent_name(settings: TLSSettings, url: str) -> str | None:
    """Return the name to send to the server (SNI) without checking it."""
    host = _host_of(url)
    name = settings.server_name or ("" if _is_address(host) or len(host) > _MAX_NAME else host)
    if settings.auth_mode == _NONE:
        return name or None
    # nng has one name for both purposes, and Mbed TLS 3.6.3 and later demands to be told of none.
    return _UNCHECKED + name if _ffi.can_send_unchecked_name() else None


def build_native(
    settings: TLSSettings, name: str | None, operation: str, url: str
) -> _ffi.NativeTLS:
    native = _open_native(settings.mode, operation, url)
    codes = [native.set_auth_mode(settings.auth_mode)]
    codes += [native.add_ca_chain(*chain) for chain in settings.chains]
    codes += [native.add_own_cert(*own) for own in settings.own]
    if name is not None:
        codes.append(native.set_server_name(name.encode()))
    for code in codes:
        if code != 0:
            raise error_for(code, f"{operation}: make tls_config", url)
    return native


def handshake_reason(endpoint_tls: EndpointTLS) -> str:
    """Return the possible causes of a failed handshake: nng does not report them."""
    may = []
    if endpoint_tls.settings.auth_mode == _REQUIRED:
        may.append("the peer's certificate is not signed by an authority that tls_config trusts")
        may.append("it has expired or is not valid yet")
        if endpoint_tls.checked_name is not None:
            may.append(f"it is not for the name {endpoint_tls.checked_name!r}")
        elif not endpoint_tls.settings.check_hostname and not _ffi.can_send_unchecked_name():
            may.append(
                "with Mbed TLS 3.6.3 or later and a libnng that is a library of its own, "
                "check_hostname=False is not possible: give a server_name"
            )
    if endpoint_tls.settings.own:
        may.append("the peer does not trust our certificate")
    else:
        may.append("the peer wants a certificate of ours, and tls_config has none")
    may.append("the peer does not speak TLS, or no version that both sides know")
    may.append("the handshake took more than ten seconds")
    return f"the TLS handshake failed, which can mean: {'; '.join(may)}"


class HasTLS(Protocol):
    """An object that takes a tls_config."""

    def _option_target(self, attempted: str) -> tuple[int, int, str | None]: ...

    def _take_tls_config(self, config: TLSConfig) -> None: ...


class TLSOption:
    """The attribute `tls_config`: it can be set, and not read."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.__doc__ = text_of(owner, name)

    @overload
    def __get__(self, obj: None, owner: type) -> Self: ...
    @overload
    def __get__(self, obj: HasTLS, owner: type) -> NoReturn: ...
    def __get__(self, obj: HasTLS | None, owner: type) -> Self:
        if obj is None:
            return self
        attempted = f"get {type(obj).__name__}.tls_config"
        url = obj._option_target(attempted)[2]
        raise error_for(EWRITEONLY, attempted, url, "it can only be set")

    def __set__(self, obj: HasTLS, config: TLSConfig) -> None:
        attempted = f"set {type(obj).__name__}.tls_config"
        url = obj._option_target(attempted)[2]
        where = shown(f"{attempted} {url}" if url else attempted)
        if not isinstance(config, TLSConfig):
            raise TypeError(f"{where}: a TLSConfig is needed, not {type(config).__name__}")
        obj._take_tls_config(config)

"""Dialers and listeners (floor 4): what both flavours know of them."""

from __future__ import annotations

import re
import weakref
from typing import TYPE_CHECKING, ClassVar

from trionng import _ffi
from trionng._addresses import SockAddr, from_native
from trionng._errors import Closed, error_for
from trionng._options import BoolOption, IntOption, SizeLimit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trionng._core import AnyCore


class Endpoint:
    """What dialers and listeners share."""

    _on: ClassVar[int]

    recv_max_size: SizeLimit = SizeLimit()
    tcp_nodelay: BoolOption = BoolOption("tcp-nodelay")
    tcp_keepalive: BoolOption = BoolOption("tcp-keepalive")

    def __init__(self, socket: AnyCore, number: int, url: str) -> None:
        self._socket = weakref.ref(socket)
        self._number = number
        self._url = url
        self._closed = False

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

    def _option_target(self) -> tuple[int, int, str | None]:
        if self._closed:
            raise Closed(f"{type(self).__name__} {self._url} is closed", url=self._url)
        return self._on, self._number, self._url

    def _set_options(self, options: Mapping[str, object]) -> None:
        """Set what was given; None is "as the socket has it"."""
        for name, value in options.items():
            if value is not None:
                setattr(self, name, value)

    @property
    def local_address(self) -> SockAddr:
        """The address of our side, where nng knows it."""
        on, number, url = self._option_target()
        code, address = _ffi.get_address(on, number, "local-address")
        if code != 0 or address is None:
            raise error_for(code, "get local_address", url)
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
        return socket


class ListenerCore(Endpoint):
    """Accepts connections (`nng_listener`)."""

    _on: ClassVar[int] = _ffi.ON_LISTENER

    def _leave_socket(self) -> AnyCore | None:
        socket = self._socket()
        self._closed = True
        if socket is not None:
            socket._listeners.pop(self._number, None)
        return socket

    def _resolve(self) -> None:
        """Learn what the system chose: the port of tcp://host:0, the name of abstract://."""
        if re.search(r":0(/|$)", self._url):
            code, port = _ffi.get_number(self._on, self._number, "int", "tcp-bound-port")
            if code == 0:
                self._url = re.sub(r":0(/|$)", rf":{port}\1", self._url, count=1)
        elif self._url == "abstract://":
            self._url = str(self.local_address)


def scheme_of(url: str) -> str:
    """Return the transport a URL names."""
    return url.partition("://")[0]


def endpoint_error(code: int, operation: str, url: str) -> Exception:
    """Make the exception for an endpoint that could not be made or started."""
    reasons = {
        9: f"the libnng in use has no transport {scheme_of(url)!r}",
        13: "the peer refused the connection, or speaks another protocol",
    }
    return error_for(code, operation, url, reasons.get(code))

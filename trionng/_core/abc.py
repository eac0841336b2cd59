"""What socket, pipe, endpoint and message are to one another.

A socket has endpoints and pipes, a pipe knows its socket and the endpoint that made it, a message
knows its pipe. Each class is written against these protocols, so that no module of `_core` imports
a module that imports it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Protocol

from trionng import _ffi


class AnyEndpoint(Protocol):
    """A dialer or a listener."""

    @property
    def id(self) -> int:
        """nng's number for it."""

    @property
    def url(self) -> str:
        """The URL it uses."""

    @property
    def _verifies(self) -> bool:
        """Whether its TLS settings ask the peer for a certificate."""


class AnyPipe(Protocol):
    """A connection, of either API."""

    @property
    def id(self) -> int:
        """nng's number for it."""

    @property
    def socket(self) -> AnySocket | None:
        """The socket it belongs to, while that lives."""


class AnySocket(Protocol):
    """A socket, of either API."""

    # What BadState means on this protocol, for sending and receiving.
    _wrong_order: ClassVar[dict[str, str]]
    _native: _ffi.NativeSocket
    # Our protocol's number and name, and those of the protocol that peers must speak.
    _protocol_ids: tuple[int, str, int, str]
    # Milliseconds; -1 waits for ever.
    _recv_timeout_ms: int
    _send_timeout_ms: int
    _closed: bool
    _is_raw: bool
    # Whether it may drop messages that nothing counts.
    _drops_unknown: bool
    # Whether a message goes to the pipe it names.
    _chooses_pipe: bool

    @property
    def _header_room(self) -> int:
        """Bytes of protocol header that count towards nng's size limit."""

    def _urls(self) -> str | None:
        """Return the URLs it uses, for error messages."""

    def _failed(self, code: int, operation: str, reason: str | None = None) -> Exception:
        """Make the exception for a call that failed."""

    def _is_alone(self) -> bool:
        """Say whether it has no peer."""

    def _choose_protocol(self) -> int:
        """Return the number that `_ffi.open_socket` takes."""

    def _pipe(self, number: int) -> AnyPipe | None:
        """Return the pipe with this id, as far as it is remembered."""

    def _known_pipe(self, native: _ffi.NativePipe) -> AnyPipe:
        """Return the one object there is of a pipe."""

    def _find_endpoint(self, side: int, number: int) -> AnyEndpoint | None:
        """Return the dialer or listener with this id, open or not."""

    def _add_endpoint(self, endpoint: AnyEndpoint) -> None:
        """Count an endpoint among the active ones."""

    def _remove_endpoint(self, endpoint: AnyEndpoint) -> None:
        """Count an endpoint no longer among the active ones, and remember it for late events."""


class AnyReq0(AnySocket, Protocol):
    """A Req0 socket, of either API."""

    # Contexts for the next requests.
    _idle_contexts: list[_ffi.Context]
    _next_request: Callable[[], int]

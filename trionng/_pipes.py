"""Pipes (floor 4): the connections of a socket."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, final

from trionng._addresses import SockAddr, from_native

if TYPE_CHECKING:
    from trionng import _ffi
    from trionng._core import AnyCore
    from trionng._endpoints import DialerCore, ListenerCore


@final
class Pipe:
    """One connection with one peer.

    Its addresses are those it had when it was made; they stay readable when it has gone. nng calls
    this an `nng_pipe`.
    """

    __slots__ = ("_info", "_socket")

    def __init__(self, socket: AnyCore, info: _ffi.PipeInfo) -> None:
        self._socket = weakref.ref(socket)
        self._info = info

    @property
    def id(self) -> int:
        """nng's number for it, unique in this process while it lives."""
        return self._info.id

    @property
    def socket(self) -> AnyCore | None:
        """The socket it belongs to."""
        return self._socket()

    @property
    def dialer(self) -> DialerCore | None:
        """The dialer that made it, if one did."""
        socket = self._socket()
        return None if socket is None else socket._dialers.get(self._info.dialer)

    @property
    def listener(self) -> ListenerCore | None:
        """The listener that accepted it, if one did."""
        socket = self._socket()
        return None if socket is None else socket._listeners.get(self._info.listener)

    @property
    def url(self) -> str | None:
        """The URL of the dialer or listener it came from."""
        endpoint = self.dialer or self.listener
        return None if endpoint is None else endpoint.url

    @property
    def local_address(self) -> SockAddr:
        """Our end."""
        return from_native(self._info.local)

    @property
    def remote_address(self) -> SockAddr:
        """The peer's end."""
        return from_native(self._info.remote)

    @property
    def closed(self) -> bool:
        """Whether the connection has gone."""
        socket = self._socket()
        return socket is None or all(pipe.id != self.id for pipe in socket.pipes)

    def close(self) -> None:
        """Drop the connection (`nng_pipe_close`). A dialer will make a new one."""
        socket = self._socket()
        if socket is not None:
            socket._native.close_pipe(self.id)

    def __eq__(self, other: object) -> bool:
        return self.id == other.id if isinstance(other, Pipe) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<Pipe {self.id:#x} to {self.remote_address}>"

"""What an instrument may have, and what its methods are given."""

from __future__ import annotations

from typing import Protocol

import attrs

from trionng._base.types import Buffer
from trionng._core.pipes import PipeEventReason
from trionng._sockets import Req0
from trionng._sync import pipes as sync_pipes, protocols as sync_protocols, socket as sync_socket
from trionng._trio.pipes import Message, Pipe
from trionng._trio.socket import Dialer, Socket

AnySocket = Socket | sync_socket.Socket
AnyPipe = Pipe | sync_pipes.Pipe
AnyDialer = Dialer | sync_socket.Dialer


@attrs.frozen(eq=False)
class RequestInfo:
    """One call of `Req0.request`; the same object when it starts and when it has finished.

    Attributes:
        socket: the Req0.
        data: what is sent, as it was given.
    """

    socket: Req0 | sync_protocols.Req0
    data: Buffer


@attrs.frozen(eq=False)
class HandlerInfo:
    """One call of a service's handler; the same object when it starts and when it has finished.

    Attributes:
        service: the name of the service, such as "serve_rep".
        socket: the socket that it serves.
        message: what the handler is given; None in `serve_pipes`, whose handlers are given a
            channel.
        pipe: the connection; None where that is not known: in `trionng.blocking`, and of a
            connection that has been forgotten.
    """

    service: str
    socket: Socket | sync_socket.Socket
    message: bytes | Message | None
    pipe: Pipe | sync_pipes.Pipe | None


class Instrument(Protocol):
    """What a program may look at: subclass it, and define the methods that you need.

    A method must not wait. `request_*` and `handler_*` are called by the task or thread that makes
    the call; `handler_*` in the context (`contextvars`) of that call of the handler. The others are
    called in a thread of trionng's own, one after the other, soon after it has happened.

    An instrument whose method raises is removed, and the exception is logged.
    """

    def request_started(self, request: RequestInfo) -> None:
        """`Req0.request` begins."""
        return

    def request_finished(self, request: RequestInfo, error: BaseException | None) -> None:
        """It has its reply, or raises `error`, which may be `trio.Cancelled`."""
        return

    def handler_started(self, call: HandlerInfo) -> None:
        """A service is about to call its handler, in either API."""
        return

    def handler_finished(self, call: HandlerInfo, error: BaseException | None) -> None:
        """The handler has returned, or has raised `error`: also when `on_error` handles that."""
        return

    def message_dropped(self, socket: Socket | sync_socket.Socket, count: int) -> None:
        """A Pub0, Sub0, Surveyor0 or Respondent0 has dropped messages: a receiver is slow.

        Called at most ten times a second for a socket; `count` is the number of all that it has
        dropped. `statistics().dropped` says where that is known.
        """
        return

    def connection_opened(self, pipe: Pipe | sync_pipes.Pipe) -> None:
        """A connection has been made, and can be used."""
        return

    def connection_closed(
        self, pipe: Pipe | sync_pipes.Pipe, reason: PipeEventReason | None
    ) -> None:
        """A connection has ended; `PipeEvent` explains the reason."""
        return

    def connection_rejected(
        self, pipe: Pipe | sync_pipes.Pipe, reason: PipeEventReason | None
    ) -> None:
        """A connection never could be used; `PipeEvent` explains the reason."""
        return

    def connection_failed(self, dialer: Dialer | sync_socket.Dialer, error: Exception) -> None:
        """A dialer gets no connection, and goes on trying: called once for each outage."""
        return

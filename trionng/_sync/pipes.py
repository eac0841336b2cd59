"""Pipes, pipe events and messages of the sync API; counterpart of `_trio/pipes.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from trionng._base.types import Buffer, Self
from trionng._base.util import check_buffer, check_may_block
from trionng._core import message
from trionng._core.message import AnyMessage
from trionng._core.operations import SendMessageOp
from trionng._core.pipes import PipeBase, PipeEvent, PipeEventsBase
from trionng._sync.wait import wait_for

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    from trionng._sync.socket import Dialer, Listener, Socket


@final
class Pipe(PipeBase):
    """One connection with one peer: sync counterpart of `trionng.Pipe`."""

    __slots__ = ()

    if TYPE_CHECKING:  # with the classes of this API

        @property
        def socket(self) -> Socket | None: ...
        @property
        def dialer(self) -> Dialer | None: ...
        @property
        def listener(self) -> Listener | None: ...

    def send(self, data: Buffer, *, timeout: float | None = None) -> None:
        """Send one message to this very peer: sync counterpart of `trionng.Pipe.send`.

        Args:
            data: any contiguous buffer; it is copied.
            timeout: seconds; None is the socket's `send_timeout`; when they are over, `Timeout` is
                raised.
        """
        check_buffer(data)
        self._send_to_peer("send", Message(data), timeout)

    def send_msg(self, msg: AnyMessage, *, timeout: float | None = None) -> None:
        """Send a `Message` to this very peer: sync counterpart of `trionng.Pipe.send_msg`.

        Args:
            msg: when it is not sent, the caller owns it again.
            timeout: seconds; None is the socket's `send_timeout`; when they are over, `Timeout` is
                raised.
        """
        self._send_to_peer("send_msg", msg, timeout)

    def _send_to_peer(self, operation: str, msg: AnyMessage, timeout: float | None) -> None:
        socket = self._may_send(operation, self.socket)
        op = SendMessageOp(socket, socket._ctx, msg, self)
        socket._send(f"pipe.{operation}", op.submit, timeout, op.reclaim)


if TYPE_CHECKING:
    P = TypeVar("P", bound=PipeBase, covariant=True, default=Pipe)

    @final
    class Message(message.Message[P]):
        """The message of both APIs, whose pipe is by default one of this API."""

else:
    Message = message.Message


@final
class PipeEvents(PipeEventsBase[Pipe]):
    """The events of a socket's connections: sync counterpart of `trionng.PipeEvents`."""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> PipeEvent[Pipe]:
        """Return the next event; a socket that was closed ends the iteration."""
        check_may_block(type(self), "__next__", "__anext__")
        while True:
            code = wait_for(self._native.wait)
            if code != 0:
                raise self._failed(code)
            goes_on, event = self._take()
            if event is not None:
                return event
            if not goes_on:
                raise StopIteration

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

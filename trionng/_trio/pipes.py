"""Pipes, pipe events and messages of the async API."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from trionng._base.types import Buffer, Self
from trionng._base.util import check_buffer
from trionng._core import message
from trionng._core.message import AnyMessage
from trionng._core.operations import SendMessageOp
from trionng._core.pipes import PipeBase, PipeEvent, PipeEventsBase
from trionng._trio.wait import checkpoint, checkpoint_if_cancelled, wait_for

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    from trionng._trio.socket import Dialer, Listener, Socket


@final
class Pipe(PipeBase):
    """One connection with one peer (`nng_pipe`).

    Its properties were read when the connection was made, and stay readable when it has ended.
    """

    __slots__ = ()

    if TYPE_CHECKING:  # with the classes of this API

        @property
        def socket(self) -> Socket | None: ...
        @property
        def dialer(self) -> Dialer | None: ...
        @property
        def listener(self) -> Listener | None: ...

    async def send(self, data: Buffer) -> None:
        """Send one message to this very peer; only on a polyamorous Pair1.

        nng drops a message for a peer that does not read its earlier ones.

        Cancellation: either the message was sent and this returns, or it was not and Cancelled is
            raised.

        Args:
            data: any contiguous buffer; it is copied before this returns.

        Raises:
            NotSupported: on every other protocol nng chooses the peer.
            ConnectionReset: this connection has gone.
            Timeout: the socket's `send_timeout` is over.
            Closed: the socket is closed.
            TypeError: `data` is a str, or has no bytes.
        """
        check_buffer(data)
        await self._send_to_peer("send", Message(data))

    async def send_msg(self, msg: AnyMessage) -> None:
        """Send a `Message` to this very peer, whatever its `.pipe` is; nng owns it afterwards.

        Cancellation: as `send`; when it was not sent the caller owns the message again.

        Raises:
            MessageStateError: it has been sent already.
            NotSupported, ConnectionReset, Timeout, Closed: as `send`.
        """
        await self._send_to_peer("send_msg", msg)

    async def _send_to_peer(self, operation: str, msg: AnyMessage) -> None:
        await checkpoint_if_cancelled()
        socket = self._may_send(operation, self.socket)
        op = SendMessageOp(socket, socket._ctx, msg, self)
        await socket._send(f"pipe.{operation}", op.submit, op.reclaim)


if TYPE_CHECKING:
    P = TypeVar("P", bound=PipeBase, covariant=True, default=Pipe)

    @final
    class Message(message.Message[P]):
        """The message of both APIs, whose pipe is by default one of this API."""

else:
    Message = message.Message


@final
class PipeEvents(PipeEventsBase[Pipe]):
    """What happens to a socket's connections, in order; made by `Socket.pipe_events`.

    The iteration ends when the socket is closed and all events before that were read. Leaving the
    block ends the subscription.
    """

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> PipeEvent[Pipe]:
        """Return the next event.

        Cancellation: no event is lost.

        Concurrency: several tasks may read one subscription; each event goes to one of them.

        Raises:
            EventsLost: events were not read for too long, and some are missing from here on;
                subscribe again.
            Closed: this subscription was closed.
        """
        while True:
            code, _ = await wait_for(self._native.wait)
            if code != 0:
                raise self._failed(code)
            goes_on, event = self._take()
            if event is not None:
                return event
            if not goes_on:
                raise StopAsyncIteration

    async def aclose(self) -> None:
        """End the subscription; a task that waits for an event gets `Closed`.

        Cancellation: ends the subscription, then raises.
        """
        self.close()
        await checkpoint()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

"""The protocols under Trio (floor 5), a class each.

What they share is in `_trio_socket` and `_messaging`; what is theirs in any flavour is in
`_protocols`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from trio.abc import Channel, ReceiveChannel, SendChannel

from trionng import _ffi
from trionng._base.util import check_buffer
from trionng._core.io import NeverReceiveCalls, NeverSendCalls, missing
from trionng._core.protocols import (
    Bus0Core,
    Exchange,
    Pair0Core,
    Pair1Core,
    Pub0Core,
    Pull0Core,
    Push0Core,
    Rep0Core,
    Req0Core,
    ReqContextCore,
    Sub0Core,
    SubContextCore,
)
from trionng._trio.io import ManyReceiving, Messaging, NowaitSending
from trionng._trio.socket import Context, Dialer, Listener, Socket
from trionng._trio.wait import enable_ki_protection, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Buffer, Never

    from trionng._core.message import AnyMessage
    from trionng._trio.pipes import Message


# A direction that is missing has `self: Never`: for a type checker the call is an error, and what
# comes after it is looked at all the same, as it would not be after NoReturn.
class _NeverSends(NeverSendCalls, Messaging):
    """A protocol without a sending side."""

    async def send(self: Never, data: Buffer) -> None:  # type: ignore[misc]
        """Raise NotSupported: this protocol only receives."""
        missing(self, "send", "this protocol only receives")

    async def send_msg(self: Never, msg: AnyMessage) -> None:  # type: ignore[misc]
        """Raise NotSupported: this protocol only receives."""
        missing(self, "send_msg", "this protocol only receives")

    async def send_many(self: Never, messages: Iterable[Buffer]) -> int:  # type: ignore[misc]
        """Raise NotSupported: this protocol only receives."""
        missing(self, "send_many", "this protocol only receives")


class _NeverReceives(NeverReceiveCalls, Messaging):
    """A protocol without a receiving side."""

    async def recv(self: Never) -> bytes:  # type: ignore[misc]
        """Raise NotSupported: this protocol only sends."""
        missing(self, "recv", "this protocol only sends")

    async def recv_msg(self: Never) -> Message:  # type: ignore[misc]
        """Raise NotSupported: this protocol only sends."""
        missing(self, "recv_msg", "this protocol only sends")

    async def recv_many(self: Never, max_messages: int) -> list[bytes]:  # type: ignore[misc]
        """Raise NotSupported: this protocol only sends."""
        missing(self, "recv_many", "this protocol only sends")

    if TYPE_CHECKING:

        def recv_msg_nowait(self: Never) -> Message: ...  # type: ignore[misc]
        def __aiter__(self: Never) -> _NeverReceives: ...  # type: ignore[misc]

    async def __anext__(self: Never) -> bytes:  # type: ignore[misc]
        missing(self, "recv", "this protocol only sends")


@final
class Pair0(ManyReceiving, NowaitSending, Pair0Core[Dialer, Listener], Socket, Channel[bytes]):
    """One peer, both directions, in any order."""

    async def receive(self) -> bytes:
        """Receive one message: `recv` as Trio's channels spell it."""
        return await self.recv()


@final
class Pair1(ManyReceiving, NowaitSending, Pair1Core[Dialer, Listener], Socket, Channel[bytes]):
    """One peer, both directions; polyamorous: any number of peers.

    Args:
        polyamorous: accept several peers. A message goes to the pipe it names (`pipe.send`,
            `Message(data, pipe)`), else to one of them; nng drops what that peer does not read.
        send_buffer_size: messages that wait for a peer with room; default 0. Leave it so when
            polyamorous: nng keeps two messages for each connection whatever this says, drops the
            rest, and a larger buffer only lets more arrive there at once.

    The other arguments are those of every socket.
    """

    async def receive(self) -> bytes:
        """Receive one message: `recv` as Trio's channels spell it."""
        return await self.recv()


@final
class Bus0(ManyReceiving, NowaitSending, Bus0Core[Dialer, Listener], Socket, Channel[bytes]):
    """Sends to every peer it is connected to, and receives from every one; nothing is forwarded.

    Sending never waits for a slow peer: that one misses messages.

    Args:
        send_buffer_size: with nng 1.6 and later, messages kept for each connection, default 16.
            Before that it is always 16, and this is a buffer in front of them, default 0. Leave it
            so: it only lets more messages arrive at once where there is no room for them.

    The other arguments are those of every socket.
    """

    async def receive(self) -> bytes:
        """Receive one message: `recv` as Trio's channels spell it."""
        return await self.recv()


@final
class Push0(_NeverReceives, NowaitSending, Push0Core[Dialer, Listener], Socket, SendChannel[bytes]):
    """Hands each message to one of the connected Pull0 sockets; waits when none can take it."""


@final
class Pull0(_NeverSends, ManyReceiving, Pull0Core[Dialer, Listener], Socket, ReceiveChannel[bytes]):
    """Takes the messages of the connected Push0 sockets, fairly.

    `recv_buffer_size` messages at most, and half of them at least, are taken before a task asks for
    them; 1, the default, takes none.
    """

    async def receive(self) -> bytes:
        """Receive one message: `recv` as Trio's channels spell it."""
        return await self.recv()


@final
class Pub0(_NeverReceives, NowaitSending, Pub0Core[Dialer, Listener], Socket, SendChannel[bytes]):
    """Sends each message to every connected Sub0; a slow one misses the oldest.

    Sending never waits.
    """


@final
class Sub0(_NeverSends, ManyReceiving, Sub0Core[Dialer, Listener], Socket, ReceiveChannel[bytes]):
    """Receives what the connected Pub0 sockets send, as far as it starts with one of its topics.

    Args:
        topics: one topic or several; without any, nothing is received.
        prefer_new: when the buffer is full, drop the oldest message (True) or the one that arrives.

    The other arguments are those of every socket.
    """

    async def receive(self) -> bytes:
        """Receive one message: `recv` as Trio's channels spell it."""
        return await self.recv()

    def new_context(self) -> SubContext:
        """Open a context with topics and a buffer of its own.

        A message goes to every context that wants it.
        """
        return SubContext(self, self._open_context())


@final
class SubContext(_NeverSends, ManyReceiving, SubContextCore, Context, ReceiveChannel[bytes]):
    """A subscriber of its own on the connections of a Sub0 socket."""

    async def receive(self) -> bytes:
        """Receive one message: `recv` as Trio's channels spell it."""
        return await self.recv()


@final
class Req0(Req0Core[Dialer, Listener], Socket):
    """Asks, and gets the answer to what it asked.

    `request` is the way to ask; any number of tasks can. `send` and `recv` on the socket are one
    conversation: a new `send` gives the earlier request up.

    Args:
        resend_time: milliseconds after which an unanswered request is sent again, perhaps to
            another peer; default 60 000; -1: never, and a lost connection raises ConnectionReset.

    The other arguments are those of every socket.
    """

    def new_context(self) -> ReqContext:
        """Open a context: one more request in flight."""
        return ReqContext(self, self._open_context())

    @enable_ki_protection
    async def request(self, data: Buffer) -> bytes:
        """Send a request and return its answer, as one operation in a context of its own.

        Any number of tasks may have requests in flight on one socket. A lost connection, and
        `resend_time` without an answer, send the request again.

        Cancellation: the request is abandoned; the answer, should one come, is dropped.

        Args:
            data: any contiguous buffer; it is copied before this waits.

        Raises:
            Closed: the socket is closed.
            ConnectionReset: the connection was lost, and `resend_time` is -1.
            TypeError: `data` is a str, or has no bytes.
        """
        check_buffer(data)
        call = Exchange(self, data)
        try:
            code, msg = await wait_for(call, _ffi.drop)
        finally:
            call.end()
        if code != 0:
            raise self._failed(code, "request")
        return _ffi.take_bytes(msg, call.lane)


@final
class ReqContext(ReqContextCore, Context):
    """One request in flight on a Req0 socket."""


@final
class Rep0(Rep0Core[Dialer, Listener], Socket):
    """Answers: each request is received, and answered with one `send`.

    The socket has one request at a time; contexts have one each. Receiving again gives up the
    request that was not answered.
    """

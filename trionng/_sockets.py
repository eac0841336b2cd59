"""The Trio sockets, a class a protocol.

Each class joins three parts: the calls (`_trio/io.py`), the protocol's options and states
(`_core/protocols.py`), and the socket (`_trio/socket.py`).
"""

from __future__ import annotations

from typing import final

from trio.abc import Channel, ReceiveChannel, SendChannel

from trionng import _ffi
from trionng._base.types import Buffer
from trionng._base.util import check_buffer
from trionng._core import hooks
from trionng._core.operations import RequestOp
from trionng._core.protocols import (
    Bus0Base,
    Pair0Base,
    Pair1Base,
    Pub0Base,
    Pull0Base,
    Push0Base,
    Rep0Base,
    Req0Base,
    ReqContextBase,
    Sub0Base,
    SubContextBase,
)
from trionng._trio.io import BatchReceive, ReceiveOnly, SendOnly, TrySend
from trionng._trio.pipes import Pipe
from trionng._trio.socket import Context, Dialer, Listener, Socket
from trionng._trio.wait import enable_ki_protection, wait_for


class ChannelReceive(BatchReceive):
    """Receives as Trio's channels do."""

    async def receive(self) -> bytes:
        """Receive one message: `recv` as Trio's channels spell it."""
        return await self.recv()


@final
class Pair0(ChannelReceive, TrySend, Pair0Base[Dialer, Listener, Pipe], Socket, Channel[bytes]):
    """One peer, both directions, in any order."""


@final
class Pair1(ChannelReceive, TrySend, Pair1Base[Dialer, Listener, Pipe], Socket, Channel[bytes]):
    """One peer, both directions; polyamorous: any number of peers.

    Args:
        polyamorous: accept several peers. A message goes to the pipe it names (`pipe.send`,
            `Message(data, pipe)`), else to one of them; nng drops what that peer does not read.
        send_buffer_size: messages that wait for a peer with room; default 0. Leave it so when
            polyamorous: nng keeps two messages for each connection whatever this says, drops the
            rest, and a larger buffer only lets more arrive there at once.

    The other arguments are those of every socket.
    """


@final
class Bus0(ChannelReceive, TrySend, Bus0Base[Dialer, Listener, Pipe], Socket, Channel[bytes]):
    """Sends to every peer it is connected to, and receives from every one; nothing is forwarded.

    Sending never waits for a slow peer: that one misses messages.

    Args:
        send_buffer_size: with nng 1.6 and later, messages kept for each connection, default 16.
            Before that it is always 16, and this is a buffer in front of them, default 0. Leave it
            so: it only lets more messages arrive at once where there is no room for them.

    The other arguments are those of every socket.
    """


@final
class Push0(SendOnly, TrySend, Push0Base[Dialer, Listener, Pipe], Socket, SendChannel[bytes]):
    """Hands each message to one of the connected Pull0 sockets; waits when none can take it."""


@final
class Pull0(
    ReceiveOnly, ChannelReceive, Pull0Base[Dialer, Listener, Pipe], Socket, ReceiveChannel[bytes]
):
    """Takes the messages of the connected Push0 sockets, fairly.

    The socket takes up to `recv_buffer_size` messages before a task asks for them, and at least
    half as many; 1, the default, takes none.
    """


@final
class Pub0(SendOnly, TrySend, Pub0Base[Dialer, Listener, Pipe], Socket, SendChannel[bytes]):
    """Sends each message to every connected Sub0; a slow one misses the oldest.

    Sending never waits.
    """


@final
class Sub0(
    ReceiveOnly, ChannelReceive, Sub0Base[Dialer, Listener, Pipe], Socket, ReceiveChannel[bytes]
):
    """Receives those messages of the connected Pub0 sockets that start with one of its topics.

    Args:
        topics: one topic or several; without any, nothing is received.
        prefer_new: when the buffer is full, drop the oldest message (True) or the one that arrives.

    The other arguments are those of every socket.
    """

    def new_context(self) -> SubContext:
        """Open a context with topics and a buffer of its own.

        A message goes to every context that has subscribed to its topic.
        """
        return SubContext(self, self._open_context())


@final
class SubContext(ReceiveOnly, ChannelReceive, SubContextBase, Context, ReceiveChannel[bytes]):
    """A subscriber of its own on the connections of a Sub0 socket."""


@final
class Req0(Req0Base[Dialer, Listener, Pipe], Socket):
    """Sends requests, and receives one reply to each.

    Use `request`; any number of tasks can. `send` and `recv` on the socket are one conversation: a
    new `send` discards the earlier request.

    Args:
        resend_time: milliseconds after which a request without a reply is sent again, perhaps to
            another peer; default 60 000; -1: never, and a lost connection raises ConnectionReset.

    The other arguments are those of every socket.
    """

    def new_context(self) -> ReqContext:
        """Open a context: one more request in flight."""
        return ReqContext(self, self._open_context())

    @enable_ki_protection
    async def request(self, data: Buffer) -> bytes:
        """Send a request and return its reply, as one operation in a context of its own.

        nng sends the request again when its connection is lost, and after `resend_time` without a
        reply.

        Cancellation: the request is discarded; a reply that still comes is dropped.

        Concurrency: any number of tasks may have requests in flight on one socket.

        Args:
            data: any contiguous buffer; it is copied before this waits.

        Raises:
            Closed: the socket is closed.
            ConnectionReset: the connection was lost, and `resend_time` is -1.
            TypeError: `data` is a str, or has no bytes.
        """
        check_buffer(data)
        op = RequestOp(self, data)
        finish = None if hooks.request is None else hooks.request(self, data)
        try:
            code, msg = await wait_for(op.submit, _ffi.drop)
            if code != 0:
                raise self._failed(code, "request")
            reply = _ffi.take_bytes(msg, op.ctx)
        except BaseException as error:
            if finish is not None:
                finish(error)
            raise
        finally:
            op.end()
        if finish is not None:
            finish(None)
        return reply


@final
class ReqContext(ReqContextBase, Context):
    """One request in flight on a Req0 socket."""


@final
class Rep0(Rep0Base[Dialer, Listener, Pipe], Socket):
    """Receives requests, and replies to each with one `send`.

    The socket has one request at a time; contexts have one each. The next receive discards a
    request that was not replied to.
    """

"""The protocols under Trio (floor 5), a class each.

What they share is in `_trio_socket` and `_messaging`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NoReturn, final

from trio.abc import Channel, ReceiveChannel, SendChannel

from trionng import _ffi
from trionng._core import Topics
from trionng._messaging import ManyReceiving, Messaging, NowaitSending, missing
from trionng._options import BoolOption, BufferSize, IntOption, check_int
from trionng._trio_socket import Context, Socket, SocketOptions
from trionng._util import as_topics, check_buffer
from trionng._wait_trio import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from typing_extensions import Buffer, Unpack

    from trionng._message import Message

_MAX_BUFFER = 8192
_MAX_HOPS = 15
# Contexts kept for the next requests; more than these are closed when their request is over.
_IDLE_LANES = 256


class _NeverSends(Messaging):
    """A protocol without a sending side."""

    async def send(self, data: Buffer) -> NoReturn:
        """Raise NotSupported: this protocol only receives."""
        missing(self, "send", "this protocol only receives")

    async def send_msg(self, msg: Message) -> NoReturn:
        """Raise NotSupported: this protocol only receives."""
        missing(self, "send_msg", "this protocol only receives")


class _NeverReceives(Messaging):
    """A protocol without a receiving side."""

    async def recv(self) -> NoReturn:
        """Raise NotSupported: this protocol only sends."""
        missing(self, "recv", "this protocol only sends")

    async def recv_msg(self) -> NoReturn:
        """Raise NotSupported: this protocol only sends."""
        missing(self, "recv_msg", "this protocol only sends")

    def recv_nowait(self) -> NoReturn:
        """Raise NotSupported: this protocol only sends."""
        missing(self, "recv_nowait", "this protocol only sends")

    def recv_msg_nowait(self) -> NoReturn:
        """Raise NotSupported: this protocol only sends."""
        missing(self, "recv_msg_nowait", "this protocol only sends")

    async def __anext__(self) -> NoReturn:
        missing(self, "recv", "this protocol only sends")


@final
class Pair0(ManyReceiving, NowaitSending, Socket, Channel[bytes]):
    """One peer, both directions, in any order."""

    _protocol: ClassVar[int] = _ffi.PAIR0

    recv_buffer_size: BufferSize = BufferSize("recv-buffer", "int", 0, _MAX_BUFFER)
    send_buffer_size: BufferSize = BufferSize("send-buffer", "int", 0, _MAX_BUFFER)

    async def receive(self) -> bytes:
        """Receive one message: `recv` as Trio's channels spell it."""
        return await self.recv()


@final
class Pair1(ManyReceiving, NowaitSending, Socket, Channel[bytes]):
    """One peer, both directions; polyamorous: any number of peers.

    Args:
        polyamorous: accept several peers. A message goes to the pipe it names (`pipe.send`,
            `Message(data, pipe)`), else to one of them; nng drops what that peer does not read.

    The other arguments are those of every socket.
    """

    _protocol: ClassVar[int] = _ffi.PAIR1

    recv_buffer_size: BufferSize = BufferSize("recv-buffer", "int", 0, _MAX_BUFFER)
    send_buffer_size: BufferSize = BufferSize("send-buffer", "int", 0, _MAX_BUFFER)
    ttl_max: IntOption = IntOption("ttl-max", "int", 1, _MAX_HOPS)

    def __init__(self, *, polyamorous: bool = False, **options: Unpack[SocketOptions]) -> None:
        self._has_queues = self._polyamorous = polyamorous
        super().__init__(**options)

    def _choose_protocol(self) -> int:
        return _ffi.PAIR1_POLY if self._polyamorous else _ffi.PAIR1

    @property
    def polyamorous(self) -> bool:
        """Whether it may have several peers."""
        return self._polyamorous

    async def receive(self) -> bytes:
        """Receive one message: `recv` as Trio's channels spell it."""
        return await self.recv()


@final
class Bus0(ManyReceiving, NowaitSending, Socket, Channel[bytes]):
    """Sends to every peer it is connected to, and receives from every one; nothing is forwarded.

    Sending never waits for a slow peer: that one misses messages.
    """

    _protocol: ClassVar[int] = _ffi.BUS0
    _has_queues = True

    recv_buffer_size: BufferSize = BufferSize("recv-buffer", "int", 0, _MAX_BUFFER)
    send_buffer_size: BufferSize = BufferSize("send-buffer", "int", 0, _MAX_BUFFER)

    async def receive(self) -> bytes:
        """Receive one message: `recv` as Trio's channels spell it."""
        return await self.recv()


@final
class Push0(_NeverReceives, NowaitSending, Socket, SendChannel[bytes]):
    """Hands each message to one of the connected Pull0 sockets; waits when none can take it."""

    _protocol: ClassVar[int] = _ffi.PUSH0

    send_buffer_size: BufferSize = BufferSize("send-buffer", "int", 0, _MAX_BUFFER)


@final
class Pull0(_NeverSends, ManyReceiving, Socket, ReceiveChannel[bytes]):
    """Takes the messages of the connected Push0 sockets, fairly.

    `recv_buffer_size` messages at most are taken before a task asks for them; 1, the default, takes
    none.
    """

    _protocol: ClassVar[int] = _ffi.PULL0
    _ahead = 1

    @property
    def recv_buffer_size(self) -> int:
        """How many messages may be taken ahead, in order; 1 is none. nng has no such option."""
        return self._ahead

    @recv_buffer_size.setter
    def recv_buffer_size(self, value: int) -> None:
        self._ahead = check_int("recv_buffer_size", value, 1, _MAX_BUFFER)
        self._lane.keep(self._ahead if self._ahead > 1 else 0)

    async def receive(self) -> bytes:
        """Receive one message: `recv` as Trio's channels spell it."""
        return await self.recv()


@final
class Pub0(_NeverReceives, NowaitSending, Socket, SendChannel[bytes]):
    """Sends each message to every connected Sub0; a slow one misses the oldest.

    Sending never waits.
    """

    _protocol: ClassVar[int] = _ffi.PUB0

    send_buffer_size: BufferSize = BufferSize("send-buffer", "int", 1, _MAX_BUFFER)


class _Subscriber(_NeverSends, ManyReceiving):
    """What Sub0 and its contexts have: topics."""

    _topics: Topics

    def subscribe(self, topic: str | bytes) -> None:
        """Receive messages that start with `topic` (`NNG_OPT_SUB_SUBSCRIBE`).

        Args:
            topic: a str is encoded as UTF-8; empty matches every message.
        """
        self._topics.add(topic)

    def unsubscribe(self, topic: str | bytes) -> None:
        """Take a subscription back: afterwards no message is delivered because of it.

        Raises:
            NoEntry: there is no subscription to `topic`.
        """
        self._topics.remove(topic)


@final
class Sub0(_Subscriber, Socket, ReceiveChannel[bytes]):
    """Receives what the connected Pub0 sockets send, as far as it starts with one of its topics.

    Args:
        topics: one topic or several; without any, nothing is received.
        prefer_new: when the buffer is full, drop the oldest message (True) or the one that arrives.

    The other arguments are those of every socket.
    """

    _protocol: ClassVar[int] = _ffi.SUB0

    recv_buffer_size: BufferSize = BufferSize("recv-buffer", "int", 1, _MAX_BUFFER)
    prefer_new: BoolOption = BoolOption("sub:prefnew")

    def __init__(
        self,
        *,
        topics: str | bytes | Iterable[str | bytes] | None = None,
        prefer_new: bool | None = None,
        **options: Unpack[SocketOptions],
    ) -> None:
        self._wanted = as_topics(topics)
        self._prefer_new = prefer_new
        super().__init__(**options)

    def _more_options(self) -> Mapping[str, object]:
        # Before the first endpoint, so that no message is missed.
        self._topics = Topics(_ffi.ON_SOCKET, self._native.id)
        for topic in self._wanted:
            self._topics.add(topic)
        return {"prefer_new": self._prefer_new}

    async def receive(self) -> bytes:
        """Receive one message: `recv` as Trio's channels spell it."""
        return await self.recv()

    def new_context(self) -> SubContext:
        """Open a context with topics and a buffer of its own.

        A message goes to every context that wants it.
        """
        return SubContext(self, super().new_context()._give_lane())


@final
class SubContext(_Subscriber, Context, ReceiveChannel[bytes]):
    """A subscriber of its own on the connections of a Sub0 socket."""

    recv_buffer_size: BufferSize = BufferSize("recv-buffer", "int", 1, _MAX_BUFFER)

    def __init__(self, socket: Socket, lane: _ffi.Lane) -> None:
        super().__init__(socket, lane)
        self._topics = Topics(_ffi.ON_CONTEXT, lane.id)

    async def receive(self) -> bytes:
        """Receive one message: `recv` as Trio's channels spell it."""
        return await self.recv()


@final
class Req0(Socket):
    """Asks, and gets the answer to what it asked.

    `request` is the way to ask; any number of tasks can. `send` and `recv` on the socket are one
    conversation: a new `send` gives the earlier request up.

    Args:
        resend_time: milliseconds after which an unanswered request is sent again, perhaps to
            another peer; default 60 000; -1: never, and a lost connection raises ConnectionReset.

    The other arguments are those of every socket.
    """

    _protocol: ClassVar[int] = _ffi.REQ0

    resend_time: IntOption = IntOption("req:resend-time", "ms", -1)
    ttl_max: IntOption = IntOption("ttl-max", "int", 1, _MAX_HOPS)

    def __init__(self, *, resend_time: int | None = None, **options: Unpack[SocketOptions]) -> None:
        self._resend_time = resend_time
        self._idle_lanes: list[_ffi.Lane] = []
        super().__init__(**options)

    def _more_options(self) -> Mapping[str, object]:
        return {"resend_time": self._resend_time}

    def new_context(self) -> ReqContext:
        """Open a context: one more request in flight."""
        return ReqContext(self, super().new_context()._give_lane())

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
        call = _Exchange(self, data)
        try:
            code, msg = await wait_for(call, _ffi.drop)
        finally:
            call.end()
        if code != 0:
            raise self._error(code, "request")
        return _ffi.take_bytes(msg)


class _Exchange:
    """One request: borrows a lane when it is submitted, and returns it when it is over."""

    def __init__(self, socket: Req0, data: Buffer) -> None:
        self._socket = socket
        self._data = data
        self._lane: _ffi.Lane | None = None

    def __call__(self, port: _ffi.Port, tag: int) -> _ffi.Answer:
        idle = self._socket._idle_lanes
        if idle:
            lane = idle.pop()
        else:
            code, opened = self._socket._native.open_lane(context=True)
            if opened is None:
                return code, _ffi.NULL
            lane = opened
        self._lane = lane
        return lane.exchange(self._data, port, tag)

    def end(self) -> None:
        # The next request on this lane gives up whatever is left of this one.
        if self._lane is None or self._socket._closed:
            return
        if len(self._socket._idle_lanes) < _IDLE_LANES:
            self._socket._idle_lanes.append(self._lane)
        else:
            self._lane.close()


@final
class ReqContext(Context):
    """One request in flight on a Req0 socket."""

    resend_time: IntOption = IntOption("req:resend-time", "ms", -1)


@final
class Rep0(Socket):
    """Answers: each request is received, and answered with one `send`.

    The socket has one request at a time; contexts have one each. Receiving again gives up the
    request that was not answered.
    """

    _protocol: ClassVar[int] = _ffi.REP0

    ttl_max: IntOption = IntOption("ttl-max", "int", 1, _MAX_HOPS)

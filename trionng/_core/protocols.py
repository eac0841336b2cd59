"""What the protocols of both APIs share: numbers, options and states, a class each.

The classes of `_sockets.py` and `_sync/` add the calls that wait.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from typing import ClassVar, TypeVar

from trionng import _ffi
from trionng._base.errors import EAGAIN, ETIMEDOUT, error_for
from trionng._base.types import Unpack
from trionng._base.util import as_topics, check_bool
from trionng._core.abc import AnySocket
from trionng._core.context import ContextBase
from trionng._core.endpoints import DialerBase, ListenerBase
from trionng._core.io import BaseIO
from trionng._core.options import (
    INT_MAX,
    BoolOption,
    BufferSize,
    HasOptions,
    IntOption,
    RecvFd,
    SendFd,
    TimeoutOption,
    seconds,
    set_int,
)
from trionng._core.pipes import PipeBase
from trionng._core.socket import SocketBase, SocketOptions
from trionng._core.topics import Topics
from trionng._ffi import Context as NativeContext

D = TypeVar("D", bound=DialerBase, covariant=True)
L = TypeVar("L", bound=ListenerBase, covariant=True)
P = TypeVar("P", bound=PipeBase, covariant=True)

_MAX_BUFFER = 8192
# nng 1.6 gave Bus0 queues of its own, which hold at least one message.
_BUS_MIN_BUFFER = 1 if _ffi.nng_is(6) else 0
_MAX_HOPS = 15
_DEFAULT_SURVEY_TIME = 1000


class Pair0Base(SocketBase[D, L, P]):
    """One peer, both directions."""

    _protocol: ClassVar[int] = _ffi.protocol("pair0")

    recv_fd: RecvFd = RecvFd()
    send_fd: SendFd = SendFd()
    recv_buffer_size: BufferSize = BufferSize("recv-buffer", "int", 0, _MAX_BUFFER)
    send_buffer_size: BufferSize = BufferSize("send-buffer", "int", 0, _MAX_BUFFER)


class Pair1Base(SocketBase[D, L, P]):
    """One peer or, polyamorous, several."""

    _protocol: ClassVar[int] = _ffi.protocol("pair1")

    recv_fd: RecvFd = RecvFd()
    send_fd: SendFd = SendFd()
    recv_buffer_size: BufferSize = BufferSize("recv-buffer", "int", 0, _MAX_BUFFER)
    send_buffer_size: BufferSize = BufferSize("send-buffer", "int", 0, _MAX_BUFFER)
    ttl_max: IntOption = IntOption("ttl-max", "int", 1, _MAX_HOPS)

    def __init__(self, *, polyamorous: bool = False, **options: Unpack[SocketOptions]) -> None:
        check_bool(f"{type(self).__name__}: polyamorous", polyamorous)
        self._has_queues = self._chooses_pipe = self._polyamorous = polyamorous
        super().__init__(**options)

    def _choose_protocol(self) -> int:
        return _ffi.protocol("pair1_poly") if self._polyamorous else _ffi.protocol("pair1")

    @property
    def polyamorous(self) -> bool:
        """Whether it may have several peers."""
        return self._polyamorous


class Bus0Base(SocketBase[D, L, P]):
    """Every peer, both directions.

    Its buffers are 16 messages each way; before nng 1.6, 1 to receive and none to send.
    """

    _protocol: ClassVar[int] = _ffi.protocol("bus0")
    _has_queues = True

    recv_fd: RecvFd = RecvFd()
    send_fd: SendFd = SendFd()
    recv_buffer_size: BufferSize = BufferSize("recv-buffer", "int", _BUS_MIN_BUFFER, _MAX_BUFFER)
    send_buffer_size: BufferSize = BufferSize("send-buffer", "int", _BUS_MIN_BUFFER, _MAX_BUFFER)


class Push0Base(SocketBase[D, L, P]):
    """One of the peers gets each message."""

    _protocol: ClassVar[int] = _ffi.protocol("push0")

    send_fd: SendFd = SendFd()
    send_buffer_size: BufferSize = BufferSize("send-buffer", "int", 0, _MAX_BUFFER)


class Pull0Base(SocketBase[D, L, P]):
    """Messages of all peers."""

    _protocol: ClassVar[int] = _ffi.protocol("pull0")
    _prefetch = 1

    recv_fd: RecvFd = RecvFd()

    @property
    def recv_buffer_size(self) -> int:
        """How many messages the socket takes ahead, in order; 1 is none. Not an option of nng."""
        return self._prefetch

    @recv_buffer_size.setter
    def recv_buffer_size(self, value: int) -> None:
        prefetch = set_int(self, "recv_buffer_size", value, 1, _MAX_BUFFER)
        code = self._ctx.set_prefetch(prefetch if prefetch > 1 else 0)
        if code != 0:
            raise error_for(code, "set recv_buffer_size", self._urls())
        self._prefetch = prefetch


class Pub0Base(SocketBase[D, L, P]):
    """Every subscriber gets each message."""

    _protocol: ClassVar[int] = _ffi.protocol("pub0")

    send_fd: SendFd = SendFd()
    send_buffer_size: BufferSize = BufferSize("send-buffer", "int", 1, _MAX_BUFFER)


class Subscriber(BaseIO):
    """Topics, which Sub0 and its contexts have."""

    _topics: Topics

    def subscribe(self, topic: str | bytes) -> None:
        """Receive messages that start with `topic` (`NNG_OPT_SUB_SUBSCRIBE`).

        nng keeps topics in a list, and compares each new topic, and each message that arrives, with
        all of them: with 20 000 topics that takes about 0.1 ms. Topics by the ten thousand are
        better served by few prefixes that the program tells apart itself.

        Args:
            topic: a str is encoded as UTF-8; empty matches every message.
        """
        self._topics.add(topic)

    def unsubscribe(self, topic: str | bytes) -> None:
        """End a subscription (`NNG_OPT_SUB_UNSUBSCRIBE`): it delivers no further message.

        Raises:
            NoEntry: there is no subscription to `topic`.
        """
        self._topics.remove(topic)


class _PreferNew(BoolOption):
    """Which message a full buffer drops. nng drops the one that arrives without counting it."""

    def __set__(self, obj: HasOptions, value: bool) -> None:
        super().__set__(obj, value)
        if isinstance(obj, SocketBase) and not value:
            obj._drops_unknown = True


class Sub0Base(Subscriber, SocketBase[D, L, P]):
    """Messages that start with one of its topics."""

    _protocol: ClassVar[int] = _ffi.protocol("sub0")

    recv_fd: RecvFd = RecvFd()
    recv_buffer_size: BufferSize = BufferSize("recv-buffer", "int", 1, _MAX_BUFFER)
    prefer_new: BoolOption = _PreferNew("sub:prefnew")

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

    def _protocol_options(self) -> Mapping[str, object]:
        # Subscribe before the first endpoint, so that no message is missed.
        self._topics = Topics(_ffi.ON_SOCKET, self._native.id, raw=self._is_raw)
        for topic in self._wanted:
            self._topics.add(topic)
        return {"prefer_new": self._prefer_new}


class SubContextBase(Subscriber, ContextBase):
    """A subscriber of its own."""

    recv_buffer_size: BufferSize = BufferSize("recv-buffer", "int", 1, _MAX_BUFFER)

    def __init__(self, socket: AnySocket, ctx: NativeContext) -> None:
        super().__init__(socket, ctx)
        self._topics = Topics(_ffi.ON_CONTEXT, ctx.id)


class Req0Base(SocketBase[D, L, P]):
    """Requests, one reply each."""

    _protocol: ClassVar[int] = _ffi.protocol("req0")
    _wrong_order: ClassVar[dict[str, str]] = {
        "recv": "nothing was asked: send a request first, then receive its one answer"
    }

    recv_fd: RecvFd = RecvFd()
    resend_time: IntOption = IntOption("req:resend-time", "ms", -1)
    ttl_max: IntOption = IntOption("ttl-max", "int", 1, _MAX_HOPS)

    def __init__(self, *, resend_time: int | None = None, **options: Unpack[SocketOptions]) -> None:
        self._resend_time = resend_time
        self._idle_contexts: list[_ffi.Context] = []
        self._next_request = itertools.count(1).__next__
        super().__init__(**options)

    def _protocol_options(self) -> Mapping[str, object]:
        return {"resend_time": self._resend_time}


class ReqContextBase(ContextBase):
    """One request in flight."""

    resend_time: IntOption = IntOption("req:resend-time", "ms", -1)


class Rep0Base(SocketBase[D, L, P]):
    """Replies to requests."""

    _protocol: ClassVar[int] = _ffi.protocol("rep0")
    _wrong_order: ClassVar[dict[str, str]] = {
        "send": "there is no request to answer: receive one first, and send one answer to it"
    }

    recv_fd: RecvFd = RecvFd()
    ttl_max: IntOption = IntOption("ttl-max", "int", 1, _MAX_HOPS)


# While a survey waits for room: seconds between tries.
FIRST_PAUSE, LONGEST_PAUSE = 0.0002, 0.005


class SurveyBase(BaseIO):
    """When a survey ends, on a socket or context.

    nng's own survey timer is set so late that it never fires (C7); the clock of the API decides.
    """

    _never_ends = False

    survey_time: TimeoutOption = TimeoutOption(_DEFAULT_SURVEY_TIME)

    _ends_at = math.inf

    def _now(self) -> float:
        """Read the clock of the API, in seconds."""
        raise NotImplementedError

    def _start(self) -> None:
        self._ends_at = self._now() + seconds(self.survey_time)

    def _is_over(self) -> bool:
        return self._ends_at < math.inf and self._now() >= self._ends_at

    def _receive_now(self, operation: str) -> _ffi.Msg:
        if self._is_over():
            self._ctx.end_survey()
        return super()._receive_now(operation)

    def _last_reply(self) -> _ffi.Completion:
        """End the survey; return a reply that arrived in time."""
        self._ctx.end_survey()
        code, msg = self._ctx.recv(None, 0)
        return (ETIMEDOUT if code == EAGAIN else code), msg

    def _last_replies(self, max_messages: int) -> tuple[int, list[bytes]]:
        """End the survey; return the replies that arrived in time."""
        self._ctx.end_survey()
        batch = self._ctx.recv_many(max_messages)
        return (0 if batch else ETIMEDOUT), batch

    def _why(self, code: int, timeout: int) -> str | None:
        over = code == ETIMEDOUT and self._is_over()
        return "the survey is over" if over else super()._why(code, timeout)


class Surveyor0Base(SurveyBase, SocketBase[D, L, P]):
    """Surveys: a message to all peers, any number of replies."""

    _protocol: ClassVar[int] = _ffi.protocol("surveyor0")
    _wrong_order: ClassVar[dict[str, str]] = {
        "recv": "nothing was asked, or the survey is over: send one first, then receive its answers"
    }

    recv_fd: RecvFd = RecvFd()
    ttl_max: IntOption = IntOption("ttl-max", "int", 1, _MAX_HOPS)

    def __init__(self, *, survey_time: int | None = None, **options: Unpack[SocketOptions]) -> None:
        self._given_time = survey_time
        super().__init__(**options)

    def _protocol_options(self) -> Mapping[str, object]:
        return {"survey_time": self._given_time}


class SurveyorContextBase(SurveyBase, ContextBase):
    """A survey of its own."""

    def _last(self, timeout: float | None) -> None:
        """Let surveys last so many seconds; None keeps the socket's `survey_time`."""
        if timeout is not None:
            self.survey_time = INT_MAX if timeout == math.inf else round(timeout * 1000)


class Respondent0Base(SocketBase[D, L, P]):
    """Replies to surveys."""

    _protocol: ClassVar[int] = _ffi.protocol("respondent0")
    _wrong_order: ClassVar[dict[str, str]] = {
        "send": "there is no survey to answer: receive one first, and send one answer to it"
    }

    recv_fd: RecvFd = RecvFd()
    ttl_max: IntOption = IntOption("ttl-max", "int", 1, _MAX_HOPS)

"""Sending and receiving, as far as both APIs share it: calls that never wait, and their errors.

A call is submitted to the native context, waited for by `_trio/wait.py` or `_sync/wait.py`, and its
result is taken. `recv_nowait`, `send_nowait` and their like only submit and take, so they are the
same in both APIs.

The native context hands messages out in the order in which nng received them, to calls in the order
in which they were submitted. A message whose call cannot keep it, because the task was cancelled,
Ctrl-C came or memory ran out, goes back to the front: the next receive returns it.
docs/design/receiving.md has the whole mechanism.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Final, NoReturn, TypeVar

from trionng import _ffi
from trionng._base.errors import ECLOSED, ENOTSUP, ESTATE, ETIMEDOUT, error_for
from trionng._base.sealed import Sealed
from trionng._base.types import Buffer
from trionng._base.util import check_buffer
from trionng._core.abc import AnySocket
from trionng._core.message import AnyMessage, Message
from trionng._core.operations import SendMessageOp
from trionng._core.options import TimeoutOption
from trionng._core.topics import Topics

C = TypeVar("C", bound="BaseIO")

_NO_TRY: Final = (
    "on this protocol a send that would have to wait cannot be tried without harm; use send"
)


class BaseIO(Sealed):
    """The calls of a socket or context on its native context."""

    _ctx: _ffi.Context
    _topics: Topics | None = None

    recv_timeout: TimeoutOption = TimeoutOption()
    send_timeout: TimeoutOption = TimeoutOption()
    # The values of these two options: every call reads them.
    _recv_timeout_ms = -1
    _send_timeout_ms = -1
    # Whether a non-blocking send can fail without harm.
    _can_try_sends = False
    # Whether only the timeout ends a receive; that of a survey also ends with the survey.
    _never_ends = True

    def _get_socket(self) -> AnySocket:
        raise NotImplementedError

    def _option_target(self, attempted: str) -> tuple[int, int, str | None]:
        raise NotImplementedError

    def _failed(self, code: int, operation: str, reason: str | None = None) -> Exception:
        socket = self._get_socket()
        where = socket._urls()
        if code == ESTATE and reason is None:
            reason = socket._wrong_order.get("send" if operation.startswith("send") else "recv")
        elif code == ECLOSED and reason is None:
            reason = f"the {'socket' if socket._closed else 'context'} is closed"
        elif code == ETIMEDOUT and reason is not None and socket._is_alone():
            reason = f"{reason}, and no peer is connected"
        return error_for(code, f"{type(self).__name__}.{operation}", where, reason)

    def _is_over(self) -> bool:
        """Tell whether no more messages will come, which only a survey knows."""
        return False

    def _why(self, code: int, timeout: int) -> str | None:
        return f"{timeout} ms are over" if code == ETIMEDOUT else None

    def _receive_now(self, operation: str) -> _ffi.Msg:
        while True:
            code, msg = self._ctx.recv(None, 0)
            if code != 0:
                raise self._failed(code, operation, self._why(code, 0))
            if self._topics is None or self._topics.want(msg):
                return msg
            _ffi.drop(msg)

    def _send_now(self, operation: str, answer: _ffi.SubmitResult, reclaim: _ffi.Reclaim) -> None:
        code, msg = answer
        if msg and code != 0:
            reclaim(msg)
        if code != 0:
            raise self._failed(code, operation)

    def _empty_message(self, pipe: int) -> AnyMessage:
        """Make a `Message` without content, from the pipe with this id."""
        return Message._empty(self._get_socket()._pipe(pipe))

    def _received(self, msg: _ffi.Msg) -> AnyMessage:
        """Make a `Message` of nng's; when that fails the caller still owns it."""
        message = self._empty_message(_ffi.pipe_of(msg))
        message._handle.own(msg)
        return message

    def _message_or_back(self, msg: _ffi.Msg) -> AnyMessage:
        """Make a `Message` of nng's; when that fails the next receive returns it."""
        try:
            return self._received(msg)
        except BaseException:
            self._ctx.unget(msg)
            raise

    def recv_nowait(self) -> bytes:
        """Receive a message without waiting (`nng_recv` with `NNG_FLAG_NONBLOCK`).

        Raises:
            TryAgain: no message has arrived.
            BadState: no request or survey was sent, so no reply will come (Req0, Surveyor0).
            Timeout: the survey is over, and all its replies were received.
            Busy, NotSupported, Closed: as `recv`.
        """
        return _ffi.take_bytes(self._receive_now("recv_nowait"), self._ctx)

    def recv_msg_nowait(self) -> AnyMessage:
        """Receive a `Message` without waiting; raises as `recv_nowait`."""
        return self._message_or_back(self._receive_now("recv_msg_nowait"))

    def send_nowait(self, data: Buffer) -> None:
        """Raise NotSupported: a failed try would discard the request, or the reply's route."""
        missing(self, "send_nowait", _NO_TRY)

    def send_msg_nowait(self, msg: AnyMessage) -> None:
        """Raise NotSupported: a failed try would discard the request, or the reply's route."""
        missing(self, "send_msg_nowait", _NO_TRY)


class TrySendBase(BaseIO):
    """Non-blocking sends, for the protocols where a failed one has no effect."""

    _can_try_sends = True

    def _sent_some(self, sent: int, of: int, why: str | None) -> Exception:
        """Make the Timeout of a `send_many`, which says how many messages went."""
        return self._failed(ETIMEDOUT, "send_many", f"{why}; {sent} of {of} messages were sent")

    def send_nowait(self, data: Buffer) -> None:
        """Send a message without waiting (`nng_send` with `NNG_FLAG_NONBLOCK`).

        Args:
            data: any contiguous buffer; it is copied.

        Raises:
            TryAgain: no peer or buffer can take it now; it was not sent.
            Closed: the socket is closed.
        """
        check_buffer(data)
        self._send_now("send_nowait", self._ctx.send(data, None, 0), _ffi.drop)

    def send_msg_nowait(self, msg: AnyMessage) -> None:
        """Send a `Message` without waiting; if that fails the caller still owns it.

        Raises:
            MessageStateError: it has been sent already.
            TryAgain, Closed: as `send_nowait`.
        """
        op = SendMessageOp(self._get_socket(), self._ctx, msg)
        self._send_now("send_msg_nowait", op.submit(None, 0), op.reclaim)


def missing(instance: BaseIO, operation: str, why: str) -> NoReturn:
    """Raise NotSupported for a call that the protocol does not have."""
    raise instance._failed(ENOTSUP, operation, why)


SENDS: Final = ("send", "send_msg", "send_many", "send_nowait", "send_msg_nowait")
RECEIVES: Final = ("recv", "recv_msg", "recv_many", "recv_nowait", "recv_msg_nowait")


def refuses(why: str, *calls: str) -> Callable[[type[C]], type[C]]:
    """Decorate a class so that calls which it inherits raise NotSupported.

    For type checkers the class declares each of them with `self: Never`: the call is an error, and
    the code after it is still checked, which it would not be after NoReturn.
    """

    def refusal(name: str, call: Callable[[C], object]) -> Callable[[C], object]:
        @functools.wraps(call)
        def refuse(self: C, *_given: object, **_options: object) -> object:
            missing(self, name, why)

        @functools.wraps(call)
        async def refuse_async(self: C, *_given: object, **_options: object) -> object:
            missing(self, name, why)

        chosen = refuse_async if inspect.iscoroutinefunction(call) else refuse
        chosen.__doc__ = f"Raise NotSupported: {why}."
        return chosen

    def decorate(kind: type[C]) -> type[C]:
        for name in calls:
            setattr(kind, name, refusal(name, getattr(kind, name)))
        return kind

    return decorate

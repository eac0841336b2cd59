"""Sending and receiving in threads, for sockets and contexts; sync counterpart of `_trio/io.py`.

Every call refuses to block a Trio task, submits an operation and waits for it with `run`, and ends
as the rules of `wait.py` say.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from sniffio import thread_local as _sniffio

from trionng import _ffi
from trionng._base.errors import EAGAIN, ETIMEDOUT, Timeout
from trionng._base.types import Buffer, Never, Self
from trionng._base.util import check_buffer, check_may_block
from trionng._core.io import RECEIVES, SENDS, BaseIO, TrySendBase, missing, refuses
from trionng._core.message import AnyMessage
from trionng._core.operations import SendMessageOp, as_batch, next_chunk
from trionng._core.options import INT_MAX, check_int
from trionng._sync.pipes import Message, Pipe
from trionng._sync.wait import (
    Submit,
    acquire_waiter,
    deadline,
    finish,
    limit_spin,
    rollback,
    run,
    thread,
)

_ONE = "this protocol has one request, or one answer, at a time"


class SyncIO(BaseIO):
    """The calls of a socket or context that block a thread."""

    # Kept, so that the pipe is not freed with every message: Ctrl-C in a finaliser is lost.
    _latest_pipe: Pipe | None = None

    def _check(self, call: str, async_call: str | None = None) -> None:
        check_may_block(type(self), call, async_call or call)

    def _over(self, code: int, timeout: float | None, option: int) -> str | None:
        """Return which time limit has passed."""
        if code == ETIMEDOUT and timeout is not None:
            return f"{timeout} s are over"
        return self._why(code, option)

    def _receive(
        self, waiter: _ffi.Waiter, operation: str, *, block: bool, timeout: float | None
    ) -> None:
        """Receive into the waiter; drop messages whose topic was unsubscribed meanwhile."""
        if _sniffio.name is not None:  # as check_may_block, which takes a call
            self._check(operation)
        if block is True and timeout is None and self._recv_timeout_ms < 0:
            until = None
        elif block is not True and block is not False:
            raise TypeError(f"{operation}: block is True or False; for seconds write timeout=")
        else:
            until = deadline(timeout if block else 0.0, self._recv_timeout_ms)
        while True:
            code = self._receive_one(waiter, until)
            if code != 0:
                break
            if self._topics is None or self._topics.want(waiter.message):
                return
            waiter.discard()
        if code == ETIMEDOUT and not block and not self._is_over():
            code = EAGAIN
        raise self._failed(code, operation, self._over(code, timeout, self._recv_timeout_ms))

    def _receive_one(self, waiter: _ffi.Waiter, until: float | None) -> int:
        if until is not None:
            limit_spin(waiter, until)
        code = waiter.recv(self._ctx)
        return finish(waiter, until) if code == _ffi.PARKED else code

    def _send(
        self,
        operation: str,
        submit: Submit,
        timeout: float | None,
        reclaim: _ffi.Reclaim = _ffi.drop,
    ) -> None:
        self._check(operation)
        waiter = acquire_waiter()
        try:
            code = run(waiter, submit, deadline(timeout, self._send_timeout_ms))
            if code != 0:
                raise self._not_sent(code, operation, timeout)
            waiter.commit(thread)
        except BaseException:
            rollback(waiter, reclaim)
            raise

    def _not_sent(self, code: int, operation: str, timeout: float | None) -> Exception:
        return self._failed(code, operation, self._over(code, timeout, self._send_timeout_ms))

    def send(self, data: Buffer, *, timeout: float | None = None) -> None:
        """Send one message: sync counterpart of `trionng.Socket.send`.

        Args:
            data: any contiguous buffer; it is copied.
            timeout: seconds; None is `send_timeout`; when they are over, `Timeout` is raised.
        """
        if type(data) is not bytes:
            check_buffer(data)
            self._send("send", partial(self._ctx.send, data), timeout)
            return
        # `_send` and `run` written out: every message of a stream passes through here.
        if _sniffio.name is not None:
            self._check("send")
        waiter = acquire_waiter()
        try:
            until = None
            if timeout is not None or self._send_timeout_ms >= 0:
                until = deadline(timeout, self._send_timeout_ms)
                if until is not None:
                    limit_spin(waiter, until)
            code = waiter.send(self._ctx, data)
            if code == _ffi.PARKED:
                code = finish(waiter, until)
            if code != 0:
                raise self._not_sent(code, "send", timeout)
            waiter.commit(thread)
        except BaseException:
            rollback(waiter)
            raise

    def send_msg(self, msg: AnyMessage, *, timeout: float | None = None) -> None:
        """Send a `Message`; nng owns it afterwards: sync counterpart of `trionng.Socket.send_msg`.

        Args:
            msg: when it is not sent, the caller owns it again.
            timeout: seconds; None is `send_timeout`; when they are over, `Timeout` is raised.
        """
        op = SendMessageOp(self._get_socket(), self._ctx, msg)
        self._send("send_msg", op.submit, timeout, op.reclaim)

    def recv(self, block: bool = True, *, timeout: float | None = None) -> bytes:
        """Receive one message and return its content: sync counterpart of `trionng.Socket.recv`.

        Ctrl-C loses no message: one that had arrived is returned by the next receive.

        Args:
            block: False raises `TryAgain` instead of waiting.
            timeout: seconds; None is `recv_timeout`; when they are over, `Timeout` is raised.
        """
        waiter = acquire_waiter()
        try:
            self._receive(waiter, "recv", block=block, timeout=timeout)
            data = waiter.copy()
            waiter.commit(thread)
        except BaseException:
            rollback(waiter)
            raise
        return data

    def recv_msg(self, block: bool = True, *, timeout: float | None = None) -> Message:
        """Receive one message without copying it: sync counterpart of `trionng.Socket.recv_msg`.

        Args:
            block: False raises `TryAgain` instead of waiting.
            timeout: seconds; None is `recv_timeout`; when they are over, `Timeout` is raised.
        """
        waiter = acquire_waiter()
        try:
            self._receive(waiter, "recv_msg", block=block, timeout=timeout)
            message = self._empty_message(waiter.pipe_id)
            self._latest_pipe = message._pipe
            waiter.commit_message(thread, message._handle)
        except BaseException:
            rollback(waiter)
            raise
        return message

    if TYPE_CHECKING:  # messages have pipes of this API

        def _empty_message(self, pipe: int) -> Message: ...
        def recv_msg_nowait(self) -> Message: ...

    def recv_many(self, max_messages: int, *, timeout: float | None = None) -> list[bytes]:
        """Raise NotSupported: this protocol has one request, or one answer, at a time."""
        missing(self, "recv_many", _ONE)

    def send_many(self, messages: Iterable[Buffer], *, timeout: float | None = None) -> int:
        """Raise NotSupported: this protocol has one request, or one answer, at a time."""
        missing(self, "send_many", _ONE)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        """Receive; raises Closed when the socket is closed during the loop."""
        return self.recv()


class BatchReceive(SyncIO):
    """Receives in batches, for the protocols without a conversation."""

    def recv_many(self, max_messages: int, *, timeout: float | None = None) -> list[bytes]:
        """Receive at least one message: sync counterpart of `trionng.Pull0.recv_many`.

        Args:
            max_messages: how many messages at most.
            timeout: seconds; None is `recv_timeout`; when they are over, `Timeout` is raised.
        """
        self._check("recv_many")
        check_int(f"{type(self).__name__}.recv_many", max_messages, 1, INT_MAX)
        until = deadline(timeout, self._recv_timeout_ms)
        waiter = acquire_waiter()
        try:
            batch: list[bytes] = []
            while not batch:
                batch = waiter.recv_many(self._ctx, max_messages)
                if not batch:
                    code = self._receive_one(waiter, until)
                    if code != 0:
                        why = self._over(code, timeout, self._recv_timeout_ms)
                        raise self._failed(code, "recv_many", why)
                    batch = [waiter.copy(), *waiter.recv_many(self._ctx, max_messages - 1)]
                if self._topics is not None:
                    batch = self._topics.filter(batch)
                if not batch:
                    waiter.discard()
            waiter.commit(thread)
        except BaseException:
            rollback(waiter)
            raise
        return batch


class TrySend(TrySendBase, SyncIO):
    """Sends in batches and without waiting, for the protocols where a failed try has no effect."""

    def send_many(self, messages: Iterable[Buffer], *, timeout: float | None = None) -> int:
        """Send messages in order; return how many: sync counterpart of `trionng.Push0.send_many`.

        Args:
            messages: any contiguous buffers; they are read before anything is sent.
            timeout: seconds for all of them; None is `send_timeout` for each that must wait; when
                they are over, `Timeout` is raised; what was sent before is sent, and the text says
                how many.
        """
        self._check("send_many")
        batch = as_batch(messages)
        end = None if timeout is None else time.monotonic() + timeout
        sent = 0
        while sent < len(batch):
            code, count = self._ctx.send_many(next_chunk(batch, sent))
            sent += count
            if code == EAGAIN:
                left = None if end is None else max(0.0, end - time.monotonic())
                try:
                    self._send("send_many", partial(self._ctx.send, batch[sent]), left)
                except Timeout:
                    why = self._over(ETIMEDOUT, timeout, self._send_timeout_ms)
                    raise self._sent_some(sent, len(batch), why) from None
                sent += 1
            elif code != 0:
                raise self._failed(code, "send_many")
        return sent


@refuses("this protocol only receives", *SENDS)
class ReceiveOnly(SyncIO):
    """A protocol without a sending side."""

    if TYPE_CHECKING:

        def send(  # type: ignore[misc]
            self: Never, data: Buffer, *, timeout: float | None = None
        ) -> None: ...
        def send_msg(  # type: ignore[misc]
            self: Never, msg: AnyMessage, *, timeout: float | None = None
        ) -> None: ...
        def send_many(  # type: ignore[misc]
            self: Never, messages: Iterable[Buffer], *, timeout: float | None = None
        ) -> int: ...
        def send_nowait(self: Never, data: Buffer) -> None: ...  # type: ignore[misc]
        def send_msg_nowait(self: Never, msg: AnyMessage) -> None: ...  # type: ignore[misc]


@refuses("this protocol only sends", *RECEIVES)
class SendOnly(SyncIO):
    """A protocol without a receiving side."""

    if TYPE_CHECKING:

        def recv(  # type: ignore[misc]
            self: Never, block: bool = True, *, timeout: float | None = None
        ) -> bytes: ...
        def recv_msg(  # type: ignore[misc]
            self: Never, block: bool = True, *, timeout: float | None = None
        ) -> Message: ...
        def recv_many(  # type: ignore[misc]
            self: Never, max_messages: int, *, timeout: float | None = None
        ) -> list[bytes]: ...
        def recv_nowait(self: Never) -> bytes: ...  # type: ignore[misc]
        def recv_msg_nowait(self: Never) -> Message: ...  # type: ignore[misc]
        def __iter__(self: Never) -> SendOnly: ...  # type: ignore[misc]

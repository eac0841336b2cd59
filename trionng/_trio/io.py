"""Sending and receiving in Trio tasks, for sockets and contexts.

Fast path: `send` and `recv` try a non-blocking call first; most calls of a stream complete there.
Otherwise they submit an operation of the native context and wait for it with `wait_for`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import trio

from trionng import _ffi
from trionng._base.errors import EAGAIN, ETIMEDOUT, Timeout
from trionng._base.types import Buffer, Never, Self
from trionng._base.util import check_buffer
from trionng._core.io import RECEIVES, SENDS, BaseIO, TrySendBase, missing, refuses
from trionng._core.message import AnyMessage
from trionng._core.operations import SendMessageOp, as_batch, next_chunk
from trionng._core.options import INT_MAX, check_int, seconds
from trionng._trio.pipes import Message
from trionng._trio.wait import (
    Submit,
    cancel_shielded_checkpoint,
    checkpoint,
    checkpoint_if_cancelled,
    enable_ki_protection,
    run_nowait,
    wait_for,
    wait_for_many,
    with_timeout,
)

T = TypeVar("T")


class AsyncIO(BaseIO):
    """The calls of a socket or context that a Trio task awaits."""

    async def _within(
        self, milliseconds: int, call: Callable[[], Awaitable[tuple[int, T]]], nothing: T
    ) -> tuple[int, T]:
        """Run a call under a timeout option: its (code, result), or the code of a timeout."""
        if milliseconds <= 0:
            return await call()  # -1 waits for ever; with 0 the call polls
        in_time, done = await with_timeout(seconds(milliseconds), call)
        return done if in_time and done is not None else (ETIMEDOUT, nothing)

    async def _receive(self, operation: str) -> _ffi.Msg:
        """Receive a message; the caller owns it."""
        timeout = self._recv_timeout_ms
        call = partial(self._receive_wanted, poll=timeout == 0)
        code, msg = await self._within(timeout, call, _ffi.NULL)
        if code != 0:
            raise self._failed(code, operation, self._why(code, timeout))
        return msg

    async def _receive_wanted(self, *, poll: bool) -> _ffi.Completion:
        """Receive a message; drop those whose topic was unsubscribed meanwhile."""
        ctx = self._ctx
        while True:
            if poll:
                code, msg = await run_nowait(partial(ctx.recv, None, 0))
            else:
                code, msg = await wait_for(ctx.recv, ctx.unget)
            if code != 0 or self._topics is None or self._topics.want(msg):
                return code, msg
            _ffi.drop(msg)

    async def _send(self, operation: str, submit: Submit, reclaim: _ffi.Reclaim) -> None:
        timeout = self._send_timeout_ms
        if timeout < 0:
            code, msg = await wait_for(submit, reclaim)
        else:
            call = partial(wait_for, submit, reclaim, poll=timeout == 0)
            code, msg = await self._within(timeout, call, _ffi.NULL)
        if code != 0:
            if msg:
                reclaim(msg)
            raise self._failed(code, operation, self._why(code, timeout))

    @enable_ki_protection
    async def send(self, data: Buffer) -> None:
        """Send one message (`nng_send_aio`, `nng_ctx_send`).

        Cancellation: either the message was sent and this returns, or it was not and Cancelled is
            raised.

        Args:
            data: any contiguous buffer; it is copied before this returns.

        Raises:
            Timeout: `send_timeout` (milliseconds) is over.
            Busy: another task is using this socket or context.
            BadState: there is no request to answer.
            NotSupported: the protocol does not send.
            Closed: the socket is closed.
            TypeError: `data` is a str, or has no bytes.
        """
        # Fast path. A timeout needs a cancel scope, and a buffer that is not bytes a check.
        if type(data) is bytes and self._can_try_sends and self._send_timeout_ms < 0:
            await checkpoint_if_cancelled()
            if self._ctx.send_nowait(data) == 0:
                await cancel_shielded_checkpoint()
                return
        check_buffer(data)
        await self._send("send", partial(self._ctx.send, data), _ffi.drop)

    @enable_ki_protection
    async def send_msg(self, msg: AnyMessage) -> None:
        """Send a `Message` (`nng_sendmsg`); nng owns it afterwards.

        When the send fails or is cancelled the caller owns the message again. A received message
        can be sent. While a view of its body exists, a copy is sent.

        Cancellation: as `send`.

        Raises:
            MessageStateError: it has been sent already.
            Timeout, Busy, BadState, NotSupported, Closed: as `send`.
        """
        op = SendMessageOp(self._get_socket(), self._ctx, msg)
        await self._send("send_msg", op.submit, op.reclaim)

    @enable_ki_protection
    async def recv(self) -> bytes:
        """Receive one message and return its content (`nng_recv_aio`, `nng_ctx_recv`).

        Cancellation: no message is lost; one that arrives too late is returned by the next receive.

        Concurrency: any number of tasks, served in order; on Req0 and Rep0 and their contexts one.

        Raises:
            Timeout: `recv_timeout` (milliseconds) is over.
            Busy: another task is using this socket or context.
            BadState: no request or survey was sent, so no reply will come.
            Superseded: a newer request was sent.
            NotSupported: the protocol does not receive.
            Closed: the socket is closed.
        """
        # Fast path.
        if self._recv_timeout_ms < 0 and self._never_ends:
            # Few frames and variables: they cost time and, while a task waits, memory.
            await checkpoint_if_cancelled()
            if msg := self._ctx.recv_nowait():
                if self._topics is None or self._topics.want(msg):
                    data = _ffi.take_bytes(msg, self._ctx)
                    await cancel_shielded_checkpoint()
                    return data
            else:
                del msg
                code, msg = await wait_for(self._ctx.recv, self._ctx.unget, check_cancelled=False)
                if code != 0:
                    raise self._failed(code, "recv")
                if self._topics is None or self._topics.want(msg):
                    return _ffi.take_bytes(msg, self._ctx)
            _ffi.drop(msg)
        return _ffi.take_bytes(await self._receive("recv"), self._ctx)

    @enable_ki_protection
    async def recv_msg(self) -> Message:
        """Receive one message without copying it (`nng_recvmsg`); `.pipe` is its connection.

        Cancellation, Concurrency, Raises: as `recv`.
        """
        return self._message_or_back(await self._receive("recv_msg"))

    if TYPE_CHECKING:  # messages have pipes of this API

        def _message_or_back(self, msg: _ffi.Msg) -> Message: ...
        def recv_msg_nowait(self) -> Message: ...

    async def _receive_many(self, max_messages: int) -> list[bytes]:
        """Receive what is ready, at least one and at most `max_messages`, with one wake-up."""
        check_int(f"{type(self).__name__}.recv_many", max_messages, 1, INT_MAX)
        timeout = self._recv_timeout_ms
        while True:
            call = partial(self._receive_batch, max_messages, poll=timeout == 0)
            nothing: list[bytes] = []
            code, batch = await self._within(timeout, call, nothing)
            if code != 0:
                raise self._failed(code, "recv_many", self._why(code, timeout))
            if self._topics is not None:
                batch = self._topics.filter(batch)
            if batch:
                return batch

    async def _receive_batch(self, max_messages: int, *, poll: bool) -> tuple[int, list[bytes]]:
        return await wait_for_many(self._ctx, max_messages, poll=poll)

    async def recv_many(self, max_messages: int) -> list[bytes]:
        """Raise NotSupported: this protocol has one request, or one answer, at a time."""
        missing(self, "recv_many", "this protocol has one request, or one answer, at a time")

    async def send_many(self, messages: Iterable[Buffer]) -> int:
        """Raise NotSupported: this protocol has one request, or one answer, at a time."""
        missing(self, "send_many", "this protocol has one request, or one answer, at a time")

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """Receive; raises Closed when the socket is closed during the loop."""
        return await self.recv()


class BatchReceive(AsyncIO):
    """Receives in batches, for the protocols without a conversation."""

    @enable_ki_protection
    async def recv_many(self, max_messages: int) -> list[bytes]:
        """Receive what is ready, at least one and at most `max_messages`, with one wake-up.

        Cancellation: no message is lost; a cancelled call takes none.

        Raises:
            Timeout, Closed: as `recv`.
        """
        return await self._receive_many(max_messages)


class TrySend(TrySendBase, AsyncIO):
    """Sends in batches and without waiting, for the protocols where a failed try has no effect."""

    async def send_many(self, messages: Iterable[Buffer]) -> int:
        """Send messages in order, in one submission for as many as fit; return how many went.

        Cancellation: a call that has sent some returns their number instead of raising.

        Args:
            messages: any contiguous buffers; they are read before anything is sent.

        Raises:
            Timeout, Closed: as `send`; the messages before it are sent, and the text of Timeout
                says how many.
        """
        batch = as_batch(messages)
        sent = 0
        try:
            await checkpoint()
            while sent < len(batch):
                if sent:
                    await checkpoint()
                code, count = self._ctx.send_many(next_chunk(batch, sent))
                sent += count
                if code == EAGAIN:
                    submit = partial(self._ctx.send, batch[sent])
                    try:
                        await self._send("send_many", submit, _ffi.drop)
                    except Timeout:
                        why = self._why(ETIMEDOUT, self._send_timeout_ms)
                        raise self._sent_some(sent, len(batch), why) from None
                    sent += 1
                elif code != 0:
                    raise self._failed(code, "send_many")
        except trio.Cancelled:
            if not sent:
                raise
        return sent


@refuses("this protocol only receives", *SENDS)
class ReceiveOnly(AsyncIO):
    """A protocol without a sending side."""

    if TYPE_CHECKING:

        async def send(self: Never, data: Buffer) -> None: ...  # type: ignore[misc]
        async def send_msg(self: Never, msg: AnyMessage) -> None: ...  # type: ignore[misc]
        async def send_many(  # type: ignore[misc]
            self: Never, messages: Iterable[Buffer]
        ) -> int: ...
        def send_nowait(self: Never, data: Buffer) -> None: ...  # type: ignore[misc]
        def send_msg_nowait(self: Never, msg: AnyMessage) -> None: ...  # type: ignore[misc]


@refuses("this protocol only sends", *RECEIVES)
class SendOnly(AsyncIO):
    """A protocol without a receiving side."""

    if TYPE_CHECKING:

        async def recv(self: Never) -> bytes: ...  # type: ignore[misc]
        async def recv_msg(self: Never) -> Message: ...  # type: ignore[misc]
        async def recv_many(  # type: ignore[misc]
            self: Never, max_messages: int
        ) -> list[bytes]: ...
        def recv_nowait(self: Never) -> bytes: ...  # type: ignore[misc]
        def recv_msg_nowait(self: Never) -> Message: ...  # type: ignore[misc]
        def __aiter__(self: Never) -> SendOnly: ...  # type: ignore[misc]

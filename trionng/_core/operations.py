"""Operations that carry state from their submit to their end.

Most operations are a bound method of `_ffi.Context`. One that owns something until it is submitted,
or gives something back when it ends, is an object; its `submit` is what the waits of both APIs
take.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable

from trionng import _ffi
from trionng._base.types import Buffer
from trionng._base.util import check_buffer
from trionng._core.abc import AnyPipe, AnyReq0, AnySocket
from trionng._core.message import AnyMessage, Message

# Limits of one submission of send_many: messages, and bytes unless one message is larger.
_MESSAGES_AT_ONCE, _BYTES_AT_ONCE = 128, 65536
# Idle contexts kept for the next requests; further ones are closed when their request ends.
_IDLE_CONTEXTS = 256
# After so many requests another idle context is held back.
_TIMER_HOLDBACK = 256


def as_batch(messages: Iterable[Buffer]) -> list[bytes]:
    """Read every buffer before the first is sent."""
    batch = list(messages)
    if set(map(type, batch)) <= {bytes}:
        return batch  # type: ignore[return-value]
    for data in batch:
        check_buffer(data)
    return [data if isinstance(data, bytes) else bytes(memoryview(data)) for data in batch]


def next_chunk(batch: list[bytes], start: int) -> list[bytes]:
    """Return the messages from `start` on that one submission takes."""
    chunk = batch[start : start + _MESSAGES_AT_ONCE]
    ends = list(itertools.accumulate(map(len, chunk)))
    return chunk[: max(1, bisect.bisect_right(ends, _BYTES_AT_ONCE))]


class SendMessageOp:
    """A send that takes the message from its handle at the moment it is submitted."""

    def __init__(
        self, socket: AnySocket, ctx: _ffi.Context, msg: AnyMessage, pipe: AnyPipe | None = None
    ) -> None:
        if type(msg) is not Message:
            raise TypeError(f"send_msg takes a Message, not {type(msg).__name__}; send takes bytes")
        self._socket = socket
        self._ctx = ctx
        self._pipe = pipe or msg.pipe
        self._handle = msg._handle

    def submit(self, cq: _ffi.CompletionQueue | None, tag: int) -> _ffi.SubmitResult:
        # The pipe counts only if it is one of this socket.
        pipe = self._pipe
        number = pipe.id if pipe is not None and pipe.socket is self._socket else 0
        return self._ctx.send_message(self._handle, number, cq, tag)

    def reclaim(self, msg: _ffi.Msg) -> None:
        """Give the message back to its handle: it was not sent."""
        self._handle.restore(msg)


class RequestOp:
    """One request: takes an idle context when it is submitted, and returns it at the end."""

    __slots__ = ("_data", "_socket", "ctx")

    def __init__(self, socket: AnyReq0, data: Buffer) -> None:
        self._socket = socket
        self._data = data
        self.ctx: _ffi.Context | None = None

    def submit(self, cq: _ffi.CompletionQueue, tag: int) -> _ffi.SubmitResult:
        socket = self._socket
        idle = socket._idle_contexts
        number = socket._next_request()
        ctx = None
        if len(idle) > 1:
            # Before nng 1.7 every request sets a resend timer, and wakes nng's timer thread if that
            # timer is the next to expire. One idle context is held back: its older timer expires
            # first, so the thread sleeps on.
            try:
                ctx = idle.pop(-1 if number % _TIMER_HOLDBACK else 0)
            except IndexError:
                pass  # other threads took them
        if ctx is None:
            code, ctx = socket._native.open_context(context=True)
            if ctx is None:
                return code, _ffi.NULL
        self.ctx = ctx
        return ctx.send_recv(self._data, cq, tag)

    def end(self) -> None:
        # A reply that is still to come is dropped by the next request on this context.
        ctx, socket = self.ctx, self._socket
        if ctx is None or socket._closed:
            return
        idle = socket._idle_contexts
        if len(idle) < _IDLE_CONTEXTS:
            idle.append(ctx)
        else:
            ctx.close()

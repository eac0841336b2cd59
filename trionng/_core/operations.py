"""Operations that carry state from their submit to their end.

Most operations are a bound method of `_ffi.Lane`. One that owns something until it is submitted, or
gives something back when it ends, is an object; its `submit` is what the waits of both APIs take.
"""

from __future__ import annotations

import bisect
import itertools
from typing import TYPE_CHECKING

from trionng import _ffi
from trionng._base.util import check_buffer
from trionng._core.message import Message

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Buffer

    from trionng._core.abc import AnyPipe, AnyReq0, AnySocket
    from trionng._core.message import AnyMessage

# What one submission of send_many takes: messages, and bytes unless one message is larger.
_MESSAGES_AT_ONCE, _BYTES_AT_ONCE = 128, 65536
# Contexts kept for the next requests; more than these are closed when their request is over.
_IDLE_LANES = 256
# So many requests one idle context is left alone, then it is another one's turn.
_TIMER_HOLDBACK = 256


def as_batch(messages: Iterable[Buffer]) -> list[bytes]:
    """Read all that is to be sent, before anything is sent."""
    batch = list(messages)
    if set(map(type, batch)) <= {bytes}:
        return batch  # type: ignore[return-value]
    for data in batch:
        check_buffer(data)
    return [data if isinstance(data, bytes) else bytes(memoryview(data)) for data in batch]


def next_chunk(batch: list[bytes], start: int) -> list[bytes]:
    """Return what one submission takes of a batch, from `start` on."""
    chunk = batch[start : start + _MESSAGES_AT_ONCE]
    ends = list(itertools.accumulate(map(len, chunk)))
    return chunk[: max(1, bisect.bisect_right(ends, _BYTES_AT_ONCE))]


class SendMessageOp:
    """Takes the message from its owner only at the moment it is submitted."""

    def __init__(
        self, socket: AnySocket, lane: _ffi.Lane, msg: AnyMessage, pipe: AnyPipe | None = None
    ) -> None:
        if type(msg) is not Message:
            raise TypeError(f"send_msg takes a Message, not {type(msg).__name__}; send takes bytes")
        self._socket = socket
        self._lane = lane
        self._pipe = pipe or msg.pipe
        self._handle = msg._handle

    def submit(self, port: _ffi.Port | None, tag: int) -> _ffi.Answer:
        # Only what was addressed to a connection of this very socket goes there.
        pipe = self._pipe
        number = pipe.id if pipe is not None and pipe.socket is self._socket else 0
        return self._lane.send_message(self._handle, number, port, tag)

    def reclaim(self, msg: _ffi.Msg) -> None:
        """Give the message back to its owner: it was not sent."""
        self._handle.put_back(msg)


class RequestOp:
    """One request: borrows a lane when it is submitted, and returns it when it is over."""

    def __init__(self, socket: AnyReq0, data: Buffer) -> None:
        self._socket = socket
        self._data = data
        self.lane: _ffi.Lane | None = None

    def submit(self, port: _ffi.Port, tag: int) -> _ffi.Answer:
        idle = self._socket._idle_lanes
        number = self._socket._next_request()
        lane = None
        if len(idle) > 1:
            # Before nng 1.7 every request sets a timer, and wakes nng's timer thread when that is
            # the first to end. So one lane rests, and its timer, which is older, ends first.
            try:
                lane = idle.pop(-1 if number % _TIMER_HOLDBACK else 0)
            except IndexError:
                pass  # other threads were faster
        if lane is None:
            code, lane = self._socket._native.open_lane(context=True)
            if lane is None:
                return code, _ffi.NULL
        self.lane = lane
        return lane.exchange(self._data, port, tag)

    def end(self) -> None:
        # The next request on this lane gives up whatever is left of this one.
        if self.lane is None or self._socket._closed:
            return
        if len(self._socket._idle_lanes) < _IDLE_LANES:
            self._socket._idle_lanes.append(self.lane)
        else:
            self.lane.close()

"""How a thread waits: a completion queue of its own, and the one call it is in.

Ctrl-C may raise between any two steps of Python code. So the call and a received message stay in C
memory, where `rollback` finds them, until `commit`. `commit` only stores, and CPython looks for
signals when it calls or jumps back, never between two stores and the return that follows.
"""

from __future__ import annotations

import sys
from typing import Any, Protocol

from trionng._ffi.completion_queue import NULL, PARKED, CompletionQueue
from trionng._ffi.context import Context
from trionng._ffi.load import ffi, lib
from trionng._ffi.message import MessageHandle, split_packed
from trionng._ffi.owned import Owned
from trionng._ffi.types import Msg

SPIN_LIMIT: float = lib.TNNG_SPIN_LIMIT / 1e9
NO_DEADLINE = -1


class Keeper(Protocol):
    """Keeps a waiter for its thread's next call."""

    idle: Waiter | None


class Waiter(CompletionQueue):
    """The completion queue of one thread; it has one call at a time."""

    __slots__ = ()
    _kind = "tnng_waiter **"

    def __init__(self) -> None:
        Owned.__init__(self)
        if not lib.tnng_waiter_open(self._cell):
            raise MemoryError("no memory for a waiting thread")
        self.native = self._made().cq
        self.scratch = ffi.addressof(self._native, "result")
        self.fd = -1

    def __del__(
        self, _free: Any = lib.tnng_waiter_free, _finalizing: Any = sys.is_finalizing
    ) -> None:
        # [any] Ctrl-C, twice in a row, may leave a waiter with a call in it.
        native = self._disown()
        if native is not None and not _finalizing():
            _free(native)

    def recv(self, ctx: Context, *, _recv: Any = lib.tnng_recv) -> int:
        """Submit a receive, and wait for it a moment; PARKED when it takes longer."""
        code: int = _recv(ctx._native, self.native, 0, self.scratch)
        return code

    def send(self, ctx: Context, data: bytes, *, _send: Any = lib.tnng_send_bytes) -> int:
        """Submit a send of bytes, and wait for it a moment; PARKED when it takes longer."""
        code: int = _send(ctx._native, data, len(data), self.native, 0, self.scratch)
        return code

    def spin_for(self, seconds: float) -> None:
        """Set how long the next call may wait inside the submit; 0: it never waits."""
        self._native.spin_ns = int(min(seconds, SPIN_LIMIT) * 1e9)

    def wait(self, until: float | None, read_fd: int = -1, write_fd: int = -1) -> int:
        """Wait for the parked call; PARKED when the time is up or a signal came."""
        end = NO_DEADLINE if until is None else int(until * 1e9)
        return lib.tnng_waiter_wait(self._native, end, read_fd, write_fd)

    def cancel(self) -> int:
        """Cancel the parked call: ETIMEDOUT, unless it has happened."""
        return lib.tnng_waiter_cancel(self._native)

    def rollback(self) -> Msg:
        """Cancel the call and unget what it received; return the message of a send, if any."""
        lib.tnng_waiter_rollback(self._native)
        return self.reclaim()

    def reclaim(self) -> Msg:
        """Return the message of a send that did not happen, or NULL."""
        msg, self.scratch.msg = self.scratch.msg, NULL
        gone: Msg = msg if self.scratch.code not in (0, PARKED) else NULL
        return gone

    @property
    def message(self) -> Msg:
        """The received message; the waiter still owns it."""
        msg: Msg = self.scratch.msg
        return msg

    def copy(self) -> bytes:
        """Copy the body of the received message."""
        data: bytes = ffi.unpack(self.scratch.body, self.scratch.size)
        return data

    @property
    def pipe_id(self) -> int:
        """The id of the pipe of the received message, or 0."""
        number: int = self.scratch.pipe
        return number

    def commit(self, thread: Keeper) -> None:
        """End the call: the message has been copied. Only stores."""
        self._native.committed = True
        thread.idle = self

    def commit_message(self, thread: Keeper, handle: MessageHandle) -> None:
        """End the call: an empty handle owns the message. Only stores."""
        msg = self._native.received
        self._native.received = NULL
        handle.ref.msg = msg  # as `own`, but a call is where Ctrl-C may raise
        thread.idle = self

    def discard(self) -> None:
        """Free the received message with the next call."""
        self._native.committed = True

    def recv_many(self, ctx: Context, max_messages: int) -> list[bytes]:
        """Return the messages that are ready now, up to a number, at most one batch."""
        native = self._native
        count = lib.tnng_waiter_recv_many(native, ctx._native, max_messages)
        return split_packed(native.packed, native.sizes, count) if count else []

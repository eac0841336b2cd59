"""How a thread waits: a port of its own, and the one call it is in.

Ctrl-C may raise between any two steps of Python code, so a call that was made and a message that
was received stay in C memory, where `undo` finds them, until the very end. `keep` is that end: it
only stores, and CPython looks for signals when it calls or jumps back, never between two stores and
the return that follows.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol

from trionng._ffi.completion_queue import NULL, PARKED, CompletionQueue
from trionng._ffi.load import ffi, lib
from trionng._ffi.message import split_packed
from trionng._ffi.owned import Owned

if TYPE_CHECKING:
    from trionng._ffi.message import MessageHandle
    from trionng._ffi.socket import Context
    from trionng._ffi.types import Msg

SPIN_LIMIT: float = lib.TNNG_SPIN_LIMIT / 1e9
NO_DEADLINE = -1


class Keeper(Protocol):
    """Keeps a waiter for its thread's next call."""

    idle: Waiter | None


class Waiter(CompletionQueue):
    """What one thread's calls are submitted with; one call at a time."""

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

    def spin_for(self, seconds: float) -> None:
        """Say how long the next call may wait by itself; 0 makes it a try."""
        self._native.spin_ns = int(min(seconds, SPIN_LIMIT) * 1e9)

    def wait(self, until: float | None, read_fd: int = -1, write_fd: int = -1) -> int:
        """Wait for the call that is parked; PARKED when the time is up or something else came."""
        end = NO_DEADLINE if until is None else int(until * 1e9)
        code: int = lib.tnng_waiter_wait(self._native, end, read_fd, write_fd)
        return code

    def cancel(self) -> int:
        """End the call that is parked: ETIMEDOUT, unless it has happened."""
        code: int = lib.tnng_waiter_cancel(self._native)
        return code

    def rollback(self) -> Msg:
        """End whatever there is, and give back what was received; a send's message is returned."""
        lib.tnng_waiter_rollback(self._native)
        return self.reclaim()

    def reclaim(self) -> Msg:
        """Return the message of a send that did not happen."""
        msg, self.scratch.msg = self.scratch.msg, NULL
        gone: Msg = msg if self.scratch.code not in (0, PARKED) else NULL
        return gone

    @property
    def message(self) -> Msg:
        """What the call received; it stays the waiter's."""
        msg: Msg = self.scratch.msg
        return msg

    def copy(self) -> bytes:
        """Return the content of what was received."""
        data: bytes = ffi.unpack(self.scratch.body, self.scratch.size)
        return data

    @property
    def pipe_id(self) -> int:
        """The id of the pipe that what was received came through, or 0."""
        number: int = self.scratch.pipe
        return number

    def commit(self, thread: Keeper) -> None:
        """Say that what was received has been copied: the call is over. Only stores."""
        self._native.committed = True
        thread.idle = self

    def commit_message(self, thread: Keeper, handle: MessageHandle) -> None:
        """Say that what was received belongs to an empty handle: the call is over. Only stores."""
        msg = self._native.received
        self._native.received = NULL
        handle.ref.msg = msg  # as `own`, but a call is where Ctrl-C may raise
        thread.idle = self

    def discard(self) -> None:
        """Say that nobody wants what was received."""
        self._native.committed = True

    def recv_many(self, ctx: Context, max_messages: int) -> list[bytes]:
        """Return what is ready now, at most so many messages, at most one batch."""
        native = self._native
        count = lib.tnng_waiter_recv_many(native, ctx._native, max_messages)
        return split_packed(native.packed, native.sizes, count) if count else []

"""How a thread waits: a port of its own, and the one call it is in.

Ctrl-C may raise between any two steps of Python code, so a call that was made and a message that
was received stay in C memory, where `undo` finds them, until the very end. `keep` is that end: it
only stores, and CPython looks for signals when it calls or jumps back, never between two stores and
the return that follows.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol

from trionng._ffi._load import ffi, lib
from trionng._ffi._message import cut
from trionng._ffi._owned import Owned
from trionng._ffi._port import NULL, PARKED, Port

if TYPE_CHECKING:
    from trionng._ffi._message import MessageHandle
    from trionng._ffi._socket import Lane
    from trionng._ffi._types import Msg

MOMENT: float = lib.TNNG_MOMENT / 1e9
FOR_EVER = -1


class Keeper(Protocol):
    """Keeps a waiter for its thread's next call."""

    idle: Waiter | None


class Waiter(Port):
    """What one thread's calls are submitted with; one call at a time."""

    __slots__ = ()
    _kind = "tnng_waiter **"

    def __init__(self) -> None:
        Owned.__init__(self)
        if not lib.tnng_waiter_open(self._cell):
            raise MemoryError("no memory for a waiting thread")
        self.native = self._made().port
        self.scratch = ffi.addressof(self._native, "result")
        self.fd = -1

    def __del__(
        self, _free: Any = lib.tnng_waiter_free, _finalizing: Any = sys.is_finalizing
    ) -> None:
        # [any] Ctrl-C, twice in a row, may leave a waiter with a call in it.
        native = self._disown()
        if native is not None and not _finalizing():
            _free(native)

    def be_patient(self, seconds: float) -> None:
        """Say how long the next call may wait by itself; 0 makes it a try."""
        self._native.patience = int(min(seconds, MOMENT) * 1e9)

    def wait(self, until: float | None, read_fd: int = -1, write_fd: int = -1) -> int:
        """Wait for the call that is parked; PARKED when the time is up or something else came."""
        end = FOR_EVER if until is None else int(until * 1e9)
        code: int = lib.tnng_waiter_wait(self._native, end, read_fd, write_fd)
        return code

    def leave(self) -> int:
        """End the call that is parked: ETIMEDOUT, unless it has happened."""
        code: int = lib.tnng_waiter_leave(self._native)
        return code

    def undo(self) -> Msg:
        """End whatever there is, and give back what was received; a send's message is returned."""
        lib.tnng_waiter_undo(self._native)
        return self.given_back()

    def given_back(self) -> Msg:
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

    def keep(self, thread: Keeper) -> None:
        """Say that what was received has been copied: the call is over. Only stores."""
        self._native.taken = True
        thread.idle = self

    def hand_over(self, thread: Keeper, handle: MessageHandle) -> None:
        """Say that what was received belongs to an empty handle: the call is over. Only stores."""
        msg = self._native.held
        self._native.held = NULL
        handle.box.msg = msg  # as `own`, but a call is where Ctrl-C may raise
        thread.idle = self

    def refuse(self) -> None:
        """Say that nobody wants what was received."""
        self._native.taken = True

    def receive_many(self, lane: Lane, max_messages: int) -> list[bytes]:
        """Return what is ready now, at most so many messages, at most one batch."""
        native = self._native
        count = lib.tnng_waiter_receive_many(native, lane._native, max_messages)
        return cut(native.packed, native.sizes, count) if count else []

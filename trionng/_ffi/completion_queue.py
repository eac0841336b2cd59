"""Completion queues: the finished calls of an event loop or a thread, and how it is woken."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from trionng._base.errors import error_for
from trionng._ffi.load import ffi, lib
from trionng._ffi.owned import Owned
from trionng._ffi.types import Msg

PARKED = lib.TNNG_PARKED
SUPERSEDED = lib.TNNG_SUPERSEDED
FORKED = lib.TNNG_FORKED
SENT = lib.TNNG_SENT
GONE = lib.TNNG_GONE

CANCEL_DONE = lib.TNNG_CANCEL_DONE
CANCEL_PENDING = lib.TNNG_CANCEL_PENDING
CANCEL_LATE = lib.TNNG_CANCEL_LATE

NULL = ffi.NULL

BATCH = 256

_tokens = itertools.count(1)
_notifiers: dict[int, Callable[[], None]] = {}


@ffi.def_extern(name="tnng_notify_python")
def _notify(token: int) -> None:
    notify = _notifiers.get(token)
    if notify is not None:
        notify()


lib.tnng_set_notify_hook(lib.tnng_notify_python)


class CompletionQueue(Owned):
    """The finished calls of one event loop; `fd` is readable while there are any.

    With `notify` there is no descriptor: a thread of the shim calls `notify()`, once per batch.
    """

    __slots__ = ("_results", "_token", "fd", "native", "scratch")
    _kind = "tnng_cq **"

    def __init__(self, *, exclusive: bool, notify: Callable[[], None] | None = None) -> None:
        super().__init__()
        self._token = 0
        self.native: Any = None
        self.scratch: Any = ffi.new("tnng_result *")
        self._results = ffi.new("tnng_result[]", BATCH)
        if notify is not None:
            self._token = next(_tokens)
            _notifiers[self._token] = notify
        code = lib.tnng_cq_open(self._cell, exclusive, self._token)
        if code != 0:
            _notifiers.pop(self._token, None)
            raise error_for(code, "wait")
        self.native = self._made()
        self.fd: int = lib.tnng_cq_fd(self.native)

    def __del__(self, _close: Any = lib.tnng_cq_close, _notifiers: Any = _notifiers) -> None:
        # A queue that its run has closed owns nothing.
        native = self._disown()
        if native is not None:
            _notifiers.pop(self._token, None)
            _close(native)

    def take(self) -> list[tuple[int, int, Msg]]:
        """Clear the descriptor; return (tag, code, message) of at most BATCH finished calls."""
        results = self._results
        count = lib.tnng_cq_take(self.native, results, BATCH)
        return [(each.tag, each.code, each.msg) for each in results[0:count]]

    def close(self) -> None:
        """Notify no more. No task may be waiting."""
        if self.native:
            _notifiers.pop(self._token, None)
            self.native = None
            lib.tnng_cq_close(self._disown())


# Cancels a parked call; returns CANCEL_DONE, CANCEL_PENDING or CANCEL_LATE.
cancel = lib.tnng_op_cancel
# Abandons a parked call; a message it received becomes the next one of its context again.
detach = lib.tnng_op_detach
# Tell the shim where a cancel landed, for its counters.
count_cancel_before_submit = lib.tnng_count_cancel_before_submit
count_cancel_taken = lib.tnng_count_cancel_taken

"""The port of an event loop or a waiting thread: what rings, and what has finished."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from trionng._base.errors import error_for
from trionng._ffi._load import ffi, lib
from trionng._ffi._owned import Owned

if TYPE_CHECKING:
    from collections.abc import Callable

    from trionng._ffi._types import Msg, Op, Pointer

PARKED: int = lib.TNNG_PARKED
SUPERSEDED: int = lib.TNNG_SUPERSEDED
FORKED: int = lib.TNNG_FORKED
SENT: int = lib.TNNG_SENT
GONE: int = lib.TNNG_GONE

LEFT: int = lib.TNNG_LEFT
ASKED: int = lib.TNNG_ASKED
LATE: int = lib.TNNG_LATE

NULL: Pointer = ffi.NULL

BATCH = 256

_tokens = itertools.count(1)
_rings: dict[int, Callable[[], None]] = {}


@ffi.def_extern(name="tnng_ring_python")  # type: ignore[untyped-decorator]
def _ring(token: int) -> None:
    ring = _rings.get(token)
    if ring is not None:
        ring()


lib.tnng_set_ring_hook(lib.tnng_ring_python)


class Port(Owned):
    """A bell, and the finished calls of one loop.

    With `ring`, there is no descriptor: `ring()` is called from a thread of the shim, once per
    batch.
    """

    __slots__ = ("_results", "_token", "fd", "native", "scratch")
    _kind = "tnng_port **"

    def __init__(self, *, exclusive: bool, ring: Callable[[], None] | None = None) -> None:
        super().__init__()
        self._token = 0
        self.native: Any = None
        self.scratch: Any = ffi.new("tnng_result *")
        self._results = ffi.new("tnng_result[]", BATCH)
        if ring is not None:
            self._token = next(_tokens)
            _rings[self._token] = ring
        code = lib.tnng_port_open(self._cell, exclusive, self._token)
        if code != 0:
            _rings.pop(self._token, None)
            raise error_for(code, "wait")
        self.native = self._made()
        self.fd: int = lib.tnng_port_fd(self.native)

    def __del__(self, _close: Any = lib.tnng_port_close, _rings: Any = _rings) -> None:
        # One that its run has closed has nothing to give back.
        native = self._disown()
        if native is not None:
            _rings.pop(self._token, None)
            _close(native)

    def take(self) -> list[tuple[int, int, Msg]]:
        """Clear the bell and return (tag, code, message) of at most BATCH finished calls."""
        results = self._results
        count = lib.tnng_port_take(self.native, results, BATCH)
        return [(each.tag, each.code, each.msg) for each in results[0:count]]

    def close(self) -> None:
        """Ring no more. Nobody may be waiting."""
        if self.native:
            _rings.pop(self._token, None)
            self.native = None
            lib.tnng_port_close(self._disown())


def cancel(op: Op) -> int:
    """Ask for the end of a parked call: LEFT, ASKED or LATE."""
    outcome: int = lib.tnng_op_cancel(op)
    return outcome


def abandon(op: Op) -> None:
    """Leave a parked call for ever; what it received goes back to its lane."""
    lib.tnng_op_abandon(op)

"""Ownership of what C makes, from the call that makes it.

Ctrl-C, and MemoryError, may come between the return of a call and whatever Python does with its
answer. So the object that will own a thing is there first, and C writes the pointer into memory of
that object.
"""

from __future__ import annotations

from typing import Any

from trionng._ffi.load import ffi


class Owned:
    """Owns one reference to a thing of C; a subclass gives it back in its `__del__`.

    Not by `ffi.gc`: in a collected cycle that would free the thing while other finalisers can still
    reach it. A call that comes after `__del__` finds None, and gets a TypeError.
    """

    __slots__ = ("_cell", "_native")
    _kind = ""

    def __init__(self) -> None:
        self._native: Any = None
        self._cell: Any = ffi.new(self._kind)

    def _made(self) -> Any:
        """Take note that C has written the pointer; return it."""
        self._native = native = self._cell[0]
        self._cell = None
        return native

    def _disown(self) -> Any:
        """Return the pointer to release, once; None when there is none."""
        cell = getattr(self, "_cell", None)
        native = getattr(self, "_native", None) if cell is None else cell[0]
        self._cell = self._native = None
        return native or None

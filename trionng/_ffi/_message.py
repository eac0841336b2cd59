"""One nng message and who owns it.

A handle owns its message until it is sent. A view of the body keeps the memory alive by itself, so
it stays valid whatever becomes of the handle; while one exists, a send takes a copy.
"""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

from trionng._ffi._load import ffi, lib

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from trionng._ffi._types import Msg


def _keep(_owner: object, _body: object) -> None:
    """Be what ties a view to its owner: it goes when the last view has gone."""


def take_bytes(
    msg: Msg,
    *,
    _unpack: Any = ffi.unpack,
    _chars: Any = lib.tnng_msg_chars,
    _size: Any = lib.nng_msg_len,
    _done: Any = lib.tnng_msg_done,
) -> bytes:
    """Copy the body out and free the message."""
    data: bytes = _unpack(_chars(msg), _size(msg))
    _done(msg)
    return data


def starts_with(msg: Msg, prefixes: tuple[bytes, ...]) -> bool:
    """Say whether the body starts with one of the prefixes."""
    longest = max(map(len, prefixes), default=0)
    size = min(longest, lib.nng_msg_len(msg))
    head: bytes = ffi.unpack(lib.tnng_msg_chars(msg), size)
    return head.startswith(prefixes)


def pipe_of(msg: Msg) -> int:
    """Return the id of the pipe a message came through."""
    number: int = lib.tnng_msg_pipe(msg)
    return number


def drop(msg: Msg) -> None:
    """Free a message nobody will read."""
    lib.nng_msg_free(msg)


class MessageHandle:
    """Owns one `nng_msg`."""

    __slots__ = ("__weakref__", "_body", "_owner")

    def __init__(self, msg: Msg, free: Any = lib.nng_msg_free) -> None:
        self._owner = ffi.gc(msg, free)
        self._body: weakref.ref[Any] | None = None

    @classmethod
    def from_data(cls, data: Buffer) -> MessageHandle:
        """Copy a contiguous buffer into a new message."""
        with ffi.from_buffer(data) as view:
            msg = lib.tnng_msg_new(view, len(view))
        if not msg:
            raise MemoryError("no memory for an nng message")
        return cls(msg)

    def __len__(self) -> int:
        size: int = lib.nng_msg_len(self._owner)
        return size

    @property
    def pipe_id(self) -> int:
        """The id of the pipe it was received from, or 0."""
        number: int = lib.tnng_msg_pipe(self._owner)
        return number

    def set_pipe(self, pipe: int) -> None:
        """Say which pipe the message is for; 0 is any."""
        lib.tnng_msg_set_pipe(self._owner, pipe)

    @property
    def header(self) -> bytes:
        """The protocol header: what raw sockets receive and send in front of the body."""
        size = lib.nng_msg_header_len(self._owner)
        data: bytes = ffi.unpack(ffi.cast("char *", lib.nng_msg_header(self._owner)), size)
        return data

    def set_header(self, data: bytes) -> int:
        code: int = lib.tnng_msg_set_header(self._owner, data, len(data))
        return code

    def view(self) -> memoryview:
        """Give a read-only view of nng's own body."""
        body = self._body() if self._body is not None else None
        if body is None:
            pointer = lib.tnng_msg_chars(self._owner)
            body = ffi.gc(pointer, partial(_keep, self._owner))
            self._body = weakref.ref(body)
        return memoryview(ffi.buffer(body, len(self))).toreadonly()

    def release(self) -> Any:
        """Give the message away: nng's own when nobody looks at it, else a copy."""
        if self._body is not None and self._body() is not None:
            copy = lib.tnng_msg_copy(self._owner)
            if not copy:
                raise MemoryError("no memory for a copy of an nng message")
            return copy
        return ffi.gc(self._owner, None) or self._owner

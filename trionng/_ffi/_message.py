"""One nng message and who owns it.

A handle owns its message until it is sent. A view of the body keeps the memory alive by itself, so
it stays valid whatever becomes of the handle; while one exists, a send takes a copy.
"""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

from trionng._ffi._load import ffi, lib
from trionng._ffi._port import NULL

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
    """Owns one `nng_msg`, in a box: C puts a message in or takes it out in one step."""

    __slots__ = ("__weakref__", "_body", "box")

    def __init__(self, msg: Msg = NULL) -> None:
        self.box: Any = ffi.gc(ffi.new("nng_msg **", msg), lib.tnng_box_drop)
        self._body: weakref.ref[Any] | None = None

    @classmethod
    def from_data(cls, data: Buffer) -> MessageHandle:
        """Copy a contiguous buffer into a new message."""
        with ffi.from_buffer(data) as view:
            msg = lib.tnng_msg_new(view, len(view))
        if not msg:
            raise MemoryError("no memory for an nng message")
        return cls(msg)

    @property
    def is_empty(self) -> bool:
        """Whether the message has gone."""
        return not self.box[0]

    def __len__(self) -> int:
        size: int = lib.nng_msg_len(self.box[0])
        return size

    @property
    def pipe_id(self) -> int:
        """The id of the pipe it was received from, or 0."""
        number: int = lib.tnng_msg_pipe(self.box[0])
        return number

    def set_pipe(self, pipe: int) -> None:
        """Say which pipe the message is for; 0 is any."""
        lib.tnng_msg_set_pipe(self.box[0], pipe)

    @property
    def header(self) -> bytes:
        """The protocol header: what raw sockets receive and send in front of the body."""
        size = lib.nng_msg_header_len(self.box[0])
        data: bytes = ffi.unpack(ffi.cast("char *", lib.nng_msg_header(self.box[0])), size)
        return data

    def set_header(self, data: bytes) -> int:
        code: int = lib.tnng_msg_set_header(self.box[0], data, len(data))
        return code

    def view(self) -> memoryview:
        """Give a read-only view of nng's own body."""
        body = self._body() if self._body is not None else None
        if body is None:
            pointer = lib.tnng_msg_chars(self.box[0])
            body = ffi.gc(pointer, partial(_keep, self.box))
            self._body = weakref.ref(body)
        return memoryview(ffi.buffer(body, len(self))).toreadonly()

    def outgoing(self) -> MessageHandle:
        """Return what to send: this message when nobody looks at it, else a copy."""
        if self._body is None or self._body() is None:
            return self
        copy = lib.tnng_msg_copy(self.box[0])
        if not copy:
            raise MemoryError("no memory for a copy of an nng message")
        return MessageHandle(copy)

    def release(self) -> Any:
        """Give the message away, to a call that cannot fail to take it."""
        msg = self.box[0]
        self.box[0] = NULL
        return msg

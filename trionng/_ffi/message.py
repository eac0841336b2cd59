"""nng messages and their owners.

A handle owns its message until it is sent. A view of the body keeps the memory alive by itself, so
it stays valid whatever becomes of the handle; while one exists, a send takes a copy.

A view is made with ctypes: a cdata can own what it points to only by `ffi.gc`, which the collector
of cycles calls before the finalisers of a cycle have run.
"""

from __future__ import annotations

import ctypes
import itertools
import sys
import weakref
from typing import Any

from trionng._base.types import Buffer
from trionng._ffi.load import ffi, lib
from trionng._ffi.types import Msg, Origin

_REF_TYPE = ffi.typeof("tnng_message_ref *")


def take_bytes(
    msg: Msg,
    origin: Origin | None = None,
    *,
    _unpack: Any = ffi.unpack,
    _chars: Any = lib.tnng_msg_chars,
    _size: Any = lib.nng_msg_len,
    _done: Any = lib.tnng_msg_recycle,
) -> bytes:
    """Copy the body and free the message; without memory, `origin` gets the message again."""
    try:
        data: bytes = _unpack(_chars(msg), _size(msg))
    except BaseException:
        if origin is not None:
            origin.unget(msg)
        raise
    _done(msg)
    return data


def split_packed(packed: Any, sizes: Any, count: int) -> list[bytes]:
    """Copy messages that are packed in C memory."""
    ends = list(itertools.accumulate(ffi.unpack(sizes, count), initial=0))
    data: bytes = ffi.unpack(packed, ends[-1])
    return [data[start:end] for start, end in itertools.pairwise(ends)]


def head_of(msg: Msg, size: int) -> bytes:
    """Return the first bytes of the body, at most so many."""
    head: bytes = ffi.unpack(lib.tnng_msg_chars(msg), min(size, lib.nng_msg_len(msg)))
    return head


# The id of the pipe a message came through.
pipe_of = lib.tnng_msg_pipe
# The length of the body.
size_of = lib.nng_msg_len
# Frees a message that no caller will read.
drop = lib.nng_msg_free


def copy_of(msg: Msg) -> bytes:
    """Copy the body."""
    data: bytes = ffi.unpack(lib.tnng_msg_chars(msg), lib.nng_msg_len(msg))
    return data


# The objects that free references, by weak references to these.
_owned: dict[weakref.ref[Any], Any] = {}
# Kept for good: at exit a view may outlive this module.
ctypes.pythonapi.Py_IncRef(ctypes.py_object(_owned))
# Makes a reference and the object that frees it in one step, so that Ctrl-C cannot come between.
_refs = map(ffi.gc, iter(lib.tnng_message_ref_new, None), itertools.repeat(lib.tnng_message_unref))


def _new_ref() -> Any:
    """Make a reference to a message that is released with its last use, and never before.

    `ffi.gc` alone, or a `__del__`, would be too early: in a garbage cycle they run while other
    finalisers can still read the message, or keep a view of it. The collector knows no plain
    pointers, so what this returns goes after all that, and so does its weak reference. What runs
    then is not Python code: Ctrl-C in a finaliser is lost, and the finaliser with it.
    """
    owner = next(_refs)
    if not owner:
        raise MemoryError("no memory for an nng message")
    ref = ffi.cast(_REF_TYPE, owner)
    _owned[weakref.ref(ref, _owned.pop)] = owner
    return ref


class _Body(ctypes.Array):  # type: ignore[type-arg]
    """Memory of nng that a view shows, and the reference that keeps it alive."""

    __slots__ = ("ref",)
    _type_ = ctypes.c_ubyte
    _length_ = sys.maxsize
    ref: Any


class MessageHandle:
    """Owns one `nng_msg`, through a counted reference.

    Any number of threads may use one handle: everything that follows the pointer to the message is
    done in C (`nng/core/message_ref.c`). Only what makes a handle stores into a box that no other
    thread knows.
    """

    __slots__ = ("ref",)

    def __init__(self) -> None:
        self.ref: Any = _new_ref()

    @classmethod
    def from_data(cls, data: Buffer, header: bytes = b"") -> tuple[int, MessageHandle]:
        """Copy a contiguous buffer, and a header, into a new message; (code, handle)."""
        handle = cls()
        with ffi.from_buffer(data) as view:
            code = lib.tnng_message_ref_fill(handle.ref, view, len(view), header, len(header))
        return code, handle

    def own(self, msg: Msg) -> None:
        """Own a message. The handle is new and empty; cannot fail."""
        self.ref.msg = msg

    @property
    def is_empty(self) -> bool:
        """Whether the message has gone; another thread may send it the next moment."""
        return not self.ref.msg

    def size(self) -> int | None:
        """Return the length of the body; None when the message has gone."""
        size = lib.tnng_message_ref_size(self.ref)
        return None if size < 0 else size

    def header(self) -> bytes | None:
        """Return the protocol header of raw sockets; None when the message has gone."""
        room = 0
        while True:
            out = ffi.new("char[]", room)
            size = lib.tnng_message_ref_header(self.ref, out, room)
            if size <= room:
                return None if size < 0 else bytes(ffi.buffer(out, size))
            room = size

    def view(self) -> memoryview | None:
        """Give a read-only view of nng's own body; None when the message has gone."""
        ref = _new_ref()
        address = lib.tnng_message_ref_view(self.ref, ref)
        if not address:
            return None
        body = _Body.from_address(address)
        body.ref = ref
        return memoryview(body).cast("B")[: ref.size].toreadonly()

    def take(self) -> tuple[int, Msg]:
        """Take the message, or a copy of it while a view exists; (code, message)."""
        out = ffi.new("nng_msg **")
        return lib.tnng_message_ref_take(self.ref, out), out[0]

    def restore(self, msg: Msg) -> None:
        """Own a message again that was taken and not sent; cannot fail."""
        lib.tnng_message_ref_restore(self.ref, msg)

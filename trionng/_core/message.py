"""`Message`: an immutable view of an `nng_msg`, with the pipe it came through."""

from __future__ import annotations

import builtins
from typing import Generic, TypeVar

from trionng import _ffi
from trionng._base.errors import ENOMEM, MessageStateError, error_for
from trionng._base.sealed import Uncopied
from trionng._base.types import Buffer, Self
from trionng._base.util import check_buffer
from trionng._core.abc import AnyPipe

P = TypeVar("P", bound=AnyPipe, covariant=True)

_SENT = "this message has been sent, it is no longer here"


class Message(Uncopied, Generic[P]):
    """A message with its origin: what `recv_msg` returns and `send_msg` takes.

    A message cannot be changed. Receiving one copies nothing: `body` is a view of the memory that
    nng received into. Sending passes ownership to nng; when a send fails or is cancelled, the
    caller owns the message again and can send it once more.

    For a type checker it is generic in its pipe; the default is the pipe of the API that the name
    comes from, `trionng` or `trionng.blocking`.

    Args:
        data: any contiguous buffer; it is copied.
        pipe: the connection the message is for (only polyamorous Pair1 looks at it).
        header: what a raw socket sends in front of the body, at most 64 bytes; others ignore it.

    Example:
        msg = await rep.recv_msg()
        print(msg.pipe, len(msg.body))
    """

    __slots__ = ("_handle", "_pipe")

    def __init__(
        self, data: Buffer, pipe: P | None = None, *, header: builtins.bytes = b""
    ) -> None:
        check_buffer(data)
        code, handle = _ffi.MessageHandle.from_data(data, header)
        if code == ENOMEM:
            raise error_for(code, "make a Message")
        if code != 0:
            reason = "it may have 64" if len(header) > 64 else None
            raise error_for(code, f"a message header of {len(header)} bytes", None, reason)
        self._handle = handle
        self._pipe = pipe

    @classmethod
    def _empty(cls, pipe: P | None) -> Self:
        """Make a message for what is received; its handle owns nothing yet."""
        self = cls.__new__(cls)
        self._handle = _ffi.MessageHandle()
        self._pipe = pipe
        return self

    def _owned(self) -> _ffi.MessageHandle:
        if self._handle.is_empty:
            raise MessageStateError(_SENT)
        return self._handle

    @property
    def body(self) -> memoryview:
        """A read-only view of the content; it stays valid for as long as the view exists."""
        view = self._handle.view()
        if view is None:
            raise MessageStateError(_SENT)
        return view

    @property
    def bytes(self) -> bytes:
        """A copy of the content."""
        return self.body.tobytes()

    @property
    def header(self) -> builtins.bytes:
        """The route that the message took, as only raw sockets show it (the protocol header)."""
        header = self._handle.header()
        if header is None:
            raise MessageStateError(_SENT)
        return header

    @property
    def pipe(self) -> P | None:
        """The connection it came through, or the one it is for.

        None when the connection ended so long ago that the socket no longer remembers it.
        """
        return self._pipe

    def __len__(self) -> int:
        size = self._handle.size()
        if size is None:
            raise MessageStateError(_SENT)
        return size

    def __buffer__(self, flags: int) -> memoryview:
        return self.body

    def __eq__(self, other: object) -> bool:
        return self.body == other.body if isinstance(other, Message) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.bytes)

    def __repr__(self) -> str:
        size = self._handle.size()
        return "<Message sent>" if size is None else f"<Message {size} bytes>"


# What can be sent: it may come from a socket of the other API.
AnyMessage = Message[AnyPipe]

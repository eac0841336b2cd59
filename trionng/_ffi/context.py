"""Contexts: sends and receives of a socket or of one of its contexts, as thin, typed calls.

A submit returns (code, thing): PARKED and the operation; 0 and the received message, if any; or an
error code and the message of a send that did not happen.
"""

from __future__ import annotations

from typing import Any

from trionng._ffi.completion_queue import PARKED, CompletionQueue
from trionng._ffi.load import ffi, lib
from trionng._ffi.message import MessageHandle, copy_of, split_packed
from trionng._ffi.owned import Owned
from trionng._ffi.types import Msg, SubmitResult

# The most that one call copies out: bytes and messages.
BATCH_BYTES = 65536
BATCH_MESSAGES = 256


def submit_result(code: int, scratch: Any) -> SubmitResult:
    return code, scratch.op if code == PARKED else scratch.msg


class _BatchBuffers:
    """The C memory that a batch is copied to; one call uses it at a time."""

    __slots__ = ("batch", "buffer", "sizes")

    def __init__(self) -> None:
        self.buffer = ffi.new("char[]", BATCH_BYTES)
        self.sizes = ffi.new("uint32_t[]", BATCH_MESSAGES)
        self.batch = ffi.new("nng_msg *[]", BATCH_MESSAGES)


def _unpack_batch(buffers: _BatchBuffers, count: int) -> list[bytes]:
    """Copy a batch; a message larger than the buffer comes alone."""
    if count == 1:
        return [copy_of(buffers.batch[0])]
    return split_packed(buffers.buffer, buffers.sizes, count)


def cq_and_result(cq: CompletionQueue | None) -> tuple[Any, Any]:
    return (ffi.NULL, ffi.new("tnng_result *")) if cq is None else (cq.native, cq.scratch)


class Context(Owned):
    """Sends and receives of a socket, or of one of its contexts."""

    __slots__ = ("_buffers",)
    _kind = "tnng_ctx **"

    def __init__(self) -> None:
        super().__init__()
        # Buffers that no call uses just now.
        self._buffers: list[_BatchBuffers] | None = None

    def __del__(self, _drop: Any = lib.tnng_ctx_destroy) -> None:
        native = self._disown()
        if native is not None:
            _drop(native)

    @property
    def id(self) -> int:
        """nng's number of the context; 0 for the socket's own."""
        return lib.tnng_ctx_id(self._native)

    def recv(
        self, cq: CompletionQueue | None, tag: int, *, _recv: Any = lib.tnng_recv
    ) -> SubmitResult:
        # cq_and_result and submit_result written out: every message passes through here.
        if cq is None:
            native, scratch = cq_and_result(cq)
        else:
            native, scratch = cq.native, cq.scratch
        code = _recv(self._native, native, tag, scratch)
        return code, scratch.op if code == PARKED else scratch.msg

    def recv_nowait(self, *, _recv: Any = lib.tnng_recv_nowait) -> Msg:
        """Return a message that is ready, or NULL; then `recv` says why."""
        msg: Msg = _recv(self._native)
        return msg

    def send_nowait(self, data: bytes, *, _send: Any = lib.tnng_send_bytes_nowait) -> int:
        """Send without waiting; another code than 0: nothing was sent, and `send` says why."""
        code: int = _send(self._native, data, len(data))
        return code

    def send(
        self, data: Any, cq: CompletionQueue | None, tag: int, *, _send: Any = lib.tnng_send_bytes
    ) -> SubmitResult:
        """Send the bytes of a contiguous buffer."""
        if cq is None:
            native, scratch = cq_and_result(cq)
        else:
            native, scratch = cq.native, cq.scratch
        if type(data) is bytes:
            code = _send(self._native, data, len(data), native, tag, scratch)
        else:
            with ffi.from_buffer(data) as view:
                code = _send(self._native, view, len(view), native, tag, scratch)
        return code, scratch.op if code == PARKED else scratch.msg

    def send_message(
        self, message: MessageHandle, pipe: int, cq: CompletionQueue | None, tag: int
    ) -> SubmitResult:
        """Send a message; when it is not sent, the result of the call has it.

        The code is GONE when another call has taken the message. `pipe` is the connection it is
        for: 0 is any, a negative number leaves it as it is.
        """
        native, scratch = cq_and_result(cq)
        code = lib.tnng_send(self._native, message.ref, pipe, native, tag, scratch)
        return submit_result(code, scratch)

    def send_recv(
        self, data: Any, cq: CompletionQueue, tag: int, *, _send: Any = lib.tnng_send_recv_bytes
    ) -> SubmitResult:
        """Send, then receive, as one call."""
        if type(data) is not bytes:
            return self.send(data, cq, tag, _send=_send)
        scratch = cq.scratch
        code = _send(self._native, data, len(data), cq.native, tag, scratch)
        return code, scratch.op if code == PARKED else scratch.msg

    def recv_many(self, max_messages: int) -> list[bytes]:
        """Return the messages that are ready now, up to a number."""
        idle = self._buffers
        if idle is None:
            self._buffers = idle = []
        try:
            buffers = idle.pop()
        except IndexError:  # the first call, or another thread is in one
            buffers = _BatchBuffers()
        taken: list[bytes] = []
        while len(taken) < max_messages:
            wanted = min(max_messages - len(taken), BATCH_MESSAGES)
            count = 0
            try:
                count = lib.tnng_recv_many(
                    self._native, buffers.buffer, BATCH_BYTES, buffers.sizes, wanted, buffers.batch
                )
                if count == 0:
                    break
                batch = _unpack_batch(buffers, count)
                taken += batch
            except MemoryError:
                # The caller gets what earlier turns took; the next call gets the exception.
                lib.tnng_unget_many(self._native, buffers.batch, count)
                if not taken:
                    raise
                break
            lib.tnng_messages_recycle(buffers.batch, count)
            if count < wanted and sum(map(len, batch)) <= BATCH_BYTES // 2:
                break
        idle.append(buffers)
        return taken

    def send_many(self, batch: list[bytes]) -> tuple[int, int]:
        """Send until one would have to wait (EAGAIN); return the code and how many went."""
        sizes = ffi.new("uint32_t[]", list(map(len, batch)))
        sent = ffi.new("int *")
        code = lib.tnng_send_many(self._native, b"".join(batch), sizes, len(batch), sent)
        return code, sent[0]

    def end_survey(self) -> None:
        """End the survey: no call waits for replies; those that arrived can still be received."""
        lib.tnng_end_survey(self._native)

    def unget(self, msg: Msg) -> None:
        """Make a message that the caller could not take the next one again."""
        lib.tnng_unget(self._native, msg)

    def set_prefetch(self, messages: int) -> int:
        """Set how many receives stay posted while no call waits."""
        return lib.tnng_ctx_set_prefetch(self._native, messages)

    def prefetched(self) -> int:
        """Return the number of messages taken from nng that no call has received."""
        return lib.tnng_ctx_prefetched(self._native)

    def recv_fd(self) -> tuple[int, int]:
        """Return (code, the descriptor that is readable while there is something to receive)."""
        out = ffi.new("int *")
        return lib.tnng_recv_fd(self._native, out), out[0]

    def close(self) -> None:
        lib.tnng_ctx_close(self._native)

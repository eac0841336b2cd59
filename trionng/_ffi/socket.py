"""Sockets and contexts: thin, typed calls into the shim.

A call returns (code, thing): PARKED and the operation to cancel; 0 and the message received, if
any; or an error code and the message a send gives back, if any.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from trionng._ffi.completion_queue import PARKED
from trionng._ffi.load import ffi, lib
from trionng._ffi.message import copy_of, split_packed
from trionng._ffi.owned import Owned
from trionng._ffi.pipe import NativeEvents, NativePipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from trionng._ffi.completion_queue import CompletionQueue
    from trionng._ffi.message import MessageHandle
    from trionng._ffi.types import Msg, SubmitResult


AGAIN = 8  # NNG_EAGAIN

# How much one call copies out at most: bytes and messages.
BATCH_BYTES = 65536
BATCH_MESSAGES = 256


def why_not_opened(code: int) -> str | None:
    """Say what is missing when nng is first used, as far as it is threads."""
    if code != lib.TNNG_NO_THREADS:
        return None
    return (
        f"libnng needs {lib.tnng_threads_needed()} threads, and they cannot be made: see "
        "`ulimit -u`, and pids.max of the cgroup"
    )


class SocketStats(NamedTuple):
    """What a socket has counted."""

    sent: int
    sent_bytes: int
    received: int
    received_bytes: int
    dropped: int
    rejected: int
    oversize: int
    pipes: int
    waiting: int


def _submit_result(code: int, scratch: Any) -> SubmitResult:
    return code, scratch.op if code == PARKED else scratch.msg


class _BatchBuffers:
    """Where a batch is copied to, before it becomes objects of Python; of one call at a time."""

    __slots__ = ("batch", "buffer", "sizes")

    def __init__(self) -> None:
        self.buffer = ffi.new("char[]", BATCH_BYTES)
        self.sizes = ffi.new("uint32_t[]", BATCH_MESSAGES)
        self.batch = ffi.new("nng_msg *[]", BATCH_MESSAGES)


def _unpack_batch(buffers: _BatchBuffers, count: int) -> list[bytes]:
    """Copy a batch out; a message longer than all the room comes alone."""
    if count == 1:
        return [copy_of(buffers.batch[0])]
    return split_packed(buffers.buffer, buffers.sizes, count)


def _cq_and_result(cq: CompletionQueue | None) -> tuple[Any, Any]:
    return (ffi.NULL, ffi.new("tnng_result *")) if cq is None else (cq.native, cq.scratch)


class Context(Owned):
    """Where messages travel: a socket itself, or a context of it."""

    __slots__ = ("_buffers",)
    _kind = "tnng_ctx **"

    def __init__(self) -> None:
        super().__init__()
        # What batches are copied into; a call that is under way has taken its own out.
        self._buffers: list[_BatchBuffers] | None = None

    def __del__(self, _drop: Any = lib.tnng_ctx_destroy) -> None:
        native = self._disown()
        if native is not None:
            _drop(native)

    @property
    def id(self) -> int:
        """nng's number of the context; of a socket's own context 0."""
        number: int = lib.tnng_ctx_id(self._native)
        return number

    def recv(
        self, cq: CompletionQueue | None, tag: int, *, _recv: Any = lib.tnng_recv
    ) -> SubmitResult:
        # `_ends` and `_answer` written out, as this is what every message passes through.
        if cq is None:
            native, scratch = _cq_and_result(cq)
        else:
            native, scratch = cq.native, cq.scratch
        code = _recv(self._native, native, tag, scratch)
        return code, scratch.op if code == PARKED else scratch.msg

    def recv_nowait(self, *, _recv: Any = lib.tnng_recv_nowait) -> Msg:
        """Return a message that is here, or NULL: then `receive` says why."""
        msg: Msg = _recv(self._native)
        return msg

    def send_nowait(self, data: bytes, *, _send: Any = lib.tnng_send_bytes_nowait) -> int:
        """Send without waiting; unless it says 0, nothing was sent, and `send` says why."""
        code: int = _send(self._native, data, len(data))
        return code

    def send(
        self, data: Any, cq: CompletionQueue | None, tag: int, *, _send: Any = lib.tnng_send_bytes
    ) -> SubmitResult:
        """Send the bytes of a contiguous buffer."""
        if cq is None:
            native, scratch = _cq_and_result(cq)
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
        """Send a message; unless it goes, the answer or the finished call has it.

        The code is GONE when another call has taken the message. `pipe` is the connection it is
        for: 0 is any, a negative number leaves it as it is.
        """
        native, scratch = _cq_and_result(cq)
        code = lib.tnng_send(self._native, message.ref, pipe, native, tag, scratch)
        return _submit_result(code, scratch)

    def send_recv(self, data: Any, cq: CompletionQueue | None, tag: int) -> SubmitResult:
        """Send, then receive, as one call."""
        return self.send(data, cq, tag, _send=lib.tnng_send_recv_bytes)

    def recv_many(self, max_messages: int) -> list[bytes]:
        """Return what is ready now, at most so many messages."""
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
                # What earlier turns took is handed out; the next call gets the exception.
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
        """Send until one would have to wait (AGAIN); return the code and how many went."""
        sizes = ffi.new("uint32_t[]", list(map(len, batch)))
        sent = ffi.new("int *")
        code = lib.tnng_send_many(self._native, b"".join(batch), sizes, len(batch), sent)
        return code, sent[0]

    def end_survey(self) -> None:
        """Wait for no more replies; those that came can still be received."""
        lib.tnng_end_survey(self._native)

    def unget(self, msg: Msg) -> None:
        """Make a message that was handed out the next one again."""
        lib.tnng_unget(self._native, msg)

    def set_prefetch(self, messages: int) -> int:
        """Say how many messages may be taken from nng before a task asks."""
        code: int = lib.tnng_ctx_set_prefetch(self._native, messages)
        return code

    def prefetched(self) -> int:
        """Count the messages taken from nng that no task has asked for."""
        count: int = lib.tnng_ctx_prefetched(self._native)
        return count

    def recv_fd(self) -> tuple[int, int]:
        """Return (code, the descriptor that is readable while there is something to receive)."""
        out = ffi.new("int *")
        code: int = lib.tnng_recv_fd(self._native, out)
        return code, out[0]

    def close(self) -> None:
        lib.tnng_ctx_close(self._native)


class NativeSocket(Owned):
    """A socket of the shim. Nothing here waits."""

    __slots__ = ("header_room", "id")
    _kind = "tnng_socket **"

    def open(self, protocol: int, *, raw: bool) -> int:
        """Open it, once."""
        code: int = lib.tnng_socket_open(self._cell, protocol, raw)
        if code == 0:
            native = self._made()
            self.id: int = lib.tnng_socket_id(native)
            self.header_room: int = lib.tnng_socket_header_room(native)
        return code

    def __del__(
        self, _drop: Any = lib.tnng_socket_destroy, _finalizing: Any = sys.is_finalizing
    ) -> None:
        # A socket that was not closed is closed in the background, except when the interpreter
        # ends, which leaves nng alone.
        native = self._disown()
        if native is not None and not _finalizing():
            _drop(native)

    def open_context(self, *, context: bool) -> tuple[int, Context | None]:
        ctx = Context()
        code = lib.tnng_ctx_open(ctx._cell, self._native, context)
        return code, (ctx if code == 0 and ctx._made() else None)

    def create_dialer(self, url: bytes) -> tuple[int, int]:
        out = ffi.new("uint32_t *")
        return lib.tnng_dialer_create(self._native, url, out), out[0]

    def start_dialer(self, dialer: int) -> int:
        code: int = lib.tnng_dialer_start(self._native, dialer)
        return code

    def dial(
        self, dialer: int, detect_refusal: bool, cq: CompletionQueue | None, tag: int
    ) -> SubmitResult:
        native, scratch = _cq_and_result(cq)
        return _submit_result(
            lib.tnng_dial(self._native, dialer, detect_refusal, native, tag, scratch), scratch
        )

    def close_dialer(self, dialer: int, cq: CompletionQueue | None, tag: int) -> SubmitResult:
        native, scratch = _cq_and_result(cq)
        return _submit_result(
            lib.tnng_dialer_close(self._native, dialer, native, tag, scratch), scratch
        )

    def close_listener(self, listener: int, cq: CompletionQueue | None, tag: int) -> SubmitResult:
        native, scratch = _cq_and_result(cq)
        return _submit_result(
            lib.tnng_listener_close(self._native, listener, native, tag, scratch), scratch
        )

    def close(self, cq: CompletionQueue | None, tag: int) -> SubmitResult:
        native, scratch = _cq_and_result(cq)
        return _submit_result(lib.tnng_socket_close(self._native, native, tag, scratch), scratch)

    def wait_pipes(self, count: int, cq: CompletionQueue, tag: int) -> SubmitResult:
        code = lib.tnng_wait_pipes(self._native, count, cq.native, tag, cq.scratch)
        return _submit_result(code, cq.scratch)

    def create_listener(self, url: bytes) -> tuple[int, int]:
        """Create a listener; Ctrl-C can interrupt a slow name resolution."""
        return self._listen(partial(lib.tnng_listener_create, self._native, url))

    def admit(
        self,
        listener: int,
        networks: list[tuple[bytes, int]] | None,
        uids: tuple[int, ...] | None,
        origins: tuple[str, ...] | None,
        *,
        missing_origin: bool,
        tls_verified: bool,
    ) -> int:
        """Give a listener that has not started its rule; None demands nothing."""
        rule = ffi.new("tnng_admission *")
        keep: list[Any] = []
        if networks is not None:
            rule.networks = array = ffi.new("tnng_network[]", len(networks))
            rule.network_count = len(networks)
            keep.append(array)
            for each, (address, prefix) in zip(array, networks, strict=True):
                each.size, each.prefix = len(address), prefix
                ffi.memmove(each.bytes, address, len(address))
        if uids is not None:
            rule.uids = array = ffi.new("uint64_t[]", list(uids))
            rule.uid_count = len(uids)
            keep.append(array)
        if origins is not None:
            texts = [ffi.new("char[]", origin.encode()) for origin in origins]
            rule.origins = array = ffi.new("char *[]", texts)
            rule.origin_count = len(origins)
            keep += [texts, array]
        rule.missing_origin, rule.tls_verified = missing_origin, tls_verified
        code: int = lib.tnng_listener_admit(self._native, listener, rule)
        return code

    def start_listener(self, listener: int) -> int:
        return self._listen(partial(lib.tnng_listener_start, self._native, listener))[0]

    def _listen(self, begin: Callable[[Any, Any], int]) -> tuple[int, int]:
        pending, out = ffi.new("tnng_endpoint **"), ffi.new("uint32_t *")
        try:
            code = begin(pending, out)
            while code == AGAIN:
                code = lib.tnng_listener_wait(pending, 100, out)
        except BaseException:
            # Ctrl-C: the listener is either pending, or there.
            if pending[0]:
                lib.tnng_listener_detach(pending[0])
            elif out[0]:
                self.close_listener(out[0], None, 0)
            raise
        return code, out[0]

    def pipes(self) -> list[NativePipe]:
        """List the pipes that are connected now."""
        room = lib.tnng_pipe_count(self._native) + 8
        pipes = ffi.new("tnng_pipe *[]", room)
        count = lib.tnng_pipes(self._native, pipes, room)
        given = 0
        try:
            held = [NativePipe() for _ in range(min(count, room))]
            for given, each in enumerate(held):
                each.own(pipes, given)
        except BaseException:
            for rest in pipes[given : min(count, room)]:
                if rest:
                    lib.tnng_pipe_unref(rest)
            raise
        return held if count <= room else self.pipes()

    def pipe_serial(self, pipe: int) -> int:
        """Return the serial number of the pipe with this id, also when it went lately; or 0."""
        serial: int = lib.tnng_pipe_serial(self._native, pipe)
        return serial

    def find_pipe(self, pipe: int) -> NativePipe | None:
        found = NativePipe()
        return (
            found if lib.tnng_pipe_find(self._native, pipe, found._cell) and found.made() else None
        )

    def open_events(self, capacity: int) -> tuple[int, NativeEvents | None]:
        events = NativeEvents()
        code = lib.tnng_events_open(self._native, capacity, events._cell)
        return code, (events if code == 0 and events._made() else None)

    def send_fd(self) -> tuple[int, int]:
        """Return (code, the descriptor that is readable while a send would not wait)."""
        out = ffi.new("int *")
        code: int = lib.tnng_send_fd(self._native, out)
        return code, out[0]

    def pipe_count(self) -> int:
        count: int = lib.tnng_pipe_count(self._native)
        return count

    def stats(self) -> tuple[int, SocketStats]:
        """Return (code, what was counted so far)."""
        out = ffi.new("tnng_socket_stats *")
        code = lib.tnng_socket_stats_read(self._native, out)
        return code, SocketStats(
            out.sent,
            out.sent_bytes,
            out.received,
            out.received_bytes,
            out.dropped,
            out.rejected,
            out.oversize,
            out.pipes,
            out.waiting,
        )

    def check_flush(self, cq: CompletionQueue | None, tag: int) -> SubmitResult:
        """Look at what the pipes have written; `unflushed` has what was seen."""
        native, scratch = _cq_and_result(cq)
        return _submit_result(lib.tnng_flush_check(self._native, native, tag, scratch), scratch)

    def unflushed(self) -> tuple[int, int, bool]:
        """Return (messages not seen written, a number that moves, is it exact)."""
        state = ffi.new("tnng_flush_state *")
        lib.tnng_flush_read(self._native, state)
        return state.unsent, state.progress, state.exact


def protocol(name: str) -> int:
    """Return the shim's number of a protocol, such as "bus0"."""
    number: int = getattr(lib, f"TNNG_{name.upper()}")
    return number


def open_socket(protocol: int, *, raw: bool = False) -> tuple[int, NativeSocket | None]:
    socket = NativeSocket()
    code = socket.open(protocol, raw=raw)
    return code, (socket if code == 0 else None)

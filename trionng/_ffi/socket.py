"""Sockets: open and close, dialers, listeners, pipes and counters, as thin, typed calls."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from trionng._base.errors import EAGAIN
from trionng._ffi.completion_queue import CompletionQueue
from trionng._ffi.context import Context, cq_and_result, submit_result
from trionng._ffi.load import ffi, lib
from trionng._ffi.owned import Owned
from trionng._ffi.pipe import NativeEvents, NativePipe
from trionng._ffi.types import SubmitResult


def why_not_opened(code: int) -> str | None:
    """Return what is missing when nng cannot make its threads; None for other codes."""
    if code != lib.TNNG_NO_THREADS:
        return None
    return (
        f"libnng needs {lib.tnng_threads_needed()} threads, and they cannot be made: see "
        "`ulimit -u`, and pids.max of the cgroup"
    )


def _strings(texts: tuple[str, ...], keep: list[Any]) -> Any:
    """Return an array of C strings, for as long as `keep` lives."""
    strings = [ffi.new("char[]", text.encode()) for text in texts]
    array = ffi.new("char *[]", strings)
    keep += [strings, array]
    return array


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
        return lib.tnng_dialer_start(self._native, dialer)

    def dial(
        self, dialer: int, detect_refusal: bool, cq: CompletionQueue | None, tag: int
    ) -> SubmitResult:
        native, scratch = cq_and_result(cq)
        return submit_result(
            lib.tnng_dial(self._native, dialer, detect_refusal, native, tag, scratch), scratch
        )

    def close_dialer(self, dialer: int, cq: CompletionQueue | None, tag: int) -> SubmitResult:
        native, scratch = cq_and_result(cq)
        return submit_result(
            lib.tnng_dialer_close(self._native, dialer, native, tag, scratch), scratch
        )

    def close_listener(self, listener: int, cq: CompletionQueue | None, tag: int) -> SubmitResult:
        native, scratch = cq_and_result(cq)
        return submit_result(
            lib.tnng_listener_close(self._native, listener, native, tag, scratch), scratch
        )

    def close(self, cq: CompletionQueue | None, tag: int) -> SubmitResult:
        native, scratch = cq_and_result(cq)
        return submit_result(lib.tnng_socket_close(self._native, native, tag, scratch), scratch)

    def wait_pipes(self, count: int, cq: CompletionQueue, tag: int) -> SubmitResult:
        code = lib.tnng_wait_pipes(self._native, count, cq.native, tag, cq.scratch)
        return submit_result(code, cq.scratch)

    def create_listener(self, url: bytes) -> tuple[int, int]:
        """Create a listener; Ctrl-C can interrupt a slow name resolution."""
        return self._listen(partial(lib.tnng_listener_create, self._native, url))

    def admit(
        self,
        listener: int,
        networks: list[tuple[bytes, int]] | None,
        uids: tuple[int, ...] | None,
        origins: tuple[str, ...] | None,
        tls_names: tuple[str, ...] | None,
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
            rule.origins, rule.origin_count = _strings(origins, keep), len(origins)
        if tls_names is not None:
            rule.tls_names, rule.tls_name_count = _strings(tls_names, keep), len(tls_names)
        rule.missing_origin, rule.tls_verified = missing_origin, tls_verified
        return lib.tnng_listener_admit(self._native, listener, rule)

    def start_listener(self, listener: int) -> int:
        return self._listen(partial(lib.tnng_listener_start, self._native, listener))[0]

    def _listen(self, begin: Callable[[Any, Any], int]) -> tuple[int, int]:
        pending, out = ffi.new("tnng_endpoint **"), ffi.new("uint32_t *")
        try:
            code = begin(pending, out)
            while code == EAGAIN:
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
        return lib.tnng_pipe_serial(self._native, pipe)

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
        return lib.tnng_send_fd(self._native, out), out[0]

    def pipe_count(self) -> int:
        return lib.tnng_pipe_count(self._native)

    def stats(self) -> tuple[int, lib.tnng_socket_stats]:
        """Return (code, the counters so far)."""
        out: lib.tnng_socket_stats = ffi.new("tnng_socket_stats *")
        return lib.tnng_socket_stats_read(self._native, out), out

    def check_flush(self, cq: CompletionQueue | None, tag: int) -> SubmitResult:
        """Read what the pipes have written; `unflushed` returns the result."""
        native, scratch = cq_and_result(cq)
        return submit_result(lib.tnng_flush_check(self._native, native, tag, scratch), scratch)

    def unflushed(self) -> tuple[int, int, bool]:
        """Return (messages not known to be written, a number that grows, is it exact)."""
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

"""The desk of a Rep0 service: requests for its workers, who are numbers here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from trionng._ffi._load import ffi, lib
from trionng._ffi._owned import Owned
from trionng._ffi._port import PARKED

if TYPE_CHECKING:
    from trionng._ffi._message import MessageHandle
    from trionng._ffi._port import Port
    from trionng._ffi._types import Answer, Msg

DRAINED: int = lib.TNNG_DRAINED
SLOW: int = lib.TNNG_SLOW


class DeskCounts(NamedTuple):
    """What became of the requests so far."""

    received: int
    answered: int
    abandoned: int
    ready: int
    taken: int
    replying: int
    slow: int


class Desk(Owned):
    """Where a service takes requests. A call with a port answers as those of a lane do."""

    __slots__ = ()
    _kind = "tnng_lane **"

    def __del__(self, _drop: Any = lib.tnng_lane_drop) -> None:
        native = self._disown()
        if native is not None:
            _drop(native)

    def next(self, worker: int, port: Port, tag: int) -> Answer:
        """Take the next request; one the worker has not answered is abandoned."""
        scratch = port.scratch
        code = lib.tnng_desk_next(self._native, worker, port.native, tag, scratch)
        return code, scratch.op if code == PARKED else scratch.msg

    def reply(self, worker: int, data: Any, port: Port, tag: int) -> Answer:
        """Answer the worker's request, and take the next."""
        scratch = port.scratch
        code = self._reply(worker, data, True, port.native, tag, scratch)
        return code, scratch.op if code == PARKED else scratch.msg

    def reply_only(self, worker: int, data: Any) -> int:
        """Answer the worker's request. Never waits: nng keeps what cannot go at once."""
        return self._reply(worker, data, False, ffi.NULL, 0, ffi.new("tnng_result *"))

    def _reply(self, worker: int, data: Any, chain: bool, port: Any, tag: int, scratch: Any) -> int:
        answer = lib.tnng_desk_reply_bytes
        if type(data) is bytes:
            code: int = answer(self._native, worker, data, len(data), chain, port, tag, scratch)
        else:
            with ffi.from_buffer(data) as view:
                code = answer(self._native, worker, view, len(view), chain, port, tag, scratch)
        return code

    def reply_message(self, worker: int, message: MessageHandle) -> int:
        """Answer with a message, and give it away; GONE when another call has taken it."""
        code, msg = message.take()
        if code != 0:
            return code
        result = ffi.new("tnng_result *")
        answer: int = lib.tnng_desk_reply(self._native, worker, msg, False, ffi.NULL, 0, result)
        return answer

    def abandon(self, worker: int) -> None:
        """Give up the request the worker has, if it has one."""
        lib.tnng_desk_abandon(self._native, worker)

    def done(self, worker: int) -> None:
        """Say that the request the worker has needs no reply."""
        lib.tnng_desk_done(self._native, worker)

    def give_back(self, worker: int, msg: Msg) -> None:
        """Make the request the worker was handed the next one again."""
        lib.tnng_desk_give_back(self._native, worker, msg)

    def drain(self) -> None:
        """Take no new request; when what was taken is handed out, answer DRAINED."""
        lib.tnng_desk_drain(self._native)

    def close(self) -> None:
        """Abandon what was not answered, and close the contexts."""
        lib.tnng_lane_close(self._native)

    def counts(self) -> DeskCounts:
        out = ffi.new("tnng_desk_counts *")
        lib.tnng_desk_count(self._native, out)
        return DeskCounts(
            out.received,
            out.answered,
            out.abandoned,
            out.ready,
            out.taken,
            out.replying,
            out.slow,
        )

    def take_slow(self) -> list[int]:
        """Return the ids of the pipes that were closed since, because they do not read."""
        pipes = ffi.new("uint32_t[]", lib.TNNG_MAX_SLOW)
        count = lib.tnng_desk_take_slow(self._native, pipes, len(pipes))
        return list(pipes[0:count])

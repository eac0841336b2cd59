"""Services of the shim: the requests of a Rep0 or Respondent0, for workers that answer them."""

from __future__ import annotations

from typing import Any, NamedTuple

from trionng._ffi.load import ffi, lib
from trionng._ffi.owned import Owned
from trionng._ffi.socket import Context

DRAINED: int = lib.TNNG_DRAINED
SLOW: int = lib.TNNG_SLOW


class ServiceStats(NamedTuple):
    """What became of the requests so far."""

    received: int
    answered: int
    abandoned: int
    ready: int
    taken: int
    replying: int
    slow: int


class Worker(Context):
    """Takes requests, each with `receive`, and answers them; `exchange` answers and takes one.

    A send never waits: nng keeps what cannot go at once.
    """

    __slots__ = ()

    def end_request(self, *, answered: bool) -> None:
        """Say that the request, if there is one, gets no reply: it needs none, or is given up."""
        lib.tnng_end_request(self._native, answered)


class NativeService(Owned):
    """A service of the shim; it lives until it is closed."""

    __slots__ = ()
    _kind = "tnng_service **"

    def __del__(self, _free: Any = lib.tnng_service_free) -> None:
        native = self._disown()
        if native is not None:
            _free(native)

    def open_worker(self) -> tuple[int, Worker | None]:
        """Make a worker; there may be as many as the service was opened for."""
        worker = Worker()
        code = lib.tnng_service_worker(self._native, worker._cell)
        return code, (worker if code == 0 and worker._made() else None)

    def drain(self) -> None:
        """Take no new request; when what was taken is handed out, workers get DRAINED."""
        lib.tnng_service_drain(self._native)

    def close(self) -> None:
        """Abandon what was not answered."""
        lib.tnng_service_close(self._native)

    def stats(self) -> ServiceStats:
        out = ffi.new("tnng_service_stats *")
        lib.tnng_service_stats_read(self._native, out)
        return ServiceStats(
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
        pipes: list[int] = []
        while pipe := lib.tnng_service_take_slow(self._native):
            pipes.append(pipe)
        return pipes


def open_service(ctx: Context, workers: int, max_unread: int) -> tuple[int, NativeService | None]:
    """Open a service on a socket's own context."""
    service = NativeService()
    code = lib.tnng_service_open(service._cell, ctx._native, workers, max_unread)
    return code, (service if code == 0 and service._made() else None)

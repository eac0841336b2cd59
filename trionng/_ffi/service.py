"""Services of the shim: the requests of a Rep0 or Respondent0, for workers that answer them."""

from __future__ import annotations

from typing import Any

from trionng._ffi.context import Context
from trionng._ffi.load import ffi, lib
from trionng._ffi.owned import Owned

DRAINED = lib.TNNG_DRAINED
SLOW = lib.TNNG_SLOW


class Worker(Context):
    """The context of one worker: `recv` takes a request, `send` answers it, `send_recv` does both.

    A send never waits: nng keeps what cannot go at once.
    """

    __slots__ = ()

    def end_request(self, *, answered: bool) -> None:
        """End the request, if there is one, without a reply: it needs none, or is abandoned."""
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
        """Take no new request; workers get DRAINED when every taken request is handed out."""
        lib.tnng_service_drain(self._native)

    def close(self) -> None:
        """Abandon the requests that were not answered."""
        lib.tnng_service_close(self._native)

    def stats(self) -> lib.tnng_service_stats:
        """Count the requests so far, by what became of them."""
        out: lib.tnng_service_stats = ffi.new("tnng_service_stats *")
        lib.tnng_service_stats_read(self._native, out)
        return out

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

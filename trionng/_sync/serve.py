"""A server of threads for scripts: `serve_rep`."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from trionng import _ffi
from trionng._base.callables import check_result_is_sync, check_sync
from trionng._base.errors import Closed, OutOfThreads, Timeout, error_for
from trionng._base.sealed import Sealed
from trionng._base.types import Buffer, Self, Unpack
from trionng._base.util import check_buffer
from trionng._core import hooks
from trionng._core.service_options import OptionSet, ServeOptions
from trionng._core.statistics import ServiceStatistics, rep_statistics, warn_of_slow
from trionng._sync.protocols import Rep0
from trionng._sync.socket import Listener
from trionng._sync.wait import Submit, acquire_waiter, rollback, run, thread as this_thread

T = TypeVar("T")

_NAME = "blocking.serve_rep"
_ASYNC_NAME = "trionng.serve_rep"
# How long `close` waits for the last replies to be written, seconds.
_WRITTEN_WITHIN = 1.0


def _left(until: float | None) -> float | None:
    return None if until is None else max(0.0, until - time.monotonic())


class Service(Sealed):
    """Worker threads that answer requests, until they are closed; made by `serve_rep`."""

    def __init__(
        self,
        socket: Rep0,
        handler: Callable[[bytes], Buffer],
        workers: int,
        max_unread: int,
        *,
        own: bool,
    ) -> None:
        self._socket = socket
        self._native = self._expect(*_ffi.open_service(socket._ctx, workers, max_unread))
        self._handler = handler
        self._max_unread = max_unread
        self._own = own
        self._context = contextvars.copy_context()
        self._failure: BaseException | None = None
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []
        self._changed = threading.Condition()
        self._running = 0  # under _changed, as the next
        self._closing: set[threading.Thread] = set()
        try:
            for number in range(workers):
                thread = threading.Thread(
                    target=self._work,
                    args=(self._expect(*self._native.open_worker()),),
                    name=f"trionng serve_rep {number}",
                    daemon=True,
                )
                with self._changed:
                    try:
                        thread.start()
                    except RuntimeError as error:  # CPython's word for it
                        raise OutOfThreads(f"serve_rep: {OutOfThreads._reason}") from error
                    self._threads.append(thread)
                    self._running += 1
        except BaseException:
            self.close()
            raise

    def _expect(self, code: int, thing: T | None) -> T:
        if thing is None:
            raise error_for(code, _NAME, self._socket._urls())
        return thing

    def _work(self, worker: _ffi.Worker) -> None:
        try:
            request = self._next(worker, worker.recv)
            while request is not None:
                reply = self._context.copy().run(self._answer, request)
                request = self._next(worker, partial(worker.send_recv, reply))
        except Closed:
            pass
        except BaseException as exc:
            self._failure = self._failure or exc
        finally:
            self._ended.set()
            with self._changed:
                self._closing.discard(threading.current_thread())
                self._running -= 1
                self._changed.notify_all()

    def _next(self, worker: _ffi.Worker, submit: Submit) -> bytes | None:
        """Wait for the next request; None when there will be none."""
        waiter = acquire_waiter()
        try:
            code = run(waiter, submit)
            while code == _ffi.SLOW:
                warn_of_slow(self._socket, _NAME, self._native.take_slow(), self._max_unread)
                code = run(waiter, worker.recv)
            if code == _ffi.DRAINED:
                waiter.commit(this_thread)
                return None
            if code != 0:
                raise error_for(code, _NAME, self._socket._urls())
            data = waiter.copy()
            waiter.commit(this_thread)
        except BaseException:
            rollback(waiter)
            raise
        return data

    def _answer(self, request: bytes) -> Buffer:
        finish = None
        if hooks.handler is not None:
            finish = hooks.handler("serve_rep", self._socket, 0, request)
        try:
            reply = self._handler(request)
        except BaseException as error:
            if finish is not None:
                finish(error)
            raise
        if finish is not None:
            finish(None)
        check_result_is_sync(_NAME, self._handler, reply, _ASYNC_NAME)
        check_buffer(reply)
        return reply

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """What the service listens on."""
        return self._socket.listeners

    @property
    def url(self) -> str:
        """The URL of its only listener, with the real port.

        Raises:
            Ambiguous: it has none, or several: see `listeners`.
        """
        return self._socket._only_url()

    def __repr__(self) -> str:
        return f"<serve_rep {self._socket._urls() or 'ended'}>"

    def statistics(self) -> ServiceStatistics:
        """Count what became of the requests so far; also when the service has ended."""
        return rep_statistics(self._native)

    def wait(self, *, timeout: float | None = None) -> bool:
        """Wait until a handler has failed, and raise that; False when the time was up first.

        Args:
            timeout: seconds; None is for ever. Ctrl-C interrupts.
        """
        ended = self._ended.wait(timeout)
        self._raise_failure()
        return ended

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            if hasattr(failure, "add_note"):  # Python 3.11
                failure.add_note("in a handler of trionng.blocking.serve_rep")
            raise failure

    def close(self, *, timeout: float | None = None) -> None:
        """Take no more requests, wait for the handlers that run, and raise what one raised.

        Their replies are written, as far as clients read them within a second. Called in a handler,
        it waits for the others only; the request of that handler stays unanswered.

        Args:
            timeout: seconds to wait for the handlers; None is for ever.
        """
        until = None if timeout is None else time.monotonic() + timeout
        try:
            self._native.drain()
            self._wait_for_workers(until)
            self._write_replies()
        finally:
            self._native.close()
            if self._own:
                self._socket.close()
        self._raise_failure()

    def _wait_for_workers(self, until: float | None) -> None:
        """Wait for all threads; a worker waits only for those that do not wait here too."""
        me = threading.current_thread()
        is_worker = me in self._threads
        with self._changed:
            if is_worker:
                self._closing.add(me)
                self._changed.notify_all()
            self._changed.wait_for(
                lambda: self._running <= (len(self._closing) if is_worker else 0), _left(until)
            )
        if not is_worker:
            for each in self._threads:
                each.join(_left(until))

    def _write_replies(self) -> None:
        try:
            self._socket.flush(timeout=_WRITTEN_WITHIN)
        except (Closed, Timeout, RuntimeError):
            pass  # RuntimeError: in a Trio task, or a forked child

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class RepOptions(ServeOptions, total=False):
    """The options of `serve_rep`."""

    socket: Rep0 | None
    max_unread: int


_OPTIONS = OptionSet(RepOptions)


@_OPTIONS.show
def serve_rep(handler: Callable[[bytes], Buffer], **options: Unpack[RepOptions]) -> Service:
    """Answer requests in threads, several at a time: sync counterpart of Trio's `serve_rep`.

    Returns once it listens. An exception in a handler ends that worker, and is raised by `wait` or
    `close`.

    Args:
        handler: gets a request, returns the reply; called in any of the threads, each time in its
            own copy of the context (`contextvars`) of this call.
        listen, dial: one URL or several.
        socket: serve on this socket instead; it is not closed with the service.
        tls_config: for tls+tcp and wss URLs.
        accept: which connections to accept; default: all.
        recv_max_size: largest message a peer may send, bytes; default 1 MiB; 0 is no limit.
        workers: how many requests may be answered at once.
        max_unread: how many replies may wait for one connection, as Trio's `serve_rep` says.

    Raises:
        TypeError: the handler is async, or cannot be called; no endpoint, or two kinds of them.
        InvalidOperation: `workers` or `max_unread` is not at least 1.

    Example:
        with blocking.serve_rep(bytes.upper, listen="tcp://127.0.0.1:5555") as service:
            service.wait()
    """
    given = _OPTIONS.read("serve_rep", options)
    check_sync(_NAME, handler, _ASYNC_NAME)
    socket = given.check("serve_rep", Rep0)
    own = socket is None
    if socket is None:
        socket = Rep0(
            listen=given.listen,
            dial=given.dial,
            tls_config=given.tls_config,
            accept=given.accept,
            recv_max_size=given.recv_max_size,
        )
    try:
        return Service(socket, handler, given.workers, given.max_unread, own=own)
    except BaseException:
        if own:
            socket.close()
        raise

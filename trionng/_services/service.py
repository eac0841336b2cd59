"""What runs behind `serve_*`: a service and its workers.

Of all workers one receives; the others are in a handler, or sleep. The receiving worker runs the
handler itself. When the handler first waits for something, the worker that slept last takes over
receiving, and only then. So one request at a time costs one task and one wake-up, however many
workers there are, and as many as there are workers are handled at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

import trio

from trionng import _ffi
from trionng._base.errors import Closed, shown
from trionng._base.sealed import Sealed
from trionng._base.types import Buffer
from trionng._core import hooks
from trionng._core.flush import FlushWatch
from trionng._core.message import AnyMessage
from trionng._core.statistics import ServiceStatistics
from trionng._services.disconnects import DisconnectScopes
from trionng._services.handlers import Handler
from trionng._services.requests import Requests, RequestSource
from trionng._trio.socket import Listener, Socket
from trionng._trio.wait import Task, checkpoint, current_task, sleep_in_real_time, wait_for

T = TypeVar("T")

# How long `drain` waits for clients that read nothing, seconds.
_UNREAD_FOR: Final = 5.0

_log: Final = logging.getLogger("trionng")


def add_note(exc: BaseException, note: str) -> None:
    """Add a note to an exception, on Python 3.10 too, which keeps it but does not print it."""
    note = shown(note)
    notes = getattr(exc, "__notes__", None)
    if isinstance(notes, list):
        notes.append(note)
    else:
        exc.__notes__ = [note]  # type: ignore[attr-defined]


class Service(Sealed):
    """A running service. Made by `serve_rep` and its like; it ends with the nursery it runs in."""

    def __init__(
        self,
        name: str,
        socket: Socket,
        source: RequestSource,
        workers: int,
        nursery: trio.Nursery,
        *,
        owns_socket: bool,
        cancel_on_disconnect: bool = False,
    ) -> None:
        self._name = name
        self._socket = socket
        self._source = source
        self._workers = workers
        self._owns_socket = owns_socket
        self._disconnects = DisconnectScopes(socket) if cancel_on_disconnect else None
        self._nursery = nursery
        self._running = 0
        self._tasks: set[Task] = set()
        # Workers whose handlers wait for the others to be done.
        self._draining: list[tuple[Task, trio.Event]] = []
        self._scopes: set[trio.CancelScope] = set()
        self._started = 0
        self._sleeping: list[trio.Event] = []
        self._has_receiver = True
        self._exhausted = False
        self._closing = False
        self._workers_ended = trio.Event()
        self._ended = trio.Event()

    @property
    def socket(self) -> Socket:
        """The socket it serves."""
        return self._socket

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """The listeners of its socket."""
        return self._socket.listeners

    @property
    def url(self) -> str:
        """The URL of its only listener, with the real port.

        Raises:
            Ambiguous: it has none, or several: see `listeners`.
        """
        return self._socket._only_url()

    def statistics(self) -> ServiceStatistics:
        """Count what became of the messages so far; also when the service has ended."""
        return self._source.statistics()

    async def drain(self) -> None:
        """Take nothing new, and wait until what was taken is answered and written.

        Listeners stay open until `aclose`: closing one drops its connections, and replies with
        them. A request that arrives later stays unanswered; its client sends it again elsewhere.

        Called in a handler (or in a task that the handler waits for), it waits for all the others:
        the message of that handler is answered when it returns.

        Clients that do not read their replies are not waited for: when nothing has been written for
        5 s, it returns, and a warning says so.

        Cancellation: only the waiting ends; the service goes on draining.
        """
        self._source.drain()
        worker = self._calling_worker()
        if worker is None:
            await self._workers_ended.wait()
        else:
            await self._wait_for_others(worker)
        try:
            await self._write_replies()
        except Closed:
            await checkpoint()

    async def _write_replies(self) -> None:
        watch = FlushWatch(self._socket)
        while True:
            code, _ = await wait_for(watch.submit)
            if watch.is_flushed(code):
                return
            if watch.is_stuck(_UNREAD_FOR):
                _log.warning(
                    "%s %s: drained, but some clients have not read their replies",
                    self._name,
                    shown(self._urls()),
                )
                return
            await sleep_in_real_time(watch.pause())

    async def aclose(self) -> None:
        """End the service: running handlers are cancelled, its socket closes.

        A socket that was given as `socket=` stays open. Closing it again does nothing.

        Called in a handler (or in a task that the handler waits for), it cancels that handler too,
        and so raises Cancelled there: the service ends when the handler has. Where the handler is
        shielded from that, it returns.

        Cancellation: closes all the same, then raises.
        """
        self._closing = True
        for scope in self._scopes:
            scope.cancel()
        if self._calling_worker() is None:
            with trio.CancelScope(shield=True):
                await self._ended.wait()
        await checkpoint()

    def _calling_worker(self) -> Task | None:
        """Return the worker that cannot go on before the calling task does, if there is one."""
        task: Task | None = current_task()
        while task is not None and task not in self._tasks:
            nursery = task.parent_nursery
            task = None if nursery is None else nursery.parent_task
        return task

    async def _wait_for_others(self, worker: Task) -> None:
        """Wait until no worker is left but those whose handlers wait here."""
        entry = worker, trio.Event()
        self._draining.append(entry)
        self._wake_if_alone()
        try:
            await entry[1].wait()
        finally:
            self._draining.remove(entry)

    def _wake_if_alone(self) -> None:
        if self._running == len({worker for worker, _ in self._draining}):
            for _, event in self._draining:
                event.set()

    async def __aenter__(self) -> Service:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        state = "ended" if self._ended.is_set() else self._socket._urls() or "no endpoint"
        return f"<{self._name} {shown(state)}>"

    # -- the tasks

    async def _run(self, handler: Handler[T], started: Callable[[], None]) -> None:
        """Own the service: start the first worker, wait for cancellation, then close."""
        try:
            with trio.CancelScope() as scope:
                self._scopes.add(scope)
                if self._disconnects is not None:
                    watching = trio.CancelScope()
                    self._scopes.add(watching)
                    self._nursery.start_soon(
                        self._disconnects.run, watching, name=f"{self._name} watch"
                    )
                self._start_worker(handler)
                started()
                await trio.sleep_forever()
        finally:
            self._closing = self._exhausted = True
            for each in self._scopes:
                each.cancel()
            if self._running == 0:
                self._workers_ended.set()
            with trio.CancelScope(shield=True):
                await self._workers_ended.wait()
            self._source.close()
            try:
                if self._owns_socket:
                    await self._socket.aclose()
            finally:
                self._ended.set()

    def _start_worker(self, handler: Handler[T]) -> None:
        name = f"{self._name} worker {self._started}"
        self._started += 1
        self._running += 1
        # Not in the context of the handler that waits just now.
        handler.context.copy().run(
            partial(self._nursery.start_soon, self._worker, handler), name=name
        )

    async def _worker(self, handler: Handler[T]) -> None:
        task = current_task()
        self._tasks.add(task)
        requests: Requests | None = None
        try:
            with trio.CancelScope() as scope:
                self._scopes.add(scope)
                if not self._closing:
                    requests = self._source.worker()
                    await self._serve(requests, handler)
        finally:
            self._scopes.discard(scope)
            self._tasks.discard(task)
            if requests is not None:
                requests.leave()
            self._running -= 1
            self._wake_if_alone()
            if self._running == 0 and (self._exhausted or self._closing):
                self._workers_ended.set()

    async def _serve(self, requests: Requests, handler: Handler[T]) -> None:
        """Receive and handle, sleep while another receives, until nothing comes any more."""
        msg = await requests.next()
        while msg is not None:
            receives = True

            def waits() -> None:
                nonlocal receives
                receives = False
                self._start_receiver(handler)

            reply = await self._handle(requests, msg, handler, waits)
            if not receives and self._has_receiver:
                if reply is not None:
                    await requests.reply(reply)
                if not await self._sleep():
                    return
                msg = await requests.next()
            else:
                if not self._has_receiver:
                    self._has_receiver = True
                msg = await requests.next(reply)
        self._has_receiver = False
        self._exhausted = True
        for event in self._sleeping:
            event.set()

    async def _handle(
        self, requests: Requests, msg: _ffi.Msg, handler: Handler[T], waits: Callable[[], None]
    ) -> Buffer | AnyMessage | None:
        """Run the handler; None when there is nothing to reply."""
        pipe = _ffi.pipe_of(msg)
        try:
            message = handler.open_message(msg)
        except BaseException:  # no memory
            requests.reclaim(msg)
            raise
        reply = begin = None
        if hooks.handler is not None:
            begin = partial(hooks.handler, self._name, self._socket, pipe, message)
        try:
            if self._disconnects is None:
                reply = await handler.call(message, waits, begin)
            else:
                with self._disconnects.scope_for(pipe) as scope:
                    if not scope.cancel_called:
                        reply = await handler.call(message, waits, begin)
                if scope.cancel_called and reply is None:
                    requests.end(answered=False)
                    return None
        except BaseException as exc:
            requests.end(answered=False)
            if isinstance(exc, Exception):
                add_note(exc, f"while {self._name} {self._urls()} handled {self._peer(pipe)}")
            raise
        if reply is None:
            requests.end(answered=True)
        return reply

    def _urls(self) -> str:
        return self._socket._urls() or "without an endpoint"

    def _peer(self, number: int) -> str:
        pipe = self._socket._pipe(number)
        return "a message of a peer that has left" if pipe is None else f"a message of {pipe!r}"

    def _start_receiver(self, handler: Handler[T]) -> None:
        """Let another worker receive: the one that slept last, or a new one."""
        if self._sleeping:
            self._sleeping.pop().set()
        elif self._started < self._workers and not self._exhausted and not self._closing:
            self._start_worker(handler)
        else:
            self._has_receiver = False

    async def _sleep(self) -> bool:
        """Wait until it is this worker's turn to receive; False when there is nothing more."""
        if self._exhausted:
            return False
        turn = trio.Event()
        self._sleeping.append(turn)
        try:
            await turn.wait()
        finally:
            if turn in self._sleeping:
                self._sleeping.remove(turn)
        return not self._exhausted

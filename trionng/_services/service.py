"""What runs behind `serve_*` (floor 6): a service and its workers.

Of all workers one receives; the others are in a handler, or sleep. The receiving worker runs the
handler itself. When the handler first waits for something, the worker that slept last takes over
receiving, and only then. So one request at a time costs one task and one wake-up, however many
workers there are, and as many as there are workers are handled at once.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import trio

from trionng import _ffi
from trionng._base.errors import Closed, error_for, shown
from trionng._base.sealed import Sealed
from trionng._core.flush import FlushWatch
from trionng._services.disconnects import Watch
from trionng._trio.wait import checkpoint, current_task, sleep_in_real_time, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

    from trionng._core.message import AnyMessage
    from trionng._core.statistics import ServiceStatistics
    from trionng._services.handlers import Work
    from trionng._services.requests import Inbox
    from trionng._trio.socket import Listener, Socket
    from trionng._trio.wait import Task

T = TypeVar("T")

_AMBIGUOUS: Final = 29
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
        inbox: Inbox,
        workers: int,
        nursery: trio.Nursery,
        *,
        owns_socket: bool,
        cancel_on_disconnect: bool = False,
    ) -> None:
        self._name = name
        self._socket = socket
        self._inbox = inbox
        self._workers = workers
        self._owns_socket = owns_socket
        self._watch = Watch(socket) if cancel_on_disconnect else None
        self._nursery = nursery
        self._running = 0
        self._tasks: set[Task] = set()
        # Workers whose handlers wait for the others to be done.
        self._draining: list[tuple[Task, trio.Event]] = []
        self._scopes: set[trio.CancelScope] = set()
        self._started = 0
        self._sleeping: list[tuple[int, trio.Event]] = []
        self._somebody_receives = True
        self._no_more = False
        self._closing = False
        self._all_left = trio.Event()
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
        return only_url(self._socket)

    def statistics(self) -> ServiceStatistics:
        """Count what became of the messages so far; also when the service has ended."""
        return self._inbox.statistics()

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
        self._inbox.drain()
        worker = self._worker_around()
        if worker is None:
            await self._all_left.wait()
        else:
            await self._others_left(worker)
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
        if self._worker_around() is None:
            with trio.CancelScope(shield=True):
                await self._ended.wait()
        await checkpoint()

    def _worker_around(self) -> Task | None:
        """Return the worker that cannot go on before the calling task does, if there is one."""
        task: Task | None = current_task()
        while task is not None and task not in self._tasks:
            nursery = task.parent_nursery
            task = None if nursery is None else nursery.parent_task
        return task

    async def _others_left(self, worker: Task) -> None:
        """Wait until no worker is left but those whose handlers wait here."""
        entry = worker, trio.Event()
        self._draining.append(entry)
        self._look_who_is_left()
        try:
            await entry[1].wait()
        finally:
            self._draining.remove(entry)

    def _look_who_is_left(self) -> None:
        if self._running == len({worker for worker, _ in self._draining}):
            for _, event in self._draining:
                event.set()

    async def __aenter__(self) -> Service:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        state = "ended" if self._ended.is_set() else self._socket._urls() or "no endpoint"
        return f"<{self._name} {shown(state)}>"

    # -- the tasks

    async def run(self, work: Work[T], started: Callable[[], None]) -> None:
        """Be the task that owns the service: starts it, and ends it when its time has come."""
        try:
            with trio.CancelScope() as scope:
                self._scopes.add(scope)
                if self._watch is not None:
                    watching = trio.CancelScope()
                    self._scopes.add(watching)
                    self._nursery.start_soon(self._watch.run, watching, name=f"{self._name} watch")
                self._start_worker(work)
                started()
                await trio.sleep_forever()
        finally:
            self._closing = self._no_more = True
            for each in self._scopes:
                each.cancel()
            if self._running == 0:
                self._all_left.set()
            with trio.CancelScope(shield=True):
                await self._all_left.wait()
            self._inbox.close()
            try:
                if self._owns_socket:
                    await self._socket.aclose()
            finally:
                self._ended.set()

    def _start_worker(self, work: Work[T]) -> None:
        worker = self._started
        self._started += 1
        self._running += 1
        # Not in the context of the handler that waits just now.
        work.context.copy().run(
            partial(self._nursery.start_soon, self._worker, worker, work),
            name=f"{self._name} worker {worker}",
        )

    async def _worker(self, worker: int, work: Work[T]) -> None:
        task = current_task()
        self._tasks.add(task)
        try:
            with trio.CancelScope() as scope:
                self._scopes.add(scope)
                if not self._closing:
                    await self._serve(worker, work)
        finally:
            self._scopes.discard(scope)
            self._tasks.discard(task)
            self._inbox.abandon(worker)
            self._running -= 1
            self._look_who_is_left()
            if self._running == 0 and (self._no_more or self._closing):
                self._all_left.set()

    async def _serve(self, worker: int, work: Work[T]) -> None:
        """Receive and handle, sleep while another receives, until nothing comes any more."""
        inbox = self._inbox
        msg = await inbox.next(worker)
        while msg is not None:
            receives = True

            def hand_on() -> None:
                nonlocal receives
                receives = False
                self._hand_on(work)

            reply = await self._handle(worker, msg, work, hand_on)
            if not receives and self._somebody_receives:
                if reply is not None:
                    await inbox.reply_only(worker, reply)
                if not await self._sleep(worker):
                    return
                msg = await inbox.next(worker)
            else:
                self._somebody_receives = True
                msg = await (inbox.next(worker) if reply is None else inbox.reply(worker, reply))
        self._somebody_receives = False
        self._no_more = True
        for _, event in self._sleeping:
            event.set()

    async def _handle(
        self, worker: int, msg: _ffi.Msg, work: Work[T], waits: Callable[[], None]
    ) -> Buffer | AnyMessage | None:
        """Run the handler; None when there is nothing to reply."""
        pipe = _ffi.pipe_of(msg)
        try:
            message = work.open_message(msg)
        except BaseException:  # no memory
            self._inbox.give_back(worker, msg)
            raise
        reply = None
        try:
            if self._watch is None:
                reply = await work.do(message, waits)
            else:
                with self._watch.asker(pipe) as scope:
                    if not scope.cancel_called:
                        reply = await work.do(message, waits)
                if scope.cancel_called and reply is None:
                    self._inbox.abandon(worker)
                    return None
        except Exception as exc:
            add_note(exc, f"while {self._name} {self._urls()} handled {self._peer(pipe)}")
            raise
        if reply is None:
            self._inbox.done(worker)
        return reply

    def _urls(self) -> str:
        return self._socket._urls() or "without an endpoint"

    def _peer(self, number: int) -> str:
        pipe = self._socket._pipe(number)
        return "a message of a peer that has left" if pipe is None else f"a message of {pipe!r}"

    def _hand_on(self, work: Work[T]) -> None:
        """Let another worker receive: the one that slept last, or a new one."""
        if self._sleeping:
            self._sleeping.pop()[1].set()
        elif self._started < self._workers and not self._no_more and not self._closing:
            self._start_worker(work)
        else:
            self._somebody_receives = False

    async def _sleep(self, worker: int) -> bool:
        """Wait until it is this worker's turn to receive; False when there is nothing more."""
        if self._no_more:
            return False
        entry = worker, trio.Event()
        self._sleeping.append(entry)
        try:
            await entry[1].wait()
        finally:
            if entry in self._sleeping:
                self._sleeping.remove(entry)
        return not self._no_more


def only_url(socket: Socket) -> str:
    """Return the URL of the only listener."""
    listeners = socket.listeners
    if len(listeners) != 1:
        raise error_for(_AMBIGUOUS, f"url: {len(listeners)} listeners", socket._urls())
    return listeners[0].url

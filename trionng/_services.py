"""What runs behind `serve_*` (floor 6): a service, its workers, and where they get their messages.

Of all workers one receives; the others are in a handler, or sleep. The receiving worker runs the
handler itself. When the handler first waits for something, the worker that slept last takes over
receiving, and only then. So one request at a time costs one task and one wake-up, however many
workers there are, and as many as there are workers are handled at once.
"""

from __future__ import annotations

import types
from functools import partial
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

import attrs
import trio

from trionng import _ffi
from trionng._calls import SendMessage
from trionng._errors import Closed, error_for
from trionng._message import Message
from trionng._util import check_buffer
from trionng._wait_trio import checkpoint, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

    from typing_extensions import Buffer

    from trionng._trio_socket import Listener, Socket

T = TypeVar("T")

_AMBIGUOUS: Final = 29
# How long a worker waits when the service has too many replies nobody reads.
_UNREAD_PAUSE: Final = 0.01


@attrs.frozen
class ServiceStatistics:
    """What became of the messages of a service so far.

    Attributes:
        received: taken from nng.
        answered: replies nng accepted; of services without replies, messages that were handled.
        abandoned: taken, and given up: the worker was cancelled, or the asker was gone.
        busy: being handled now, or about to be.
        unread: replies that wait because their connection does not take them.
    """

    received: int
    answered: int
    abandoned: int
    busy: int
    unread: int


class Inbox(Protocol):
    """Where the workers of a service get their messages, and leave their replies."""

    async def next(self, worker: int) -> _ffi.Msg | None:
        """Wait for the next message; None when there will be none."""

    async def reply(self, worker: int, data: Buffer | Message) -> _ffi.Msg | None:
        """Answer the worker's message, and wait for the next."""

    async def reply_only(self, worker: int, data: Buffer | Message) -> None:
        """Answer the worker's message."""

    def done(self, worker: int) -> None:
        """Say that the worker's message needs no reply."""

    def abandon(self, worker: int) -> None:
        """Give up what the worker has not answered."""

    def drain(self) -> None:
        """Take no new message."""

    def close(self) -> None:
        """Take nothing and answer nothing any more."""

    def statistics(self) -> ServiceStatistics:
        """Count."""


class RepInbox:
    """The requests of a Rep0 socket, through a desk of the shim."""

    def __init__(self, socket: Socket, workers: int) -> None:
        code, desk = socket._native.open_desk(workers)
        if desk is None:
            raise error_for(code, "serve_rep", socket._where())
        self._socket = socket
        self._desk = desk

    async def next(self, worker: int) -> _ffi.Msg | None:
        submit = partial(self._desk.next, worker)
        return await self._take(worker, await wait_for(submit, self._give_back(worker)))

    async def reply(self, worker: int, data: Buffer | Message) -> _ffi.Msg | None:
        if isinstance(data, Message):
            await self.reply_only(worker, data)
            return await self.next(worker)
        submit = partial(self._desk.reply, worker, data)
        return await self._take(worker, await wait_for(submit, self._give_back(worker)))

    def _give_back(self, worker: int) -> _ffi.PutBack:
        return partial(self._desk.give_back, worker)

    async def _take(self, worker: int, done: _ffi.Done) -> _ffi.Msg | None:
        code, msg = done
        while code == _ffi.AGAIN:
            await trio.sleep(_UNREAD_PAUSE)
            submit = partial(self._desk.next, worker)
            code, msg = await wait_for(submit, self._give_back(worker))
        if code == _ffi.DRAINED:
            return None
        if code != 0:
            raise error_for(code, "serve_rep", self._socket._where())
        return msg

    async def reply_only(self, worker: int, data: Buffer | Message) -> None:
        if isinstance(data, Message):
            code = self._desk.reply_message(worker, data._give())
        else:
            code = self._desk.reply_only(worker, data)
        if code != 0:
            raise error_for(code, "serve_rep", self._socket._where())
        await checkpoint()

    def done(self, worker: int) -> None:
        self._desk.abandon(worker)

    def abandon(self, worker: int) -> None:
        self._desk.abandon(worker)

    def drain(self) -> None:
        self._desk.drain()

    def close(self) -> None:
        self._desk.close()

    def statistics(self) -> ServiceStatistics:
        counts = self._desk.counts()
        return ServiceStatistics(
            received=counts.received,
            answered=counts.answered,
            abandoned=counts.abandoned,
            busy=counts.taken + counts.ready,
            unread=counts.replying,
        )


class LaneInbox:
    """Messages of lanes: one for all workers, or, where they answer, one each."""

    def __init__(self, socket: Socket, lanes: list[_ffi.Lane], operation: str) -> None:
        self._socket = socket
        self._lanes = lanes
        self._operation = operation
        self._receiving: trio.CancelScope | None = None
        self._draining = False
        self._has_message: set[int] = set()
        self._received = self._answered = self._abandoned = 0

    def _lane(self, worker: int) -> _ffi.Lane:
        return self._lanes[worker % len(self._lanes)]

    async def next(self, worker: int) -> _ffi.Msg | None:
        lane = self._lane(worker)
        topics = self._socket._topics
        while not self._draining:
            code, msg = lane.receive(None, 0)
            if code == _ffi.AGAIN:
                with trio.CancelScope() as self._receiving:
                    code, msg = await wait_for(lane.receive, lane.give_back)
                self._receiving = None
            else:
                await self._pass(lane, code, msg)
            if code == _ffi.AGAIN:
                break  # drained
            if code != 0:
                raise error_for(code, self._operation, self._socket._where())
            if topics is not None and not topics.want(msg):
                _ffi.drop(msg)
                continue
            self._received += 1
            self._has_message.add(worker)
            return msg
        await checkpoint()
        return None

    async def _pass(self, lane: _ffi.Lane, code: int, msg: _ffi.Msg) -> None:
        """Let others run; a cancelled task gives back what it has."""
        try:
            await checkpoint()
        except BaseException:
            if code == 0:
                lane.give_back(msg)
            raise

    async def reply(self, worker: int, data: Buffer | Message) -> _ffi.Msg | None:
        await self.reply_only(worker, data)
        return await self.next(worker)

    async def reply_only(self, worker: int, data: Buffer | Message) -> None:
        lane = self._lane(worker)
        if isinstance(data, Message):
            submit = SendMessage(self._socket, lane, data)
            code, msg = await wait_for(submit, data._restore)
        else:
            code, msg = await wait_for(partial(lane.send, data), _ffi.drop)
        if code != 0:
            if msg:
                _ffi.drop(msg)
            raise error_for(code, self._operation, self._socket._where())
        self.done(worker)

    def done(self, worker: int) -> None:
        self._has_message.discard(worker)
        self._answered += 1

    def abandon(self, worker: int) -> None:
        if worker in self._has_message:
            self._has_message.discard(worker)
            self._abandoned += 1

    def drain(self) -> None:
        self._draining = True
        if self._receiving is not None:
            self._receiving.cancel()

    def close(self) -> None:
        self._draining = True
        for lane in self._lanes:
            if lane is not self._socket._lane:
                lane.close()

    def statistics(self) -> ServiceStatistics:
        return ServiceStatistics(
            received=self._received,
            answered=self._answered,
            abandoned=self._abandoned,
            busy=len(self._has_message),
            unread=0,
        )


@types.coroutine
def until_it_waits(
    work: Coroutine[object, object, T], waits: Callable[[], None]
) -> Generator[object, object, T]:
    """Run a coroutine to its end; `waits` is called when it first waits."""
    try:
        trap = work.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    waits()
    while True:
        try:
            try:
                answer = yield trap
            except GeneratorExit:
                work.close()
                raise
            except BaseException as exc:
                trap = work.throw(exc)
            else:
                trap = work.send(answer)
        except StopIteration as done:
            value = done.value
            return value


class Work(Generic[T]):
    """What a service does with a message."""

    def __init__(
        self,
        handler: Callable[[T], Coroutine[object, object, object]],
        on_error: Callable[[Exception, T], object] | None,
        open_message: Callable[[_ffi.Msg], T],
        *,
        must_reply: bool,
        may_reply: bool,
    ) -> None:
        self._handler = handler
        self._on_error = on_error
        self.open_message = open_message
        self._must_reply = must_reply
        self._may_reply = may_reply

    async def do(self, message: T, waits: Callable[[], None]) -> Buffer | Message | None:
        """Run the handler; return what is to be replied, if anything is."""
        try:
            return self._check(await until_it_waits(self._handler(message), waits))
        except Exception as exc:
            if self._on_error is None:
                raise
            reply = self._on_error(exc, message)
            if reply is None and self._may_reply:
                raise
            return self._check(reply)

    def _check(self, reply: object) -> Buffer | Message | None:
        if not self._may_reply or (reply is None and not self._must_reply):
            return None
        if isinstance(reply, Message):
            return reply
        if reply is None:
            raise TypeError("the handler must return the reply, a bytes-like object, not None")
        check_buffer(reply)
        return reply  # type: ignore[return-value]


def add_note(exc: BaseException, note: str) -> None:
    """Add a note to an exception, on Python 3.10 too, which keeps it but does not print it."""
    notes = getattr(exc, "__notes__", None)
    if isinstance(notes, list):
        notes.append(note)
    else:
        exc.__notes__ = [note]  # type: ignore[attr-defined]


class Service:
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
    ) -> None:
        self._name = name
        self._socket = socket
        self._inbox = inbox
        self._workers = workers
        self._owns_socket = owns_socket
        self._nursery = nursery
        self._running = 0
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

        Cancellation: only the waiting ends; the service goes on draining.
        """
        self._inbox.drain()
        await self._all_left.wait()
        try:
            await self._socket.flush()
        except Closed:
            await checkpoint()

    async def aclose(self) -> None:
        """End the service: running handlers are cancelled, its socket closes.

        A socket that was given as `socket=` stays open. Closing it again does nothing.

        Cancellation: closes all the same, then raises.
        """
        self._closing = True
        for scope in self._scopes:
            scope.cancel()
        with trio.CancelScope(shield=True):
            await self._ended.wait()
        await checkpoint()

    async def __aenter__(self) -> Service:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        state = "ended" if self._ended.is_set() else self._socket._where() or "no endpoint"
        return f"<{self._name} {state}>"

    # -- the tasks

    async def run(self, work: Work[T], started: Callable[[], None]) -> None:
        """Be the task that owns the service: starts it, and ends it when its time has come."""
        try:
            with trio.CancelScope() as scope:
                self._scopes.add(scope)
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
        self._nursery.start_soon(self._worker, worker, work, name=f"{self._name} worker {worker}")

    async def _worker(self, worker: int, work: Work[T]) -> None:
        try:
            with trio.CancelScope() as scope:
                self._scopes.add(scope)
                if not self._closing:
                    await self._serve(worker, work)
        finally:
            self._scopes.discard(scope)
            self._inbox.abandon(worker)
            self._running -= 1
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
    ) -> Buffer | Message | None:
        """Run the handler; None when there is nothing to reply."""
        pipe = _ffi.pipe_of(msg)
        message = work.open_message(msg)
        try:
            reply = await work.do(message, waits)
        except Exception as exc:
            add_note(exc, f"while {self._name} {self._where()} handled {self._peer(pipe)}")
            raise
        if reply is None:
            self._inbox.done(worker)
        return reply

    def _where(self) -> str:
        return self._socket._where() or "without an endpoint"

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
        raise error_for(_AMBIGUOUS, f"url: {len(listeners)} listeners", socket._where())
    return listeners[0].url

"""Where the workers of a service get their messages, and leave their replies (floor 6)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import trio

from trionng import _ffi
from trionng._base.errors import error_for
from trionng._core.message import Message
from trionng._core.statistics import ServiceStatistics, rep_statistics, warn_of_slow
from trionng._trio.wait import checkpoint, wait_for

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from trionng._core.message import AnyMessage
    from trionng._trio.socket import Socket

# Of requests that are there already, how many are answered before other tasks run.
_IN_A_ROW: Final = 8


class Inbox(Protocol):
    """Where the workers of a service get their messages, and leave their replies."""

    async def next(self, worker: int) -> _ffi.Msg | None:
        """Wait for the next message; None when there will be none."""

    async def reply(self, worker: int, data: Buffer | AnyMessage) -> _ffi.Msg | None:
        """Answer the worker's message, and wait for the next."""

    async def reply_only(self, worker: int, data: Buffer | AnyMessage) -> None:
        """Answer the worker's message."""

    def give_back(self, worker: int, msg: _ffi.Msg) -> None:
        """Make a message that could not be handed to the worker's handler the next one again."""

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


class DeskInbox:
    """The requests of a Rep0 socket, or surveys of a Respondent0, through a desk of the shim."""

    def __init__(self, socket: Socket, workers: int, max_unread: int, operation: str) -> None:
        code, desk = socket._native.open_desk(workers, max_unread)
        if desk is None:
            raise error_for(code, operation, socket._urls())
        self._socket = socket
        self._operation = operation
        self._desk = desk
        self._max_unread = max_unread
        self._give_backs = [partial(desk.give_back, worker) for worker in range(workers)]
        self._replies = 0

    async def next(self, worker: int) -> _ffi.Msg | None:
        submit = partial(self._desk.next, worker)
        code, msg = await wait_for(submit, self._give_backs[worker])
        return msg if code == 0 else await self._try_on(worker, code)

    async def reply(self, worker: int, data: Buffer | AnyMessage) -> _ffi.Msg | None:
        if isinstance(data, Message):
            await self.reply_only(worker, data)
            return await self.next(worker)
        self._replies += 1
        submit = partial(self._desk.reply, worker, data)
        schedule = self._replies % _IN_A_ROW == 0
        code, msg = await wait_for(submit, self._give_backs[worker], schedule=schedule)
        return msg if code == 0 else await self._try_on(worker, code)

    async def _try_on(self, worker: int, code: int) -> _ffi.Msg | None:
        """Do what the desk says first, then wait on; None when the service is drained."""
        msg = None
        while code == _ffi.SLOW:
            warn_of_slow(self._socket, self._operation, self._desk.take_slow(), self._max_unread)
            submit = partial(self._desk.next, worker)
            code, msg = await wait_for(submit, self._give_backs[worker])
        if code == _ffi.DRAINED:
            return None
        if code != 0:
            raise error_for(code, self._operation, self._socket._urls())
        return msg

    async def reply_only(self, worker: int, data: Buffer | AnyMessage) -> None:
        if isinstance(data, Message):
            code = self._desk.reply_message(worker, data._owned())
        else:
            code = self._desk.reply_only(worker, data)
        if code != 0:
            raise error_for(code, self._operation, self._socket._urls())
        await checkpoint()

    def give_back(self, worker: int, msg: _ffi.Msg) -> None:
        self._desk.give_back(worker, msg)

    def done(self, worker: int) -> None:
        self._desk.done(worker)

    def abandon(self, worker: int) -> None:
        self._desk.abandon(worker)

    def drain(self) -> None:
        self._desk.drain()

    def close(self) -> None:
        self._desk.close()

    def statistics(self) -> ServiceStatistics:
        return rep_statistics(self._desk.counts())


class LaneInbox:
    """The messages of a socket whose protocol knows no replies."""

    def __init__(self, socket: Socket, operation: str) -> None:
        self._socket = socket
        self._operation = operation
        self._receiving: trio.CancelScope | None = None
        self._draining = False
        self._has_message: set[int] = set()
        self._received = self._answered = self._abandoned = 0

    async def next(self, worker: int) -> _ffi.Msg | None:
        lane = self._socket._lane
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
                raise error_for(code, self._operation, self._socket._urls())
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

    async def reply(self, worker: int, data: Buffer | AnyMessage) -> _ffi.Msg | None:
        raise AssertionError("there are no replies")

    async def reply_only(self, worker: int, data: Buffer | AnyMessage) -> None:
        raise AssertionError("there are no replies")

    def give_back(self, worker: int, msg: _ffi.Msg) -> None:
        self._has_message.discard(worker)
        self._received -= 1
        self._socket._lane.give_back(msg)

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

    def statistics(self) -> ServiceStatistics:
        return ServiceStatistics(
            received=self._received,
            answered=self._answered,
            abandoned=self._abandoned,
            busy=len(self._has_message),
            unread=0,
            slow=0,
        )

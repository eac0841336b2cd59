"""Where the workers of a service get their messages, and leave their replies."""

from __future__ import annotations

from functools import partial
from typing import Final, TypeVar

import trio

from trionng import _ffi
from trionng._base.errors import EAGAIN, error_for
from trionng._base.types import Buffer
from trionng._core.message import AnyMessage, Message
from trionng._core.service_options import ServiceOptions
from trionng._core.statistics import ServiceStatistics, rep_statistics, warn_of_slow
from trionng._trio.socket import Socket
from trionng._trio.wait import checkpoint, wait_for

T = TypeVar("T")

# Of requests that are there already, how many are answered before other tasks run.
_IN_A_ROW: Final = 8


class PoolSource:
    """The requests of a Rep0, or the surveys of a Respondent0, through a service of the shim."""

    def __init__(self, socket: Socket, options: ServiceOptions, operation: str) -> None:
        code, native = _ffi.open_service(socket._ctx, options.workers, options.max_unread)
        self.replies = 0
        self._socket = socket
        self._operation = operation
        self._max_unread = options.max_unread
        self._native = self.expect(code, native)

    def expect(self, code: int, thing: T | None) -> T:
        """Return what a call has made, or raise what its code says."""
        if thing is None:
            raise error_for(code, self._operation, self._socket._urls())
        return thing

    def worker(self) -> Requests:
        """Return the share of one more worker."""
        return _PoolRequests(self, self.expect(*self._native.open_worker()))

    def warn(self) -> None:
        """Log which connections were closed because they do not read."""
        warn_of_slow(self._socket, self._operation, self._native.take_slow(), self._max_unread)

    def drain(self) -> None:
        self._native.drain()

    def close(self) -> None:
        self._native.close()

    def statistics(self) -> ServiceStatistics:
        return rep_statistics(self._native)


class _PoolRequests:
    """The messages of one worker."""

    def __init__(self, source: PoolSource, native: _ffi.Worker) -> None:
        self._source = source
        self._native = native

    async def next(self, reply: Buffer | AnyMessage | None = None) -> _ffi.Msg | None:
        """Answer the last message, if there is a reply; wait for the next. None: the end."""
        native = self._native
        if isinstance(reply, Message):
            await self.reply(reply)
            reply = None
        if reply is None:
            code, msg = await wait_for(native.recv, native.unget)
        else:
            self._source.replies += 1
            schedule = self._source.replies % _IN_A_ROW == 0
            code, msg = await wait_for(
                partial(native.send_recv, reply), native.unget, schedule=schedule
            )
        while code == _ffi.SLOW:
            self._source.warn()
            code, msg = await wait_for(native.recv, native.unget)
        if code == _ffi.DRAINED:
            return None
        return self._source.expect(code, msg if code == 0 else None)

    async def reply(self, data: Buffer | AnyMessage) -> None:
        """Answer the last message."""
        if isinstance(data, Message):
            code, msg = self._native.send_message(data._owned(), -1, None, 0)
            if msg:
                _ffi.drop(msg)
        else:
            code, _ = self._native.send(data, None, 0)
        self._source.expect(code, True if code == 0 else None)
        await checkpoint()

    def reclaim(self, msg: _ffi.Msg) -> None:
        """Make a message that could not be handed to the handler the next one again."""
        self._native.unget(msg)

    def end(self, *, answered: bool) -> None:
        """Say that the last message gets no reply: it needs none, or is given up."""
        self._native.end_request(answered=answered)

    def leave(self) -> None:
        """End the share of this worker; it may have failed to reply."""
        self._native.end_request(answered=False)


class SocketSource:
    """The messages of a socket whose protocol knows no replies; the workers share it."""

    def __init__(self, socket: Socket, operation: str) -> None:
        self._socket = socket
        self._operation = operation
        self._receiving: trio.CancelScope | None = None
        self._draining = False
        self._received = self._answered = self._busy = 0

    def worker(self) -> Requests:
        return self

    async def next(self, reply: Buffer | AnyMessage | None = None) -> _ffi.Msg | None:
        ctx = self._socket._ctx
        topics = self._socket._topics
        while not self._draining:
            code, msg = ctx.recv(None, 0)
            if code == EAGAIN:
                with trio.CancelScope() as self._receiving:
                    code, msg = await wait_for(ctx.recv, ctx.unget)
                self._receiving = None
            else:
                await self._pass(code, msg)
            if code == EAGAIN:
                break  # drained
            if code != 0:
                raise error_for(code, self._operation, self._socket._urls())
            if topics is None or topics.want(msg):
                self._received += 1
                self._busy += 1
                return msg
            _ffi.drop(msg)
        await checkpoint()
        return None

    async def _pass(self, code: int, msg: _ffi.Msg) -> None:
        """Let others run; a cancelled task gives back what it has."""
        try:
            await checkpoint()
        except BaseException:
            if code == 0:
                self._socket._ctx.unget(msg)
            raise

    async def reply(self, data: Buffer | AnyMessage) -> None:
        raise AssertionError("there are no replies")

    def reclaim(self, msg: _ffi.Msg) -> None:
        self._received -= 1
        self._busy -= 1
        self._socket._ctx.unget(msg)

    def end(self, *, answered: bool) -> None:
        self._busy -= 1
        self._answered += answered

    def leave(self) -> None:
        pass

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
            abandoned=self._received - self._answered - self._busy,
            busy=self._busy,
            unread=0,
            slow=0,
        )


Requests = _PoolRequests | SocketSource
RequestSource = PoolSource | SocketSource

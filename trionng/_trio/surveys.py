"""Surveys in Trio tasks: one survey, any number of replies, until its time is over.

nng's own survey timer is set so late that it never fires (C7); Trio's clock decides.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cached_property, partial
from typing import TypeVar, final

import trio

from trionng import _ffi
from trionng._base.errors import ETIMEDOUT, TryAgain
from trionng._base.sealed import Sealed
from trionng._base.types import Buffer, Self
from trionng._core.message import AnyMessage
from trionng._core.options import seconds
from trionng._core.protocols import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    Respondent0Base,
    SurveyBase,
    Surveyor0Base,
    SurveyorContextBase,
)
from trionng._ffi import Context as NativeContext
from trionng._trio.io import BatchReceive
from trionng._trio.pipes import Pipe
from trionng._trio.socket import Context, Dialer, Listener, Socket
from trionng._trio.wait import (
    Submit,
    checkpoint,
    checkpoint_if_cancelled,
    sleep_in_real_time,
    with_timeout,
)

T = TypeVar("T")


class SurveyIO(BatchReceive, SurveyBase):
    """A survey and its replies, on a socket or context."""

    def _now(self) -> float:
        return trio.current_time()

    # Surveys that wait for room are sent in order, and one of them tries.
    _turn: trio.Lock

    async def _send(self, operation: str, submit: Submit, reclaim: _ffi.Reclaim) -> None:
        """Send when all connections have room: nng drops a survey for one that has none."""
        if not self._turn.locked():
            try:
                await super()._send(operation, submit, reclaim)
            except TryAgain:
                pass
            else:
                return
        over = time.monotonic() + seconds(self._send_timeout_ms)
        pause = FIRST_PAUSE
        async with self._turn:
            while True:
                try:
                    await super()._send(operation, submit, reclaim)
                except TryAgain:
                    if time.monotonic() >= over:
                        why = self._why(ETIMEDOUT, self._send_timeout_ms)
                        raise self._failed(ETIMEDOUT, operation, why) from None
                else:
                    return
                await sleep_in_real_time(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    async def send(self, data: Buffer) -> None:
        """Start a survey (`nng_ctx_send`); it replaces an earlier one.

        The survey lasts `survey_time` milliseconds from when it was sent. It is sent when every
        connection has room for it: nng keeps eight surveys a connection, and drops the next without
        an error. For a peer that reads nothing this waits 0.5 s once; then that peer misses surveys
        until it has caught up.

        Raises:
            Timeout: `send_timeout` is over.
            Busy: another task is using this socket or context.
            Closed: the socket is closed.
            TypeError: `data` is a str, or has no bytes.
        """
        await super().send(data)
        self._start()

    async def send_msg(self, msg: AnyMessage) -> None:
        """Start a survey with a `Message`; nng owns it afterwards.

        Raises:
            MessageStateError: it has been sent already.
            Busy, Closed: as `send`.
        """
        await super().send_msg(msg)
        self._start()

    async def _while_it_lasts(
        self, call: Callable[[], Awaitable[tuple[int, T]]]
    ) -> tuple[int, T] | None:
        """Run a receive until the survey ends; None after that."""
        remaining = self._ends_at - trio.current_time()
        if remaining > 0:
            in_time, done = await with_timeout(remaining, call)
            if in_time:
                return done
        else:
            await checkpoint()
        return None

    async def _receive_wanted(self, *, poll: bool) -> _ffi.Completion:
        done = await self._while_it_lasts(partial(super()._receive_wanted, poll=poll))
        return self._last_reply() if done is None else done

    async def _receive_batch(self, max_messages: int, *, poll: bool) -> tuple[int, list[bytes]]:
        done = await self._while_it_lasts(partial(super()._receive_batch, max_messages, poll=poll))
        return self._last_replies(max_messages) if done is None else done


@final
class Surveyor0(SurveyIO, Surveyor0Base[Dialer, Listener, Pipe], Socket):
    """Sends a survey to all peers, and receives the replies that come in time.

    Use `survey`; any number of tasks can. `send` and `recv` on the socket are one survey at a time.

    Args:
        survey_time: milliseconds a survey lasts; default 1000; -1 never ends.

    The other arguments are those of every socket.
    """

    @cached_property
    def _turn(self) -> trio.Lock:  # type: ignore[override]
        return trio.Lock()

    def new_context(self) -> SurveyorContext:
        """Open a context: one more survey at a time."""
        return SurveyorContext(self, self._open_context())

    @asynccontextmanager
    async def survey(
        self,
        data: Buffer,
        *,
        timeout: float | None = None,  # noqa: ASYNC109  # no failure: the answers end then
    ) -> AsyncIterator[Replies]:
        """Send a survey, and iterate over the replies until its time is over.

        Args:
            data: any contiguous buffer.
            timeout: seconds; default: `survey_time`.

        Example:
            async with surveyor.survey(b"who is there?", timeout=0.5) as replies:
                async for reply in replies:
                    print(reply)
        """
        await checkpoint_if_cancelled()
        async with self.new_context() as context:
            context._last(timeout)
            await context.send(data)
            yield Replies(context)


@final
class SurveyorContext(SurveyIO, SurveyorContextBase, Context):
    """A survey of its own on the connections of a Surveyor0 socket."""

    def __init__(self, socket: Surveyor0, ctx: NativeContext) -> None:
        super().__init__(socket, ctx)
        self.survey_time = socket.survey_time
        self._turn = socket._turn


@final
class Replies(Sealed):
    """The replies to one survey; the iteration ends with the survey."""

    def __init__(self, context: SurveyorContext) -> None:
        self._context = context

    def __repr__(self) -> str:
        return f"<Replies of {self._context.socket!r}>"

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self._context.recv()
        except TimeoutError:
            raise StopAsyncIteration from None

    async def recv_many(self, max_messages: int) -> list[bytes]:
        """Receive the replies that have arrived, at least one.

        Raises:
            Timeout: the survey is over, and all replies were received.
        """
        return await self._context.recv_many(max_messages)


@final
class Respondent0(Respondent0Base[Dialer, Listener, Pipe], Socket):
    """Receives surveys, and replies to each with at most one `send`.

    The socket has one survey at a time; contexts have one each. The next receive discards a survey
    that was not replied to.
    """

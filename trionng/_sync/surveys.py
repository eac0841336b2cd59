"""Surveys in threads: one survey, any number of replies; counterpart of `_trio/surveys.py`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import final

from trionng import _ffi
from trionng._base.errors import ETIMEDOUT, TryAgain
from trionng._base.sealed import Sealed
from trionng._base.types import Buffer, Self
from trionng._base.util import check_buffer
from trionng._core.message import AnyMessage
from trionng._core.protocols import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    Respondent0Base,
    SurveyBase,
    Surveyor0Base,
    SurveyorContextBase,
)
from trionng._ffi import Context as NativeContext
from trionng._sync.io import BatchReceive
from trionng._sync.pipes import Pipe
from trionng._sync.socket import Context, Dialer, Listener, Socket
from trionng._sync.wait import Submit, deadline


class SurveyIO(BatchReceive, SurveyBase):
    """A survey and its replies, on a socket or context."""

    def _now(self) -> float:
        return time.monotonic()

    def _send(
        self,
        operation: str,
        submit: Submit,
        timeout: float | None,
        reclaim: _ffi.Reclaim = _ffi.drop,
    ) -> None:
        """Send when all connections have room: nng drops a survey for one that has none."""
        until = deadline(timeout, self._send_timeout_ms)
        pause = FIRST_PAUSE
        while True:
            try:
                super()._send(operation, submit, timeout, reclaim)
            except TryAgain:
                if until is not None and time.monotonic() >= until:
                    why = self._over(ETIMEDOUT, timeout, self._send_timeout_ms)
                    raise self._failed(ETIMEDOUT, operation, why) from None
            else:
                return
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def send(self, data: Buffer, *, timeout: float | None = None) -> None:
        """Start a survey, in place of an earlier one: sync counterpart of `trionng.Surveyor0.send`.

        Args:
            data: any contiguous buffer; it is copied.
            timeout: seconds until all connections have room for it; None is `send_timeout`; when
                they are over, `Timeout` is raised.
        """
        check_buffer(data)
        self._send("send", partial(self._ctx.send, data), timeout)
        self._start()

    def send_msg(self, msg: AnyMessage, *, timeout: float | None = None) -> None:
        """Start a survey with a `Message`: sync counterpart of `trionng.Surveyor0.send_msg`.

        Args:
            msg: when it is not sent, the caller owns it again.
            timeout: as of `send`.
        """
        super().send_msg(msg, timeout=timeout)
        self._start()

    def _receive_one(self, waiter: _ffi.Waiter, until: float | None) -> int:
        ends = self._ends_at
        first = ends if until is None else min(until, ends)
        code = super()._receive_one(waiter, None if first == float("inf") else first)
        if code == ETIMEDOUT and time.monotonic() >= ends:
            # Replies that arrived in time are still received, without a wait.
            self._ctx.end_survey()
            code = super()._receive_one(waiter, first)
        return code


@final
class Surveyor0(SurveyIO, Surveyor0Base[Dialer, Listener, Pipe], Socket):
    """Sends surveys, and receives their replies: sync counterpart of `trionng.Surveyor0`."""

    def new_context(self) -> SurveyorContext:
        """Open a context: one more survey at a time."""
        return SurveyorContext(self, self._open_context())

    @contextmanager
    def survey(self, data: Buffer, *, timeout: float | None = None) -> Iterator[Replies]:
        """Send a survey, and iterate over replies: sync counterpart of `trionng.Surveyor0.survey`.

        Args:
            data: any contiguous buffer.
            timeout: seconds until the iteration ends; default: `survey_time`.
        """
        with self.new_context() as context:
            context._last(timeout)
            context.send(data)
            yield Replies(context)


@final
class SurveyorContext(SurveyIO, SurveyorContextBase, Context):
    """A survey of its own: sync counterpart of `trionng.SurveyorContext`."""

    def __init__(self, socket: Surveyor0, ctx: NativeContext) -> None:
        super().__init__(socket, ctx)
        self.survey_time = socket.survey_time


@final
class Replies(Sealed):
    """The replies to one survey, until it ends: sync counterpart of `trionng.Replies`."""

    def __init__(self, context: SurveyorContext) -> None:
        self._context = context

    def __repr__(self) -> str:
        return f"<Replies of {self._context.socket!r}>"

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        try:
            return self._context.recv()
        except TimeoutError:
            raise StopIteration from None

    def recv_many(self, max_messages: int, *, timeout: float | None = None) -> list[bytes]:
        """Receive at least one reply: sync counterpart of `trionng.Replies.recv_many`.

        Args:
            max_messages: how many answers at most.
            timeout: seconds; None is `recv_timeout`; when they, or the survey, are over, `Timeout`
                is raised.
        """
        return self._context.recv_many(max_messages, timeout=timeout)


@final
class Respondent0(Respondent0Base[Dialer, Listener, Pipe], Socket):
    """Replies to surveys: sync counterpart of `trionng.Respondent0`."""

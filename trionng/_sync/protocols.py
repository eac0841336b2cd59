"""The protocols for threads (floor 5), a class each: the twins of `_sockets` and `_surveys`."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, final

from trionng import _ffi
from trionng._base.errors import TryAgain
from trionng._base.sealed import Sealed
from trionng._base.util import check_buffer
from trionng._core.io import ETIMEDOUT
from trionng._core.protocols import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    Bus0Base,
    Pair0Base,
    Pair1Base,
    Pub0Base,
    Pull0Base,
    Push0Base,
    Rep0Base,
    Req0Base,
    ReqContextBase,
    RequestOp,
    Respondent0Base,
    Sub0Base,
    SubContextBase,
    SurveyBase,
    Surveyor0Base,
    SurveyorContextBase,
)
from trionng._sync.io import (
    BatchReceive,
    ReceiveOnly,
    SendOnly,
    TrySend,
)
from trionng._sync.socket import Context, Dialer, Listener, Socket
from trionng._sync.wait import acquire_waiter, deadline, rollback, run, thread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer, Self

    from trionng._core.message import AnyMessage
    from trionng._sync.wait import Submit


class _Channel(BatchReceive):
    """Receives as a channel does."""

    def receive(self, *, timeout: float | None = None) -> bytes:
        """Receive one message: `recv` as Trio's channels spell it.

        Args:
            timeout: seconds; None is `recv_timeout`; when they are over, `Timeout` is raised.
        """
        return self.recv(timeout=timeout)


@final
class Pair0(_Channel, TrySend, Pair0Base[Dialer, Listener], Socket):
    """One peer, both directions, in any order: the twin of `trionng.Pair0`."""


@final
class Pair1(_Channel, TrySend, Pair1Base[Dialer, Listener], Socket):
    """One peer; polyamorous: any number of peers. The twin of `trionng.Pair1`."""


@final
class Bus0(_Channel, TrySend, Bus0Base[Dialer, Listener], Socket):
    """Sends to every peer, and receives from every one: the twin of `trionng.Bus0`."""


@final
class Push0(SendOnly, TrySend, Push0Base[Dialer, Listener], Socket):
    """Hands each message to one of the Pull0 sockets: the twin of `trionng.Push0`."""


@final
class Pull0(ReceiveOnly, _Channel, Pull0Base[Dialer, Listener], Socket):
    """Takes the messages of the Push0 sockets, fairly: the twin of `trionng.Pull0`."""


@final
class Pub0(SendOnly, TrySend, Pub0Base[Dialer, Listener], Socket):
    """Sends each message to every Sub0: the twin of `trionng.Pub0`."""


@final
class Sub0(ReceiveOnly, _Channel, Sub0Base[Dialer, Listener], Socket):
    """Receives what starts with one of its topics: the twin of `trionng.Sub0`."""

    def new_context(self) -> SubContext:
        """Open a context with topics and a buffer of its own."""
        return SubContext(self, self._open_context())


@final
class SubContext(ReceiveOnly, _Channel, SubContextBase, Context):
    """A subscriber of its own: the twin of `trionng.SubContext`."""


@final
class Req0(Req0Base[Dialer, Listener], Socket):
    """Asks, and gets the answer to what it asked: the twin of `trionng.Req0`."""

    def new_context(self) -> ReqContext:
        """Open a context: one more request in flight."""
        return ReqContext(self, self._open_context())

    def request(self, data: Buffer, *, timeout: float | None = None) -> bytes:
        """Send a request and return its answer: the twin of `trionng.Req0.request`.

        Args:
            data: any contiguous buffer; it is copied.
            timeout: seconds; None is for ever; when they are over, `Timeout` is raised and the
                request abandoned.
        """
        check_buffer(data)
        self._check("request")
        call = RequestOp(self, data)
        waiter = acquire_waiter()
        try:
            code = run(waiter, call, deadline(timeout, -1))
            if code != 0:
                raise self._failed(code, "request", self._over(code, timeout, -1))
            answer = waiter.copy()
            call.end()
            waiter.keep(thread)
        except BaseException:
            rollback(waiter)
            call.end()
            raise
        return answer


@final
class ReqContext(ReqContextBase, Context):
    """One request in flight on a Req0 socket: the twin of `trionng.ReqContext`."""


@final
class Rep0(Rep0Base[Dialer, Listener], Socket):
    """Answers: each request is received, and answered: the twin of `trionng.Rep0`."""


class SurveyIO(BatchReceive, SurveyBase):
    """A survey and its replies, on a socket or context."""

    def _now(self) -> float:
        return time.monotonic()

    def _send(
        self,
        operation: str,
        submit: Submit,
        timeout: float | None,
        reclaim: _ffi.PutBack = _ffi.drop,
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
        """Start a survey; an earlier one is given up: the twin of `trionng.Surveyor0.send`.

        Args:
            data: any contiguous buffer; it is copied.
            timeout: seconds until all connections have room for it; None is `send_timeout`; when
                they are over, `Timeout` is raised.
        """
        super().send(data, timeout=timeout)
        self._start()

    def send_msg(self, msg: AnyMessage, *, timeout: float | None = None) -> None:
        """Start a survey with a `Message`: the twin of `trionng.Surveyor0.send_msg`.

        Args:
            msg: unless it was sent, it is yours again.
            timeout: as of `send`.
        """
        super().send_msg(msg, timeout=timeout)
        self._start()

    def _receive_one(self, waiter: _ffi.Waiter, until: float | None) -> int:
        ends = self._ends_at
        first = ends if until is None else min(until, ends)
        code = super()._receive_one(waiter, None if first == float("inf") else first)
        if code == ETIMEDOUT and time.monotonic() >= ends:
            # What arrived in time is still read; nothing else is waited for.
            self._lane.end_survey()
            code = super()._receive_one(waiter, first)
        return code


@final
class Surveyor0(SurveyIO, Surveyor0Base[Dialer, Listener], Socket):
    """Asks everybody, and receives the answers in time: the twin of `trionng.Surveyor0`."""

    def new_context(self) -> SurveyorContext:
        """Open a context: one more survey at a time."""
        return SurveyorContext(self, self._open_context())

    @contextmanager
    def survey(self, data: Buffer, *, timeout: float | None = None) -> Iterator[Replies]:
        """Ask everybody, and iterate over the answers: the twin of `trionng.Surveyor0.survey`.

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
    """A survey of its own: the twin of `trionng.SurveyorContext`."""

    def __init__(self, socket: Surveyor0, lane: _ffi.Lane) -> None:
        super().__init__(socket, lane)
        self.survey_time = socket.survey_time


@final
class Replies(Sealed):
    """The answers to one survey; iterating ends with the survey. The twin of `trionng.Replies`."""

    def __init__(self, context: SurveyorContext) -> None:
        self._context = context

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        try:
            return self._context.recv()
        except TimeoutError:
            raise StopIteration from None

    def recv_many(self, max_messages: int, *, timeout: float | None = None) -> list[bytes]:
        """Receive the answers that are ready, at least one: the twin of `Replies.recv_many`.

        Args:
            max_messages: how many answers at most.
            timeout: seconds; None is `recv_timeout`; when they, or the survey, are over, `Timeout`
                is raised.
        """
        return self._context.recv_many(max_messages, timeout=timeout)


@final
class Respondent0(Respondent0Base[Dialer, Listener], Socket):
    """Answers surveys: the twin of `trionng.Respondent0`."""

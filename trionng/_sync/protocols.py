"""The sockets of the sync API, a class a protocol; counterpart of `_sockets.py`."""

from __future__ import annotations

from typing import final

from trionng._base.types import Buffer
from trionng._base.util import check_buffer
from trionng._core import hooks
from trionng._core.operations import RequestOp
from trionng._core.protocols import (
    Bus0Base,
    Pair0Base,
    Pair1Base,
    Pub0Base,
    Pull0Base,
    Push0Base,
    Rep0Base,
    Req0Base,
    ReqContextBase,
    Sub0Base,
    SubContextBase,
)
from trionng._sync.io import BatchReceive, ReceiveOnly, SendOnly, TrySend
from trionng._sync.pipes import Pipe
from trionng._sync.socket import Context, Dialer, Listener, Socket
from trionng._sync.wait import acquire_waiter, deadline, rollback, run, thread


class ChannelReceive(BatchReceive):
    """Receives as a channel does."""

    def receive(self, *, timeout: float | None = None) -> bytes:
        """Receive one message: `recv` as Trio's channels spell it.

        Args:
            timeout: seconds; None is `recv_timeout`; when they are over, `Timeout` is raised.
        """
        return self.recv(timeout=timeout)


@final
class Pair0(ChannelReceive, TrySend, Pair0Base[Dialer, Listener, Pipe], Socket):
    """One peer, both directions, in any order: sync counterpart of `trionng.Pair0`."""


@final
class Pair1(ChannelReceive, TrySend, Pair1Base[Dialer, Listener, Pipe], Socket):
    """One peer; polyamorous: any number of peers. Sync counterpart of `trionng.Pair1`."""


@final
class Bus0(ChannelReceive, TrySend, Bus0Base[Dialer, Listener, Pipe], Socket):
    """Sends to every peer, and receives from every one: sync counterpart of `trionng.Bus0`."""


@final
class Push0(SendOnly, TrySend, Push0Base[Dialer, Listener, Pipe], Socket):
    """Hands each message to one of the Pull0 sockets: sync counterpart of `trionng.Push0`."""


@final
class Pull0(ReceiveOnly, ChannelReceive, Pull0Base[Dialer, Listener, Pipe], Socket):
    """Takes the messages of the Push0 sockets, fairly: sync counterpart of `trionng.Pull0`."""


@final
class Pub0(SendOnly, TrySend, Pub0Base[Dialer, Listener, Pipe], Socket):
    """Sends each message to every Sub0: sync counterpart of `trionng.Pub0`."""


@final
class Sub0(ReceiveOnly, ChannelReceive, Sub0Base[Dialer, Listener, Pipe], Socket):
    """Receives what starts with one of its topics: sync counterpart of `trionng.Sub0`."""

    def new_context(self) -> SubContext:
        """Open a context with topics and a buffer of its own."""
        return SubContext(self, self._open_context())


@final
class SubContext(ReceiveOnly, ChannelReceive, SubContextBase, Context):
    """A subscriber of its own: sync counterpart of `trionng.SubContext`."""


@final
class Req0(Req0Base[Dialer, Listener, Pipe], Socket):
    """Sends requests, and receives one reply to each: sync counterpart of `trionng.Req0`."""

    def new_context(self) -> ReqContext:
        """Open a context: one more request in flight."""
        return ReqContext(self, self._open_context())

    def request(self, data: Buffer, *, timeout: float | None = None) -> bytes:
        """Send a request and return its reply: sync counterpart of `trionng.Req0.request`.

        Args:
            data: any contiguous buffer; it is copied.
            timeout: seconds; None is for ever; when they are over, `Timeout` is raised and the
                request abandoned.
        """
        check_buffer(data)
        self._check("request")
        op = RequestOp(self, data)
        finish: hooks.Finish | None = None
        waiter = acquire_waiter()
        try:
            if hooks.request is not None:
                finish = hooks.request(self, data)
            code = run(waiter, op.submit, deadline(timeout, -1))
            if code != 0:
                raise self._failed(code, "request", self._over(code, timeout, -1))
            answer = waiter.copy()
            op.end()
            waiter.commit(thread)
        except BaseException as error:
            rollback(waiter)
            op.end()
            if finish is not None:
                finish(error)
            raise
        if finish is not None:
            finish(None)
        return answer


@final
class ReqContext(ReqContextBase, Context):
    """One request in flight on a Req0 socket: sync counterpart of `trionng.ReqContext`."""


@final
class Rep0(Rep0Base[Dialer, Listener, Pipe], Socket):
    """Receives requests, and replies to each: sync counterpart of `trionng.Rep0`."""

"""What `trionng cat` does on its socket: a loop for each kind of protocol.

A loop ends when its count is reached, when nothing came for the time of --recv-timeout, or when
the input ends. It returns how many messages it received.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import trio

import trionng
from trionng._cli.process import TOO_FEW, Failure
from trionng._cli.values import plural, show_clock, show_number

if TYPE_CHECKING:
    from trionng._cli.cat_options import Arguments
    from trionng._cli.console import Console
    from trionng._cli.formats import Formatter, Lines, Same
    from trionng._cli.sockets import AnySocket

_SURVEY_SECONDS: Final = 1.0
_SHORTEST_SECONDS: Final = 0.001

Receiver = (
    trionng.Sub0
    | trionng.Pull0
    | trionng.Rep0
    | trionng.Respondent0
    | trionng.Pair0
    | trionng.Pair1
    | trionng.Bus0
)
Replier = trionng.Rep0 | trionng.Respondent0
Exchanger = trionng.Pair0 | trionng.Pair1 | trionng.Bus0
Sender = trionng.Push0 | trionng.Pub0
Peer = Exchanger | Sender | Replier | trionng.Req0 | trionng.Surveyor0


class Traffic:
    """Sends and receives on one socket."""

    def __init__(
        self,
        options: Arguments,
        source: Lines | Same | None,
        formatter: Formatter,
        console: Console,
    ) -> None:
        self._options = options
        self._source = source
        self._formatter = formatter
        self._console = console
        self._received = 0
        self._sent = 0
        self._began = math.nan
        # The shortest patience still takes what is there.
        self._patience = max(options.recv_timeout, _SHORTEST_SECONDS)
        # A message that is given once is sent once, unless there is an interval or a count.
        once = not options.lines and options.interval is None
        self._limit = options.count or (1 if once else math.inf)
        self._count = options.count or math.inf

    def required(self, name: str) -> int:
        """Return how many messages must have come for success."""
        if self._options.require is not None:
            return self._options.require
        if name in ("pub0", "push0"):
            return 0
        # Of one survey, and of what a pair or bus sends, there is no telling how many come.
        return 1 if name in ("surveyor0", "bus0", "pair0", "pair1") else self._options.count or 1

    async def run(self, socket: AnySocket) -> int:
        """Do what the protocol is for; return how many messages were received."""
        options = self._options
        if self._source is not None and not isinstance(socket, (trionng.Rep0, trionng.Respondent0)):
            await socket.wait_connected(options.wait_peer)
            await trio.sleep(options.delay)
        self._began = trio.current_time()
        if isinstance(socket, (trionng.Push0, trionng.Pub0)):
            await self._send_all(socket)
        elif isinstance(socket, trionng.Req0):
            await self._ask(socket)
        elif isinstance(socket, trionng.Surveyor0):
            await self._survey(socket)
        elif isinstance(socket, (trionng.Rep0, trionng.Respondent0)):
            await self._receive(socket, socket if self._source else None)
        elif self._source is None or isinstance(socket, (trionng.Sub0, trionng.Pull0)):
            await self._receive(socket)
        else:
            await self._exchange(socket)
        return self._received

    async def report(self, socket: AnySocket) -> None:
        """Show counters every --stats, else progress on a terminal where nothing else is shown."""
        if self._options.stats is not None:
            while True:
                await trio.sleep(max(self._options.stats, _SHORTEST_SECONDS))
                self._console.say(self._counters(socket))
        elif isinstance(socket, (trionng.Push0, trionng.Pub0)):
            await self._console.live(self._progress)

    def _progress(self) -> str:
        rate = self._sent / max(trio.current_time() - self._began, _SHORTEST_SECONDS)
        left = f", {show_clock((self._limit - self._sent) / rate)} left" if rate else ""
        done = f"{show_number(self._sent)} sent, {show_number(rate)}/s"
        return done if self._limit == math.inf else done + left

    def _counters(self, socket: AnySocket) -> str:
        now = socket.statistics()
        dropped = "" if now.dropped is None else f", {show_number(now.dropped)} dropped"
        return (
            f"{show_number(now.messages_sent)} sent, {show_number(now.messages_received)} received"
            f"{dropped}, {plural(now.pipes, 'peer')}, {show_number(now.rejected)} rejected"
        )

    async def _show(self, msg: trionng.Message) -> None:
        pipe = msg.pipe
        peer = None if pipe is None else str(pipe.remote_address)
        await self._console.write(self._formatter(msg.bytes, peer))

    async def _next(self) -> bytes | None:
        """Return the next message to send; None when there is no more."""
        assert self._source is not None
        return await self._source.next() if self._sent < self._limit else None

    async def _send(self, socket: Peer, data: bytes) -> None:
        with trio.move_on_after(self._options.send_timeout) as scope:
            await socket.send(data)
        if scope.cancelled_caught:
            peers = "no peer is connected" if not socket.pipes else "no peer takes it"
            raise Failure(f"a message could not be sent: {peers}", TOO_FEW)
        self._sent += 1

    async def _until(self, began: float) -> None:
        """Wait for the time of the next message."""
        if self._options.interval is not None:
            await trio.sleep_until(began + self._options.interval)

    async def _send_all(self, socket: Sender | Exchanger) -> None:
        began = trio.current_time()
        while (data := await self._next()) is not None:
            if self._sent:
                await self._until(began)
            began = trio.current_time()
            await self._send(socket, data)

    async def _receive(self, socket: Receiver, replier: Replier | None = None) -> None:
        """Print what comes, and reply to it; with a count, so many."""
        while self._received < self._count:
            with trio.move_on_after(self._patience) as scope:
                msg = await socket.recv_msg()
            if scope.cancelled_caught:
                return
            self._received += 1
            await self._show(msg)
            if replier is not None:
                self._limit = math.inf
                if (data := await self._next()) is None:
                    return
                await self._send(replier, data)

    async def _ask(self, req: trionng.Req0) -> None:
        """Send a request, print its reply, and so on; one that takes too long counts as lost."""
        interval = self._options.interval
        while (data := await self._next()) is not None:
            began = trio.current_time()
            await self._send(req, data)
            patience = self._patience
            if interval is not None and self._sent < self._limit:
                patience = min(patience, interval)
            with trio.move_on_after(patience) as scope:
                msg = await req.recv_msg()
            if not scope.cancelled_caught:
                self._received += 1
                await self._show(msg)
            elif interval is None:
                return
            if self._sent < self._limit:
                await self._until(began)

    async def _survey(self, surveyor: trionng.Surveyor0) -> None:
        """Send a survey, print the replies that come in time, and so on."""
        seconds = min(self._patience, self._options.interval or math.inf)
        surveyor.survey_time = -1
        while (data := await self._next()) is not None:
            began = trio.current_time()
            await self._send(surveyor, data)
            with trio.move_on_after(_SURVEY_SECONDS if seconds == math.inf else seconds):
                while True:
                    msg = await surveyor.recv_msg()
                    self._received += 1
                    await self._show(msg)
            if self._sent < self._limit:
                await self._until(began)

    async def _exchange(self, socket: Exchanger) -> None:
        """Send and receive at once.

        Receiving ends when --count messages came. After the last message was sent it also ends
        when nothing comes for --recv-timeout, and after one more --interval.
        """
        sent, received = trio.Event(), trio.Event()

        async def receive() -> None:
            while self._received < self._count:
                await self._receive(socket)
                if sent.is_set():
                    break
            received.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            await self._send_all(socket)
            sent.set()
            interval = self._options.interval
            with trio.move_on_after(math.inf if interval is None else interval):
                await received.wait()
            nursery.cancel_scope.cancel()

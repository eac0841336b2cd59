"""`trionng ping`: round trips of requests, one line each, and a summary, as ping(8) has them."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Final

import attrs
import trio

import trionng
from trionng._cli.console import Console
from trionng._cli.process import OK, TOO_FEW, run as run_process
from trionng._cli.sockets import TLSOptions, add_tls, tls_config
from trionng._cli.values import count, duration, plural, show_number, show_seconds, size

if TYPE_CHECKING:
    from trionng._cli.parser import Parser

EXAMPLES = """
trionng ping tcp://127.0.0.1:5555                   # a request a second, until Ctrl-C
trionng ping ipc:///tmp/app --count 1000 -i 0 -q    # as fast as replies come, summary only
trionng ping --serve tcp://0.0.0.0:5555             # answer pings of others
trionng ping ipc:///tmp/app -D status --count 1     # a request that the server knows
"""

_SIZE: Final = 56


class Arguments(TLSOptions):
    """The options of the command."""

    url: str
    serve: bool
    count: int
    interval: float
    timeout: float
    size: int
    data: str | None
    quiet: bool


def add_arguments(parser: Parser) -> None:
    """Declare the options, those of ping(8) under their names."""
    parser.add_argument("url", metavar="URL", help="where a Rep0 listens")
    parser.add_argument("-c", "--count", type=count, default=0, metavar="N", help="send so many")
    parser.add_argument(
        "-i", "--interval", type=duration, default=1, metavar="TIME",
        help="between requests (1s); 0: the next one when the reply has come",
    )  # fmt: skip
    parser.add_argument(
        "-W", "--timeout", type=duration, default=2, metavar="TIME",
        help="a request without a reply for so long is lost (2s)",
    )  # fmt: skip
    parser.add_argument(
        "-s", "--size", type=size, default=_SIZE, help=f"bytes of a request ({_SIZE})"
    )
    parser.add_argument("-D", "--data", help="send this instead")
    parser.add_argument("-q", "--quiet", action="store_true", help="show the summary only")
    parser.add_argument("--serve", action="store_true", help="listen at the URL, and answer pings")
    add_tls(parser)


@attrs.define
class Summary:
    """What has come of the requests so far."""

    sent: int = 0
    lost: int = 0
    times: list[float] = attrs.Factory(list)

    def counts(self) -> str:
        """Return how many were sent, answered and lost."""
        done = self.lost + len(self.times)
        share = 100 * self.lost / done if done else 0
        return (
            f"{plural(self.sent, 'request')}, {show_number(len(self.times))} answered, "
            f"{show_number(self.lost)} lost ({share:.3g} %)"
        )

    def spread(self) -> str:
        """Return the least, the middle, the 99th of 100, and the longest."""
        times = sorted(self.times)
        values = (
            times[0],
            statistics.median(times),
            times[math.ceil(len(times) * 0.99) - 1],
            times[-1],
        )
        return "min/median/p99/max " + " / ".join(map(show_seconds, values))

    def line(self) -> str:
        """Return both in a line."""
        return f"{self.counts()}; {self.spread()}" if self.times else self.counts()


def run(arguments: Arguments, parser: Parser) -> int:
    """Ping, or answer; return the exit code."""
    console = Console(parser.command)

    async def main() -> int:
        if arguments.serve:
            return await _serve(arguments, console)
        return await _ping(arguments, console)

    return run_process(main, console)


async def _serve(arguments: Arguments, console: Console) -> int:
    async def echo(request: bytes) -> bytes:
        return request

    tls = await tls_config(arguments, arguments.url, listens=True)
    async with trio.open_nursery() as nursery:
        service = await trionng.serve_rep(nursery, echo, listen=arguments.url, tls_config=tls)
        console.say(f"listening at {service.url}")
        await console.live(lambda: f"{plural(service.statistics().answered, 'request')} answered")
    return OK


async def _ping(arguments: Arguments, console: Console) -> int:
    data = bytes(arguments.size)
    if arguments.data is not None:
        data = arguments.data.encode("utf-8", "surrogateescape")
    summary = Summary()
    # A request ends with its connection: sent again, it would be no round trip.
    async with trionng.Req0(resend_time=-1, recv_max_size=0) as req:
        tls = await tls_config(arguments, arguments.url, listens=False)
        await req.dial(arguments.url, block=True, tls_config=tls)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(console.live, summary.line)
                await _send_all(req, data, arguments, summary, console)
                nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                console.clear()
                await console.line(f"--- {arguments.url}")
                await console.line(summary.line())
    return OK if summary.times else TOO_FEW


async def _send_all(
    req: trionng.Req0, data: bytes, arguments: Arguments, summary: Summary, console: Console
) -> None:
    """Send requests in time, also when earlier ones have no reply yet."""

    async def one(number: int) -> None:
        began = trio.current_time()
        why = f"no reply within {show_seconds(arguments.timeout)}"
        reply = None
        with trio.move_on_after(arguments.timeout):
            try:
                reply = await req.request(data)
            except trionng.ConnectionReset:
                why = "the connection was lost"
        if reply is None:
            summary.lost += 1
            text = f"no reply: seq={number}: {why}"
        else:
            summary.times.append(trio.current_time() - began)
            text = f"{len(reply)} bytes: seq={number} time={show_seconds(summary.times[-1])}"
        if not arguments.quiet:
            await console.line(text)

    async with trio.open_nursery() as nursery:
        while not arguments.count or summary.sent < arguments.count:
            summary.sent += 1
            if arguments.interval == 0:
                await one(summary.sent)
                continue
            nursery.start_soon(one, summary.sent)
            if summary.sent != arguments.count:
                await trio.sleep(arguments.interval)

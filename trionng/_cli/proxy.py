"""`trionng proxy`: forward messages between two addresses (`trionng.forward`), with counters."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, NoReturn

import attrs
import trio

import trionng
from trionng._cli.console import Console
from trionng._cli.process import run as run_process
from trionng._cli.sockets import (
    PROTOCOLS,
    AnySocket,
    TLSOptions,
    add_protocols,
    add_tls,
    tls_config,
)
from trionng._cli.values import duration, plural, show_bytes, show_number, size

if TYPE_CHECKING:
    from trionng._cli.parser import Parser

EXAMPLES = """
trionng proxy tcp://0.0.0.0:5555 ipc:///run/app.sock          # REQ clients of a local server
trionng proxy --sub tcp://0.0.0.0:5556 tcp://10.0.0.7:5556    # subscribers of a publisher
trionng proxy --push --listen-b ipc:///tmp/in ipc:///tmp/out  # a queue; both sides connect to it
trionng proxy ipc:///tmp/a ipc:///tmp/b --capture ipc:///tmp/copy   # and a copy of each message
"""

# What the other end of each protocol speaks.
_PEERS: Final = {
    "req0": "rep0",
    "rep0": "req0",
    "pub0": "sub0",
    "sub0": "pub0",
    "push0": "pull0",
    "pull0": "push0",
    "surveyor0": "respondent0",
    "respondent0": "surveyor0",
    "pair0": "pair0",
    "pair1": "pair1",
    "bus0": "bus0",
}


class Arguments(TLSOptions):
    """The options of the command."""

    a: str
    b: str
    protocol: str | None
    dial_a: bool
    listen_b: bool
    capture: str | None
    stats: float | None
    recv_maxsz: int
    quiet: bool


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument("a", metavar="A", help="the URL that clients connect to")
    parser.add_argument("b", metavar="B", help="the URL of the server that they want")
    parser.add_argument("--dial-a", action="store_true", help="dial A instead of listening there")
    parser.add_argument("--listen-b", action="store_true", help="listen at B instead of dialling")
    parser.add_argument(
        "--capture", metavar="URL", help="publish a copy of each message there (Pub0, listening)"
    )
    parser.add_argument(
        "--stats", type=duration, metavar="TIME", help="show counters so often, without a terminal"
    )
    parser.add_argument(
        "-Z", "--recv-maxsz", type=size, default=0, metavar="SIZE",
        help="largest message; default: no limit",
    )  # fmt: skip
    parser.add_argument("-q", "--quiet", action="store_true", help="say only errors")
    add_protocols(parser, pair=False, texts=False, title="what clients at A speak (req0)")
    add_tls(parser)


def run(arguments: Arguments, parser: Parser) -> int:
    """Forward until a signal comes; return the exit code."""
    console = Console(parser.command, quiet=arguments.quiet)
    return run_process(partial(_main, arguments, console), console)


async def _main(arguments: Arguments, console: Console) -> NoReturn:
    clients = arguments.protocol or "req0"
    most = arguments.recv_maxsz
    async with (
        PROTOCOLS[_PEERS[clients]][1](raw=True, recv_max_size=most) as a,
        PROTOCOLS[clients][1](raw=True, recv_max_size=most) as b,
        trionng.Pub0(listen=arguments.capture) as copies,
        trio.open_nursery() as nursery,
    ):
        await _open(a, "A", arguments.a, not arguments.dial_a, arguments, console)
        await _open(b, "B", arguments.b, arguments.listen_b, arguments, console)
        capture = copies if arguments.capture else None
        if capture is not None:
            console.say(f"copies at {capture.listeners[0].url}")
        forwarder = await nursery.start(partial(trionng.forward, a, b, capture=capture))
        counters = Counters(forwarder, a, b)
        try:
            if arguments.stats is not None:
                await _report(counters, arguments.stats, console)
            await console.live(counters.line, after=0)
            await trio.sleep_forever()
        finally:
            console.say(counters.line())


async def _open(
    socket: AnySocket, side: str, url: str, listens: bool, arguments: Arguments, console: Console
) -> None:
    tls = await tls_config(arguments, url, listens=listens)
    if listens:
        listener = socket.listen(url, tls_config=tls)
        console.say(f"{side}: listening at {listener.url} as {socket.protocol_name}")
    else:
        # In the background: the server may come later, and come back.
        await socket.dial(url, block=False, tls_config=tls)
        console.say(f"{side}: dialling {url} as {socket.protocol_name}")


async def _report(counters: Counters, seconds: float, console: Console) -> NoReturn:
    while True:
        await trio.sleep(seconds)
        console.say(counters.line())


@attrs.define
class Counters:
    """The counters of a proxy, and their rates since they were read last."""

    forwarder: trionng.Forwarder
    a: AnySocket
    b: AnySocket
    _read_at: float = attrs.field(factory=trio.current_time)
    _messages: tuple[int, int] = (0, 0)

    def line(self) -> str:
        """Return all of them in a line."""
        now = self.forwarder.statistics()
        seconds = max(trio.current_time() - self._read_at, 1e-3)
        rates = [
            (new - old) / seconds for new, old in zip(now.messages, self._messages, strict=True)
        ]
        self._read_at, self._messages = trio.current_time(), now.messages
        directions = [
            f"{name}: {show_number(messages)} ({show_number(rate)}/s, {show_bytes(length)})"
            for name, messages, rate, length in zip(
                ("A to B", "B to A"), now.messages, rates, now.bytes, strict=True
            )
        ]
        peers = [plural(socket.statistics().pipes, "peer") for socket in (self.a, self.b)]
        lost = f"; {show_number(now.dropped)} dropped" if now.dropped else ""
        missed = f"; {show_number(now.uncaptured)} not captured" if now.uncaptured else ""
        return f"{'; '.join(directions)}; {peers[0]} at A, {peers[1]} at B{lost}{missed}"

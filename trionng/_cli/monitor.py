"""`trionng monitor`: a line for each connection that comes, leaves or is rejected, and why."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import attrs
import trio

from trionng._cli.console import Console, paint
from trionng._cli.formats import now
from trionng._cli.process import OK, TOO_FEW, run as run_process
from trionng._cli.sockets import (
    PROTOCOLS,
    AnySocket,
    TLSOptions,
    add_protocols,
    add_tls,
    tls_config,
)
from trionng._cli.values import count, duration, plural, show_number

if TYPE_CHECKING:
    import trionng
    from trionng._cli.parser import Parser

EXAMPLES = """
trionng monitor --req tcp://10.0.0.7:5555               # is the server there, and when not?
trionng monitor --rep --listen tcp://0.0.0.0:5555       # which clients come, in its place
trionng monitor --sub ipc:///tmp/news --json --count 1  # wait until a publisher is there
"""

_COLORS: Final = {"connected": "green", "disconnected": "yellow", "rejected": "red"}


class Arguments(TLSOptions):
    """The options of the command."""

    url: str
    protocol: str | None
    listen: bool
    json: bool
    count: int
    timeout: float | None


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument("url", metavar="URL", help="where the peer listens, or to listen")
    parser.add_argument("--listen", action="store_true", help="accept peers there")
    parser.add_argument("--json", action="store_true", help="a JSON object a line")
    parser.add_argument("-C", "--count", type=count, default=0, metavar="N",
                        help="end after so many lines")  # fmt: skip
    parser.add_argument("--timeout", type=duration, metavar="TIME", help="end after so long")
    add_protocols(parser, pair=False, texts=False)
    add_tls(parser)


@attrs.define
class _Totals:
    connected: int = 0
    disconnected: int = 0
    rejected: int = 0


def run(arguments: Arguments, parser: Parser) -> int:
    """Show events until --count, --timeout or a signal; return the exit code."""
    if arguments.protocol is None:
        parser.error("no protocol: say what this end is to speak, such as --req or --sub")
    console = Console(parser.command)
    socket_type = PROTOCOLS[arguments.protocol][1]

    async def main() -> int:
        totals = _Totals()
        shown = 0
        async with socket_type() as socket, socket.pipe_events() as events:
            await _open(socket, arguments, console)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(console.live, lambda: _line(socket, totals))
                with trio.move_on_after(arguments.timeout or float("inf")):
                    async for event in events:
                        setattr(totals, event.kind, getattr(totals, event.kind) + 1)
                        await _show(event, console, as_json=arguments.json)
                        shown += 1
                        if shown == arguments.count:
                            break
                nursery.cancel_scope.cancel()
        return TOO_FEW if shown < arguments.count else OK

    return run_process(main, console)


async def _open(socket: AnySocket, arguments: Arguments, console: Console) -> None:
    tls = await tls_config(arguments, arguments.url, listens=arguments.listen)
    if arguments.listen:
        listener = socket.listen(arguments.url, tls_config=tls)
        console.say(f"listening at {listener.url} as {socket.protocol_name}")
    else:
        await socket.dial(arguments.url, block=False, tls_config=tls)
        console.say(f"dialling {arguments.url} as {socket.protocol_name}")


async def _show(event: trionng.PipeEvent[trionng.Pipe], console: Console, *, as_json: bool) -> None:
    pipe = event.pipe
    peer = str(pipe.remote_address)
    if as_json:
        shown = {
            "time": now(),
            "event": event.kind,
            "peer": peer,
            "local": str(pipe.local_address),
            "url": pipe.url,
            "reason": event.reason,
        }
        await console.line(json.dumps(shown, ensure_ascii=False))
        return
    kind = paint(f"{event.kind:12}", _COLORS[event.kind])
    reason = f" ({event.reason})" if event.reason else ""
    await console.line(f"{now()} {kind} {peer} at {pipe.url}{reason}")


def _line(socket: AnySocket, totals: _Totals) -> str:
    pipes = socket.statistics().pipes
    return (
        f"{plural(pipes, 'connection')} now; {show_number(totals.connected)} came, "
        f"{show_number(totals.disconnected)} left, {show_number(totals.rejected)} rejected"
    )

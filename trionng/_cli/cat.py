"""`trionng cat`: one socket on the command line; all that nngcat does, under its option names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

import trionng
from trionng._cli.cat_options import Arguments, add_arguments, check
from trionng._cli.console import Console
from trionng._cli.formats import Formatter, Lines, Same, read_file
from trionng._cli.process import OK, TOO_FEW, Failure, run as run_process, version
from trionng._cli.sockets import (
    PROTOCOLS,
    AnySocket,
    connect,
)
from trionng._cli.traffic import Traffic
from trionng._cli.values import show_seconds

if TYPE_CHECKING:
    from trionng._cli.parser import Parser

EXAMPLES = """
trionng cat --sub --dial tcp://127.0.0.1:5555             # print what is published
trionng cat --rep --listen ipc:///tmp/app --data 42       # answer each request with 42
trionng cat --req --dial ipc:///tmp/app --data question   # ask, print the reply
seq 3 | trionng cat --push --dial ipc:///tmp/jobs --lines # a message for each line
trionng cat --pull --listen ipc:///tmp/jobs --json -C 3   # three messages, as JSON
"""

__all__ = ["EXAMPLES", "add_arguments", "run"]


def run(arguments: Arguments, parser: Parser) -> int:
    """Send and receive; return the exit code."""
    if arguments.version:
        print(version())
        return OK
    name = check(arguments, parser)
    console = Console(parser.command, quiet=arguments.silent)

    async def main() -> int:
        return await _main(arguments, name, console)

    return run_process(main, console)


async def _main(arguments: Arguments, name: str, console: Console) -> int:
    source: Lines | Same | None = Lines() if arguments.lines else None
    if arguments.data:
        source = Same(arguments.data[0].encode("utf-8", "surrogateescape"))
    elif arguments.file:
        source = Same(await read_file(arguments.file[0]))
    async with _open(arguments, name) as socket:
        await connect(
            socket,
            arguments.endpoints or [],
            arguments,
            console,
            in_background=arguments.in_background or arguments.compat,
            verbose=arguments.verbose and not arguments.silent,
        )
        formatter = Formatter(
            arguments.format or "text",
            newline=arguments.newline,
            timestamp=arguments.timestamp,
        )
        traffic = Traffic(arguments, source, formatter, console)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(traffic.report, socket)
            received = await traffic.run(socket)
            console.quiet = True  # from here on peers may leave as they like
            nursery.cancel_scope.cancel()
        await _flush(socket, arguments.linger)
    return TOO_FEW if received < traffic.required(name) else OK


async def _flush(socket: AnySocket, seconds: float) -> None:
    """Wait until peers have taken what was sent."""
    if seconds > 0 and not isinstance(socket, (trionng.Sub0, trionng.Pull0)):
        with trio.move_on_after(seconds) as scope:
            await socket.flush()
        if scope.cancelled_caught:
            text = f"peers have not taken everything within {show_seconds(seconds)} (--linger)"
            raise Failure(text, TOO_FEW)


def _open(arguments: Arguments, name: str) -> AnySocket:
    socket = PROTOCOLS[name][1](
        recv_max_size=arguments.recv_maxsz,
        name=arguments.socket_name,
    )
    if isinstance(socket, trionng.Sub0):
        for topic in arguments.subscribe or [""]:
            socket.subscribe(topic.encode("utf-8", "surrogateescape"))
    return socket

"""`trionng bench-peer` (hidden): the other end of `trionng bench`.

It echoes requests, takes what is pushed, and is told through a third socket how much to expect.
Its first line of output has its URLs. It ends when its input ends.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import TYPE_CHECKING, Final

import trio

import trionng
from trionng._cli.console import Console
from trionng._cli.formats import read_file
from trionng._cli.process import OK, run as run_process

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trionng._cli.parser import Parser

EXAMPLES = "trionng bench   # starts it"

BATCH: Final = 128
IN_FLIGHT: Final = 64


class Arguments(argparse.Namespace):
    """The options of the command."""

    urls: list[str]
    cert: str | None


def add_arguments(parser: Parser) -> None:
    """Declare the three URLs, and the certificate for TLS."""
    parser.add_argument("urls", nargs=3, metavar="URL", help="of requests, messages, control")
    parser.add_argument("--cert", metavar="FILE", help="certificate and key")


def run(arguments: Arguments, parser: Parser) -> int:
    """Serve until stdin ends; return the exit code."""
    console = Console(parser.command)

    async def main() -> int:
        tls = None
        if arguments.cert is not None:
            both = await read_file(arguments.cert)
            tls = trionng.TLSConfig.server(own_cert_string=both, own_key_string=both)
        async with trio.open_nursery() as nursery:
            urls: list[str] = await nursery.start(serve, arguments.urls, tls)
            await console.line(" ".join(urls))
            await trio.to_thread.run_sync(os.read, 0, 1, abandon_on_cancel=True)
            nursery.cancel_scope.cancel()
        return OK

    return run_process(main, console)


async def serve(
    urls: Iterable[str],
    tls: trionng.TLSConfig | None,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve at the three URLs, and tell where that is."""
    requests, messages, control = urls

    async def echo(request: bytes) -> bytes:
        return request

    async with (
        trionng.Rep0(recv_max_size=0) as rep,
        trionng.Pull0(recv_max_size=0, recv_buffer_size=BATCH) as pull,
        trionng.Rep0(listen=control) as commands,
        trio.open_nursery() as nursery,
    ):
        listeners = [
            rep.listen(requests, tls_config=tls),
            pull.listen(messages, tls_config=tls),
            *commands.listeners,
        ]
        await trionng.serve_rep(nursery, echo, socket=rep, workers=IN_FLIGHT)
        task_status.started([listener.url for listener in listeners])
        async for command in commands:
            how, number, size = command.split()
            take = _take_batches if how == b"batches" else _take
            await commands.send(b"%d" % await take(pull, int(number), int(size)))


async def _take(pull: trionng.Pull0, number: int, size: int) -> int:
    """Receive messages one by one; return the time of the last one."""
    for _ in range(number):
        if len(await pull.recv()) != size:
            raise AssertionError("a message of another size")
    return time.monotonic_ns()


async def _take_batches(pull: trionng.Pull0, number: int, size: int) -> int:
    """Receive what is ready with each call."""
    while number:
        batch = await pull.recv_many(min(BATCH, number))
        number -= len(batch)
        if {len(each) for each in batch} != {size}:
            raise AssertionError("a message of another size")
    return time.monotonic_ns()

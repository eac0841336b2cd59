"""`trionng bench`: round trips and streams between two processes, in a table.

Each row is measured in rounds of about equal length; its rate is that of the middle round. The
clock runs from the first send to the last receive.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import time
from functools import partial
from typing import TYPE_CHECKING, Final

import attrs
import trio

from trionng._cli.bench_link import TRANSPORTS, open_link
from trionng._cli.bench_peer import BATCH, IN_FLIGHT
from trionng._cli.console import Console, paint
from trionng._cli.process import OK, run as run_process, version
from trionng._cli.values import (
    OneOf,
    duration,
    show_bytes,
    show_clock,
    show_number,
    show_seconds,
    size,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trionng._cli.bench_link import Link
    from trionng._cli.parser import Parser

EXAMPLES = """
trionng bench                       # ipc and tcp, about 10 s
trionng bench ipc ws --size 1k      # other transports, larger messages
trionng bench tcp --json > tcp.json # for programs
"""

_ROUNDS: Final = 7
# Several, so that a large one does not stay in the cache of the processor.
_VARIANTS: Final = 4
_LARGE: Final = 1 << 20


class Arguments(argparse.Namespace):
    """The options of the command."""

    transports: list[str]
    size: int
    seconds: float
    json: bool


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    known = ", ".join(TRANSPORTS)
    parser.add_argument(
        "transports",
        nargs="*",
        type=OneOf(*TRANSPORTS),
        metavar="TRANSPORT",
        help=f"any of {known}; default: ipc tcp; tls needs trionng[certs]",
    )
    parser.add_argument("-s", "--size", type=size, default=64, help="bytes of a message (64)")
    parser.add_argument(
        "--seconds", type=duration, default=1, metavar="TIME", help="time for each row (1s)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")


@attrs.define
class Row:
    """One line of the table.

    Attributes:
        what: the kind of traffic.
        size: bytes of a message.
        rate: messages, or round trips, a second.
        times: seconds of each round trip; empty for streams.
    """

    what: str
    size: int
    rate: float
    times: list[float]

    def percentile(self, share: float) -> float:
        """Return the time within which this share of the round trips was done."""
        times = sorted(self.times)
        return times[min(math.ceil(len(times) * share), len(times)) - 1]

    def as_json(self) -> dict[str, object]:
        """Return it for programs."""
        shown: dict[str, object] = {"what": self.what, "size": self.size, "rate": self.rate}
        if self.times:
            shown["median_us"] = self.percentile(0.5) * 1e6
            shown["p99_us"] = self.percentile(0.99) * 1e6
        return shown

    def as_text(self) -> str:
        """Return it for people."""
        times = [show_seconds(self.percentile(each)) for each in (0.5, 0.99)] if self.times else []
        columns = [
            f"{self.what:22}",
            f"{show_bytes(self.size):>9}",
            f"{show_number(self.rate):>11}/s",
            f"{show_bytes(self.rate * self.size):>9}/s",
            *(f"{each:>9}" for each in times),
        ]
        return " ".join(columns)


_HEAD: Final = f"{'':22} {'size':>9} {'rate':>13} {'data':>11} {'median':>9} {'p99':>9}"


@attrs.define
class Progress:
    """What is being measured, for the live line."""

    total: float
    began: float = attrs.field(factory=trio.current_time)
    what: str = ""
    done: float = 0

    def line(self) -> str:
        """Return it with the time that is left."""
        left = max(self.total - (trio.current_time() - self.began), 0)
        return f"{self.what}, {show_clock(left)} left"


def run(arguments: Arguments, parser: Parser) -> int:
    """Measure; return the exit code."""
    console = Console(parser.command)
    return run_process(partial(_main, arguments, console), console)


async def _main(arguments: Arguments, console: Console) -> int:
    transports = arguments.transports or ["ipc", "tcp"]
    kinds: tuple[tuple[str, int, _Kind], ...] = (
        ("request", arguments.size, _requests),
        (f"{IN_FLIGHT} requests at once", arguments.size, _requests_at_once),
        ("push, one by one", arguments.size, _push),
        ("push, in batches", arguments.size, _push_batches),
        ("request", _LARGE, _requests),
    )
    # The warming up of a row takes about as long as two of its rounds.
    progress = Progress(len(kinds) * len(transports) * arguments.seconds * (1 + 2 / _ROUNDS))
    results: dict[str, list[Row]] = {}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(console.live, progress.line)
        if not arguments.json:
            await console.line(version())
        for transport in transports:
            rows = results[transport] = []
            if not arguments.json:
                await console.line("\n" + paint(f"{transport:22}{_HEAD[22:]}", "bold"))
            async with open_link(transport) as link:
                for what, length, kind in kinds:
                    progress.what = f"{transport}: {what}"
                    rows.append(await _measure(what, length, kind, link, arguments.seconds))
                    if not arguments.json:
                        await console.line(rows[-1].as_text())
        nursery.cancel_scope.cancel()
    if arguments.json:
        tables = {name: [row.as_json() for row in rows] for name, rows in results.items()}
        await console.line(json.dumps({"versions": version(), "transports": tables}, indent=2))
    return OK


if TYPE_CHECKING:
    _Kind = Callable[[Link, list[bytes], int, list[float]], Awaitable[float]]


async def _measure(what: str, length: int, kind: _Kind, link: Link, seconds: float) -> Row:
    """Find how many messages make a round, then run the rounds."""
    data = [os.urandom(length) for _ in range(_VARIANTS)]
    of_round = seconds / _ROUNDS
    streams = kind in (_push, _push_batches)
    number = least = 3 if length >= _LARGE else 500 if streams else 20
    for share in (0.2, 1.0):
        took = await kind(link, data, number, [])
        number = max(least, round(number * min(of_round * share / max(took, 1e-5), 100)))
    times: list[float] = []
    rates = [number / await kind(link, data, number, times) for _ in range(_ROUNDS)]
    return Row(what, length, statistics.median(rates), times)


async def _requests(link: Link, data: list[bytes], number: int, times: list[float]) -> float:
    """Send requests, the next one when the reply has come."""
    request = link.req.request
    began = before = time.perf_counter()
    for i in range(number):
        await request(data[i % _VARIANTS])
        now = time.perf_counter()
        times.append(now - before)
        before = now
    return before - began


async def _requests_at_once(link: Link, data: list[bytes], number: int, _: list[float]) -> float:
    """Keep requests in flight."""
    left = number

    async def ask() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await link.req.request(data[left % _VARIANTS])

    began = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for _number in range(IN_FLIGHT):
            nursery.start_soon(ask)
    return time.perf_counter() - began


async def _push(link: Link, data: list[bytes], number: int, _: list[float]) -> float:
    async with link.expecting("messages", number, len(data[0])) as taken:
        for i in range(number):
            await link.push.send(data[i % _VARIANTS])
    return taken.seconds


async def _push_batches(link: Link, data: list[bytes], number: int, _: list[float]) -> float:
    batch = data * (BATCH // _VARIANTS)
    async with link.expecting("batches", number, len(data[0])) as taken:
        left = number
        while left:
            left -= await link.push.send_many(batch[:left])
    return taken.seconds

"""A soak: every protocol over every transport at once, and nothing may be lost, doubled, or left.

    python -m stress.soak --minutes 5 [--seed 1] [--only pair,bus] [--every 20]

From time to time all work comes to rest, and the process is measured. Descriptors, threads, tasks,
connections and objects must then be what they were. In runs of at least ten minutes resident memory
and the heap must grow by less than 50 KiB a minute over the last two thirds.
"""

from __future__ import annotations

import argparse
import logging
import time
import warnings

import trio

import trionng
from stress import hurt, work
from stress.common import (
    STREAMS,
    TRANSPORTS,
    Addresses,
    Books,
    Chances,
    Lost,
    finish,
    first_of,
    parser,
    watchdog,
)
from stress.measure import Sample, flaws, growth, sample

KINDS = {**work.KINDS, **hurt.KINDS}
# A round that takes so long hangs, however busy the machine is.
ROUND_WITHIN = 900


class Soak:
    """Rounds of each kind, one after another, each with chances of its own."""

    def __init__(self, seed: int, kinds: list[str], addresses: Addresses) -> None:
        self.seed = seed
        self.kinds = kinds
        self.books = Books()
        self.rounds = Books()
        self._addresses = addresses

    async def _round(self, kind: str, number: int) -> None:
        chances = Chances(self.seed, kind, number)
        transport = chances.choice(STREAMS if kind in hurt.KINDS else TRANSPORTS)
        it = work.Round(chances, self._addresses, self.books, transport)
        try:
            with trio.fail_after(ROUND_WITHIN):
                await KINDS[kind](it)
        except Exception as error:
            cause = first_of(error)
            text = f"{type(cause).__name__}: {cause}"
            raise Lost(f"{kind}, round {number}, over {transport}: {text}") from cause

    async def _keep_at(self, kind: str, until: float) -> None:
        while time.monotonic() < until:
            self.rounds[kind] += 1
            await self._round(kind, self.rounds[kind])

    async def work(self, seconds: float) -> None:
        """Do every kind of work for a while, all at once."""
        async with trio.open_nursery() as nursery:
            for kind in self.kinds:
                nursery.start_soon(self._keep_at, kind, time.monotonic() + seconds)


async def run(arguments: argparse.Namespace, samples: list[Sample], soak: Soak) -> None:
    """Alternate between work and rest."""
    seconds = arguments.minutes * 60
    every = arguments.every or min(30.0, max(3.0, seconds / 8))
    begin = time.monotonic()
    async with trionng.Rep0(listen="inproc://resident") as rep, trio.open_nursery() as nursery:
        # A service that stays all the time, so that what stays is measured too.
        await trionng.serve_rep(nursery, _echo, socket=rep)
        async with trionng.Req0(dial="inproc://resident") as req:
            while time.monotonic() - begin < seconds or len(samples) < 3:
                await soak.work(every)
                for _ in range(100):
                    await req.request(b"still there")
                expected = samples[0].counts if samples else None
                freed = arguments.minutes >= 2 or expected is None
                samples.append(await sample(begin, expected, freed=freed))
                if arguments.verbose:
                    print(*samples[-1], dict(soak.rounds), flush=True)
        nursery.cancel_scope.cancel()


async def _echo(request: bytes) -> bytes:
    return request


def main() -> None:
    """Run the soak of the command line."""
    arguments = parser(__doc__)
    arguments.add_argument("--only", help="kinds of work, with commas: " + ",".join(KINDS))
    arguments.add_argument("--every", type=float, help="seconds of work between two rests")
    arguments.add_argument("--verbose", action="store_true")
    given = arguments.parse_args()
    # What is cut is logged, and an old libnng warns of ws.
    logging.getLogger("trionng").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", ".*libnng", RuntimeWarning)
    samples: list[Sample] = []
    failures: list[str] = []
    with watchdog(given.minutes), Addresses() as addresses:
        soak = Soak(given.seed, given.only.split(",") if given.only else [*KINDS], addresses)
        try:
            trio.run(run, given, samples, soak)
        except Exception as error:
            failures.append(str(first_of(error)))
    if len(samples) > 1 and not failures:
        failures += flaws(samples)
    rss, heap = growth(samples)
    figures = {
        "minutes": f"{samples[-1].minutes if samples else 0:.1f}",
        "rounds": soak.rounds.total(),
        **soak.books,
        "rss": f"{samples[-1].rss if samples else 0:.0f}KiB{rss:+.0f}/min",
        "heap": f"{samples[-1].heap if samples else 0:.0f}KiB{heap:+.0f}/min",
        **(samples[-1].counts._asdict() if samples else {}),
    }
    finish("soak", given.seed, figures, failures)


if __name__ == "__main__":
    main()

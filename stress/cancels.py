"""Millions of cancels: each call that may wait, cancelled at awkward moments, and every sum right.

    python -m stress.cancels --cancels 1000000 [--seed 1] [--only request,send_push0] [--minutes 5]

Runs the stress runs of `tests/stress/cancels` one after another, each scenario over each transport,
each in a process of its own with a seed of its own, until so many calls were cancelled. Each run
checks its books: what a call returned happened once and in order, what was cancelled did not
happen. The shim counts where each cancel landed. Ends at the first run that is wrong.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator

import trio

from stress.common import Chances, finish, parser, watchdog
from tests.stress.cancels.run import SCENARIOS, SIZES, run
from tests.support.processes import PYTHON, ROOT, environment

# The cancels of one run, and the seconds after which it hangs.
A_RUN, RUN_WITHIN = 100_000, 1800


def one(name: str, transport: str, cancels: int, seed: int, moments: str) -> dict[str, int]:
    """Make one run in a process of its own; return where its cancels landed, or raise."""
    command = [
        *PYTHON,
        "-m",
        "stress.cancels",
        "--one",
        f"{name},{transport}",
        "--moments",
        moments,
    ]
    command += ["--cancels", str(cancels), "--seed", str(seed)]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env=environment(), timeout=RUN_WITHIN
    )
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command[3:])}: {done.returncode}\n{done.stderr[-2000:]}")
    report = json.loads(done.stdout.splitlines()[-1])
    return {"cancels": report["cancels"], **report["counts"]}


def runs(given: argparse.Namespace) -> Iterator[tuple[str, str, int]]:
    """Say what to run: all scenarios over all transports, again and again."""
    names = given.only.split(",") if given.only else SCENARIOS
    transports = given.transports.split(",") if given.transports else list(SIZES)
    for turn in itertools.count():
        for name, transport in itertools.product(names, transports):
            yield name, transport, Chances(given.seed, name, transport, turn).randrange(2**32)


def main() -> None:
    """Run until there were enough cancels, or the time is over."""
    arguments = parser(__doc__)
    arguments.set_defaults(minutes=None)
    arguments.add_argument("--cancels", type=int, default=1_000_000)
    arguments.add_argument("--only", help="scenarios, with commas: " + ",".join(SCENARIOS))
    arguments.add_argument("--transports", help="with commas; default: " + ",".join(SIZES))
    arguments.add_argument("--a-run", type=int, default=A_RUN, help="cancels of a process")
    arguments.add_argument("--moments", choices=("chosen", "many"), default="many")
    arguments.add_argument("--verbose", action="store_true")
    arguments.add_argument("--one", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.one:
        name, transport = given.one.split(",")
        with watchdog(RUN_WITHIN / 60 - 4):
            trio.run(
                run,
                name,
                transport,
                str(given.cancels),
                str(given.seed),
                "descriptor",
                given.moments,
            )
        sys.exit()
    begin = time.monotonic()
    totals: collections.Counter[str] = collections.Counter()
    failures: list[str] = []
    for name, transport, seed in runs(given):
        left = given.cancels - totals["cancels"]
        late = given.minutes is not None and time.monotonic() - begin > given.minutes * 60
        if left <= 0 or late:
            break
        try:
            report = one(name, transport, min(left, given.a_run), seed, given.moments)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            failures.append(str(error))
            break
        totals.update(runs=1, **report)
        if given.verbose:
            print(f"{time.monotonic() - begin:.0f}", name, transport, seed, report, flush=True)
    minutes = f"{(time.monotonic() - begin) / 60:.1f}"
    finish("cancels", given.seed, {"minutes": minutes, **totals}, failures)


if __name__ == "__main__":
    main()

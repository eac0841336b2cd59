"""Fuzz: strangers attack sockets of every protocol, and calls come in any order.

    python -m stress.fuzz --minutes 5 [--seed 1] [--transports tcp,ipc] [--replay FILE]

Three parts share the time: the corpus again, the wire (`stress.fuzz_wire`, a process after another)
and the API (`stress.machine`). A failure of the wire is made as short as possible and put into the
corpus, with the seed in its name.
"""

from __future__ import annotations

import argparse
import collections
import json
import math
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from stress.common import finish, is_old, parser, watchdog
from stress.targets import TRANSPORTS
from stress.wire import Case, Step, ddmin
from tests.support.processes import PYTHON, ROOT, environment

CORPUS = Path(__file__).parent / "corpus"
# What is tried again to make a failure short: cases, times each, and for how long.
RECENT, TRIES, SHORTEN_FOR = 300, 2, 90.0


class Result(NamedTuple):
    """How a process of `stress.fuzz_wire` ended."""

    failure: str
    figures: dict[str, int]
    honest: list[float]
    shared: list[float]
    loop: list[float]


def run_wire(seconds: float, *arguments: str) -> Result:
    """Run a process; a failure says how it ended, and what it wrote last."""
    command = [*PYTHON, "-m", "stress.fuzz_wire", "--seconds", str(seconds), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment())
    if done.returncode == 0:
        figures = json.loads(done.stdout.splitlines()[-1])
        return Result("", **figures)
    end = f"exit code {done.returncode}"
    if done.returncode < 0:
        end = signal.Signals(-done.returncode).name
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return Result(f"{end}: {' | '.join(lines[-3:])}", {}, [], [], [])


def replay(cases: Sequence[Case]) -> str:
    """Do cases again; return the failure."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.writelines(case.dump() + "\n" for case in cases)
        file.flush()
        return run_wire(1, "--seed", "0", "--replay", file.name).failure


def shorten(cases: Sequence[Case]) -> Sequence[Case]:
    """Find the fewest cases, and the fewest steps of each, that still fail."""
    until = time.monotonic() + SHORTEN_FOR

    def fails(fewer: Sequence[Case]) -> bool:
        return time.monotonic() < until and any(replay(fewer) for _ in range(TRIES))

    if not fails(cases):
        return ()
    kept = list(ddmin(cases, fails))

    def shorten_one(number: int) -> None:
        case = kept[number]

        def changed(steps: Sequence[Step]) -> list[Case]:
            return [*kept[:number], Case(case.target, tuple(steps)), *kept[number + 1 :]]

        kept[:] = changed(ddmin(case.steps, lambda steps: fails(changed(steps))))

    for number in range(len(kept)):
        shorten_one(number)
    return kept


class Fuzz:
    """The parts of a run, and what they found."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.failures: list[str] = []
        self.latencies: dict[str, list[float]] = {"honest": [], "shared": [], "loop": []}
        self.figures: collections.Counter[str] = collections.Counter()
        self._given = given

    def corpus(self) -> None:
        """Do again what once failed, and what is worth to be tried each time."""
        files = {
            file.name: [
                case
                for case in map(Case.load, file.read_text("ascii").splitlines())
                if case.target.split("/")[2] in self._given.transports
            ]
            for file in sorted(CORPUS.glob("*.json"))
        }
        everything = [case for cases in files.values() for case in cases]
        self.figures["corpus"] = len(everything)
        if everything and (failure := replay(everything)):
            found = {name: replay(cases) for name, cases in files.items() if cases}
            self.failures += [f"{name}: {each}" for name, each in found.items() if each]
            self.failures = self.failures or [f"the corpus at once: {failure}"]

    def wire(self, until: float) -> None:
        """Attack new targets in one process after another."""
        batch = 0
        most = self._given.cases or math.inf
        while time.monotonic() < until and not self.failures and self.figures["cases"] < most:
            seconds = max(2.0, min(self._given.batch_seconds, until - time.monotonic()))
            with tempfile.NamedTemporaryFile() as journal:
                arguments = ["--seed", str(self._given.seed), "--batch", str(batch)]
                arguments += ["--journal", journal.name]
                arguments += ["--transports", ",".join(self._given.transports)]
                result = run_wire(seconds, *arguments)
                self.figures.update(result.figures)
                for kind, latencies in self.latencies.items():
                    latencies += getattr(result, kind)
                if result.failure:
                    lines = Path(journal.name).read_text("ascii").splitlines()
                    self._found(batch, result.failure, [Case.load(line) for line in lines])
            batch += 1
            if self._given.verbose:
                print(batch, self.shown(), flush=True)
        self.figures["batches"] = batch

    def _found(self, batch: int, failure: str, cases: Sequence[Case]) -> None:
        short = shorten(cases[-RECENT:])
        where = f"batch {batch}: {failure}"
        if short:
            file = CORPUS / f"found-{self._given.seed}-{batch}.json"
            file.write_text("".join(case.dump() + "\n" for case in short), "ascii")
            where += f"; {len(short)} cases are enough: {file}"
        self.failures.append(where)

    def api(self, seconds: float) -> None:
        """Make calls in any order, beside a model."""
        command = [*PYTHON, "-m", "stress.machine", "--seconds", str(seconds)]
        command += ["--seed", str(self._given.seed)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment())
        if done.returncode == 0:
            self.figures.update(json.loads(done.stdout.splitlines()[-1]))
        else:
            self.failures.append(f"the API: {done.returncode}\n{done.stdout}{done.stderr}")

    def shown(self) -> dict[str, object]:
        """Return the figures of the line."""
        figures: dict[str, object] = dict(self.figures)
        for kind, latencies in self.latencies.items():
            times = sorted(latencies) or [0.0]
            parts = [times[min(len(times) - 1, int(part * len(times)))] for part in (0.5, 0.99, 1)]
            shown = "/".join(f"{part * 1000:.0f}" for part in parts)
            figures[kind] = f"{len(latencies)}:{shown}ms"
        return figures


def main() -> None:
    """Run the fuzz of the command line."""
    arguments = parser(__doc__)
    arguments.add_argument("--transports", help="with commas; default: all that are mended")
    arguments.add_argument("--replay", help="do the cases of a file again, and nothing else")
    arguments.add_argument("--cases", type=int, help="end after so many strangers")
    arguments.add_argument("--batch-seconds", type=float, default=10.0, help="of a process")
    arguments.add_argument("--verbose", action="store_true")
    arguments.add_argument("--only", choices=("wire", "api"))
    given = arguments.parse_args()
    chosen = [each for each in TRANSPORTS if not (each.startswith("ws") and is_old())]
    given.transports = given.transports.split(",") if given.transports else chosen
    if given.replay:
        lines = Path(given.replay).read_text("ascii").splitlines()
        sys.exit(replay([Case.load(line) for line in lines]))
    fuzz = Fuzz(given)
    with watchdog(given.minutes + 5):
        if given.only != "api":
            fuzz.corpus()
            share = 0.6 if given.only is None else 1
            fuzz.wire(time.monotonic() + given.minutes * 60 * share)
        if given.only != "wire" and not fuzz.failures:
            fuzz.api(given.minutes * 60 * (0.4 if given.only is None else 1))
    finish("fuzz", given.seed, fuzz.shown(), fuzz.failures)


if __name__ == "__main__":
    main()

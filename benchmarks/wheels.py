"""trionng of several wheels, interleaved: which libnng is the faster one to ship?

    python -m benchmarks.wheels NAME=WHEEL NAME=WHEEL ... [--only SCENARIO,...] [--rounds N]

All wheels are measured in each round, in an order drawn anew. Prints a table for docs/versions.md:
the median of the first wheel, and that of each other divided by it.
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import statistics
import sys
import tempfile
import zipfile
from pathlib import Path

from benchmarks import certificates, process, scenarios
from benchmarks.run import FULL, Effort, Runner

ROWS = "rtt_ipc,rtt_tcp,pushpull_tcp,concurrent_ipc,open_close"
ROUNDS = 9


def row(scenario: scenarios.Scenario, medians: list[float | None]) -> str:
    """Return a line of the table; a wheel that failed has an empty cell."""
    first = medians[0]
    kind = "time" if scenario.lower_is_better else "rate"
    cells = [f"{scenario.name} ({kind})", f"{first:.4g} {scenario.unit}" if first else ""]
    cells += [f"{each / first:.2f}" if first and each else "" for each in medians[1:]]
    return f"| {' | '.join(cells)} |"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.wheels")
    parser.add_argument("wheels", nargs="+", metavar="NAME=WHEEL")
    parser.add_argument("--only", default=ROWS, help="these scenarios, with commas")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    args = parser.parse_args()
    wheels = dict(each.split("=", 1) for each in args.wheels)
    folder = tempfile.mkdtemp(prefix="bench-")
    certificates.write(folder)
    for name, wheel in wheels.items():
        home = Path(folder, f"wheel-{name}")
        zipfile.ZipFile(wheel).extractall(home)
        scenarios.MODULES[name] = scenarios.MODULES["trionng"]
        process.FOLDERS[name] = home
    runner = Runner(Effort(args.rounds, FULL.seconds), tuple(wheels), folder)
    names = list(wheels)
    head = ["what", names[0], *(f"{name} / {names[0]}" for name in names[1:])]
    lines = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    try:
        runner.start()
        for name in names:
            print(f"{name}: {runner.versions.get(name) or runner.absent[name]}")
        for each in scenarios.SCENARIOS:
            if each.name in args.only.split(","):
                done = runner.measure(dataclasses.replace(each, peers=tuple(names)))
                values = [done[name].values if name in done else [] for name in names]
                for name, found in zip(names, values, strict=True):
                    print(f"{each.name}: {name}:", *(f"{value:.4g}" for value in found), flush=True)
                lines.append(row(each, [statistics.median(v) if v else None for v in values]))
    finally:
        runner.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print("\n".join(lines))
    return 1 if runner.failures else 0


if __name__ == "__main__":
    sys.exit(main())

"""A short run of all stress programs, for each change: fixed sizes, a line of figures each.

    python -m stress.lane [--seed 1] [--share 0.5]

Two at a time, since much of what each does is to wait. Ends at the first that fails.
"""

from __future__ import annotations

import subprocess
import sys
import time

import trio

from stress.common import finish, parser
from tests.support.processes import PYTHON, ROOT, environment

# The minutes of the soak and of the fuzz; what the others do is counted.
SOAK, FUZZ, CANCELS, SCALE = 2.0, 1.5, 60_000, 0.2
# A program that takes so many times as long as it should hangs.
WITHIN = 1200


async def program(seed: int, name: str, *arguments: str) -> None:
    """Run a program, and pass on what it prints; raise if it fails."""
    command = [*PYTHON, "-m", f"stress.{name}", "--seed", str(seed), *arguments]
    with trio.fail_after(WITHIN):
        done = await trio.run_process(
            command,
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            cwd=ROOT,
            env=environment(),
        )
    print(done.stdout.decode(), end="", flush=True)
    if done.returncode != 0:
        print(done.stderr.decode(), file=sys.stderr, flush=True)
        raise subprocess.CalledProcessError(done.returncode, command)


async def run(seed: int, share: float) -> None:
    """Run them all, in two rows."""

    async def first() -> None:
        await program(seed, "soak", "--minutes", str(SOAK * share))
        await program(seed, "scale", "--share", str(SCALE * share))

    async def second() -> None:
        await program(seed, "fuzz", "--minutes", str(FUZZ * share))
        cancels = str(int(CANCELS * share))
        await program(seed, "cancels", "--cancels", cancels, "--a-run", str(int(CANCELS / 20)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(first)
        nursery.start_soon(second)


def main() -> None:
    """Run them, and say how long it took."""
    arguments = parser(__doc__)
    arguments.add_argument("--share", type=float, default=1.0, help="of each size")
    given = arguments.parse_args()
    begin = time.monotonic()
    failures: list[str] = []
    try:
        trio.run(run, given.seed, given.share)
    except Exception as error:
        failures += [str(each) for each in getattr(error, "exceptions", (error,))]
    minutes = f"{(time.monotonic() - begin) / 60:.1f}"
    finish("stress", given.seed, {"minutes": minutes}, failures)


if __name__ == "__main__":
    main()

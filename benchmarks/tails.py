"""How long the slowest round trips take beside a busy task: `python -m benchmarks.tails`.

Each library with an event loop makes 100 000 round trips of 64 B over ipc, while another task of
the client's loop computes for 0.2 ms each millisecond. The libraries take turns, 5000 round trips
at a time, so what else the machine does meets all of them. Prints p50, p99, p99.9 and the longest,
and writes build/tails.json.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import tempfile
from pathlib import Path

from benchmarks.process import BUILD, PeerError, Process

PEERS = ("trionng", "pynng_trio", "pynng_asyncio", "nng_asyncio", "pyzmq_asyncio", "raw_trio")
TURN = 5000
SHARES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "longest": 1.0}
_WITHIN = 60.0


class Pair:
    """The server and the client of a library."""

    def __init__(self, name: str, folder: str) -> None:
        self.name = name
        self.ends = {role: Process(name) for role in ("server", "client")}
        self.samples: list[int] = []
        for role, end in self.ends.items():
            end.expect("hello", _WITHIN)
            mode = "busy" if role == "client" else "plain"
            end.tell(f"open rtt {role} {mode} 64 0 0 ipc://{folder}/{name} -")
            end.expect("ready", _WITHIN)
        self._turn(500)
        self.samples.clear()

    def _turn(self, count: int) -> None:
        for end in self.ends.values():
            end.tell(f"go {count}")
        self.samples += map(int, self.ends["client"].expect("samples", _WITHIN).split())
        for end in self.ends.values():
            end.result(_WITHIN)

    def measure(self) -> None:
        """Make the round trips of one turn."""
        self._turn(TURN)

    def stop(self) -> None:
        for end in self.ends.values():
            end.stop()


def percentiles(samples: list[int]) -> dict[str, float]:
    """Return microseconds."""
    ordered = sorted(samples)
    return {
        name: ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1000
        for name, share in SHARES.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tails")
    parser.add_argument("--trips", type=int, default=100_000, help="of each library (100 000)")
    parser.add_argument("--peers", help="these peers, with commas")
    args = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="bench-")
    pairs: list[Pair] = []
    try:
        for name in args.peers.split(",") if args.peers else PEERS:
            try:
                pairs.append(Pair(name, folder))
            except PeerError as error:
                print(f"absent: {error}")
        for _ in range(args.trips // TURN):
            for pair in random.sample(pairs, len(pairs)):
                pair.measure()
    finally:
        for pair in pairs:
            pair.stop()
        shutil.rmtree(folder, ignore_errors=True)
    results = {pair.name: percentiles(pair.samples) for pair in pairs}
    print(f"{args.trips} round trips, 64 B, ipc, beside a task that is busy for a fifth; us")
    print(f"{'peer':16}" + "".join(f"{name:>11}" for name in SHARES))
    for name, result in results.items():
        print(f"{name:16}" + "".join(f"{value:11,.0f}" for value in result.values()))
    BUILD.mkdir(exist_ok=True)
    Path(BUILD / "tails.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()

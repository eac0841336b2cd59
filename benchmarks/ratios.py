"""The table of docs/performance.md, from the numbers of one run.

    python -m benchmarks.ratios docs/pictures/bench.json

Each cell is the median of trionng divided by that of the library above it; a cell is empty where
the run has no such peer.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

COLUMNS = ("C on the same libnng", "pynng, Trio", "`nng`, asyncio", "pyzmq, asyncio")
# What a row is called, its scenario, the peer of trionng, and what it is divided by.
_LOOPS = ("c_aio", "pynng_trio", "nng_asyncio", "pyzmq_asyncio")
_CALLS = ("c", "pynng_trio", "nng_asyncio", "pyzmq_asyncio")
ROWS = (
    ("round trip, ipc (time; less is better)", "rtt_ipc", "trionng", _LOOPS),
    ("round trip, tcp (time)", "rtt_tcp", "trionng", _LOOPS),
    ("1 MiB there and back, ipc (time)", "large_ipc", "trionng", _LOOPS),
    ("one way, tcp, one by one (rate; more is better)", "pushpull_tcp", "trionng", _CALLS),
    ("one way, ipc, one by one (rate)", "pushpull_ipc", "trionng", _CALLS),
    ("one way, tcp, in batches (rate)", "pushpull_tcp", "trionng_many", _CALLS),
    ("one way, ipc, in batches (rate)", "pushpull_ipc", "trionng_many", _CALLS),
    ("pair, tcp, one by one (rate)", "pair_tcp", "trionng", _CALLS),
    ("pair, tcp, in batches (rate)", "pair_tcp", "trionng_many", _CALLS),
    ("one publisher, four subscribers, tcp (rate)", "pubsub_tcp", "trionng", _CALLS),
    ("64 requests in flight, ipc (rate)", "concurrent_ipc", "trionng", _LOOPS),
)


def table(run: dict[str, Any]) -> str:
    """Return the table in Markdown."""
    lines = [f"| what | {' | '.join(COLUMNS)} |", f"| --- |{' --- |' * len(COLUMNS)}"]
    for name, scenario, ours, theirs in ROWS:
        peers = run.get(scenario, {})
        if ours in peers:
            cells = [
                f"{peers[ours]['median'] / peers[peer]['median']:.2f}" if peer in peers else ""
                for peer in theirs
            ]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(json.loads(Path(sys.argv[1]).read_text("utf-8"))))

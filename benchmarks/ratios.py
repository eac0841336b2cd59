"""The tables of docs/performance.md, from the numbers of one run.

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
    ("1000 clients, 64 workers, tcp (rate)", "connections_tcp", "trionng", _LOOPS),
    ("four subscribers with 10 000 topics, tcp (rate)", "topics_tcp", "trionng", _CALLS),
    ("round trip, tls+tcp (time)", "rtt_tls", "trionng", _LOOPS),
    ("pair, tls+tcp, one by one (rate)", "pair_tls", "trionng", _CALLS),
)
# Plain calls: `trionng.blocking`.
_PLAIN = ("c", "pynng_sync", "nng_sync", "pyzmq_sync")
PLAIN_COLUMNS = ("C on the same libnng", "pynng", "`nng`", "pyzmq")
PLAIN_ROWS = (
    ("round trip, ipc (time; less is better)", "rtt_ipc", "trionng_blocking", _PLAIN),
    ("round trip, tcp (time)", "rtt_tcp", "trionng_blocking", _PLAIN),
    ("1 MiB there and back, ipc (time)", "large_ipc", "trionng_blocking", _PLAIN),
    ("one way, tcp (rate; more is better)", "pushpull_tcp", "trionng_blocking", _PLAIN),
    ("pair, tcp (rate)", "pair_tcp", "trionng_blocking", _PLAIN),
    ("one publisher, four subscribers, tcp (rate)", "pubsub_tcp", "trionng_blocking", _PLAIN),
    ("round trip, tls+tcp (time)", "rtt_tls", "trionng_blocking", _PLAIN),
    ("open, connect, one message, close (time)", "open_close", "trionng_blocking", _PLAIN),
)
# Other libraries for the same purposes, and Trio's own streams.
_OTHERS = ("raw_trio", "zenoh_sync", "nats_asyncio")
OTHER_COLUMNS = ("Trio's streams", "zenoh, plain calls", "nats, asyncio")
OTHER_ROWS = (
    ("round trip, tcp (time; less is better)", "rtt_tcp", "trionng", _OTHERS),
    (
        "one publisher, four subscribers, tcp (rate; more is better)",
        "pubsub_tcp",
        "trionng",
        _OTHERS,
    ),
    ("one way, tcp (rate)", "pushpull_tcp", "trionng", _OTHERS),
    ("round trip, tls+tcp (time)", "rtt_tls", "trionng", _OTHERS),
    ("pair, tls+tcp (rate)", "pair_tls", "trionng", _OTHERS),
)
TABLES = ((COLUMNS, ROWS), (PLAIN_COLUMNS, PLAIN_ROWS), (OTHER_COLUMNS, OTHER_ROWS))
Row = tuple[str, str, str, tuple[str, ...]]


def table(run: dict[str, Any], columns: tuple[str, ...], rows: tuple[Row, ...]) -> str:
    """Return a table in Markdown."""
    lines = [f"| what | {' | '.join(columns)} |", f"| --- |{' --- |' * len(columns)}"]
    for name, scenario, ours, theirs in rows:
        peers = run.get(scenario, {})
        if ours in peers:
            cells = [
                f"{peers[ours]['median'] / peers[peer]['median']:.2f}" if peer in peers else ""
                for peer in theirs
            ]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    measured = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    print("\n\n".join(table(measured, *each) for each in TABLES))

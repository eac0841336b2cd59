"""Charts of one run of `make bench`, one a question. The run is bench.json beside this file."""

from __future__ import annotations

import json
from pathlib import Path

from svg import Picture

DATA = Path(__file__).with_name("bench.json")
# The name of a peer in the run, what to call it, and how it is drawn.
PEERS = (
    ("trionng", "trionng", "bar"),
    ("trionng_many", "trionng, in batches", "bar"),
    ("trionng_blocking", "trionng.blocking", "bar"),
    ("pynng_trio", "pynng, Trio", "other"),
    ("nng_asyncio", "nng, asyncio", "other"),
    ("pyzmq_asyncio", "pyzmq, asyncio", "other"),
    ("pynng_sync", "pynng, blocking", "other"),
    ("pyzmq_sync", "pyzmq, blocking", "other"),
    ("raw_trio", "plain Trio sockets", "floor"),
    ("c_aio", "C, nng's aio", "floor"),
    ("c", "C, blocking", "floor"),
)
CHARTS = {
    "chart-round-trip": ("rtt_ipc", "How long does a request and its reply take?", "us", "less"),
    "chart-stream": ("pushpull_tcp", "How many small messages a second?", "msg/s", "more"),
    "chart-in-flight": ("concurrent_ipc", "Requests a second, 64 in flight?", "req/s", "more"),
    "chart-memory": ("idle_memory", "What does a waiting context take?", "bytes", "less"),
}  # fmt: skip


def draw(scenario: str, question: str, unit: str, better: str) -> Picture:
    """Draw a bar a peer, with its median and the range of its rounds."""
    measured = json.loads(DATA.read_text("utf-8"))[scenario]
    rows = [(name, look, measured[peer]) for peer, name, look in PEERS if peer in measured]
    picture = Picture(760, 66 + 26 * len(rows), f"{question} ({scenario})")
    picture.text(10, 20, question, at="start", look="strong")
    picture.text(10, 38, f"{scenario}, {unit}; {better} is better", at="start", look="small")
    most = max(max(result["rounds"]) for _, _, result in rows)
    left, right = 170, 660
    for number, (name, look, result) in enumerate(rows):
        top = 52 + 26 * number
        scale = (right - left) / most
        picture.text(left - 8, top + 14, name, at="end", look="strong" if look == "bar" else "")
        picture.bar(left, top + 2, round(result["median"] * scale, 1), 16, look)
        low, high = min(result["rounds"]) * scale, max(result["rounds"]) * scale
        picture.line((round(left + low, 1), top + 10), (round(left + high, 1), top + 10))
        picture.text(
            round(left + high + 6, 1),
            top + 14,
            f"{result['median']:,.0f}",
            at="start",
            look="small",
        )
    return picture

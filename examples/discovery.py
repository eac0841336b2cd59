"""Discovery: nodes answer a survey with their name and load.

python discovery.py node tcp://127.0.0.1:5558 alice
python discovery.py ask tcp://127.0.0.1:5558 2           (waits for two nodes first)
"""

from __future__ import annotations

import os
import sys

import trio

import trionng


async def node(url: str, name: str) -> None:
    """Answer surveys until the program is stopped."""

    async def answer(_survey: bytes) -> bytes:
        return f"{name}, load {os.getloadavg()[0]:.1f}".encode()

    async with trio.open_nursery() as nursery:
        await trionng.serve_respondent(nursery, answer, dial=url)
        print("here", flush=True)


async def ask(url: str, expected: str) -> None:
    """Send a survey, and print the nodes: when all have answered, or after five seconds."""
    async with trionng.Surveyor0(listen=url) as surveyor:
        print("asking", flush=True)
        await surveyor.wait_connected(int(expected))
        names: list[str] = []
        async with surveyor.survey(b"who is there?", timeout=5) as replies:
            async for reply in replies:
                names.append(reply.decode())
                if len(names) == int(expected):
                    break
        for name in sorted(names):
            print("found", name, flush=True)


if __name__ == "__main__":
    trio.run({"node": node, "ask": ask}[sys.argv[1]], *sys.argv[2:])

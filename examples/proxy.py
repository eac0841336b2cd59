"""Requests and replies through a proxy: clients and servers dial only the proxy.

python proxy.py proxy tcp://127.0.0.1:7001 tcp://127.0.0.1:7002
python proxy.py serve tcp://127.0.0.1:7002           (any number of servers)
python proxy.py ask tcp://127.0.0.1:7001 hello
"""

from __future__ import annotations

import os
import sys

import trio

import trionng


async def proxy(front: str, back: str) -> None:
    """Forward requests from the front to a server at the back, and replies to their clients."""
    async with (
        trionng.Rep0(raw=True, listen=front) as clients,
        trionng.Req0(raw=True, listen=back) as servers,
        trio.open_nursery() as nursery,
    ):
        forwarding = await nursery.start(trionng.forward, clients, servers)
        print("forwarding", flush=True)
        while True:
            before = forwarding.statistics()
            await trio.sleep(1)
            if forwarding.statistics() != before:
                print(forwarding.statistics(), flush=True)


async def serve(back: str) -> None:
    """Answer requests that come through the proxy."""

    async def answer(request: bytes) -> bytes:
        return b"%s from %d" % (request, os.getpid())

    async with trio.open_nursery() as nursery:
        await trionng.serve_rep(nursery, answer, dial=back)
        print("serving", flush=True)


async def ask(front: str, question: str) -> None:
    """Send one request, and print the reply."""
    async with trionng.Req0(dial=front) as req:
        print((await req.request(question.encode())).decode(), flush=True)


if __name__ == "__main__":
    trio.run({"proxy": proxy, "serve": serve, "ask": ask}[sys.argv[1]], *sys.argv[2:])

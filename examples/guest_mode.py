"""trionng in an asyncio program: Trio runs as a guest of asyncio's loop, in the same thread.

python guest_mode.py serve tcp://127.0.0.1:5560
python guest_mode.py ask tcp://127.0.0.1:5560 hello
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, TypeVar

import trio

import trionng

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from outcome import Outcome

T = TypeVar("T")


async def run_in_trio(function: Callable[..., Awaitable[T]], *arguments: str) -> T:
    """Run an async function of Trio in asyncio's loop, and wait for its result."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[Outcome[T]] = loop.create_future()
    trio.lowlevel.start_guest_run(
        function,
        *arguments,
        run_sync_soon_threadsafe=loop.call_soon_threadsafe,
        done_callback=ended.set_result,
    )
    return (await ended).unwrap()


async def serve(url: str) -> None:
    """Answer requests in Trio, for ever."""

    async def answer(request: bytes) -> bytes:
        return b"Trio says " + request

    async with trio.open_nursery() as nursery:
        await trionng.serve_rep(nursery, answer, listen=url)
        print("serving", flush=True)


async def ask(url: str, question: str) -> bytes:
    """Send one request in Trio."""
    async with trionng.Req0(dial=url) as req:
        return await req.request(question.encode())


if __name__ == "__main__":
    role, *arguments = sys.argv[1:]
    print(asyncio.run(run_in_trio({"serve": serve, "ask": ask}[role], *arguments)), flush=True)

"""trionng in an asyncio program: Trio runs as a guest of asyncio's loop, in the same thread.

python guest_mode.py serve tcp://127.0.0.1:5560
python guest_mode.py ask tcp://127.0.0.1:5560 hello nng
"""

from __future__ import annotations

import asyncio
import sys

import trionng
from trionng.guest import open_portal


async def serve(url: str) -> None:
    """Answer requests with code of asyncio, for ever."""

    async def look_up(word: str) -> str:
        await asyncio.sleep(0.1)  # a library for asyncio
        return f"asyncio says {word}"

    async with open_portal() as portal:

        async def answer(request: bytes) -> bytes:
            return (await portal.run_asyncio(look_up, request.decode())).encode()

        rep = trionng.Rep0(listen=url)
        print("serving", flush=True)
        try:
            await portal.run(trionng.run_rep, answer, socket=rep)
        finally:
            await portal.run(rep.aclose)


async def ask(url: str, *questions: str) -> None:
    """Send requests, all at once."""
    async with open_portal() as portal:
        req = trionng.Req0(dial=url)
        try:
            asked = (portal.run(req.request, each.encode()) for each in questions)
            for reply in await asyncio.wait_for(asyncio.gather(*asked), timeout=20):
                print(reply.decode())
        finally:
            await portal.run(req.aclose)


if __name__ == "__main__":
    role, *arguments = sys.argv[1:]
    try:
        asyncio.run({"serve": serve, "ask": ask}[role](*arguments))
    except KeyboardInterrupt:
        pass

"""A server in a process of its own, for the soak to stop, to kill and to start again.

python -m stress.server URL
"""

from __future__ import annotations

import sys

import trio

import trionng


async def _handler(request: bytes) -> bytes:
    return request[::-1]


async def main(*arguments: str) -> None:
    """Answer until it is ended; print the URL when it listens."""
    (url,) = arguments
    async with trio.open_nursery() as nursery, trionng.Rep0() as rep:
        listener = rep.listen(url)
        await trionng.serve_rep(nursery, _handler, socket=rep, workers=4)
        print(listener.url, flush=True)
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])

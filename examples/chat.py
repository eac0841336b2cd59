"""A chat without a server: each program listens, and dials the programs that run already.

python chat.py alice tcp://127.0.0.1:6001
python chat.py bob tcp://127.0.0.1:6002 tcp://127.0.0.1:6001
"""

from __future__ import annotations

import sys

import trio

import trionng


async def show(bus: trionng.Bus0) -> None:
    """Print each message of the other programs."""
    async for line in bus:
        print(line.decode(), flush=True)


async def say(bus: trionng.Bus0, name: str) -> None:
    """Send each line of standard input to all other programs."""
    while line := await trio.to_thread.run_sync(sys.stdin.readline):
        await bus.send(f"{name}: {line.rstrip()}".encode())
    await bus.flush()


async def main(name: str, own_url: str, *urls: str) -> None:
    """Chat until standard input ends."""
    async with trionng.Bus0(listen=own_url) as bus, trio.open_nursery() as nursery:
        for url in urls:
            await bus.dial(url, block=True)
        print("joined", flush=True)
        nursery.start_soon(show, bus)
        await bus.wait_connected()
        await say(bus, name)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])

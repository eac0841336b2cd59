"""A client in a process of its own, for the soak to stop and to kill: asks until it is ended.

python -m stress.client URL NUMBER
"""

from __future__ import annotations

import sys

import trio

import trionng
from stress.common import Lost, dial
from stress.flows import body


async def main(*arguments: str) -> None:
    """Ask eight questions at a time; print a line when the first was answered."""
    url, ca, sender = arguments
    tls = trionng.TLSConfig.client(ca_files=[ca], server_name="localhost") if ca else None
    async with trionng.Req0(resend_time=1000) as req, trio.open_nursery() as nursery:
        await dial(req, url, tls)

        async def ask(first: int) -> None:
            number = first
            while True:
                data = body(9, int(sender), number)
                if await req.request(data) != data[::-1]:
                    raise Lost(f"the answer to request {number} is that to another")
                number += 8

        for first in range(8):
            nursery.start_soon(ask, first)
        data = body(9, int(sender), 99)
        if await req.request(data) != data[::-1]:
            raise Lost("the first answer is that to another question")
        print("asking", flush=True)


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])

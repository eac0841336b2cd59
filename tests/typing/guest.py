"""A call through a portal has the types of the function that it calls."""

from typing_extensions import assert_type

import trionng
from trionng.guest import Portal, open_portal


async def calls(req: trionng.Req0, push: trionng.Push0) -> None:
    async with open_portal() as portal:
        assert_type(portal, Portal)
        assert_type(await portal.run(req.request, b"x"), bytes)
        assert_type(await portal.run(push.send_many, [b"x"]), int)
        assert_type(await portal.run(req.dial, "tcp://x:1", block=True), trionng.Dialer)
        await portal.run(req.request)  # E
        await portal.run(req.request, "x")  # E
        await portal.run(req.dial, "tcp://x:1", blok=True)  # E
        await portal.run(req.recv_nowait)  # E


async def back(portal: Portal) -> None:
    async def find(name: str) -> float:
        return len(name)

    assert_type(await portal.run_asyncio(find, "x"), float)
    await portal.run_asyncio(find, b"x")  # E

"""The `trio-typing` extra beside trionng; run by .ci/run in an environment of its own."""

import trio
import trio_typing

import trionng


async def serve(task_status: trio_typing.TaskStatus[str]) -> None:
    """Start the way `nursery.start` expects, with trio-typing's own annotation."""
    async with trionng.Rep0(listen="inproc://trio-typing") as rep:
        task_status.started("ready")
        await rep.send(await rep.recv())


async def test_trio_typing_beside_trionng_starts_a_server() -> None:
    """Both packages import in one process, and trio-typing's TaskStatus fits a trionng server."""
    async with trio.open_nursery() as nursery:
        assert await nursery.start(serve) == "ready"
        async with trionng.Req0(dial="inproc://trio-typing") as req:
            await req.send(b"hello")
            answer = await req.recv()
    assert answer == b"hello"

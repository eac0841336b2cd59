"""trionng in web servers: FastAPI with a portal under uvicorn."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
import trio

from tests.support.ports import wait_until_path_listens
from tests.support.processes import PYTHON, STRICT, other_process
from tests.support.web import get

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_fastapi_under_uvicorn_shares_one_portal(loop: str, tmp_path: Path):
    """100 requests at once, errors, timeouts on both sides, and SIGTERM in the middle of a call."""
    socket = tmp_path / "web"
    command = [*PYTHON, *STRICT, "-m", "uvicorn", "tests.support.web_app:app"]
    with trio.fail_after(60):
        async with (
            other_process(*command, "--uds", socket, "--loop", loop) as server,
            trio.open_nursery() as nursery,
        ):
            assert await server.line() == "up"
            await wait_until_path_listens(socket)
            answers: dict[str, tuple[int, str]] = {}

            async def ask(route: str) -> None:
                answers[route] = await get(socket, route)

            async with trio.open_nursery() as asking:
                for number in range(100):
                    asking.start_soon(ask, f"/ask/word{number}")
                asking.start_soon(ask, "/late")
                asking.start_soon(ask, "/fail")
                with trio.move_on_after(0.01):  # a client that waits no longer
                    await get(socket, "/ask/gone")
            assert answers.pop("/late")[0] == 504
            assert answers.pop("/fail")[0] == 400
            assert answers == {f"/ask/word{n}": (200, f"WORD{n}") for n in range(100)}
            while (await get(socket, "/portal"))[1] != '"<Portal, calls=1>"':  # the service
                await trio.sleep(0.01)

            nursery.start_soon(ask, "/hold")
            while await server.line() != "holding":
                pass
            server.signal(signal.SIGTERM)
            code, output, errors = await server.end()

    assert answers["/hold"] == (200, '"held"')
    assert output.splitlines()[-1:] == ["left behind: {}"], output
    # uvicorn ends as the signal would have ended it.
    assert (code, "Traceback" in errors) == (-signal.SIGTERM, False), errors

"""The functions of asyncio that loops_async needs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

Task = Callable[[], Awaitable[None]]

sleep = asyncio.sleep
event = asyncio.Event


async def wait_all_blocked() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def together(*tasks: Task) -> None:
    started = [asyncio.ensure_future(task()) for task in tasks]
    try:
        await asyncio.gather(*started)
    finally:
        for task in started:
            task.cancel()


async def beside(tasks: list[Task], main: Task) -> None:
    started = [asyncio.ensure_future(task()) for task in tasks]
    leading = asyncio.ensure_future(main())
    try:
        # A worker that fails must not leave the others waiting for ever.
        done, _ = await asyncio.wait([leading, *started], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in [leading, *started]:
            task.cancel()
        await asyncio.gather(*started, return_exceptions=True)


T = TypeVar("T")


def run(function: Callable[[T], Awaitable[None]], argument: T) -> None:
    asyncio.run(function(argument))

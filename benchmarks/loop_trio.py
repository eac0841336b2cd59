"""The functions of Trio that loops_async needs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio
import trio.testing

Task = Callable[[], Awaitable[None]]

sleep = trio.sleep
event = trio.Event
wait_all_blocked = trio.testing.wait_all_tasks_blocked


async def together(*tasks: Task) -> None:
    async with trio.open_nursery() as nursery:
        for task in tasks:
            nursery.start_soon(task)


async def beside(tasks: list[Task], main: Task) -> None:
    async with trio.open_nursery() as nursery:
        for task in tasks:
            nursery.start_soon(task)
        await main()
        nursery.cancel_scope.cancel()


T = TypeVar("T")


def run(function: Callable[[T], Awaitable[None]], argument: T) -> None:
    trio.run(function, argument)

"""The Trio API and the sync API behind one face, so that one test can be about both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

import trionng
from trionng import blocking

if TYPE_CHECKING:
    from collections.abc import Callable


class TrioApi:
    """Awaits."""

    module = trionng

    async def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    async def next(self, iterable: Any) -> Any:
        return await iterable.__anext__()

    async def close(self, thing: Any) -> None:
        await thing.aclose()

    ends = StopAsyncIteration


class SyncApi:
    """Calls in a thread of its own."""

    module = blocking

    async def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return await trio.to_thread.run_sync(lambda: function(*args, **kwargs))

    async def next(self, iterable: Any) -> Any:
        # StopIteration cannot leave a coroutine.
        nothing = object()
        value = await trio.to_thread.run_sync(next, iterable, nothing)
        if value is nothing:
            raise StopAsyncIteration
        return value

    async def close(self, thing: Any) -> None:
        await trio.to_thread.run_sync(thing.close)

    ends = StopAsyncIteration

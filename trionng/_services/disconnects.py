"""Handlers that end when their client goes: `cancel_on_disconnect=True`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import trio

from trionng._trio.socket import Socket

# How far the watch may fall behind while a handler lets no other task run.
_EVENTS: Final = 65536


class DisconnectScopes:
    """A cancel scope for each handler that runs; it is cancelled when its connection ends."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        # From now on, not from the first turn of the task: what happens between is not missed.
        self._events = socket.pipe_events(capacity=_EVENTS)
        self._handling: dict[int, set[trio.CancelScope]] = {}

    @contextmanager
    def scope_for(self, number: int) -> Iterator[trio.CancelScope]:
        """Give a scope that is cancelled with this connection, perhaps already."""
        with trio.CancelScope() as scope:
            handling = self._handling.setdefault(number, set())
            handling.add(scope)
            pipe = self._socket._pipe(number)
            if pipe is None or pipe.closed:
                scope.cancel()
            try:
                yield scope
            finally:
                handling.discard(scope)
                if not handling:
                    self._handling.pop(number, None)

    async def run(self, scope: trio.CancelScope) -> None:
        """Watch the connections until the scope is cancelled or the socket closes."""
        with scope:
            async with self._events as events:
                async for event in events:
                    if event.kind == "disconnected":
                        for each in self._handling.get(event.pipe.id, ()):
                            each.cancel()

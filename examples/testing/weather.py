"""A program to test: a station that answers, and a client that asks until it gets an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    import trionng

PATIENCE = 30  # seconds for one try


class NoWeather(Exception):
    """The station has not answered."""


async def answer(request: bytes) -> bytes:
    """Handle a request of the station."""
    return b"rain in " + request


async def ask(req: trionng.Req0, city: bytes, *, tries: int = 3) -> bytes:
    """Ask for the weather; wait longer after each try."""
    for number in range(tries):
        with trio.move_on_after(PATIENCE):
            return await req.request(city)
        await trio.sleep(60 * (number + 1))
    raise NoWeather(city.decode())

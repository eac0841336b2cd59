"""Addresses and connected sockets."""

from __future__ import annotations

import contextlib
import tempfile
import uuid
from typing import TYPE_CHECKING, TypeVar

import trionng

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

A = TypeVar("A", bound=trionng.Socket)
B = TypeVar("B", bound=trionng.Socket)

TRANSPORTS = ("inproc", "ipc", "tcp")
ALL_TRANSPORTS = (*TRANSPORTS, "abstract", "ws")


def url_of(transport: str, directory: str | Path) -> str:
    """Return a URL that no other test has; the directory is for ipc, and its path short."""
    name = uuid.uuid4().hex[:12]
    return {
        "inproc": f"inproc://{name}",
        "ipc": f"ipc://{directory}/{name}",
        "abstract": f"abstract://trionng-{name}",
        "tcp": "tcp://127.0.0.1:0",
        "tcp4": "tcp4://127.0.0.1:0",
        "tcp6": "tcp6://[::1]:0",
        "ws": f"ws://127.0.0.1:0/{name}",
    }[transport]


def inproc() -> str:
    """Return an inproc URL that no other test has."""
    return url_of("inproc", "")


@contextlib.asynccontextmanager
async def connected(listening: A, dialing: B, transport: str) -> AsyncIterator[tuple[A, B]]:
    """Connect two sockets for the time of a block, and close both."""
    with tempfile.TemporaryDirectory(prefix="tng-") as directory:
        async with listening, dialing:
            url = listening.listen(url_of(transport, directory)).url
            await dialing.dial(url, block=True)
            await listening.wait_connected()
            yield listening, dialing


async def dial_refused(dialing: trionng.Socket, url: str) -> None:
    """Dial a listener that refuses; raise what the dial raises.

    A dial waits for a refusal a little longer than the handshake took. On a busy machine a refusal
    can be later, so there are three tries.
    """
    for _ in range(3):
        dialer = await dialing.dial(url, block=True)
        await dialer.aclose()

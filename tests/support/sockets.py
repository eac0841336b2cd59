"""What tests of transports share; `trionng.testing` has connected sockets and new URLs."""

from __future__ import annotations

import contextlib
from typing import Any

import trio

import trionng

TRANSPORTS = ("inproc", "ipc", "tcp")
ALL_TRANSPORTS = (*TRANSPORTS, "abstract", "ws")


async def dial_refused(dialing: trionng.Socket, url: str) -> None:
    """Dial a listener that refuses; raise what the dial raises.

    A dial waits for a refusal a little longer than the handshake took. On a busy machine a refusal
    can be later, so there are more tries, until the time of the test is over.
    """
    while True:
        dialer = await dialing.dial(url, block=True)
        await dialer.aclose()
        while dialing.pipes:  # libnng removes them a moment later
            await trio.sleep(0.001)


async def dial_patiently(dialing: trionng.Socket, url: str, **options: Any) -> trionng.Dialer:
    """Dial until it is done or fails; nng gives a WebSocket handshake two seconds.

    On a busy machine one with TLS in it takes longer now and then.
    """
    while True:
        with contextlib.suppress(trionng.Timeout):
            return await dialing.dial(url, block=True, **options)

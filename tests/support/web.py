"""What tests of web servers share: a client, and what a program leaves behind."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from pathlib import Path


async def get(socket: Path, route: str) -> tuple[int, str]:
    """Ask a web server on a unix socket; return the status and the body."""
    async with await trio.open_unix_socket(str(socket)) as stream:
        await stream.send_all(
            f"GET {route} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode()
        )
        answer = b"".join([chunk async for chunk in stream])
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode()


def left_behind() -> dict[str, int]:
    """Count tasks of asyncio and threads, but for those that Trio keeps for a while."""
    threads = [each.name for each in threading.enumerate()]
    return {
        "tasks": len(asyncio.all_tasks()),
        "threads": sum(not name.startswith("Trio thread") for name in threads),
    }

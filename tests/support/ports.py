"""Ports and paths at which another program will listen, and when it does."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LISTEN = "0A"
_ACCEPTS = 0x10000


@contextlib.contextmanager
def reserved_port() -> Iterator[int]:
    """Keep a port from other programs, but for one that listens there with SO_REUSEADDR."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


async def wait_until_port_listens(port: int) -> None:
    """Wait until a program accepts connections at a port; none is made."""

    def listens() -> bool:
        rows = [line.split() for line in Path("/proc/net/tcp").read_text("ascii").splitlines()]
        return any(row[1].endswith(f":{port:04X}") and row[3] == _LISTEN for row in rows[1:])

    await _wait(listens)


async def wait_until_path_listens(path: Path) -> None:
    """Wait until a program accepts connections at a path; none is made."""

    def listens() -> bool:
        rows = [line.split() for line in Path("/proc/net/unix").read_text("utf-8").splitlines()]
        return any(row[-1] == str(path) and int(row[3], 16) & _ACCEPTS for row in rows[1:])

    await _wait(listens)


async def _wait(condition: Callable[[], bool]) -> None:
    while not condition():
        await trio.sleep(0.01)

"""Opening sockets of pyzmq, for its async and sync API."""

from __future__ import annotations

from typing import Any

import zmq

VERSIONS = f"pyzmq {zmq.__version__}, libzmq {zmq.zmq_version()}"


def make(context: Any, kind: int, buffers: int = 0) -> Any:
    """Open a socket; `buffers` is its high-water mark on both sides, 0 leaves the default."""
    socket = context.socket(kind)
    socket.linger = 0
    if buffers:
        socket.set_hwm(buffers)
    return socket


def bound(socket: Any, url: str) -> Any:
    socket.bind(url)
    return socket


def connected(socket: Any, url: str) -> Any:
    socket.connect(url)
    return socket

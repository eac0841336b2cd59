"""Opening sockets of the package `nng`, for its async and sync API."""

from __future__ import annotations

from typing import TypeVar

import nng

S = TypeVar("S", bound="nng.Socket")

VERSIONS = f"nng {nng.__version__} with its own nng {nng.version()}"

to_bytes = nng.Message.to_bytes


def listening(socket: S, url: str) -> S:
    socket.add_listener(url).start()
    return socket


def dialled(socket: S, url: str) -> S:
    socket.add_dialer(url).start(block=True)
    return socket


def subscribed(socket: nng.SubSocket, topics: list[bytes]) -> nng.SubSocket:
    for topic in topics:
        socket.subscribe(topic)
    return socket

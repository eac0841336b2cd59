"""Numbered messages from senders to receivers, by every call there is, cancelled at any moment.

The books of a flow balance when each receiver got the numbers of each sender once, in order, and
none is missing. A flow that may lose messages, because its connection is cut, must still not double
or reorder any.
"""

from __future__ import annotations

import math
import struct
import time
from collections.abc import Callable, Sequence
from typing import Any

import trio

import trionng
from stress.common import Books, Chances, Lost

_HEAD = struct.Struct("<III")
SIZES = (0, 0, 0, 20, 100, 1000, 5000, 20_000, 70_000)


def body(flow: int, sender: int, number: int) -> bytes:
    """Return the message with a number: its size and bytes follow from it."""
    size = SIZES[(number * 7 + sender) % len(SIZES)]
    return _HEAD.pack(flow, sender, number) + bytes([number % 251]) * size


class Flow:
    """What one receiver has of the numbers of each sender.

    Args:
        flow: a number that no other flow has; a message of another one is found.
        books: where messages and cancels are counted.
        window: how many messages a sender may be ahead; None: as many as its socket takes.
        lossy: a number may be missing, because the documentation says so.
        senders: how many there are.
    """

    def __init__(
        self,
        flow: int,
        books: Books,
        *,
        window: int | None = None,
        lossy: bool = False,
        senders: int = 1,
    ) -> None:
        self.flow = flow
        self.books = books
        self.lossy = lossy
        self.next = [0] * senders
        self.room = None if window is None else [trio.Semaphore(window) for _ in range(senders)]

    def enter(self, data: bytes) -> None:
        """Take a message into the books, or say what is wrong with it."""
        if len(data) < _HEAD.size:
            raise Lost(f"a message of {len(data)} bytes that was never sent: {data!r}")
        flow, sender, number = _HEAD.unpack_from(data)
        if flow != self.flow:
            raise Lost(f"number {number} of flow {flow} came to flow {self.flow}")
        expected = self.next[sender]
        if number < expected or (number > expected and not self.lossy):
            raise Lost(f"number {number} of sender {sender} came, not {expected}")
        if data != body(flow, sender, number):
            raise Lost(f"number {number} is not what was sent")
        self.next[sender] = number + 1
        self.books["messages"] += 1
        if self.room is not None:
            self.room[sender].release()

    def missing(self, count: int) -> list[int]:
        """Return the senders whose last of `count` messages has not come."""
        return [sender for sender, number in enumerate(self.next) if number < count]


async def send_flow(
    socket: Any, flows: Sequence[Flow], sender: int, count: int, chances: Chances
) -> None:
    """Send the numbers of a sender; a send that was cancelled is made again."""
    (first, *_) = flows
    number = 0
    while number < count:
        batch = 1
        if hasattr(socket, "send_many") and first.room is None and chances.random() < 0.1:
            batch = min(chances.randint(1, 20), count - number)
        for flow in flows:
            if flow.room is not None:
                await flow.room[sender].acquire()
        data = [body(first.flow, sender, number + each) for each in range(batch)]
        sent = 0
        while not sent:
            with trio.move_on_after(chances.patience()) as scope:
                if batch > 1:
                    sent = await socket.send_many(data)
                elif chances.random() < 0.5:
                    await socket.send_msg(trionng.Message(data[0]))
                    sent = 1
                else:
                    await socket.send(data[0])
                    sent = 1
            first.books["cancels"] += scope.cancelled_caught
        number += sent


async def receive_flow(
    socket: Any, take: Callable[[bytes], None], enough: Callable[[], bool], chances: Chances
) -> None:
    """Receive until it is enough, by one call and another; each may be cancelled."""
    many = isinstance(
        socket,
        (
            *(trionng.Pair0, trionng.Pair1, trionng.Pull0),
            *(trionng.Bus0, trionng.Sub0, trionng.SubContext),
        ),
    )
    while not enough():
        kind = chances.choice(("recv", "recv_msg", "recv_nowait", "recv_many"))
        if kind == "recv_nowait":
            try:
                take(socket.recv_nowait())
            except trionng.TryAgain:
                kind = "recv"
            else:
                await trio.lowlevel.checkpoint()
                continue
        got: list[bytes] = []
        with trio.move_on_after(chances.patience()):
            if kind == "recv_many" and many:
                got = await socket.recv_many(chances.randint(1, 30))
            elif kind == "recv_msg":
                got = [(await socket.recv_msg()).bytes]
            else:
                got = [await socket.recv()]
        for data in got:
            take(data)


# The same in threads, where a timeout is what a cancel is in Trio.


def send_flow_sync(socket: Any, flow: Flow, sender: int, count: int, chances: Chances) -> None:
    """Send the numbers of a sender from a thread."""
    for number in range(count):
        while True:
            try:
                socket.send(body(flow.flow, sender, number), timeout=_seconds(chances))
            except trionng.Timeout:
                flow.books["timeouts"] += 1
            else:
                break


def receive_flow_sync(
    socket: Any, flow: Flow, enough: Callable[[], bool], chances: Chances, within: float = 60
) -> None:
    """Receive in a thread until it is enough."""
    until = time.monotonic() + within
    while not enough():
        try:
            if chances.random() < 0.3:
                got = socket.recv_many(20, timeout=_seconds(chances))
            else:
                got = [socket.recv(timeout=_seconds(chances))]
        except trionng.Timeout:
            flow.books["timeouts"] += 1
            if time.monotonic() > until:
                raise Lost(f"nothing more came: {flow.next}") from None
            continue
        for data in got:
            flow.enter(data)


def _seconds(chances: Chances) -> float:
    seconds = chances.patience()
    return 0.2 if math.isinf(seconds) else seconds

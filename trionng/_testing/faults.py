"""What a FaultyProxy does to the bytes of one direction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, Protocol, final

import attrs
import trio

from trionng._base.sealed import Sealed

# How many bytes are read at once, and how many such pieces are under way: then back-pressure.
_READ: Final = 65536
_UNDER_WAY: Final = 64


@attrs.define
class Flow:
    """How far one direction of one connection has come, in bytes.

    Attributes:
        position: bytes that have passed, or were lost.
        losing: how many of the next ones are to be lost.
    """

    position: int = 0
    losing: int = 0


class Connection(Protocol):
    """A connection of the proxy, as a direction of it sees it."""

    flows: dict[Direction, Flow]
    ended: bool

    def end(self, *, reset: bool) -> None:
        """End it, with a reset if asked to."""


@attrs.define(eq=False)
class _Fault:
    """What is to happen once, when a connection comes to a byte."""

    kind: Literal["cut", "reset", "stop", "drop"]
    at: int
    size: int = 0
    happened: trio.Event = attrs.field(factory=trio.Event)


@final
class Direction(Sealed):
    """One direction of a `FaultyProxy`: what happens to the bytes that pass this way.

    A fault "at" a byte counts the bytes of one connection in this direction, its handshake
    included: `cut(8)` lets the eight bytes of the SP handshake pass and nothing more. It happens
    once, to the first connection that comes to that byte, one that is open now included.

    Concurrency: tasks of the run that the proxy is in.

    """

    def __init__(self, name: str, connections: Callable[[], list[Connection]]) -> None:
        self._delay = 0.0
        self._split: int | None = None
        self._name = name
        self._connections = connections
        self._faults: list[_Fault] = []
        self._may_pass = trio.Event()
        self._may_pass.set()

    def __repr__(self) -> str:
        return f"<{self._name}: delay={self.delay}, split={self.split}, stopped={self.stopped}>"

    @property
    def delay(self) -> float:
        """Seconds of Trio's clock for which each byte is on its way; default 0."""
        return self._delay

    @delay.setter
    def delay(self, seconds: float) -> None:
        if not seconds >= 0:
            raise ValueError(f"delay: {seconds} is not a number of seconds")
        self._delay = seconds

    @property
    def split(self) -> int | None:
        """Pass on at most so many bytes at once; None, the default, does not split."""
        return self._split

    @split.setter
    def split(self, size: int | None) -> None:
        if size is not None and not size >= 1:
            raise ValueError(f"split: {size} is not a number of bytes, 1 or more")
        self._split = size

    @property
    def stopped(self) -> bool:
        """Whether nothing passes now."""
        return not self._may_pass.is_set()

    def stop(self, at: int | None = None) -> trio.Event:
        """Let nothing pass any more, as if the cable had been pulled; connections stay open.

        Args:
            at: stop all connections when one has passed so many bytes; default: now.

        Returns:
            An event that is set when it has happened.
        """
        return self._arm(_Fault("stop", 0 if at is None else at), now=at is None)

    def resume(self) -> None:
        """Let bytes pass again, those that came meanwhile first."""
        self._may_pass.set()

    def cut(self, at: int, *, reset: bool = False) -> trio.Event:
        """End a connection when exactly so many bytes of it have passed this way.

        Both of its ends are closed; `FaultyProxy.reset` ends all connections now.

        Args:
            at: bytes that pass; with 0, a connection ends as soon as it is made.
            reset: close with a reset (RST) instead of an end of the stream; tcp only.

        Returns:
            An event that is set when it has happened.
        """
        return self._arm(_Fault("reset" if reset else "cut", at))

    def drop(self, at: int, size: int = 1) -> trio.Event:
        """Lose bytes: those after the first `at` of a connection never arrive.

        Args:
            at: bytes that pass before.
            size: how many are lost; what follows them passes.

        Returns:
            An event that is set when the first of them was lost.
        """
        return self._arm(_Fault("drop", at, size))

    def _arm(self, fault: _Fault, *, now: bool = False) -> trio.Event:
        for name in ("at", "size"):
            if not isinstance(getattr(fault, name), int) or getattr(fault, name) < 0:
                raise ValueError(f"{fault.kind}: {name} is a number of bytes, 0 or more")
        if now:
            self._happen(fault)
            return fault.happened
        self._faults.append(fault)
        for connection in self._connections():
            self._strike(connection)
        return fault.happened

    def _happen(self, fault: _Fault) -> None:
        fault.happened.set()
        if fault.kind == "stop":
            self._may_pass = trio.Event()

    def _strike(self, connection: Connection) -> bool:
        """Let happen what is to happen at the byte where a connection is; say whether it ended."""
        flow = connection.flows[self]
        if connection.ended:  # a step ago, by another task
            return True
        for fault in [each for each in self._faults if each.at == flow.position]:
            self._faults.remove(fault)
            if fault.kind == "drop":
                flow.losing += fault.size
            self._happen(fault)
            if fault.kind in ("cut", "reset"):
                connection.end(reset=fault.kind == "reset")
                return True
        return False

    def _size(self, flow: Flow, ready: int) -> int:
        """Return how many of the bytes that are ready have the same fate."""
        ahead = [each.at - flow.position for each in self._faults if each.at > flow.position]
        most = flow.losing or self._split or ready
        return min(ready, most, *ahead)

    async def _carry(
        self, connection: Connection, source: trio.abc.Stream, sink: trio.abc.Stream
    ) -> None:
        """Pass bytes on until the source or the connection ends."""
        to_pass, passing = trio.open_memory_channel[tuple[float, bytes]](_UNDER_WAY)
        async with trio.open_nursery() as nursery, passing:
            nursery.start_soon(self._read, connection, source, to_pass)
            if not self._strike(connection):
                async for arrived, data in passing:
                    await self._pass_on(connection, arrived, data, sink)

    async def _read(
        self,
        connection: Connection,
        source: trio.abc.Stream,
        to_pass: trio.MemorySendChannel[tuple[float, bytes]],
    ) -> None:
        async with to_pass:
            while True:
                try:
                    data = await source.receive_some(_READ)
                except trio.BrokenResourceError:
                    connection.end(reset=True)
                    return
                if not data:
                    return
                await to_pass.send((trio.current_time(), bytes(data)))

    async def _pass_on(
        self, connection: Connection, arrived: float, data: bytes, sink: trio.abc.Stream
    ) -> None:
        flow = connection.flows[self]
        while data:
            await trio.sleep_until(arrived + self._delay)
            while self.stopped:
                await self._may_pass.wait()
            size = self._size(flow, len(data))
            if flow.losing:
                flow.losing -= size
            else:
                try:
                    await sink.send_all(data[:size])
                except trio.BrokenResourceError:
                    connection.end(reset=True)
                    await trio.sleep_forever()
            flow.position += size
            data = data[size:]
            if self._strike(connection):
                await trio.sleep_forever()

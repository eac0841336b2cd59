"""Stress runs on sends that wait: what returned arrives, once; what was cancelled never does."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import trio
from trio.lowlevel import checkpoint

import trionng
from tests.stress.cancels.receives import PATIENCE, describe, pack, two_ticks, unpack
from tests.stress.cancels.stress import Scenario

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

THE_END = 2**64 - 1
A_REQUEST = b"\x80\0\0\1"  # its number, as it is on the wire


class Pour(Scenario[int]):
    """Numbered messages into a connection from which one is read when the stress says so."""

    def __init__(
        self,
        senders: Sequence[trionng.Socket | trionng.Context],
        reader: trionng.Socket,
        size: int,
        rng: random.Random,
        group_from: int = 0,
    ) -> None:
        self.group = range(group_from, len(senders))
        self._senders = senders
        self._reader = reader
        self._padding = bytes(size)
        self._rng = rng
        self._tried = 0
        self._given_back: dict[int, tuple[int, trionng.Message]] = {}
        self._in_hand: dict[int, tuple[int, trionng.Message]] = {}
        self._returned: list[list[int]] = [[] for _ in senders]
        self._arrived: list[int] = []

    def _next(self) -> tuple[int, bytes]:
        self._tried += 1
        return self._tried, pack(self._tried) + self._padding

    async def call(self, who: int) -> int:
        self._in_hand.pop(who, None)
        if who not in self._given_back and self._rng.random() < 0.5:
            number, data = self._next()
            await self._senders[who].send(data)
            return number
        if who in self._given_back:
            number, message = self._given_back.pop(who)
        else:
            number, data = self._next()
            message = trionng.Message(data)
        self._in_hand[who] = number, message
        await self._senders[who].send_msg(message)
        return number

    async def happened(self, who: int, result: int) -> None:
        self._returned[who].append(result)

    def cancelled(self, who: int) -> None:
        # The message is ours again, to be sent by the next call under its old number.
        if who in self._in_hand:
            number, message = self._given_back[who] = self._in_hand.pop(who)
            assert len(message) == 8 + len(self._padding)
            assert unpack(message.body[:8].tobytes()) == number

    async def provoke(self, who: int) -> bool:
        try:
            self._arrived.append(unpack(self._reader.recv_nowait()))
        except trionng.TryAgain:
            return False
        return True

    async def settle(self) -> None:
        with trio.move_on_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._senders[0].send, pack(THE_END))
                await self._read_the_rest()
        returned = Counter(number for each in self._returned for number in each)
        arrived = Counter(self._arrived)
        assert arrived == returned, describe(returned, arrived)
        place = {number: index for index, number in enumerate(self._arrived)}
        for each in self._returned:
            places = [place[number] for number in each]
            assert places == sorted(places), "out of order"

    async def _read_the_rest(self) -> None:
        while (number := unpack(await self._reader.recv())) != THE_END:
            self._arrived.append(number)


class Replies(Pour):
    """Numbered replies to a raw Req0 or Surveyor0, which shows each when it is told to."""

    def __init__(
        self,
        answering: Sequence[trionng.Socket | trionng.Context],
        client: trionng.Req0 | trionng.Surveyor0,
        size: int,
        rng: random.Random,
    ) -> None:
        super().__init__(answering, client, size, rng, group_from=1)
        self._client = client
        self._may_read = trio.Semaphore(0)
        self._all_read = trio.Event()

    async def play(self, nursery: trio.Nursery) -> None:
        nursery.start_soon(self._read)

    async def _read(self) -> None:
        while True:
            await self._may_read.acquire()
            number = unpack(await self._client.recv())
            if number == THE_END:
                break
            self._arrived.append(number)
        self._all_read.set()

    async def _read_the_rest(self) -> None:
        while not self._all_read.is_set():
            await self.provoke(0)
            await checkpoint()

    async def provoke(self, who: int) -> bool:
        if self._may_read.value or not self._may_read.statistics().tasks_waiting:
            return False
        self._may_read.release()
        await two_ticks()
        return True

    async def prepare(self, who: int) -> None:
        # A cancelled reply has used up its request, so there is a request for every try.
        await self._client.send_msg(trionng.Message(b"", header=A_REQUEST))
        await self._senders[who].recv()

    async def settle(self) -> None:
        await self.prepare(0)
        await super().settle()

"""Stress runs on receives: nothing missing, nothing twice, everything in order."""

from __future__ import annotations

import struct
from collections import Counter
from typing import TYPE_CHECKING

import trio
from trio.lowlevel import checkpoint

import trionng
from tests.stress.cancels.stress import Scenario

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    Receiver: TypeAlias = (
        trionng.Pair0 | trionng.Pair1 | trionng.Bus0 | trionng.Pull0 | trionng.Sub0
    )
    Sender: TypeAlias = trionng.Pair0 | trionng.Pair1 | trionng.Bus0 | trionng.Push0 | trionng.Pub0
    Asking: TypeAlias = trionng.Req0 | trionng.Surveyor0 | trionng.Context
    Answerer: TypeAlias = trionng.Rep0 | trionng.Respondent0 | trionng.Context

PATIENCE = 30
GROUP = 5
TICKS_TO_ARRIVE = 40


def pack(number: int) -> bytes:
    """Return the message that carries a number."""
    return struct.pack(">Q", number)


def unpack(data: bytes) -> int:
    """Return the number a message carries."""
    (number,) = struct.unpack_from(">Q", data)
    return int(number)


async def two_ticks() -> None:
    """Let a task that was just woken run before the caller goes on."""
    await checkpoint()
    await checkpoint()


def describe(expected: Counter[int], found: Counter[int]) -> str:
    """Say what is missing and what is too much."""
    missing, extra = sorted(expected - found), sorted(found - expected)
    return f"missing {missing[:20]} ({len(missing)}), too many {extra[:20]} ({len(extra)})"


class Stream(Scenario[bytes]):
    """Numbered messages one way; for each a credit comes back over another pair of sockets.

    The window, how many may be on their way, is less than any buffer there, so that no protocol may
    drop one.
    """

    def __init__(
        self,
        receiver: Receiver | trionng.SubContext,
        sender: Sender,
        credits: tuple[trionng.Push0, trionng.Pull0],
        rng: random.Random,
        window: int,
    ) -> None:
        self.group = range(GROUP)
        self._receiver = receiver
        self._sender = sender
        self._credit_out, self._credit_in = credits
        self._rng = rng
        self._credit = window
        self._owed = 0
        self._sent = 0
        self._received: list[list[int]] = [[] for _ in range(GROUP)]

    async def call(self, who: int) -> bytes:
        if self._rng.random() < 0.3:
            return (await self._receiver.recv_msg()).bytes
        return await self._receiver.recv()

    async def happened(self, who: int, result: bytes) -> None:
        self._received[who].append(unpack(result))
        self._owed += 1
        try:
            while self._owed:
                self._credit_out.send_nowait(b"")
                self._owed -= 1
        except trionng.TryAgain:
            pass  # with the next one

    def cancelled(self, who: int) -> None:
        pass

    async def provoke(self, who: int) -> bool:
        try:
            while True:
                self._credit_in.recv_nowait()
                self._credit += 1
        except trionng.TryAgain:
            pass
        if self._credit == 0:
            return False
        try:
            self._sender.send_nowait(pack(self._sent))
        except trionng.TryAgain:
            return False
        self._sent += 1
        self._credit -= 1
        return True

    async def settle(self) -> None:
        with trio.move_on_after(PATIENCE):
            while sum(map(len, self._received)) < self._sent:
                await self.happened(0, await self._receiver.recv())
        found = Counter(number for each in self._received for number in each)
        expected = Counter(range(self._sent))
        assert found == expected, describe(expected, found)
        for each in self._received:
            assert each == sorted(each), "out of order"
        try:
            extra = self._receiver.recv_nowait()
        except trionng.TryAgain:
            pass
        else:
            raise AssertionError(f"{unpack(extra)} came once more")


class Answering:
    """The other side of requests: answers each when it is told to, or when no call waits for it."""

    def __init__(self, contexts: Sequence[trionng.Context], wanted: Callable[[int], bool]) -> None:
        self._contexts = contexts
        self._wanted = wanted
        self._held: dict[int, trio.Event] = {}
        self.seen: Counter[int] = Counter()

    def start(self, nursery: trio.Nursery) -> None:
        """Start a task for every context."""
        for context in self._contexts:
            nursery.start_soon(self._answer, context)

    async def _answer(self, context: trionng.Context) -> None:
        while True:
            request = await context.recv()
            number = unpack(request)
            self.seen[number] += 1
            if self._wanted(number):
                self._held[number] = trio.Event()
                await self._held[number].wait()
            await context.send(request)

    def release(self, number: int | None) -> bool:
        """Let a request be answered; False when it is not here."""
        held = self._held.pop(-1 if number is None else number, None)
        if held is not None:
            held.set()
        return held is not None

    async def answer_soon(self, number: int | None) -> bool:
        """Wait a little for a request to arrive, and let it be answered."""
        for _ in range(TICKS_TO_ARRIVE):
            if self.release(number):
                await two_ticks()
                return True
            await checkpoint()
        return False


class Answers(Scenario[bytes]):
    """Requests, or surveys of one peer, whose answers are received; some are given up for a newer.

    The first caller is the socket, the others are contexts. So it is below.
    """

    def __init__(
        self,
        asking: Sequence[Asking],
        answering: Sequence[trionng.Context],
        rng: random.Random,
    ) -> None:
        # A context holds each answer back until it is told to give it, for callers that rest too:
        # with fewer contexts than callers, a call may wait for one that none will release.
        assert len(answering) >= len(asking)
        self.group = range(1, len(asking))
        self._asking = asking
        self._current: list[int | None] = [None] * len(asking)
        self._other_side = Answering(answering, self._is_held_back)
        self._unhindered = False
        self._rng = rng
        self._requests = self._replies = self._abandoned = 0

    def _is_held_back(self, number: int) -> bool:
        return number in self._current and not self._unhindered

    async def play(self, nursery: trio.Nursery) -> None:
        self._other_side.start(nursery)

    async def prepare(self, who: int) -> None:
        if self._current[who] is None:
            self._current[who] = self._requests
            self._requests += 1
            await self._asking[who].send(pack(self._requests - 1))

    async def call(self, who: int) -> bytes:
        return await self._asking[who].recv()

    async def happened(self, who: int, result: bytes) -> None:
        assert unpack(result) == self._current[who], f"{self._current[who]} got {unpack(result)}"
        self._current[who] = None
        self._replies += 1

    def cancelled(self, who: int) -> None:
        if self._rng.random() < 0.1:
            self._other_side.release(self._current[who])
            self._current[who] = None
            self._abandoned += 1

    async def provoke(self, who: int) -> bool:
        return await self._other_side.answer_soon(self._current[who])

    async def settle(self) -> None:
        self._unhindered = True
        with trio.move_on_after(PATIENCE):
            for who, number in enumerate(self._current):
                self._other_side.release(number)
                if number is not None:
                    await self.happened(who, await self.call(who))
        assert self._replies == self._requests - self._abandoned, (
            f"{self._replies} replies, {self._requests} requests, {self._abandoned} abandoned"
        )


class Exchanges(Scenario["tuple[int, bytes]"]):
    """Requests as one call: cancelled means abandoned, everything else is answered."""

    def __init__(self, req: trionng.Req0, answering: Sequence[trionng.Context]) -> None:
        self.group = range(len(answering))
        self._req = req
        self._current: list[int | None] = [None] * len(answering)
        self._other_side = Answering(answering, self._current.__contains__)
        self._requests = self._replies = self._abandoned = 0

    async def play(self, nursery: trio.Nursery) -> None:
        self._other_side.start(nursery)

    async def call(self, who: int) -> tuple[int, bytes]:
        number = self._current[who] = self._requests
        self._requests += 1
        return number, await self._req.request(pack(number))

    async def happened(self, who: int, result: tuple[int, bytes]) -> None:
        number, data = result
        assert unpack(data) == number, f"{number} got {unpack(data)}"
        assert self._other_side.seen[number] == 1, f"{number} arrived more than once"
        self._replies += 1
        self._current[who] = None

    def cancelled(self, who: int) -> None:
        self._other_side.release(self._current[who])
        self._current[who] = None
        self._abandoned += 1

    async def provoke(self, who: int) -> bool:
        return await self._other_side.answer_soon(self._current[who])

    async def settle(self) -> None:
        assert self._replies == self._requests - self._abandoned
        assert max(self._other_side.seen.values()) == 1, "a request arrived more than once"
        with trio.fail_after(PATIENCE):
            data = pack(2**64 - 1)
            assert await self._req.request(data) == data


class Requests(Scenario[bytes]):
    """Requests, or surveys, that are received; every one is answered, once."""

    def __init__(
        self,
        answering: Sequence[Answerer],
        asking: Sequence[trionng.Context],
    ) -> None:
        self.group = range(1, len(answering))
        self._answering = answering
        self._asking = asking
        self._may_ask = trio.Semaphore(0)
        self._answered = trio.Event()
        self._served: Counter[int] = Counter()
        self._requests = self._replies = 0

    async def play(self, nursery: trio.Nursery) -> None:
        for context in self._asking:
            nursery.start_soon(self._ask, context)

    async def _ask(self, context: trionng.Context) -> None:
        while True:
            await self._may_ask.acquire()
            number = self._requests
            self._requests += 1
            await context.send(pack(number))
            reply = unpack(await context.recv())
            assert reply == number, f"{number} got {reply}"
            self._replies += 1
            self._answered.set()
            self._answered = trio.Event()

    async def call(self, who: int) -> bytes:
        return await self._answering[who].recv()

    async def happened(self, who: int, result: bytes) -> None:
        self._served[unpack(result)] += 1
        await self._answering[who].send(result)

    def cancelled(self, who: int) -> None:
        pass

    async def provoke(self, who: int) -> bool:
        waiting = self._may_ask.statistics().tasks_waiting
        if waiting:
            self._may_ask.release()
            await two_ticks()
        return waiting > 0

    async def settle(self) -> None:
        with trio.move_on_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                for who in range(len(self._answering)):
                    nursery.start_soon(self._serve, who)
                while self._replies < self._requests:
                    await self._answered.wait()
                nursery.cancel_scope.cancel()
        expected = Counter(range(self._requests))
        assert self._served == expected, describe(expected, self._served)
        assert self._replies == self._requests

    async def _serve(self, who: int) -> None:
        while True:
            await self.happened(who, await self.call(who))

"""Callers, and when their calls are cancelled.

A *scenario* has the sockets and keeps the accounts; it knows nothing of cancelling. *Callers* make
one call after another, each in a cancel scope of its own. The *stress run* picks one of these
scopes, lets happen what the call waits for (or not), and cancels it a little later. How much later
decides where in the library the cancel lands, so there are several kinds of rounds, and times adapt
to the machine.
"""

from __future__ import annotations

import abc
import dataclasses
import math
import time
from typing import TYPE_CHECKING, Generic, TypeVar

import trio
from trio.lowlevel import checkpoint

import trionng
from trionng._ffi.testing import CancelCounts, cancel_counts, reset_cancel_counts

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable, Sequence

T = TypeVar("T")

SHORTEST_SPIN, LONGEST_SPIN = 10e-6, 1e-3
# Every place where a cancel can land must have at least this part of all: one in so many.
RAREST = 40
# A stress that has missed a place goes on for at most so many times its length.
PATIENCE = 8


class Scenario(abc.ABC, Generic[T]):
    """Sockets, the calls on them that are cancelled, and the books that must balance.

    A caller is a number; `single` calls alone, those of the `group` all at the same time.
    """

    single = 0
    group: range

    async def play(self, nursery: trio.Nursery) -> None:
        """Start the tasks of the other side."""

    async def prepare(self, who: int) -> None:
        """Do what must come before a call; it is not cancelled."""

    @abc.abstractmethod
    async def call(self, who: int) -> T:
        """Make the call that may be cancelled."""

    @abc.abstractmethod
    async def happened(self, who: int, result: T) -> None:
        """Enter into the books what a call returned; it is not cancelled."""

    @abc.abstractmethod
    def cancelled(self, who: int) -> None:
        """Enter into the books that a call raised Cancelled."""

    @abc.abstractmethod
    async def provoke(self, who: int) -> bool:
        """Let happen what this call waits for, or any call; False when that cannot be now."""

    @abc.abstractmethod
    async def settle(self) -> None:
        """After the stress: finish what is under way, and assert that the books balance."""


@dataclasses.dataclass
class Report:
    """What a stress did."""

    cancels: int
    seconds: float
    spin: float
    counts: CancelCounts


class _Stress(Generic[T]):
    def __init__(self, scenario: Scenario[T], rng: random.Random, *, many: bool) -> None:
        self._scenario = scenario
        self._rng = rng
        self._in_call: dict[int, trio.CancelScope] = {}
        self._exposed: dict[int, trio.CancelScope] = {}
        self._over = False
        self.cancels = 0
        self.spin = 100e-6
        self._rounds: tuple[tuple[Callable[[], Awaitable[None]], int], ...] = (
            (self._cancel_without_cause, 15),
            (self._cancel_before_cause, 5),
            (self._cancel_in_flight, 15),
            (self._cancel_by_clock, 10),
            (self._cancel_when_done, 25),
            (self._cancel_when_collected, 25),
            (self._let_happen, 5),
        )
        if many:
            self._rounds = (
                (self._cancel_all, 85),
                (self._cancel_all_in_flight, 10),
                (self._let_happen, 5),
            )

    async def run(self, until: int, callers: Sequence[int], *, led: bool) -> None:
        """Cancel until so many calls were cancelled.

        Args:
            until: the number of cancelled calls at which to stop.
            callers: the numbers of the callers, which call at the same time.
            led: whether another task waits, for good, ahead of them all.
        """
        self._over = False
        async with trionng.Pull0() as quiet, trio.open_nursery() as nursery:
            if led:
                nursery.start_soon(quiet.recv)
                await self._ticks(3, 3)
            async with trio.open_nursery() as calling:
                for who in callers:
                    calling.start_soon(self._call, who)
                kinds = [kind for kind, _ in self._rounds]
                weights = [weight for _, weight in self._rounds]
                while self.cancels < until:
                    (kind,) = self._rng.choices(kinds, weights)
                    await kind()
                self._over = True
                while calling.child_tasks:
                    for scope in self._in_call.values():
                        scope.cancel()
                    await checkpoint()
            nursery.cancel_scope.cancel()

    async def _call(self, who: int) -> None:
        """Make one call after another."""
        while not self._over:
            await self._scenario.prepare(who)
            with trio.CancelScope() as scope:
                self._in_call[who] = scope
                if self._rng.random() < 0.05:
                    scope.cancel()
                else:
                    self._exposed[who] = scope
                result = await self._scenario.call(who)
            del self._in_call[who]
            self._exposed.pop(who, None)
            self.cancels += scope.cancel_called
            if scope.cancelled_caught:
                self._scenario.cancelled(who)
            else:
                await self._scenario.happened(who, result)

    async def _pick(self) -> tuple[int, list[trio.CancelScope]]:
        """Wait for a call in progress; return its caller, and its scope or those of all."""
        while not self._exposed:
            await checkpoint()
        who = self._rng.choice(list(self._exposed))
        if self._rng.random() < 0.5:
            scopes = list(self._exposed.values())
            self._exposed.clear()
            return who, scopes
        return who, [self._exposed.pop(who)]

    async def _ticks(self, least: int, most: int) -> None:
        for _ in range(self._rng.randint(least, most)):
            await checkpoint()

    def _burn(self, times: float = 1) -> None:
        """Take about as long as the event does, without giving the event loop any time."""
        end = time.perf_counter() + times * self._rng.gauss(self.spin, self.spin / 3)
        while time.perf_counter() < end:
            pass

    async def _cancel_without_cause(self) -> None:
        _, scopes = await self._pick()
        await self._ticks(0, 3)
        self._cancel(scopes)

    async def _cancel_before_cause(self) -> None:
        """The cancel is under way when the event comes."""
        who, scopes = await self._pick()
        await self._ticks(0, 1)
        self._cancel(scopes)
        await self._scenario.provoke(who)

    async def _cancel_in_flight(self) -> None:
        who, scopes = await self._pick()
        await self._scenario.provoke(who)
        await self._ticks(0, 5)
        self._cancel(scopes)

    async def _cancel_by_clock(self) -> None:
        who, scopes = await self._pick()
        for scope in scopes:
            scope.deadline = trio.current_time() + self._rng.uniform(0, 3 * self.spin)
        await self._scenario.provoke(who)

    async def _cancel_when_done(self) -> None:
        """nng has called back, and no task has seen it yet."""
        who, scopes = await self._pick()
        caused = await self._scenario.provoke(who)
        self._burn()
        before = cancel_counts()
        self._cancel(scopes)
        after = cancel_counts()
        if len(scopes) < len(self._in_call):
            return  # it may have been for another
        # As often just too early as just too late: that is where the narrow places are.
        if after.completed > before.completed:
            self.spin = max(self.spin * 0.97, SHORTEST_SPIN)
        elif caused and after.pending > before.pending:
            self.spin = min(self.spin * 1.03, LONGEST_SPIN)

    async def _cancel_when_collected(self) -> None:
        """The result is on its way to the task."""
        who, scopes = await self._pick()
        await self._scenario.provoke(who)
        self._burn(2)
        await self._ticks(1, 2)
        self._cancel(scopes)

    async def _cancel_all(self) -> None:
        """The cheapest cancels: of all that wait, a tick or two after they began."""
        await self._ticks(0, 2)
        scopes = list(self._exposed.values())
        self._exposed.clear()
        self._cancel(scopes)
        await checkpoint()

    async def _cancel_all_in_flight(self) -> None:
        await self._scenario.provoke(next(iter(self._exposed), self._scenario.group[0]))
        await self._cancel_all()

    async def _let_happen(self) -> None:
        await self._scenario.provoke(next(iter(self._exposed), 0))
        await self._ticks(1, 5)

    @staticmethod
    def _cancel(scopes: list[trio.CancelScope]) -> None:
        for scope in scopes:
            scope.cancel()


async def stress(
    scenario: Scenario[T], cancels: int, rng: random.Random, *, many: bool = False
) -> Report:
    """Cancel so many calls, or more to hit every place, and assert that the accounts balance.

    With `many` the moments are not chosen for each call but for all that wait: some ten times as
    many cancels in the same time, and places that few of them hit.

    One caller that is alone with the event loop, one that waits behind another task, and the same
    with a group: these are different ways through the library.
    """
    stress = _Stress(scenario, rng, many=many)
    begin = time.perf_counter()
    reset_cancel_counts()
    async with trio.open_nursery() as nursery:
        await scenario.play(nursery)
        for callers, led, share in (
            ([scenario.single], False, 0.2),
            ([scenario.single], True, 0.4),
            (scenario.group, False, 0.7),
            (scenario.group, True, 1),
        ):
            await stress.run(math.ceil(cancels * share), callers, led=led)
        while (
            not many
            and min(cancel_counts()) < cancels // RAREST
            and stress.cancels < PATIENCE * cancels
        ):
            await stress.run(stress.cancels + cancels // 10, [scenario.single], led=True)
        counts = cancel_counts()
        await scenario.settle()
        nursery.cancel_scope.cancel()
    return Report(stress.cancels, time.perf_counter() - begin, stress.spin, counts)

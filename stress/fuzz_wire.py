"""One process of `stress.fuzz`: some targets, strangers that attack them, and honest peers.

    python -m stress.fuzz_wire --seed 1 --batch 0 --seconds 5 --journal FILE [--replay CASES]

Prints its figures as a line of JSON. It fails when an honest peer notices anything; what it did to
that point stands in the journal, a case a line, also if the process died.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import itertools
import json
import logging
import os
import sys
import time
import traceback
import warnings
from pathlib import Path

import trio

from stress.common import Address, Addresses, Chances, Lost, first_of
from stress.strangers import attack, serve_strangers
from stress.targets import PEERS as PEER_OF, TRANSPORTS, Api, Target, names, open_socket
from stress.wire import Case, make_case

TARGETS, STRANGERS = 10, 8
# Where no stranger can take a message, or stand in a queue before it, by right: with the others a
# peer that speaks the protocol shares what passes, and an honest exchange is tried again.
UNDISTURBED = ("rep0", "respondent0", "pair0", "pair1", "pub0")
BETWEEN_PROBES, BETWEEN_LOOKS = 0.05, 0.01


class Attack:
    """The targets of one process, and the cases that they meet."""

    def __init__(self, arguments: argparse.Namespace, addresses: Addresses) -> None:
        self._chances = Chances(arguments.seed, "wire", arguments.batch)
        self._addresses = addresses
        self._journal = os.open(arguments.journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._replay: list[Case] | None = None
        chosen = self._chances.sample(names(arguments.transports), TARGETS)
        if arguments.replay:
            lines = Path(arguments.replay).read_text("ascii").splitlines()
            self._replay = [Case.load(line) for line in lines]
            chosen = list(dict.fromkeys(case.target for case in self._replay))
        self.targets = {name: Target(name, self._chances) for name in chosen}
        self._seconds = arguments.seconds
        self._numbers = itertools.count()
        self.cases = 0
        self.lags: list[float] = []

    def _note(self, case: Case) -> Case:
        os.write(self._journal, case.dump().encode() + b"\n")
        self.cases += 1
        return case

    def _case_for(self, name: str) -> Case:
        """Return the next case that a dialer's server meets."""
        if self._replay is None:
            seed = self._chances.randrange(2**32)
            return self._note(make_case(name, Chances(seed, next(self._numbers))))
        mine = [case for case in self._replay if case.target == name]
        if not mine:
            return Case(name, ())
        self._replay.remove(mine[0])
        return self._note(mine[0])

    async def _strangers_of(self, target: Target, address: Address) -> str:
        assert self._nursery is not None
        return await serve_strangers(self._nursery, address, lambda: self._case_for(target.name))

    async def run(self) -> None:
        """Attack for the time of the run, and look at what is left."""
        async with trio.open_nursery() as nursery, contextlib.AsyncExitStack() as stack:
            self._nursery = nursery
            nursery.start_soon(self._watch)
            for target in self.targets.values():
                await stack.enter_async_context(target.opened(self._addresses, self._strangers_of))
            async with trio.open_nursery() as probing:
                for target in self.targets.values():
                    probing.start_soon(self._probe, target)
                await self._attack()
                probing.cancel_scope.cancel()
            for target in self.targets.values():
                await target.probe()
                await self._welcome(target)
            nursery.cancel_scope.cancel()

    async def _watch(self) -> None:
        """Note how late this process itself is: strangers and honest peers share its loop."""
        while True:
            due = trio.current_time() + BETWEEN_LOOKS
            await trio.sleep_until(due)
            self.lags.append(trio.current_time() - due)

    async def _probe(self, target: Target) -> None:
        while True:
            # A probe that is cancelled in the middle would leave a request without its receive.
            with trio.CancelScope(shield=True):
                await target.probe()
            await trio.sleep(BETWEEN_PROBES)

    async def _attack(self) -> None:
        if self._replay is not None:
            for case in [case for case in self._replay if case.target.endswith("listener")]:
                await attack(self.targets[case.target], self._note(case))
            with trio.move_on_after(5):
                while any(case.target.endswith("dialer") for case in self._replay):
                    await trio.sleep(0.01)
            return
        until = time.monotonic() + self._seconds
        listeners = [name for name in self.targets if name.endswith("listener")]

        async def keep_on() -> None:
            while time.monotonic() < until:
                if not listeners:
                    await trio.sleep(0.1)
                    continue
                name = self._chances.choice(listeners)
                await attack(self.targets[name], self._case_for(name))

        async with trio.open_nursery() as nursery:
            for _ in range(STRANGERS):
                nursery.start_soon(keep_on)

    async def _welcome(self, target: Target) -> None:
        """A newcomer can connect after all that."""
        if target.role == "dialer" or target.protocol in ("pair0", "pair1"):
            return
        async with open_socket(Api("trio"), PEER_OF[target.protocol]) as newcomer:
            try:
                with trio.fail_after(120):
                    await newcomer.dial(target.url, tls_config=target.tls, block=True)
            except Exception as error:
                raise Lost(f"{target.name}: a newcomer could not connect: {error!r}") from error


async def main(arguments: argparse.Namespace) -> None:
    """Attack, and print the figures."""
    trio.to_thread.current_default_thread_limiter().total_tokens = 100
    with Addresses() as addresses:
        attack_of_all = Attack(arguments, addresses)
        await attack_of_all.run()
    latencies: dict[str, list[float]] = {"honest": [], "shared": [], "loop": attack_of_all.lags}
    again = {"honest_again": 0, "shared_again": 0}
    for target in attack_of_all.targets.values():
        kind = "honest" if target.protocol in UNDISTURBED else "shared"
        latencies[kind] += target.latencies
        again[f"{kind}_again"] += target.again
    print(json.dumps({"figures": {"cases": attack_of_all.cases, **again}, **latencies}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--batch", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--journal", default=os.devnull)
    parser.add_argument("--replay")
    parser.add_argument("--transports", type=lambda text: text.split(","), default=TRANSPORTS)
    given = parser.parse_args()
    faulthandler.enable()
    faulthandler.dump_traceback_later(given.seconds + 600, exit=True)
    logging.getLogger("trionng").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", ".*libnng", RuntimeWarning)
    try:
        trio.run(main, given)
    except Exception as error:
        cause = first_of(error)
        traceback.print_exception(cause)
        sys.exit(f"{type(cause).__name__}: {cause}")

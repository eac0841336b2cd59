"""Calls of both APIs in any order, beside a model of what they may do.

    python -m stress.machine --seconds 60 --seed 1

Hypothesis chooses the calls, and makes a failure short. The model: a message arrives at most once,
at a peer of its sender, in order; it arrives at all unless something was closed that it may have
been in, or its protocol may drop it. Nothing hangs, and what is closed says so.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import logging
import os
import time
import warnings

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import rule, run_state_machine_as_test

import trionng
from stress.machine_model import INDEX, LONG, PROTOCOLS, RECEIVES, SHORT, Model
from stress.machine_requests import Requests
from stress.machine_streams import Streams
from trionng import blocking


class Machine(Streams, Requests):
    """The rules of all, and those of what ends: listeners, sockets, processes."""

    @rule(index=INDEX)
    def close(self, index: int) -> None:
        model = self._pick(index, PROTOCOLS, closed=False)
        if model is not None:
            self._close(model)

    def _close(self, model: Model) -> None:
        self._may_lose(model, *model.peers)
        model.closed = True
        self._driver.close(model.socket)
        pending, model.pending = model.pending, None
        if pending is not None:
            self._end(model, pending)
        self._cancel_send(model)
        self._end_service(model)
        try:
            model.socket.listen("inproc://closed")
        except trionng.Closed:
            return
        raise AssertionError("a closed socket listens")

    @rule(index=INDEX)
    def close_listener(self, index: int) -> None:
        """End a listener, and with it its connections."""
        model = self._pick(index, PROTOCOLS, closed=False)
        if model is None or not model.listeners:
            return
        listener, peer = model.listeners.pop(index % len(model.listeners))
        self._may_lose(model, peer)
        model.linked.remove(peer)
        peer.linked.remove(model)
        self._driver.close(listener)

    @rule(index=INDEX)
    def read_state(self, index: int) -> None:
        model = self._pick(index, PROTOCOLS)
        if model is None:
            return
        repr(model.socket)
        statistics = model.socket.statistics()
        assert statistics.messages_received >= 0
        assert model.closed or len(model.socket.listeners) == len(model.listeners)

    @rule(index=INDEX)
    def fork(self, index: int) -> None:
        """A child gets UsedAfterFork, and the parent goes on."""
        model = self._pick(index, PROTOCOLS, closed=False)
        if model is None:
            return
        child = os.fork()
        if child == 0:
            code = 1
            try:
                model.socket.listen("inproc://forked")
            except trionng.UsedAfterFork:
                code = 0
            except BaseException:
                code = 2
            finally:
                os._exit(code)
        until = time.monotonic() + LONG
        while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
            assert time.monotonic() < until, "the forked child hangs"
            time.sleep(0.001)
        assert ended[1] == 0, f"the forked child ended with {ended[1]}"

    def teardown(self) -> None:
        """Receive what must still arrive; then close everything, and nothing is left waiting."""
        try:
            for model in self._models:
                self._cancel_receive(model)
                self._cancel_send(model)
            until = time.monotonic() + LONG
            while due := [each for each in self._sent if not (each.arrived or each.may_be_lost)]:
                for model in self._models:
                    if model.protocol in RECEIVES and not model.closed:
                        self._receive(model, SHORT)
                assert time.monotonic() < until, f"{[each.number for each in due]} never arrived"
            for model in self._models:
                if not model.closed:
                    self._close(model)
        finally:
            for model in self._models:
                self._driver.close(model.socket)
            self._driver.stop()
            self._addresses.__exit__()


def main() -> None:
    """Run examples for a time, and print how many there were."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shrink", action="store_true", help="make a failure short: minutes")
    given = parser.parse_args()
    faulthandler.enable()
    faulthandler.dump_traceback_later(given.seconds + 600, exit=True)
    logging.getLogger("trionng").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", ".*fork", DeprecationWarning)
    with blocking.Pair0():
        pass
    until = time.monotonic() + given.seconds
    run = settings(
        max_examples=5,
        stateful_step_count=40,
        deadline=None,
        database=None,
        suppress_health_check=[*HealthCheck],
        print_blob=False,
        phases=[Phase.generate, Phase.shrink] if given.shrink else [Phase.generate],
    )
    number = given.seed
    while time.monotonic() < until:
        run_state_machine_as_test(seed(number)(Machine), settings=run)
        number += 1
    print(json.dumps(Machine.figures))


if __name__ == "__main__":
    main()

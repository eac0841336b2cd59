"""Calls of both APIs in any order, beside a model of what they may do.

    python -m stress.machine --seconds 60 --seed 1

Hypothesis chooses the calls, and makes a failure short. The model: a message arrives at most once,
at a peer of its sender, in order; it arrives at all unless something was closed that it may have
been in, or its protocol may drop it. Nothing hangs, and what is closed says so.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import json
import logging
import os
import time
import warnings
from collections.abc import Iterable
from typing import Any, ClassVar

import attrs
from hypothesis import HealthCheck, Phase, seed, settings, strategies
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

import trionng
from stress.common import Addresses
from stress.driver import Driver, Pending
from stress.targets import PEERS
from trionng import blocking

SHORT, LONG = 0.02, 8.0
PROTOCOLS = tuple(PEERS)
TRANSPORTS = ("inproc", "inproc", "ipc", "tcp", "abstract")
# Which of those sockets that a rule is about.
INDEX = strategies.integers(0, 11)
ASKING = {"req0": "rep0", "surveyor0": "respondent0"}
SENDS = ("push0", "pair0", "pair1", "pub0", "bus0")
RECEIVES = ("pull0", "pair0", "pair1", "sub0", "bus0")
# Protocols that drop what a peer has no room for.
DROPS = ("pub0", "bus0")


@attrs.define(eq=False)
class Model:
    """A socket, and what is known of it."""

    socket: Any
    protocol: str
    is_trio: bool
    urls: list[str] = attrs.field(factory=list)
    peers: list[Model] = attrs.field(factory=list)
    closed: bool = False
    pending: Pending | None = None
    got: dict[int, int] = attrs.field(factory=dict)
    asked: int = 0


@attrs.define(eq=False)
class Sent:
    """A message, and whether it may be lost by now."""

    number: int
    sender: Model
    may_be_lost: bool
    arrived: bool = False


class Machine(RuleBasedStateMachine):
    """Sockets, and the rules of what is done to them."""

    figures: ClassVar[dict[str, int]] = {"examples": 0, "calls": 0}
    until: ClassVar[float] = 0.0

    def __init__(self) -> None:
        super().__init__()
        self._driver = Driver()
        self._addresses = Addresses()
        self._models: list[Model] = []
        self._sent: list[Sent] = []
        self.figures["examples"] += 1

    def _call(self, model: Model, function: Any, *args: Any, seconds: float = LONG) -> Any:
        self.figures["calls"] += 1
        return self._driver.call(function, *args, is_trio=model.is_trio, seconds=seconds)

    def _pick(self, index: int, protocols: Iterable[str], *, closed: bool = True) -> Model | None:
        """Return one of the sockets of some protocols, if there is one."""
        found = [
            each
            for each in self._models
            if each.protocol in protocols and (closed or not each.closed)
        ]
        return found[index % len(found)] if found else None

    @rule(protocol=strategies.sampled_from(PROTOCOLS), is_trio=strategies.booleans())
    def open(self, protocol: str, is_trio: bool) -> None:
        self._open(protocol, is_trio)

    def _open(self, protocol: str, is_trio: bool) -> Model:
        options: dict[str, Any] = {"topics": ""} if protocol == "sub0" else {}
        socket = self._driver.open(protocol, is_trio=is_trio, **options)
        model = Model(socket, protocol, is_trio)
        self._models.append(model)
        return model

    @initialize(
        protocols=strategies.lists(strategies.sampled_from(PROTOCOLS), min_size=1, max_size=3),
        transport=strategies.sampled_from(TRANSPORTS),
        apis=strategies.tuples(strategies.booleans(), strategies.booleans()),
    )
    def begin(self, protocols: list[str], transport: str, apis: tuple[bool, bool]) -> None:
        """Begin with some that are connected."""
        for protocol in protocols:
            self._connect(self._open(protocol, apis[0]), transport, apis[1])

    @rule(
        index=INDEX,
        transport=strategies.sampled_from(TRANSPORTS),
        is_trio=strategies.booleans(),
    )
    def connect(self, index: int, transport: str, is_trio: bool) -> None:
        """Give a socket one more peer; a pair has one."""
        one = self._pick(index, PROTOCOLS, closed=False)
        if one is not None and not (one.protocol in ("pair0", "pair1") and one.peers):
            self._connect(one, transport, is_trio)

    def _connect(self, one: Model, transport: str, is_trio: bool) -> None:
        address = self._addresses.new(transport)
        url = one.socket.listen(address.url).url
        two = self._open(PEERS[one.protocol], is_trio)
        self.figures["calls"] += 1
        if two.is_trio:

            async def dial() -> None:
                await two.socket.dial(url, block=True)

            self._driver.start(dial).result(LONG)
        else:
            two.socket.dial(url, block=True, timeout=LONG)
        self._call(one, one.socket.wait_connected, sum(not each.closed for each in one.peers) + 1)
        one.peers.append(two)
        two.peers.append(one)
        one.urls.append(url)

    @rule(index=INDEX, seconds=strategies.sampled_from((0.0, SHORT)))
    def send(self, index: int, seconds: float) -> None:
        model = self._pick(index, SENDS)
        if model is None:
            return
        number = len(self._sent)
        try:
            self._call(model, model.socket.send, b"%d" % number, seconds=seconds)
        except trionng.Closed:
            assert model.closed
            return
        except trionng.Timeout:
            # A task whose time is over before the call learns nothing of its socket.
            assert not model.closed or seconds == 0
            # Not sent, so its number must never arrive.
            self._sent.append(Sent(number, model, may_be_lost=True, arrived=True))
            return
        assert not model.closed
        lost = model.protocol in DROPS or not model.peers
        self._sent.append(Sent(number, model, may_be_lost=lost))

    def _take(self, model: Model, data: bytes) -> None:
        sent = self._sent[int(data)]
        assert not sent.arrived, f"message {sent.number} arrived again, or was never sent"
        assert sent.sender in model.peers, f"message {sent.number} came from no peer"
        last = model.got.get(id(sent.sender), -1)
        assert sent.number > last, f"message {sent.number} came after {last}"
        model.got[id(sent.sender)] = sent.number
        sent.arrived = sent.sender.protocol not in DROPS

    @rule(index=INDEX, seconds=strategies.sampled_from((0.0, SHORT)))
    def receive(self, index: int, seconds: float) -> None:
        model = self._pick(index, RECEIVES)
        if model is not None and model.pending is None:
            self._receive(model, seconds)

    def _receive(self, model: Model, seconds: float) -> None:
        with contextlib.suppress(trionng.Timeout):
            try:
                data = self._call(model, model.socket.recv, seconds=seconds)
            except trionng.Closed:
                assert model.closed
            else:
                assert not model.closed
                self._take(model, data)

    @rule(index=INDEX)
    def poll(self, index: int) -> None:
        model = self._pick(index, RECEIVES)
        if model is None or model.pending is not None:
            return
        with contextlib.suppress(trionng.TryAgain):
            try:
                if model.is_trio:
                    data = model.socket.recv_nowait()
                else:
                    data = model.socket.recv(block=False)
            except trionng.Closed:
                assert model.closed
            else:
                self._take(model, data)

    @rule(index=INDEX)
    def begin_receive(self, index: int) -> None:
        """Leave a receive waiting, for a message, a cancel or a close."""
        model = self._pick(index, RECEIVES, closed=False)
        if model is not None and model.pending is None:
            model.pending = self._driver.begin(
                model.socket.recv, is_trio=model.is_trio, seconds=LONG if model.is_trio else 0.1
            )

    @rule(index=INDEX)
    def cancel_receive(self, index: int) -> None:
        model = self._pick(index, RECEIVES)
        if model is not None:
            self._cancel_receive(model)

    def _cancel_receive(self, model: Model) -> None:
        pending, model.pending = model.pending, None
        if pending is not None:
            self._driver.cancel(pending)
            self._end(model, pending)

    def _end(self, model: Model, pending: Pending) -> None:
        with contextlib.suppress(trionng.Timeout):
            try:
                data = pending.result(LONG + 5)
            except trionng.Closed:
                assert model.closed
            else:
                if data is not None:
                    self._take(model, data)

    @rule(index=INDEX, gives_up=strategies.booleans(), answers=strategies.booleans())
    def ask(self, index: int, gives_up: bool, answers: bool) -> None:
        """Ask; let the peers answer or not; give up or not."""
        model = self._pick(index, ASKING, closed=False)
        if model is None:
            return
        model.asked += 1
        question = b"%d of %d" % (model.asked, id(model))
        pending = None
        asking = model.is_trio and model.protocol == "req0"
        if asking:
            pending = self._driver.begin(model.socket.request, question, is_trio=True, seconds=LONG)
        else:
            with contextlib.suppress(trionng.Timeout):
                self._call(model, model.socket.send, question, seconds=SHORT)
        answered = False
        for peer in model.peers:
            if peer.closed or not answers:
                continue
            with contextlib.suppress(trionng.Timeout):
                while (data := self._call(peer, peer.socket.recv, seconds=SHORT)) != question:
                    self._call(peer, peer.socket.send, data)
                self._call(peer, peer.socket.send, data)
                answered = True
        if pending is not None:
            if gives_up or not answered:
                self._driver.cancel(pending)
            reply = pending.result(LONG + 5)
            assert reply in (None, question), f"{reply!r} answers {question!r}"
            assert reply is not None or gives_up or not answered
        elif answered and not gives_up:
            reply = self._call(model, model.socket.recv)
            assert reply == question, f"{reply!r} answers {question!r}"

    @rule(index=INDEX)
    def use_context(self, index: int) -> None:
        """A context can be opened, and closed while it waits."""
        model = self._pick(index, (*ASKING, *ASKING.values(), "sub0"), closed=False)
        if model is None:
            return
        context = model.socket.new_context()
        with contextlib.suppress(trionng.Timeout, trionng.BadState, trionng.Closed):
            self._call(model, context.recv, seconds=0)
        self._driver.close(context)

    @rule(index=INDEX)
    def close(self, index: int) -> None:
        model = self._pick(index, PROTOCOLS, closed=False)
        if model is not None:
            self._close(model)

    def _close(self, model: Model) -> None:
        concerned = [model, *model.peers]
        for sent in self._sent:
            sent.may_be_lost |= sent.sender in concerned
        model.closed = True
        self._driver.close(model.socket)
        pending, model.pending = model.pending, None
        if pending is not None:
            self._end(model, pending)
        try:
            model.socket.listen("inproc://closed")
        except trionng.Closed:
            return
        raise AssertionError("a closed socket listens")

    @rule(index=INDEX)
    def read_state(self, index: int) -> None:
        model = self._pick(index, PROTOCOLS)
        if model is None:
            return
        repr(model.socket)
        statistics = model.socket.statistics()
        assert statistics.messages_received >= 0
        assert model.closed or len(model.socket.listeners) == len(model.urls)

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
    faulthandler.dump_traceback_later(given.seconds + 150, exit=True)
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

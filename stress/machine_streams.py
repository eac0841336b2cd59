"""Rules of `stress.machine`: sockets that send and receive."""

from __future__ import annotations

import contextlib

from hypothesis import strategies
from hypothesis.stateful import initialize, rule

import trionng
from stress.driver import Pending
from stress.machine_model import (
    DROPS,
    INDEX,
    LONG,
    PROTOCOLS,
    RECEIVES,
    SENDS,
    SHORT,
    TRANSPORTS,
    Bench,
    Model,
    Sent,
)


class Streams(Bench):
    """Open and connect sockets; send, receive, leave calls waiting, and cancel them."""

    @rule(protocol=strategies.sampled_from(PROTOCOLS), is_trio=strategies.booleans())
    def open(self, protocol: str, is_trio: bool) -> None:
        self._open(protocol, is_trio)

    @initialize(
        protocols=strategies.lists(strategies.sampled_from(PROTOCOLS), min_size=1, max_size=3),
        transport=strategies.sampled_from(TRANSPORTS),
        apis=strategies.tuples(strategies.booleans(), strategies.booleans()),
    )
    def begin(self, protocols: list[str], transport: str, apis: tuple[bool, bool]) -> None:
        """Begin with some that are connected."""
        for protocol in protocols:
            one = self._open(protocol, apis[0])
            self._connect(one, transport, apis[1], dial_first=False)

    @rule(
        index=INDEX,
        transport=strategies.sampled_from(TRANSPORTS),
        is_trio=strategies.booleans(),
        dial_first=strategies.booleans(),
    )
    def connect(self, index: int, transport: str, is_trio: bool, dial_first: bool) -> None:
        """Give a socket one more peer; a pair has one."""
        one = self._pick(index, PROTOCOLS, closed=False)
        if one is not None and not (one.protocol in ("pair0", "pair1") and one.peers):
            self._connect(one, transport, is_trio, dial_first=dial_first)

    @rule(index=INDEX, seconds=strategies.sampled_from((0.0, SHORT)))
    def send(self, index: int, seconds: float) -> None:
        model = self._pick(index, SENDS)
        if model is None or model.sending is not None:
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

    @rule(index=INDEX)
    def begin_send(self, index: int) -> None:
        """Leave a send waiting, for room, a cancel or a close."""
        model = self._pick(index, SENDS, closed=False)
        if model is None or model.sending is not None:
            return
        sent = Sent(len(self._sent), model, may_be_lost=True)
        self._sent.append(sent)
        seconds = LONG if model.is_trio else 0.1
        pending = self._driver.begin(
            model.socket.send, b"%d" % sent.number, is_trio=model.is_trio, seconds=seconds
        )
        model.sending = sent, pending

    @rule(index=INDEX)
    def cancel_send(self, index: int) -> None:
        model = self._pick(index, SENDS)
        if model is not None:
            self._cancel_send(model)

    def _cancel_send(self, model: Model) -> None:
        """Either it was sent, and arrives, or it was not, and never does."""
        if model.sending is None:
            return
        (sent, pending), model.sending = model.sending, None
        self._driver.cancel(pending)
        try:
            pending.result(LONG + 5)
            happened = not pending.was_cancelled
        except trionng.Closed:
            assert model.closed
            happened = False
        except trionng.Timeout:
            happened = False
        if happened:
            sent.may_be_lost = model.closed or model.protocol in DROPS or not model.peers
            sent.may_be_lost |= sent.lost_meanwhile
        else:
            assert not sent.arrived, f"message {sent.number} arrived, but was never sent"
            sent.arrived = sent.may_be_lost = True

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

"""What `stress.machine` knows of each socket and message, and how it makes calls."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import attrs
from hypothesis import strategies
from hypothesis.stateful import RuleBasedStateMachine

from stress.common import Addresses
from stress.driver import Driver, Pending
from stress.targets import PEERS

# What a call may take that need not end, and one that must, on however busy a machine.
SHORT, LONG = 0.02, 60.0
PROTOCOLS = tuple(PEERS)
TRANSPORTS = ("inproc", "inproc", "ipc", "tcp", "abstract")
# Where an address can be dialled before anything listens there.
NAMED = ("inproc", "ipc", "abstract")
# Which of those sockets that a rule is about.
INDEX = strategies.integers(0, 11)
ASKING = {"req0": "rep0", "surveyor0": "respondent0"}
SENDS = ("push0", "pair0", "pair1", "pub0", "bus0")
RECEIVES = ("pull0", "pair0", "pair1", "sub0", "bus0")
# Protocols that drop what a peer has no room for.
DROPS = ("pub0", "bus0")


@attrs.define(eq=False)
class Model:
    """A socket, and what is known of it.

    `peers` are all that it ever had, `linked` those with which it is connected.
    """

    socket: Any
    protocol: str
    is_trio: bool
    listeners: list[tuple[Any, Model]] = attrs.field(factory=list)
    peers: list[Model] = attrs.field(factory=list)
    linked: list[Model] = attrs.field(factory=list)
    closed: bool = False
    pending: Pending | None = None
    sending: tuple[Sent, Pending] | None = None
    service: Any = None
    got: dict[int, int] = attrs.field(factory=dict)
    asked: int = 0


@attrs.define(eq=False)
class Sent:
    """A message, and whether it may be lost by now, or was when it was about to be sent."""

    number: int
    sender: Model
    may_be_lost: bool
    arrived: bool = False
    lost_meanwhile: bool = False


class Bench(RuleBasedStateMachine):
    """Sockets of both APIs, and the calls that are made to them."""

    figures: ClassVar[dict[str, int]] = {"examples": 0, "calls": 0}

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

    def _open(self, protocol: str, is_trio: bool) -> Model:
        options: dict[str, Any] = {"topics": ""} if protocol == "sub0" else {}
        options |= {"reconnect_time_min": 5, "reconnect_time_max": 20}
        socket = self._driver.open(protocol, is_trio=is_trio, **options)
        model = Model(socket, protocol, is_trio)
        self._models.append(model)
        return model

    def _connect(self, one: Model, transport: str, is_trio: bool, *, dial_first: bool) -> None:
        """Give a socket a new peer; it may dial before the socket listens."""
        address = self._addresses.new(transport)
        two = self._open(PEERS[one.protocol], is_trio)
        self.figures["calls"] += 2
        if dial_first and transport in NAMED:
            self._dial(two, address.url, block=False)
            listener = one.socket.listen(address.url)
        else:
            listener = one.socket.listen(address.url)
            self._dial(two, listener.url, block=True)
        for model, peer in ((one, two), (two, one)):
            live = sum(not each.closed for each in model.linked)
            self._call(model, model.socket.wait_connected, live + 1)
            model.peers.append(peer)
            model.linked.append(peer)
        one.listeners.append((listener, two))

    def _dial(self, model: Model, url: str, *, block: bool) -> None:
        if model.is_trio:

            async def dial() -> None:
                await model.socket.dial(url, block=block)

            self._driver.start(dial).result(LONG)
        else:
            model.socket.dial(url, block=block, **({"timeout": LONG} if block else {}))

    def _may_lose(self, *concerned: Model) -> None:
        """What these have sent may be in what ends now."""
        for sent in self._sent:
            if sent.sender in concerned:
                sent.may_be_lost = sent.lost_meanwhile = True

    def _take(self, model: Model, data: bytes) -> None:
        """Enter a message that was received."""
        sent = self._sent[int(data)]
        assert not sent.arrived, f"message {sent.number} arrived again, or was never sent"
        assert sent.sender in model.peers, f"message {sent.number} came from no peer"
        last = model.got.get(id(sent.sender), -1)
        assert sent.number > last, f"message {sent.number} came after {last}"
        model.got[id(sent.sender)] = sent.number
        sent.arrived = sent.sender.protocol not in DROPS

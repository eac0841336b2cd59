"""Sockets that strangers attack, each with an honest peer that must not notice.

A target is named protocol/api/transport/role. Its role is "listener": strangers dial it; or
"dialer": it also dials a server of strangers. The honest peer stays connected all the time, and
exchanges messages with the target now and then: that must work, soon, on the same connection.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import trio

import trionng
from stress.common import Address, Addresses, Chances, Lost
from stress.wire import PROTOCOLS
from trionng import blocking

CLASSES = {
    **{"pair0": "Pair0", "pair1": "Pair1", "pub0": "Pub0", "sub0": "Sub0", "req0": "Req0"},
    **{"rep0": "Rep0", "push0": "Push0", "pull0": "Pull0", "bus0": "Bus0"},
    **{"surveyor0": "Surveyor0", "respondent0": "Respondent0"},
}
PEERS = {
    **{"pair0": "pair0", "pair1": "pair1", "bus0": "bus0"},
    **{"pub0": "sub0", "sub0": "pub0", "req0": "rep0", "rep0": "req0"},
    **{"push0": "pull0", "pull0": "push0"},
    **{"surveyor0": "respondent0", "respondent0": "surveyor0"},
}
APIS = ("trio", "blocking")
TRANSPORTS = ("tcp", "ipc", "abstract", "tls+tcp", "ws", "wss")
ROLES = ("listener", "dialer")
# An honest exchange that takes so many seconds did not work; a piece of it is tried again sooner,
# where strangers that speak the protocol may take a message or fill a queue. Each try has longer
# than the one before, so that one succeeds on however busy a machine.
NOTICED, AGAIN, LONGEST = 60.0, 0.3, 10.0


def names(transports: tuple[str, ...] = TRANSPORTS) -> list[str]:
    """Return the names of all targets."""
    return ["/".join(each) for each in itertools.product(PROTOCOLS, APIS, transports, ROLES)]


class Api:
    """Calls of a socket of either API, awaited."""

    def __init__(self, name: str) -> None:
        self.is_trio = name == "trio"

    def open(self, protocol: str, **options: Any) -> Any:
        """Open a socket."""
        return getattr(trionng if self.is_trio else blocking, CLASSES[protocol])(**options)

    async def call(self, function: Any, *args: Any, seconds: float) -> Any:
        """Call with a limit; raise Timeout in both APIs."""
        if self.is_trio:
            try:
                with trio.fail_after(seconds):
                    return await function(*args)
            except trio.TooSlowError:
                raise trionng.Timeout("the stress program's own") from None
        return await trio.to_thread.run_sync(lambda: function(*args, timeout=seconds))

    async def close(self, socket: Any) -> None:
        """Close a socket."""
        if self.is_trio:
            await socket.aclose()
        else:
            await trio.to_thread.run_sync(socket.close)


def open_socket(api: Api, protocol: str) -> Any:
    """Open a socket for a target or an honest peer."""
    options: dict[str, Any] = {"reconnect_time_min": 5, "reconnect_time_max": 20}
    if protocol == "sub0":
        options["topics"] = ""
    if protocol == "req0":
        options["resend_time"] = 200
    if protocol == "surveyor0":
        options["survey_time"] = 60_000  # a second is little on a busy machine
    return api.open(protocol, **options)


class Reader:
    """Receives all the time what strangers and the honest peer send."""

    def __init__(self, api: Api, socket: Any) -> None:
        self._api = api
        self._socket = socket
        self._over = False
        self._expected: dict[bytes, trio.Event] = {}

    async def run(self) -> None:
        """Receive until it is cancelled."""
        self._token = trio.lowlevel.current_trio_token()
        if self._api.is_trio:
            async for data in self._socket:
                self._take(data)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, self._run_in_thread)
            try:
                await trio.sleep_forever()
            finally:
                self._over = True

    def _run_in_thread(self) -> None:
        while not self._over:
            with contextlib.suppress(trionng.Timeout):
                data = self._socket.recv(timeout=0.2)
                if data in self._expected:
                    self._token.run_sync_soon(self._take, data)

    def _take(self, data: bytes) -> None:
        if data in self._expected:
            self._expected.pop(data).set()

    def expect(self, token: bytes) -> trio.Event:
        """Return an event that is set when a message has come."""
        return self._expected.setdefault(token, trio.Event())


RECEIVING = ("sub0", "pull0", "pair0", "pair1", "bus0")


class Target:
    """One socket under attack, and its honest peer."""

    def __init__(self, name: str, chances: Chances) -> None:
        self.name = name
        self.protocol, api, self.transport, self.role = name.split("/")
        self.api = Api(api)
        self.url = ""
        self.tls: trionng.TLSConfig | None = None
        self.latencies: list[float] = []
        self.again = 0
        self._tokens = (b"honest %s %d " % (chances.randbytes(8), n) for n in itertools.count())
        self._socket = open_socket(self.api, self.protocol)
        self._honest = open_socket(Api("trio"), PEERS[self.protocol])
        self._pipe: trionng.Pipe | None = None
        self._reader = Reader(self.api, self._socket)
        self._honest_reader = Reader(Api("trio"), self._honest)

    @contextlib.asynccontextmanager
    async def opened(
        self, addresses: Addresses, strangers: Callable[[Target, Address], Any]
    ) -> AsyncIterator[None]:
        """Open it for the time of a block; `strangers` starts the server that it is to dial."""
        honest = self._honest
        try:
            address = addresses.new(self.transport)
            if self.role == "listener":
                self.url = self._socket.listen(address.url, tls_config=address.server).url
                self.tls = address.client
                await honest.dial(self.url, tls_config=address.client, block=True)
            else:
                url = honest.listen(address.url, tls_config=address.server).url
                await self._dial(self._socket, url, address.client, block=True)
                self.url = await strangers(self, addresses.new(self.transport))
                await self._dial(self._socket, self.url, address.client, block=False)
            await honest.wait_connected()
            self._pipe = honest.pipes[0]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._answer)
                if self.protocol in RECEIVING:
                    nursery.start_soon(self._reader.run)
                if PEERS[self.protocol] in RECEIVING:
                    nursery.start_soon(self._honest_reader.run)
                yield
                nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                await self.api.close(self._socket)
                await honest.aclose()

    async def _dial(self, socket: Any, url: str, tls: Any, *, block: bool) -> None:
        if self.api.is_trio:
            await socket.dial(url, tls_config=tls, block=block)
        else:
            await trio.to_thread.run_sync(lambda: socket.dial(url, tls_config=tls, block=block))

    async def _answer(self) -> None:
        """Be the service where the target, or its honest peer, is one that answers."""
        answering = {"req0": self._honest, "surveyor0": self._honest}.get(self.protocol)
        if self.protocol in ("rep0", "respondent0"):
            answering = self._socket
        if answering is None:
            return
        if self.protocol == "rep0" and not self.api.is_trio:
            start = functools.partial(blocking.serve_rep, bytes, socket=answering)
            service = await trio.to_thread.run_sync(start)
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await trio.to_thread.run_sync(service.close)
        async with trio.open_nursery() as nursery:
            if isinstance(answering, trionng.Rep0):
                await trionng.serve_rep(nursery, _echo, socket=answering)
            elif isinstance(answering, trionng.Respondent0):
                await trionng.serve_respondent(nursery, _echo, socket=answering)
            else:
                await self._answer_in_threads(answering)

    async def _answer_in_threads(self, answering: Any) -> None:
        while True:
            with contextlib.suppress(trionng.Timeout):
                data = await self.api.call(answering.recv, seconds=AGAIN)
                await self.api.call(answering.send, data, seconds=NOTICED)

    async def probe(self) -> None:
        """Exchange messages between the target and its honest peer, and note how long it took."""
        begin = time.monotonic()
        until = begin + NOTICED
        again = AGAIN
        while not await self._exchange(next(self._tokens), again):
            self.again += 1
            again = min(LONGEST, 2 * again)
            if time.monotonic() > until:
                raise Lost(f"{self.name}: its honest peer had no answer in {NOTICED:.0f} s")
        self.latencies.append(time.monotonic() - begin)
        if self._pipe not in self._honest.pipes:
            raise Lost(f"{self.name}: the connection of its honest peer has ended")

    async def _exchange(self, token: bytes, again: float) -> bool:
        """Say whether a message passed; where strangers may take it, it may not."""
        target, honest = (self.api, self._socket), (Api("trio"), self._honest)
        both = self.protocol in ("pair0", "pair1", "bus0")
        try:
            if self.protocol in ("sub0", "pull0") or both:
                await _pass(honest, self._reader, token, again)
            if self.protocol in ("pub0", "push0") or both:
                await _pass(target, self._honest_reader, token, again)
            if self.protocol in ("req0", "surveyor0"):
                return await _ask(target, token, again)
            if self.protocol in ("rep0", "respondent0"):
                return await _ask(honest, token, again)
        except trionng.Timeout:
            return False
        return True


async def _echo(request: bytes) -> bytes:
    return request


End = tuple[Api, Any]


async def _pass(source: End, sink: Reader, token: bytes, again: float) -> None:
    """Send a message, and wait until it has come."""
    arrived = sink.expect(token)
    await source[0].call(source[1].send, token, seconds=NOTICED)
    with trio.move_on_after(again):
        await arrived.wait()
        return
    raise trionng.Timeout("the stress program's own")


async def _ask(asking: End, token: bytes, again: float) -> bool:
    """Ask; say whether the answer, or one of those of a survey, was to this question."""
    api, socket = asking
    await api.call(socket.send, token, seconds=NOTICED)
    if isinstance(socket, (trionng.Req0, blocking.Req0)):
        return bool(await api.call(socket.recv, seconds=NOTICED) == token)
    while True:
        if await api.call(socket.recv, seconds=again) == token:
            return True

"""Work over connections that fail, and with peers that are stopped and killed."""

from __future__ import annotations

import contextlib
import itertools
import signal
import tempfile
from collections.abc import AsyncIterator, Callable
from typing import Any

import trio

import trionng
from stress.common import Chances, Lost
from stress.flows import body, receive_flow, send_flow
from stress.work import COUNT, Round
from tests.support.certificates import TRUSTED
from tests.support.processes import PYTHON, other_process
from trionng.testing import FaultyProxy, open_proxy

# Each is a chance to lose a connection; the rest only slows it.
FAULTS = 6
# The first number that is sent when the connection is whole again.
END = 10**6


async def hurt(proxy: FaultyProxy, chances: Chances, it: Round) -> None:
    """Do something bad to the connections of a proxy, a few times."""
    for _ in range(FAULTS):
        await trio.sleep(chances.expovariate(40))
        way = chances.choice((proxy.to_listener, proxy.to_dialer))
        kind = chances.choice(("cut", "cut", "reset", "stop", "split"))
        if kind == "cut":
            way.cut(chances.choice((chances.randrange(40), chances.randrange(200_000))))
        elif kind == "reset":
            proxy.reset()
        elif kind == "stop":
            proxy.stop()
            await trio.sleep(chances.expovariate(100))
            proxy.resume()
        else:
            way.split = chances.choice((1, 7, 1000))
            await trio.sleep(chances.expovariate(100))
            way.split = None
        it.books["faults"] += 1


@contextlib.asynccontextmanager
async def through_proxy(
    it: Round, listening: Any, dialing: Any, nursery: trio.Nursery
) -> AsyncIterator[FaultyProxy]:
    """Connect two sockets through a proxy for the time of a block."""
    for socket in (listening, dialing):
        socket.reconnect_time_min, socket.reconnect_time_max = 5, 50
    async with listening, dialing:
        url, tls = it.listen(listening)
        async with await open_proxy(nursery, url) as proxy:
            await it.dial(dialing, proxy.url, tls)
            yield proxy


async def cut_requests(it: Round) -> None:
    """A request whose connection is cut is sent again, and answered."""

    async def handler(request: bytes) -> bytes:
        return request[::-1]

    async def ask(req: trionng.Req0, chances: Chances) -> None:
        for number in range(COUNT // 4):
            data, reply = body(number, 5, number), None
            with trio.move_on_after(chances.choice((chances.expovariate(500), 100, 100))):
                reply = await req.request(data)
            it.books["requests"] += 1
            if reply not in (None, data[::-1]):
                raise Lost(f"the answer to request {number} is that to another")

    rep, req = trionng.Rep0(), trionng.Req0(resend_time=300)
    async with trio.open_nursery() as nursery:
        async with through_proxy(it, rep, req, nursery) as proxy:
            await trionng.serve_rep(nursery, handler, socket=rep, workers=4)
            async with trio.open_nursery() as askers:
                askers.start_soon(hurt, proxy, it.fork("hurt"), it)
                for number in range(4):
                    askers.start_soon(ask, req, it.fork(number))
            nursery.cancel_scope.cancel()


async def cut_stream(it: Round) -> None:
    """What a cut connection had taken may be lost; nothing comes twice, or in another order."""
    kind = it.chances.choice(("push", "pair", "pub"))
    ends: dict[str, Callable[[], tuple[trionng.Socket, trionng.Socket]]] = {
        "push": lambda: (trionng.Push0(), trionng.Pull0()),
        "pair": lambda: (trionng.Pair0(), trionng.Pair0()),
        "pub": lambda: (trionng.Pub0(), trionng.Sub0(topics="")),
    }
    sender, receiver = ends[kind]()
    flow = it.flow(lossy=True)
    first, second = (receiver, sender) if it.chances.random() < 0.5 else (sender, receiver)
    async with trio.open_nursery() as nursery:
        async with through_proxy(it, first, second, nursery) as proxy:
            nursery.start_soon(
                receive_flow, receiver, flow.enter, lambda: flow.next[0] > END, it.fork("get")
            )
            async with trio.open_nursery() as sending:
                sending.start_soon(hurt, proxy, it.fork("hurt"), it)
                sending.start_soon(send_flow, sender, [flow], 0, 2 * COUNT, it.fork("send"))
            # All is well again: what is sent now arrives.
            for number in itertools.count(END):
                with trio.move_on_after(1):
                    await sender.send(body(flow.flow, 0, number))
                await trio.sleep(0.02)
                if flow.next[0] > END:
                    break
            nursery.cancel_scope.cancel()


async def killed_clients(it: Round) -> None:
    """Clients are stopped and killed in the middle of their requests; another never notices."""

    async def handler(request: bytes) -> bytes:
        return request[::-1]

    transport = it.chances.choice(("tcp", "ipc", "abstract", "ws", "tls+tcp"))
    async with trio.open_nursery() as nursery, trionng.Rep0() as rep, trionng.Req0() as req:
        with tempfile.NamedTemporaryFile() as ca:
            ca.write(TRUSTED)
            ca.flush()
            url, tls = it.listen(rep, transport)
            await it.dial(req, url, tls)
            await trionng.serve_rep(nursery, handler, socket=rep, workers=4)
            command = [*PYTHON, "-m", "stress.client", url, ca.name if tls else "", "1"]
            async with other_process(*command) as client:
                await client.line()
                await trio.sleep(it.chances.expovariate(20))
                client.signal(signal.SIGSTOP)
                it.books["stops"] += 1
                await _ask(req, it)
                if it.chances.random() < 0.5:
                    client.signal(signal.SIGCONT)
                    await trio.sleep(it.chances.expovariate(20))
                client.signal(signal.SIGKILL)
                it.books["kills"] += 1
            await _ask(req, it)
            while len(rep.pipes) > 1:
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()


async def killed_servers(it: Round) -> None:
    """A server is stopped, killed and started again; each question asked meanwhile is answered."""
    transport = it.chances.choice(("tcp", "ipc", "abstract", "ws"))
    url = it.addresses.new(transport).url
    async with trionng.Req0(resend_time=300) as req:
        req.reconnect_time_min, req.reconnect_time_max = 5, 50
        for _ in range(2):
            async with other_process(*PYTHON, "-m", "stress.server", url) as server:
                url = await server.line()
                if not req.dialers:
                    await it.dial(req, url, None)
                await _ask(req, it)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_ask, req, it)
                    await trio.sleep(it.chances.expovariate(100))
                    server.signal(signal.SIGSTOP)
                    it.books["stops"] += 1
                    await trio.sleep(it.chances.expovariate(20))
                    server.signal(signal.SIGCONT)
                server.signal(signal.SIGKILL)
                it.books["kills"] += 1
                await server.end()


async def _ask(req: trionng.Req0, it: Round) -> None:
    for number in range(10):
        data = body(8, 0, number)
        if await req.request(data) != data[::-1]:
            raise Lost(f"the answer to request {number} is that to another")
        it.books["requests"] += 1


KINDS = {each.__name__: each for each in (cut_requests, cut_stream, killed_clients, killed_servers)}

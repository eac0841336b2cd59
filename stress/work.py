"""The kinds of work of the soak: every protocol, both APIs, services. Each is one round."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import trio

import trionng
from stress.common import Addresses, Books, Chances, Dials, Lost, dial, in_thread
from stress.flows import Flow, body, receive_flow, receive_flow_sync, send_flow, send_flow_sync
from trionng import blocking

COUNT = 40
# A connection whose handshake took ten seconds is ended, perhaps after it was made. So after a slow
# dial the program looks again, so many seconds later.
SLOW, HANDSHAKE = 3.0, 12.0
# So few that no queue is ever full where a full one drops: see docs/guide/lost-messages.md.
WINDOW, WINDOW_OF_PIPE = 12, 2


class Round:
    """One piece of work: what it may choose, where it may listen, and the books."""

    flows = itertools.count(1)

    def __init__(
        self, chances: Chances, addresses: Addresses, books: Books, transport: str
    ) -> None:
        self.chances = chances
        self.addresses = addresses
        self.books = books
        self.transport = transport

    def flow(self, **options: Any) -> Flow:
        return Flow(next(self.flows), self.books, **options)

    def fork(self, name: object) -> Chances:
        """Return chances of a task of its own, so that the order of tasks changes nothing."""
        return Chances(self.chances.randrange(2**32), name)

    def listen(self, socket: trionng.Socket, transport: str | None = None) -> tuple[str, Any]:
        """Listen; return what to dial, and with which TLS configuration."""
        address = self.addresses.new(transport or self.transport)
        url = socket.listen(address.url, tls_config=address.server).url
        return url, address.client

    @contextlib.asynccontextmanager
    async def connect(self, listening: Any, *dialing: Any) -> AsyncIterator[None]:
        """Connect sockets to one that listens, for the time of a block.

        The connections must last as long.
        """
        async with contextlib.AsyncExitStack() as stack:
            for socket in (listening, *dialing):
                await stack.enter_async_context(socket)
            url, tls = self.listen(listening)
            begin = time.monotonic()
            for socket in dialing:
                await self.dial(socket, url, tls)
            await listening.wait_connected(len(dialing))
            if time.monotonic() - begin > SLOW:
                await trio.sleep(HANDSHAKE)
                for socket in (listening, *dialing):
                    await socket.wait_connected(len(dialing) if socket is listening else 1)
            before = [socket.pipes for socket in (listening, *dialing)]
            yield
            if before != [socket.pipes for socket in (listening, *dialing)]:
                raise Lost("a connection ended by itself")

    async def dial(self, socket: Any, url: str, tls: Any) -> None:
        """Dial until it is connected."""
        self.books["redials"] += await dial(socket, url, tls)

    def dial_in_thread(self, socket: Any, url: str, tls: Any) -> None:
        """Do the same with a blocking socket."""
        dials, begin = Dials(url), time.monotonic()
        while True:
            try:
                socket.dial(url, tls_config=tls, block=True, timeout=60)
            except trionng.NNGException as error:
                dials.failed(error)
            else:
                break
        self.books["redials"] += dials.slow
        if time.monotonic() - begin > SLOW:
            time.sleep(HANDSHAKE)
            socket.wait_connected(timeout=60)

    async def run_flow(
        self, senders: Sequence[Any], receivers: Sequence[Any], flows: Sequence[Flow], count: int
    ) -> None:
        """Pass the numbers of each sender to each receiver."""
        async with trio.open_nursery() as nursery:
            for number, sender in enumerate(senders):
                chances = self.fork(number)
                nursery.start_soon(send_flow, sender, flows, number, count, chances)
            for receiver, flow in zip(receivers, flows, strict=True):
                nursery.start_soon(
                    receive_flow,
                    receiver,
                    flow.enter,
                    lambda flow=flow: not flow.missing(count),
                    self.fork(flow.flow),
                )


async def push_pull(it: Round) -> None:
    pull = trionng.Pull0(recv_buffer_size=it.chances.choice((1, 2, 64)))
    pushes = [
        trionng.Push0(send_buffer_size=it.chances.choice((0, 1, 64)))
        for _ in range(it.chances.choice((1, 1, 3)))
    ]
    async with it.connect(pull, *pushes):
        await it.run_flow(pushes, [pull], [it.flow(senders=len(pushes))], COUNT)


async def push_to_several(it: Round) -> None:
    """Each number comes to one of several receivers, once."""
    pulls, push = [trionng.Pull0() for _ in range(3)], trionng.Push0()
    got: list[int] = []
    sample = it.flow()

    def take(data: bytes) -> None:
        number = int.from_bytes(data[8:12], "little")
        if number in got or data != body(sample.flow, 0, number):
            raise Lost(f"number {number} came again, or is not what was sent")
        got.append(number)
        if len(got) == COUNT:
            complete.set()

    complete = trio.Event()
    async with it.connect(push, *pulls), trio.open_nursery() as nursery:
        for number, pull in enumerate(pulls):
            nursery.start_soon(receive_flow, pull, take, complete.is_set, it.fork(number))
        await send_flow(push, [sample], 0, COUNT, it.fork("push"))
        await complete.wait()
        nursery.cancel_scope.cancel()
    it.books["messages"] += len(got)


async def pair(it: Round) -> None:
    kind = it.chances.choice((trionng.Pair0, trionng.Pair1))
    one = kind(recv_buffer_size=it.chances.choice((0, 1, 30)))
    two = kind(send_buffer_size=it.chances.choice((0, 1, 30)))
    async with it.connect(one, two), trio.open_nursery() as nursery:
        nursery.start_soon(it.run_flow, [two], [one], [it.flow()], COUNT)
        nursery.start_soon(it.run_flow, [one], [two], [it.flow()], COUNT)


async def polyamorous(it: Round) -> None:
    """Several peers of one socket; each is answered on its own connection."""
    hub = trionng.Pair1(polyamorous=True)
    peers = [trionng.Pair1(polyamorous=True) for _ in range(3)]
    flow = it.flow(window=WINDOW_OF_PIPE, senders=3)
    async with it.connect(hub, *peers):
        await it.run_flow(peers, [hub], [flow], COUNT)
        for peer in peers:
            await peer.send(b"who")
            message = await hub.recv_msg()
            if message.pipe is None:
                raise Lost("a connection that lives is unknown")
            await message.pipe.send(b"you")
            if await peer.recv() != b"you":
                raise Lost("an answer to one peer came to another")


async def pub_sub(it: Round) -> None:
    pub = trionng.Pub0()
    subs = [trionng.Sub0(topics="", prefer_new=True) for _ in range(2)]
    async with it.connect(pub, *subs), contextlib.AsyncExitStack() as stack:
        context = await stack.enter_async_context(subs[0].new_context())
        context.subscribe("")
        with trio.fail_after(60):
            await _wait_subscribed(pub, [*subs, context])
        flow = next(it.flows)
        flows = [Flow(flow, it.books, window=WINDOW) for _ in range(3)]
        await it.run_flow([pub], [*subs, context], flows, COUNT)


async def _wait_subscribed(pub: trionng.Pub0, subs: Sequence[Any]) -> None:
    """Subscriptions are the subscriber's own in nng: what is sent now arrives everywhere."""
    await pub.send(b"begin")
    for sub in subs:
        if await sub.recv() != b"begin":
            raise Lost("the first message is not what was sent")


async def topics(it: Round) -> None:
    """A subscriber gets what it asked for and nothing else, and nothing after `unsubscribe`."""
    pub, sub = trionng.Pub0(send_buffer_size=100), trionng.Sub0(topics=("a", "b"))
    async with it.connect(pub, sub):
        for number in range(30):
            await pub.send(b"abc"[number % 3 : number % 3 + 1] + b"%d" % number)
        await pub.send(b"b-end")
        sub.unsubscribe("a")
        while (data := await sub.recv()) != b"b-end":
            if not data.startswith(b"b"):
                raise Lost(f"{data!r} came, whose topic is not subscribed")


async def bus(it: Round) -> None:
    buses = trionng.Bus0(), trionng.Bus0()
    async with it.connect(*buses), trio.open_nursery() as nursery:
        for one, two in (buses, buses[::-1]):
            nursery.start_soon(it.run_flow, [one], [two], [it.flow(window=WINDOW)], COUNT)


async def requests(it: Round) -> None:
    """Clients of a service; some give up. One that waits gets the answer to its own question."""
    chances = it.fork("handler")

    async def handler(request: bytes) -> bytes:
        if chances.random() < 0.3:
            await trio.sleep(chances.expovariate(500))
        return request[::-1]

    async def ask(req: trionng.Req0, chances: Chances) -> None:
        for number in range(COUNT // 2):
            data = body(number, 1, number)
            reply = None
            with trio.move_on_after(chances.patience()) as scope:
                reply = await req.request(data)
            it.books["cancels"] += scope.cancelled_caught
            it.books["requests"] += 1
            if reply not in (None, data[::-1]):
                raise Lost(f"the answer to request {number} is that to another")

    async with trio.open_nursery() as nursery, trionng.Rep0() as rep:
        reqs = [trionng.Req0(resend_time=60_000) for _ in range(2)]
        async with it.connect(rep, *reqs):
            service = await trionng.serve_rep(nursery, handler, socket=rep, workers=4)
            async with trio.open_nursery() as askers:
                for number in range(8):
                    askers.start_soon(ask, reqs[number % 2], it.fork(number))
            with trio.fail_after(60):
                await service.drain()
            await service.aclose()


async def contexts(it: Round) -> None:
    """Requests by contexts and by the socket itself, answered by contexts, cancelled on the way."""
    rep, req = trionng.Rep0(), trionng.Req0(resend_time=-1)

    async def answer(context: trionng.Context, chances: Chances) -> None:
        while True:
            data = b""
            with trio.move_on_after(chances.patience()):
                data = await context.recv()
            if data:
                # Not cancelled: that would give the request up, as docs/guide/cancellation.md says.
                await context.send(data)

    async def ask(context: Any, chances: Chances) -> None:
        for number in range(COUNT // 4):
            data, reply, sent = body(number, 2, number), b"", False
            while not sent:
                with trio.move_on_after(chances.patience()):
                    await context.send(data)
                    sent = True
            while not reply:
                with trio.move_on_after(chances.patience()) as scope:
                    reply = await context.recv()
                it.books["cancels"] += scope.cancelled_caught
            if reply != data:
                raise Lost(f"the answer to request {number} is that to another")
            it.books["requests"] += 1

    async with it.connect(rep, req), contextlib.AsyncExitStack() as stack:
        asking = [req, *[await stack.enter_async_context(req.new_context()) for _ in range(3)]]
        answering = [await stack.enter_async_context(rep.new_context()) for _ in range(3)]
        async with trio.open_nursery() as nursery:
            for number, context in enumerate(answering):
                nursery.start_soon(answer, context, it.fork(number))
            async with trio.open_nursery() as askers:
                for number, each in enumerate(asking):
                    askers.start_soon(ask, each, it.fork(f"ask {number}"))
            nursery.cancel_scope.cancel()


async def surveys(it: Round) -> None:
    """Each survey gets the answer of each respondent once, and none that is to another survey."""
    surveyor, respondents = trionng.Surveyor0(), [trionng.Respondent0() for _ in range(3)]

    async def survey(name: bytes, chances: Chances) -> None:
        question = b"%s %d" % (name, chances.randrange(2**32))
        patience = chances.choice((chances.expovariate(100), 60.0, 60.0))
        answers: list[bytes] = []
        with trio.move_on_after(patience):
            async with surveyor.survey(question, timeout=60) as replies:
                async for reply in replies:
                    answers.append(reply)
                    if len(answers) == len(respondents):
                        break
        it.books["surveys"] += 1
        expected = {question + b" %d" % number for number in range(len(respondents))}
        if len(set(answers)) != len(answers) or not set(answers) <= expected:
            raise Lost(f"{question!r} was answered with {answers}")
        if patience == 60 and set(answers) != expected:
            raise Lost(f"{question!r} was answered by {len(answers)} of {len(respondents)}")

    async with trio.open_nursery() as nursery, contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(it.connect(surveyor, *respondents))
        for number, respondent in enumerate(respondents):

            async def handler(question: bytes, number: int = number) -> bytes:
                return question + b" %d" % number

            await trionng.serve_respondent(nursery, handler, socket=respondent, workers=2)
        for number in range(5):
            async with trio.open_nursery() as asking:
                for name in (b"a", b"b"):
                    asking.start_soon(survey, name, it.fork((number, name)))
        nursery.cancel_scope.cancel()


async def jobs(it: Round) -> None:
    """A service of Pull0: each job is done once, also by `drain`."""
    done: list[bytes] = []

    async def handler(job: bytes) -> None:
        done.append(job)
        if len(done) % 3 == 0:
            await trio.sleep(0.001)

    async with trio.open_nursery() as nursery, trionng.Pull0() as pull:
        push = trionng.Push0()
        async with it.connect(pull, push):
            service = await trionng.serve_pull(nursery, handler, socket=pull, workers=3)
            await send_flow(push, [it.flow()], 0, COUNT, it.fork("push"))
            with trio.fail_after(60):
                while len(done) < COUNT:
                    await trio.sleep(0.002)
            await service.aclose()
    numbers = sorted(int.from_bytes(job[8:12], "little") for job in done)
    if numbers != list(range(COUNT)):
        raise Lost(f"{COUNT} jobs were sent, {len(done)} were done: {numbers}")


async def device(it: Round) -> None:
    """Requests through `forward`."""
    front, back = trionng.Rep0(raw=True), trionng.Req0(raw=True)
    async with trionng.Rep0() as rep, trionng.Req0() as req:
        async with it.connect(front, req), it.connect(back, rep), trio.open_nursery() as nursery:
            nursery.start_soon(trionng.forward, front, back)
            await trionng.serve_rep(nursery, _echo, socket=rep)
            for number in range(COUNT // 4):
                data = body(number, 3, number)
                if await req.request(data) != data:
                    raise Lost(f"the answer to request {number} is that to another")
            nursery.cancel_scope.cancel()


async def _echo(request: bytes) -> bytes:
    return request


async def in_threads(it: Round) -> None:
    """Blocking sockets in threads: a flow with timeouts, and a service of threads."""
    flow = it.flow()
    chances = it.fork("pull"), it.fork("push")
    pull_at, rep_at = (it.addresses.new(it.transport) for _ in range(2))

    def stream() -> None:
        with (
            blocking.Pull0(recv_buffer_size=chances[0].choice((1, 8))) as pull,
            blocking.Push0(send_buffer_size=chances[1].choice((0, 8))) as push,
        ):
            url = pull.listen(pull_at.url, tls_config=pull_at.server).url
            it.dial_in_thread(push, url, pull_at.client)
            sender = threading.Thread(
                target=send_flow_sync, args=(push, flow, 0, COUNT, chances[1])
            )
            sender.start()
            receive_flow_sync(pull, flow, lambda: not flow.missing(COUNT), chances[0])
            sender.join()

    def ask() -> None:
        with blocking.Rep0() as rep, blocking.Req0() as req:
            url = rep.listen(rep_at.url, tls_config=rep_at.server).url
            with blocking.serve_rep(bytes, socket=rep, workers=2):
                it.dial_in_thread(req, url, rep_at.client)
                for number in range(COUNT // 4):
                    data = body(number, 4, number)
                    if req.request(data, timeout=60) != data:
                        raise Lost(f"the answer to request {number} is that to another")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(in_thread, stream)
        nursery.start_soon(in_thread, ask)


async def churn(it: Round) -> None:
    """Connections, contexts, listeners and dials that come and go, closed at any moment."""
    async with trionng.Rep0() as rep:
        url, tls = it.listen(rep)
        for _ in range(4):
            async with trionng.Req0() as req:
                with trio.move_on_after(it.chances.patience()):
                    await it.dial(req, url, tls)
                    async with req.new_context() as context:
                        with trio.move_on_after(it.chances.patience() if it.books else 0):
                            await context.send(b"no answer comes")
                            with trio.move_on_after(0.001):
                                await context.recv()
        async with trionng.Pair0() as lonely:
            with contextlib.suppress(trionng.NNGException):
                await lonely.dial("tcp://127.0.0.1:1", block=True)
            with trio.move_on_after(it.chances.expovariate(500)):
                await lonely.dial("tcp://127.0.0.1:1", block=None)
        async with trionng.Pair1() as closing, trio.open_nursery() as nursery:

            async def wait_in_vain() -> None:
                with contextlib.suppress(trionng.Closed):
                    await closing.recv()
                    raise Lost("a message came that was never sent")

            nursery.start_soon(wait_in_vain)
            it.listen(closing)
            await trio.lowlevel.checkpoint()
            await closing.aclose()
    it.books["churns"] += 1


KINDS = {
    each.__name__: each
    for each in (
        *(push_pull, push_to_several, pair, polyamorous, pub_sub, topics, bus, requests),
        *(contexts, surveys, jobs, device, in_threads, churn),
    )
}

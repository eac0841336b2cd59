"""pyzmq under asyncio."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import zmq
import zmq.asyncio

from benchmarks import loop_asyncio as loop, loops_async as work
from benchmarks.job import SUBSCRIBERS, Job, Tally, now, serve
from benchmarks.peers.pyzmq_open import VERSIONS, bound, connected, make


async def rtt(job: Job, context: Any) -> None:
    rep = bound(make(context, zmq.REP), job.url) if job.role != "client" else None

    async def receive_frame() -> Any:
        return await rep.recv(copy=False)

    async def send_frame(frame: Any) -> None:
        await rep.send(frame, copy=False)

    if job.role == "server":
        if job.mode == "view":
            await work.answer(job, receive_frame, send_frame)
        else:
            await work.answer(job, rep.recv, rep.send)
        return
    req = connected(make(context, zmq.REQ), job.url)

    async def receive_view() -> memoryview:
        return (await req.recv(copy=False)).buffer

    async def ask() -> None:
        await work.ask(job, loop, req.send, receive_view if job.mode == "view" else req.recv)

    if rep is None:
        await ask()
    else:
        await loop.beside([lambda: work.answer_for_ever(rep.recv, rep.send)], ask)


async def pushpull(job: Job, context: Any) -> None:
    if job.role == "server":
        pull = bound(make(context, zmq.PULL, job.buffers), job.url)
        await work.receive_stream(job, pull.recv)
    else:
        push = connected(make(context, zmq.PUSH, job.buffers), job.url)
        await work.send_stream(job, push.send)


async def pair(job: Job, context: Any) -> None:
    pair = make(context, zmq.PAIR, job.buffers)
    if job.role == "server":
        await work.receive_stream(job, bound(pair, job.url).recv)
    else:
        await work.send_stream(job, connected(pair, job.url).send)


async def pubsub(job: Job, context: Any) -> None:
    if job.role == "server":
        pub = bound(make(context, zmq.PUB, max(job.buffers, 2 * job.flows)), job.url)
        acks = bound(make(context, zmq.PULL), job.back)
        await work.publish(job, pub.send, acks.recv, loop)
        return
    ends = []
    for _ in range(SUBSCRIBERS):
        # A subscription counts as a message.
        sub = make(context, zmq.SUB, max(job.buffers, 2 * job.flows))
        for topic in job.topics:
            sub.subscribe(topic)
        connected(sub, job.url)
        ends.append((sub.recv, connected(make(context, zmq.PUSH), job.back).send))
    await work.subscribe(job, loop, ends)


async def concurrent(job: Job, context: Any) -> None:
    """DEALER to ROUTER, as REQ has one request in flight; a number says whose reply it is."""
    if job.role == "server":
        router = bound(make(context, zmq.ROUTER), job.url)
        job.ready()
        tally = Tally()
        for count in job.rounds():
            tally.start(count)
            start = now()
            while tally.done < count:
                await router.send_multipart(await router.recv_multipart())
                tally.add()
            job.result(start, now(), tally.done)
        return
    sockets = job.flows if job.mode == "connections" else 1
    dealers = [connected(make(context, zmq.DEALER), job.url) for _ in range(sockets)]
    waiting: dict[bytes, asyncio.Future[bytes]] = {}
    new_future = asyncio.get_running_loop().create_future

    async def dispatch(dealer: Any) -> None:
        while True:
            number, data = await dealer.recv_multipart()
            waiting.pop(number).set_result(data)

    def requester(number: bytes, dealer: Any) -> work.Ask:
        async def ask(data: bytes) -> bytes:
            waiting[number] = reply = new_future()
            await dealer.send_multipart((number, data))
            return await reply

        return ask

    async def main() -> None:
        job.ready()
        callers = [
            requester(i.to_bytes(2, "little"), dealers[i % sockets]) for i in range(job.flows)
        ]
        await work.concurrent_client(job, loop, callers)

    await loop.beside([functools.partial(dispatch, each) for each in dealers], main)


async def cycle(job: Job, context: Any) -> None:
    messages, mask = job.messages, job.mask
    job.ready()
    for count in job.rounds():
        start = now()
        for i in range(count):
            with make(context, zmq.PAIR) as server, make(context, zmq.PAIR) as client:
                bound(server, job.url)
                await connected(client, job.url).send(messages[i & mask])
                if await server.recv() != messages[i & mask]:
                    job.wrong(i)
        job.result(start, now(), count)


ROLES: dict[str, Any] = {
    "rtt": rtt,
    "pushpull": pushpull,
    "pair": pair,
    "pubsub": pubsub,
    "concurrent": concurrent,
    "cycle": cycle,
}


async def _main(job: Job) -> None:
    context = zmq.asyncio.Context()
    context.set(zmq.MAX_SOCKETS, 4096)
    try:
        await ROLES[job.kind](job, context)
    finally:
        context.destroy(linger=0)


if __name__ == "__main__":
    serve("pyzmq_asyncio", VERSIONS, lambda job: loop.run(_main, job))

"""The package `nng` under asyncio; `to_bytes` of the Message it receives is part of the work."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import nng
from benchmarks import loop_asyncio as loop, loops_async as work
from benchmarks.job import CONCURRENT, SUBSCRIBERS, Job, now, serve
from benchmarks.peers.nng_open import VERSIONS, dialled, listening, subscribed, to_bytes


def _reader(job: Job) -> work.Read:
    return memoryview if job.mode == "view" else to_bytes


async def rtt(job: Job) -> None:
    with ExitStack() as stack:
        rep = req = None
        if job.role != "client":
            rep = listening(stack.enter_context(nng.RepSocket()), job.url)
        if job.role != "server":
            req = dialled(stack.enter_context(nng.ReqSocket()), job.url)
        if req is None:
            await work.answer(job, *_bytes_or_message(job, rep))
            return

        async def ask() -> None:
            await work.ask(job, loop, req.asend, req.arecv, _reader(job))

        if rep is None:
            await ask()
        else:
            ends = _bytes_or_message(job, rep)
            await loop.beside([lambda: work.answer_for_ever(*ends)], ask)


def _bytes_or_message(job: Job, rep: nng.RepSocket | nng.Context) -> tuple[work.Receive, work.Send]:
    """Give what receives and sends: with mode `view` the message itself goes back."""

    async def receive() -> bytes:
        return (await rep.arecv()).to_bytes()

    return (rep.arecv if job.mode == "view" else receive), rep.asend


async def pushpull(job: Job) -> None:
    if job.role == "server":
        with nng.PullSocket() as pull:
            await work.receive_stream(job, listening(pull, job.url).arecv, to_bytes)
    else:
        with nng.PushSocket() as push:
            push.send_buf = job.buffers
            await work.send_stream(job, dialled(push, job.url).asend)


async def pair(job: Job) -> None:
    with nng.PairSocket() as pair:
        pair.send_buf = pair.recv_buf = job.buffers
        if job.role == "server":
            await work.receive_stream(job, listening(pair, job.url).arecv, to_bytes)
        else:
            await work.send_stream(job, dialled(pair, job.url).asend)


async def pubsub(job: Job) -> None:
    with ExitStack() as stack:
        enter = stack.enter_context
        if job.role == "server":
            pub = enter(nng.PubSocket())
            pub.send_buf = job.buffers
            acks = listening(enter(nng.PullSocket()), job.back)
            await work.publish(job, listening(pub, job.url).asend, acks.arecv, loop, to_bytes)
            return
        ends = []
        for _ in range(SUBSCRIBERS):
            sub = subscribed(enter(nng.SubSocket()), job.topics)
            sub.recv_buf = job.buffers
            dialled(sub, job.url)
            push = dialled(enter(nng.PushSocket()), job.back)
            ends.append((sub.arecv, push.asend))
        await work.subscribe(job, loop, ends, to_bytes)


async def concurrent(job: Job) -> None:
    if job.role == "server":
        with nng.RepSocket() as rep:
            listening(rep, job.url)
            contexts = [rep.open_context() for _ in range(CONCURRENT)]
            ends = [_bytes_or_message(job, each) for each in contexts]
            await work.concurrent_server(job, loop, ends)
        return

    def requester(context: nng.ReqContext) -> work.Ask:
        async def ask(data: bytes) -> nng.Message:
            await context.asend(data)
            return await context.arecv()

        return ask

    with ExitStack() as stack:
        sockets = job.flows if job.mode == "connections" else 1
        reqs = [dialled(stack.enter_context(nng.ReqSocket()), job.url) for _ in range(sockets)]
        callers = [requester(reqs[i % sockets].open_context()) for i in range(job.flows)]
        job.ready()
        await work.concurrent_client(job, loop, callers, to_bytes)


async def idle(job: Job) -> None:
    with nng.RepSocket() as rep:
        listening(rep, job.url)
        await work.idle(job, loop, lambda: rep.open_context().arecv)


async def cycle(job: Job) -> None:
    messages, mask = job.messages, job.mask
    job.ready()
    for count in job.rounds():
        start = now()
        for i in range(count):
            with nng.PairSocket() as server, nng.PairSocket() as client:
                listening(server, job.url)
                await dialled(client, job.url).asend(messages[i & mask])
                if (await server.arecv()).to_bytes() != messages[i & mask]:
                    job.wrong(i)
        job.result(start, now(), count)


ROLES: dict[str, Any] = {
    "rtt": rtt,
    "pushpull": pushpull,
    "pair": pair,
    "pubsub": pubsub,
    "concurrent": concurrent,
    "idle": idle,
    "cycle": cycle,
}

if __name__ == "__main__":
    serve("nng_asyncio", VERSIONS, lambda job: loop.run(ROLES[job.kind], job))

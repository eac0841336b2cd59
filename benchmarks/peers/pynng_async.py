"""pynng with an event loop: `python -m benchmarks.peers.pynng_async trio|asyncio`."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import Any

import pynng

from benchmarks import loops_async as work
from benchmarks.job import CONCURRENT, SUBSCRIBERS, Job, now, serve
from benchmarks.peers.pynng_open import options

if sys.argv[1] == "trio":
    from benchmarks import loop_trio as loop
else:
    from benchmarks import loop_asyncio as loop


async def rtt(job: Job) -> None:
    with ExitStack() as stack:
        rep = None
        if job.role != "client":
            rep = stack.enter_context(pynng.Rep0(listen=job.url, **options(job)))
        if job.role == "server":
            await work.answer(job, rep.arecv, rep.asend)
            return
        req = stack.enter_context(pynng.Req0(dial=job.url, block_on_dial=True, **options(job)))

        async def ask() -> None:
            await work.ask(job, loop, req.asend, req.arecv)

        if rep is None:
            await ask()
        else:
            await loop.beside([lambda: work.answer_for_ever(rep.arecv, rep.asend)], ask)


async def pushpull(job: Job) -> None:
    if job.role == "server":
        with pynng.Pull0(recv_buffer_size=job.buffers, listen=job.url) as pull:
            await work.receive_stream(job, pull.arecv)
    else:
        with pynng.Push0(send_buffer_size=job.buffers, dial=job.url, block_on_dial=True) as push:
            await work.send_stream(job, push.asend)


async def pair(job: Job) -> None:
    if job.role == "server":
        with pynng.Pair0(listen=job.url, **options(job)) as pair:
            await work.receive_stream(job, pair.arecv)
    else:
        with pynng.Pair0(dial=job.url, block_on_dial=True, **options(job)) as pair:
            await work.send_stream(job, pair.asend)


async def pubsub(job: Job) -> None:
    with ExitStack() as stack:
        enter = stack.enter_context
        if job.role == "server":
            pub = enter(pynng.Pub0(send_buffer_size=job.buffers, listen=job.url))
            acks = enter(pynng.Pull0(listen=job.back))
            await work.publish(job, pub.asend, acks.arecv, loop)
            return
        ends = []
        for _ in range(SUBSCRIBERS):
            sub = enter(pynng.Sub0(recv_buffer_size=job.buffers, topics=job.topics))
            sub.dial(job.url, block=True)
            push = enter(pynng.Push0(dial=job.back, block_on_dial=True))
            ends.append((sub.arecv, push.asend))
        await work.subscribe(job, loop, ends)


async def concurrent(job: Job) -> None:
    if job.role == "server":
        with pynng.Rep0(listen=job.url) as rep:
            contexts = [rep.new_context() for _ in range(CONCURRENT)]
            await work.concurrent_server(job, loop, [(each.arecv, each.asend) for each in contexts])
        return

    def requester(context: pynng.Context) -> work.Ask:
        async def ask(data: bytes) -> bytes:
            await context.asend(data)
            return await context.arecv()

        return ask

    with ExitStack() as stack:
        sockets = job.flows if job.mode == "connections" else 1
        reqs = [
            stack.enter_context(pynng.Req0(dial=job.url, block_on_dial=True))
            for _ in range(sockets)
        ]
        callers = [requester(reqs[i % sockets].new_context()) for i in range(job.flows)]
        job.ready()
        await work.concurrent_client(job, loop, callers)


async def idle(job: Job) -> None:
    with pynng.Rep0(listen=job.url) as rep:
        await work.idle(job, loop, lambda: rep.new_context().arecv)


async def cycle(job: Job) -> None:
    messages, mask = job.messages, job.mask
    job.ready()
    for count in job.rounds():
        start = now()
        for i in range(count):
            with (
                pynng.Pair0(listen=job.url) as server,
                pynng.Pair0(dial=job.url, block_on_dial=True) as client,
            ):
                await client.asend(messages[i & mask])
                if await server.arecv() != messages[i & mask]:
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
    nng = pynng.ffi.string(pynng.lib.nng_version()).decode()
    serve(
        f"pynng_{sys.argv[1]}",
        f"pynng {pynng.__version__} with its own nng {nng}",
        lambda job: loop.run(ROLES[job.kind], job),
    )

"""trionng under Trio: a call a message; with mode `many`, recv_many and send_many."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import trio

import trionng
from benchmarks import loop_trio as loop, loops_async as work
from benchmarks.job import BURST, CONCURRENT, HELLO, SUBSCRIBERS, Credit, Job, Tally, now, serve
from benchmarks.peers.trionng_open import options

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

BATCH = 128


async def rtt(job: Job) -> None:
    if job.role == "alone":
        async with trionng.Rep0(listen=job.url, **options(job)) as rep, await _connect(job) as req:
            await loop.beside([lambda: _serve_for_ever(rep)], lambda: _ask(job, req))
    elif job.role == "client":
        async with await _connect(job) as req:
            await _ask(job, req)
    elif job.mode == "view":
        async with trionng.Rep0(listen=job.url, **options(job)) as rep:
            await work.answer(job, rep.recv_msg, rep.send_msg)
    elif job.mode == "separate":
        async with trionng.Rep0(listen=job.url, **options(job)) as rep:
            await work.answer(job, rep.recv, rep.send)
    elif job.large:
        async with trionng.Rep0(**options(job)) as rep:
            rep.listen(job.url)
            await _serve(job, {"socket": rep})
    else:
        await _serve(job, {"listen": job.url, **options(job)})


async def _serve_for_ever(rep: trionng.Rep0) -> None:
    async with trio.open_nursery() as nursery:
        await trionng.serve_rep(nursery, _echo, socket=rep)


async def _echo(request: bytes) -> bytes:
    return request


async def _serve(job: Job, options: dict[str, Any]) -> None:
    """Answer with serve_rep, and count."""
    tally = Tally()
    finished = trio.Event()

    async def handler(request: bytes) -> bytes:
        if tally.add():
            finished.set()
        return request

    async with trio.open_nursery() as nursery:
        await trionng.serve_rep(nursery, handler, **options)
        job.ready()
        for count in job.rounds():
            finished = trio.Event()
            tally.start(count)
            start = now()
            await finished.wait()
            end = now()
            # The last reply must be gone before the next line is read, which blocks the loop.
            await loop.wait_all_blocked()
            job.result(start, end, tally.done)
        nursery.cancel_scope.cancel()


async def _connect(job: Job) -> trionng.Req0:
    req = trionng.Req0(**options(job))
    await req.dial(job.url)
    return req


async def _ask(job: Job, req: trionng.Req0) -> None:
    if job.mode == "separate":
        await work.ask(job, loop, req.send, req.recv)
    elif job.mode == "view":
        await work.ask(job, loop, req.send, req.recv_msg, lambda msg: msg.body)
    elif job.mode == "busy":
        job.ready()
        await work.ask_beside(job, loop, req.request)
    else:
        job.ready()
        await work.ask_with(job, req.request)


async def pushpull(job: Job) -> None:
    if job.role == "server":
        async with trionng.Pull0(listen=job.url, recv_buffer_size=job.buffers) as pull:
            await _receive(job, pull)
    else:
        async with trionng.Push0(send_buffer_size=job.buffers) as push:
            await push.dial(job.url)
            await _send(job, push)


async def pair(job: Job) -> None:
    async with trionng.Pair0(
        recv_buffer_size=job.buffers, send_buffer_size=job.buffers, **options(job)
    ) as pair:
        if job.role == "server":
            pair.listen(job.url)
            await _receive(job, pair)
        else:
            await pair.dial(job.url)
            await _send(job, pair)


async def _send(job: Job, socket: trionng.Push0 | trionng.Pair0) -> None:
    if job.mode == "plain":
        await work.send_stream(job, socket.send)
        return
    messages, mask = job.messages, job.mask
    job.ready()
    for count in job.rounds():
        start = now()
        sent = 0
        while sent < count:
            size = min(BATCH, count - sent)
            sent += await socket.send_many([messages[i & mask] for i in range(sent, sent + size)])
        job.result(start, now(), sent)


async def _receive(job: Job, socket: trionng.Pull0 | trionng.Pair0) -> None:
    if job.mode != "many":
        await work.receive_stream(job, socket.recv)
        return
    job.ready()
    for count in job.rounds():
        start = now()
        await _receive_batches(job, socket.recv_many, count)
        job.result(start, now(), count)


async def _receive_batches(
    job: Job, recv_many: Callable[[int], Awaitable[list[bytes]]], count: int
) -> None:
    messages, mask = job.messages, job.mask
    i = 0
    while i < count:
        for data in await recv_many(min(BATCH, count - i)):
            if data != messages[i & mask]:
                job.wrong(i)
            i += 1


async def pubsub(job: Job) -> None:
    async with AsyncExitStack() as stack:
        if job.role == "server":
            pub = trionng.Pub0(send_buffer_size=job.buffers, listen=job.url)
            acks = trionng.Pull0(listen=job.back)
            await stack.enter_async_context(pub)
            await stack.enter_async_context(acks)
            if job.mode == "many":
                await _publish_many(job, pub, acks)
            else:
                await work.publish(job, pub.send, acks.recv, loop)
            return
        subs = []
        for _ in range(SUBSCRIBERS):
            sub = trionng.Sub0(topics=job.topics, recv_buffer_size=job.buffers)
            push = trionng.Push0()
            await stack.enter_async_context(sub)
            await stack.enter_async_context(push)
            await sub.dial(job.url)
            await push.dial(job.back)
            subs.append((sub, push))
        if job.mode == "many":
            await _subscribe_many(job, subs)
        else:
            await work.subscribe(job, loop, [(sub.recv, push.send) for sub, push in subs])


async def _publish_many(job: Job, pub: trionng.Pub0, acks: trionng.Pull0) -> None:
    messages, mask = job.messages, job.mask
    job.ready()
    await work.greet(pub.send, acks.recv, loop)
    for count in job.rounds():
        credit = Credit(count)
        start = now()
        for burst in range(credit.bursts + 1):
            while credit.must_wait(burst):
                credit.ack(await acks.recv())
            if burst < credit.bursts:
                first = burst * BURST
                await pub.send_many([messages[i & mask] for i in range(first, first + BURST)])
        job.result(start, now(), count)


async def _subscribe_many(job: Job, subs: list[tuple[trionng.Sub0, trionng.Push0]]) -> None:
    messages, mask = job.messages, job.mask

    async def one(number: int, count: int) -> None:
        sub, push = subs[number]
        i = 0
        while i < count:
            for data in await sub.recv_many(BURST):
                if data != messages[i & mask]:
                    if i == 0 and data == HELLO:
                        continue
                    job.wrong(i)
                i += 1
                if i % BURST == 0:
                    await push.send(bytes([number]))

    for number, (sub, push) in enumerate(subs):
        await sub.recv()
        await push.send(bytes([number]))
    job.ready()
    for count in job.rounds():
        start = now()
        async with trio.open_nursery() as nursery:
            for number in range(SUBSCRIBERS):
                nursery.start_soon(one, number, count)
        job.result(start, now(), count)


async def concurrent(job: Job) -> None:
    if job.role == "server":
        await _serve(job, {"listen": job.url, "workers": CONCURRENT})
    elif job.mode == "connections":
        async with AsyncExitStack() as stack:
            reqs = [await stack.enter_async_context(await _connect(job)) for _ in range(job.flows)]
            job.ready()
            await work.concurrent_client(job, loop, [req.request for req in reqs])
    else:
        async with await _connect(job) as req:
            job.ready()
            await work.concurrent_client(job, loop, [req.request] * job.flows)


async def idle(job: Job) -> None:
    async with trionng.Rep0(listen=job.url, **options(job)) as rep:
        await work.idle(job, loop, lambda: rep.new_context().recv)


async def cycle(job: Job) -> None:
    messages, mask = job.messages, job.mask
    job.ready()
    for count in job.rounds():
        start = now()
        for i in range(count):
            async with trionng.Pair0(listen=job.url) as server, trionng.Pair0() as client:
                await client.dial(job.url)
                await client.send(messages[i & mask])
                if await server.recv() != messages[i & mask]:
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
    serve(
        "trionng",
        f"trionng {trionng.__version__}, libnng {trionng.nng_version}, trio {trio.__version__}",
        lambda job: loop.run(ROLES[job.kind], job),
    )

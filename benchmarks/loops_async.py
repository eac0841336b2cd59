"""The work itself for peers with an event loop; a peer brings its sockets' own coroutines.

The same code drives Trio and asyncio peers, so that no library is measured doing less. `read` turns
what a library receives into bytes, for those that receive something else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from benchmarks.job import BURST, HELLO, SUBSCRIBERS, Credit, Job, Tally, now, resident_bytes

Send = Callable[[bytes], Awaitable[object]]
Receive = Callable[[], Awaitable[Any]]
Read = Callable[[Any], bytes]
Ask = Callable[[bytes], Awaitable[Any]]


class Loop(Protocol):
    """The functions of Trio or asyncio that the work needs."""

    async def together(self, *tasks: Callable[[], Awaitable[None]]) -> None:
        """Run tasks until all have ended; cancel the others when one fails."""

    async def beside(
        self, tasks: list[Callable[[], Awaitable[None]]], main: Callable[[], Awaitable[None]]
    ) -> None:
        """Run `main` with other tasks beside it, which are cancelled when it ends."""

    async def sleep(self, seconds: float) -> None: ...

    def event(self) -> Any: ...

    async def wait_all_blocked(self) -> None:
        """Let every task that was started come to wait."""


async def answer(job: Job, receive: Receive, send: Send) -> None:
    """REP: send each message back."""
    job.ready()
    for count in job.rounds():
        start = now()
        for _ in range(count):
            await send(await receive())
        job.result(start, now(), count)


async def answer_for_ever(receive: Receive, send: Send) -> None:
    while True:
        await send(await receive())


async def ask(job: Job, loop: Loop, send: Send, receive: Receive, read: Read | None = None) -> None:
    """REQ with a send and a receive."""

    async def both(data: bytes) -> Any:
        await send(data)
        return await receive()

    job.ready()
    if job.mode == "busy":
        await ask_beside(job, loop, both, read)
        return
    if job.large or read is not None:
        await ask_with(job, both, read)
        return
    messages, mask = job.messages, job.mask
    for count in job.rounds():
        start = now()
        for i in range(count):
            data = messages[i & mask]
            await send(data)
            if await receive() != data:
                job.wrong(i)
        job.result(start, now(), count)


async def ask_beside(job: Job, loop: Loop, request: Ask, read: Read | None = None) -> None:
    """Time each request, beside a task that computes for 0.2 ms each millisecond."""
    messages, mask = job.messages, job.mask

    async def compute() -> None:
        while True:
            end = now() + 200_000
            while now() < end:
                pass
            await loop.sleep(0.001)

    async def measure() -> None:
        for count in job.rounds():
            times = []
            start = end = now()
            for i in range(count):
                data = messages[i & mask]
                before = now()
                reply = await request(data)
                end = now()
                if (reply if read is None else read(reply)) != data:
                    job.wrong(i)
                times.append(end - before)
            job.samples(times)
            job.result(start, end, count)

    await loop.beside([compute], measure)


async def ask_with(job: Job, request: Ask, read: Read | None = None) -> None:
    """REQ with one call for both; the caller says when it is ready."""
    messages, mask, large = job.messages, job.mask, job.large
    for count in job.rounds():
        reply: Any = b""
        start = now()
        for i in range(count):
            data = messages[i & mask]
            reply = await request(data)
            if read is not None:
                reply = read(reply)
            if large:
                job.check_large(reply, i)
            elif reply != data:
                job.wrong(i)
        end = now()
        if large:
            job.check_large(reply, count - 1, whole=True)
        job.result(start, end, count)


async def send_stream(job: Job, send: Send) -> None:
    messages, mask = job.messages, job.mask
    job.ready()
    for count in job.rounds():
        start = now()
        for i in range(count):
            await send(messages[i & mask])
        job.result(start, now(), count)


async def receive_stream(job: Job, receive: Receive, read: Read | None = None) -> None:
    messages, mask = job.messages, job.mask
    job.ready()
    for count in job.rounds():
        start = now()
        for i in range(count):
            data = await receive()
            if read is not None:
                data = read(data)
            if data != messages[i & mask]:
                job.wrong(i)
        job.result(start, now(), count)


async def publish(
    job: Job,
    send: Send,
    receive_ack: Receive,
    loop: Loop,
    read: Read | None = None,
) -> None:
    """PUB: bursts of messages, never more than two of them unacknowledged by any subscriber."""
    messages, mask = job.messages, job.mask
    job.ready()
    await greet(send, receive_ack, loop)
    for count in job.rounds():
        credit = Credit(count)
        start = now()
        for burst in range(credit.bursts + 1):
            while credit.must_wait(burst):
                ack = await receive_ack()
                credit.ack(ack if read is None else read(ack))
            if burst < credit.bursts:
                for i in range(burst * BURST, (burst + 1) * BURST):
                    await send(messages[i & mask])
        job.result(start, now(), count)


async def greet(send: Send, receive_ack: Receive, loop: Loop) -> None:
    """Say hello until every subscriber has heard it: a subscription takes its time to arrive."""

    async def say() -> None:
        while True:
            await send(HELLO)
            await loop.sleep(0.005)

    async def hear() -> None:
        for _ in range(SUBSCRIBERS):
            await receive_ack()

    await loop.beside([say], hear)


async def subscribe(
    job: Job, loop: Loop, ends: list[tuple[Receive, Send]], read: Read | None = None
) -> None:
    """Run four subscribers, a task each; `ends` are receive and the way back of each."""
    messages, mask = job.messages, job.mask

    async def meet(number: int) -> None:
        receive, send_ack = ends[number]
        await receive()
        await send_ack(bytes([number]))

    async def one(number: int, count: int) -> None:
        receive, send_ack = ends[number]
        ack = bytes([number])
        i = 0
        while i < count:
            data = await receive()
            if read is not None:
                data = read(data)
            if data != messages[i & mask]:
                if i == 0 and data == HELLO:
                    continue
                job.wrong(i)
            i += 1
            if i % BURST == 0:
                await send_ack(ack)

    await loop.together(*[_bind(meet, number) for number in range(SUBSCRIBERS)])
    job.ready()
    for count in job.rounds():
        start = now()
        await loop.together(*[_bind(one, number, count) for number in range(SUBSCRIBERS)])
        job.result(start, now(), count)


async def concurrent_server(
    job: Job, loop: Loop, ends: list[tuple[Receive, Send]], read: Read | None = None
) -> None:
    """Run as many workers as there are ends; each answers one request at a time."""
    tally = Tally()
    finished = loop.event()

    async def worker(receive: Receive, send: Send) -> None:
        while True:
            await send(await receive())
            if tally.add():
                finished.set()

    async def main() -> None:
        nonlocal finished
        job.ready()
        for count in job.rounds():
            finished = loop.event()
            tally.start(count)
            start = now()
            await finished.wait()
            job.result(start, now(), tally.done)

    await loop.beside([_bind(worker, *end) for end in ends], main)


async def concurrent_client(
    job: Job, loop: Loop, callers: list[Ask], read: Read | None = None
) -> None:
    """Run a task for each caller: it asks, checks its own answer, and asks again."""
    messages, mask = job.messages, job.mask
    tally = Tally()

    async def caller(request: Ask) -> None:
        while (i := tally.take()) >= 0:
            data = messages[i & mask]
            reply = await request(data)
            if (reply if read is None else read(reply)) != data:
                job.wrong(i)
            tally.add()

    for count in job.rounds():
        tally.start(count)
        start = now()
        await loop.together(*[_bind(caller, each) for each in callers])
        job.result(start, now(), tally.done)


async def idle(job: Job, loop: Loop, new_waiter: Callable[[], Receive]) -> None:
    """Measure what waiting contexts weigh; with mode `tasks`, what bare waiting tasks weigh."""
    bare = loop.event()

    async def wait(receive: Receive) -> None:
        await receive()

    async def main() -> None:
        job.ready()
        for count in job.rounds():
            before = resident_bytes()

            async def measure(count: int = count, before: int = before) -> None:
                await loop.wait_all_blocked()
                job.result(before, resident_bytes(), count)

            bound = job.mode == "tasks"
            tasks = [_bind(wait, bare.wait if bound else new_waiter()) for _ in range(count)]
            await loop.beside(tasks, measure)

    await main()


def _bind(function: Callable[..., Awaitable[None]], *args: Any) -> Callable[[], Awaitable[None]]:
    def start() -> Awaitable[None]:
        return function(*args)

    return start

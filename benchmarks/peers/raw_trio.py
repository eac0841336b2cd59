"""Trio without a library: its streams, a length in front of each message, and its loop alone."""

from __future__ import annotations

import os
import socket
import ssl
from typing import Any
from urllib.parse import urlsplit

import trio

from benchmarks import certificates, loop_trio as loop, loops_async as work
from benchmarks.job import Job, now, serve

_PREFIX = 4
_CHUNK = 65536


class Connection:
    """Messages over a stream."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._buffer = bytearray()
        self._start = 0

    async def send(self, data: bytes) -> None:
        await self._stream.send_all(len(data).to_bytes(_PREFIX, "little") + data)

    async def receive(self) -> bytes:
        await self._fill(_PREFIX)
        body = self._start + _PREFIX
        size = int.from_bytes(self._buffer[self._start : body], "little")
        await self._fill(_PREFIX + size)
        body = self._start + _PREFIX
        self._start = body + size
        return bytes(memoryview(self._buffer)[body : body + size])

    async def _fill(self, size: int) -> None:
        while len(self._buffer) - self._start < size:
            if self._start:
                del self._buffer[: self._start]
                self._start = 0
            self._buffer += await self._stream.receive_some(max(_CHUNK, size))

    async def aclose(self) -> None:
        await trio.aclose_forcefully(self._stream)


async def _listen(url: str) -> trio.abc.Listener[Any]:
    parts = urlsplit(url)
    if parts.scheme == "tls+tcp":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificates.path("server.pem"))
        return (await trio.open_ssl_over_tcp_listeners(parts.port, context, host="127.0.0.1"))[0]
    if parts.scheme == "tcp":
        return (await trio.open_tcp_listeners(parts.port, host="127.0.0.1"))[0]
    if os.path.exists(parts.path):
        os.unlink(parts.path)
    listening = trio.socket.socket(socket.AF_UNIX)
    await listening.bind(parts.path)
    listening.listen(1)
    return trio.SocketListener(listening)


async def _accept(listener: trio.abc.Listener[Any]) -> Connection:
    return Connection(await listener.accept())


async def _connect(url: str) -> Connection:
    parts = urlsplit(url)
    if parts.scheme == "tls+tcp":
        plain = await trio.open_tcp_stream("127.0.0.1", parts.port)
        context = ssl.create_default_context(cafile=certificates.path("ca.pem"))
        return Connection(trio.SSLStream(plain, context, server_hostname=certificates.NAME))
    if parts.scheme == "tcp":
        return Connection(await trio.open_tcp_stream("127.0.0.1", parts.port))
    return Connection(await trio.open_unix_socket(parts.path))


async def _serve(job: Job, work_on: Any) -> None:
    """Accept the one client, which connects once this has said it is ready."""
    listener = await _listen(job.url)

    job.ready()
    job.ready = lambda: None  # type: ignore[method-assign]
    connection = await _accept(listener)
    await work_on(job, connection)
    await connection.aclose()
    await listener.aclose()


async def rtt(job: Job) -> None:
    if job.role == "server":
        await _serve(job, lambda job, peer: work.answer(job, peer.receive, peer.send))
    else:
        peer = await _connect(job.url)
        await work.ask(job, loop, peer.send, peer.receive)
        await peer.aclose()


async def stream(job: Job) -> None:
    if job.role == "server":
        await _serve(job, lambda job, peer: work.receive_stream(job, peer.receive))
    else:
        peer = await _connect(job.url)
        await work.send_stream(job, peer.send)
        await peer.aclose()


async def cycle(job: Job) -> None:
    messages, mask = job.messages, job.mask
    job.ready()
    for count in job.rounds():
        start = now()
        for i in range(count):
            listener = await _listen(job.url)
            client = await _connect(job.url)
            server = await _accept(listener)
            await client.send(messages[i & mask])
            if await server.receive() != messages[i & mask]:
                job.wrong(i)
            for each in (client, server, listener):
                await each.aclose()
        job.result(start, now(), count)


async def yields(job: Job) -> None:
    job.ready()
    for count in job.rounds():
        start = now()
        for _ in range(count):
            await trio.lowlevel.checkpoint()
        job.result(start, now(), count)


async def wakeups(job: Job) -> None:
    wakeup_fd = os.eventfd(0, os.EFD_NONBLOCK)
    job.ready()
    for count in job.rounds():
        start = now()
        for _ in range(count):
            os.eventfd_write(wakeup_fd, 1)
            await trio.lowlevel.wait_readable(wakeup_fd)
            os.eventfd_read(wakeup_fd)
        job.result(start, now(), count)
    os.close(wakeup_fd)


async def parks(job: Job) -> None:
    """Let many tasks wait, and wake them all, again and again."""
    parked: list[trio.lowlevel.Task] = []

    async def park() -> None:
        while True:
            parked.append(trio.lowlevel.current_task())
            await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.SUCCEEDED)

    async with trio.open_nursery() as nursery:
        for _ in range(job.flows):
            nursery.start_soon(park)
        job.ready()
        for count in job.rounds():
            await trio.lowlevel.checkpoint()
            woken = 0
            start = now()
            while woken < count:
                batch = parked[: count - woken]
                del parked[: len(batch)]
                for task in batch:
                    trio.lowlevel.reschedule(task)
                woken += len(batch)
                await trio.lowlevel.checkpoint()
            job.result(start, now(), woken)
        nursery.cancel_scope.cancel()


ROLES: dict[str, Any] = {
    "rtt": rtt,
    "pushpull": stream,
    "pair": stream,
    "cycle": cycle,
    "yield": yields,
    "wakeup": wakeups,
    "park": parks,
}

if __name__ == "__main__":
    serve("raw_trio", f"trio {trio.__version__}", lambda job: loop.run(ROLES[job.kind], job))

"""nats-py under asyncio, with a nats-server between the two processes."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import subprocess
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import nats

from benchmarks import loop_asyncio as loop, loops_async as work
from benchmarks.job import SUBSCRIBERS, Job, now, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SERVER = "nats-server"


@contextlib.asynccontextmanager
async def connection(job: Job) -> AsyncIterator[Any]:
    """Connect; the role `server` also starts the nats-server."""
    port = str(urlsplit(job.url).port)
    command = [SERVER, "-a", "127.0.0.1", "-p", port]
    with contextlib.ExitStack() as stack:
        if job.role == "server":
            server = stack.enter_context(subprocess.Popen(command, stderr=subprocess.DEVNULL))
            stack.callback(server.kill)
        connected = await nats.connect(
            f"nats://127.0.0.1:{port}", max_reconnect_attempts=100, reconnect_time_wait=0.05
        )
        try:
            yield connected
        finally:
            # Its own reader's end arrives here when the server has gone already.
            with contextlib.suppress(asyncio.CancelledError):
                await connected.close()


def data_of(message: Any) -> bytes:
    data: bytes = message.data
    return data


async def rtt(job: Job) -> None:
    async with connection(job) as connected:
        if job.role == "server":
            requests = await connected.subscribe("rtt")
            await connected.flush()
            job.ready()
            for count in job.rounds():
                start = now()
                for _ in range(count):
                    request = await requests.next_msg(timeout=None)
                    await request.respond(request.data)
                await connected.flush()  # its own task would do it, but the loop is blocked now
                job.result(start, now(), count)
            return

        async def ask(data: bytes) -> Any:
            return await connected.request("rtt", data, timeout=10)

        job.ready()
        await work.ask_with(job, ask, data_of)


async def pubsub(job: Job) -> None:
    """Each subscriber has a connection of its own."""
    async with contextlib.AsyncExitStack() as stack:
        opened = [
            await stack.enter_async_context(connection(job))
            for _ in range(1 if job.role == "server" else SUBSCRIBERS)
        ]
        if job.role == "server":

            async def publish(data: bytes) -> None:
                await opened[0].publish("news", data)

            acks = await receiver(opened[0], "acks")
            await work.publish(job, publish, acks, loop, data_of)
            return
        ends = [(await receiver(each, "news"), acknowledger(each)) for each in opened]
        await work.subscribe(job, loop, ends, data_of)


async def receiver(connected: Any, subject: str) -> work.Receive:
    subscription = await connected.subscribe(subject, pending_msgs_limit=-1)

    async def receive() -> Any:
        return await subscription.next_msg(timeout=None)

    return receive


def acknowledger(connected: Any) -> work.Send:
    async def acknowledge(data: bytes) -> None:
        await connected.publish("acks", data)
        await connected.flush()

    return acknowledge


ROLES = {"rtt": rtt, "pubsub": pubsub}

if __name__ == "__main__":
    server = subprocess.run([SERVER, "--version"], capture_output=True, text=True, check=True)
    serve(
        "nats_asyncio",
        f"nats-py {importlib.metadata.version('nats-py')}, {server.stdout.strip()}",
        lambda job: loop.run(ROLES[job.kind], job),
    )

"""The two ends of `trionng bench`: sockets here, and a process that is at their other end."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
import trio

import trionng
from trionng._cli.bench_peer import BATCH, serve
from trionng._cli.cert import make
from trionng._cli.process import Failure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# The URL of a socket; {} is for a name of its own.
TRANSPORTS: Final = {
    "ipc": "ipc://{}",
    "tcp": "tcp://127.0.0.1:0",
    "inproc": "inproc://{}",
    "ws": "ws://127.0.0.1:0/{}",
    "tls": "tls+tcp://localhost:0",
}


@attrs.define
class Taken:
    """How long a stream took, from the first send to the last receive."""

    seconds: float = 0


@attrs.frozen
class Link:
    """Sockets that are connected with the peer."""

    req: trionng.Req0
    push: trionng.Push0
    control: trionng.Req0

    @asynccontextmanager
    async def expecting(self, how: str, number: int, size: int) -> AsyncIterator[Taken]:
        """Let the peer receive what is sent in the block; then tell how long that took."""
        taken = Taken()
        ends: list[int] = []

        async def ask() -> None:
            ends.append(int(await self.control.request(f"{how} {number} {size}".encode())))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            began = time.monotonic_ns()
            yield taken
        taken.seconds = (ends[0] - began) / 1e9


@asynccontextmanager
async def open_link(transport: str) -> AsyncIterator[Link]:
    """Start the peer, in this process for inproc, and connect with it."""
    with tempfile.TemporaryDirectory(prefix="trionng-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        inside = transport == "inproc"
        template = TRANSPORTS[transport]
        urls = [template.format(folder / f"{each}") for each in ("r", "m")]
        if transport == "ws":
            urls = [template.format(each) for each in ("r", "m")]
        urls.append(f"inproc://{folder}/c" if inside else f"ipc://{folder}/c")
        command = [sys.executable, "-m", "trionng", "bench-peer", *urls]
        trusted = None
        if transport == "tls":
            try:
                make(folder, ["localhost"], days=1)
            except ImportError:
                raise Failure("tls needs trustme: pip install 'trionng[certs]'") from None
            command += ["--cert", str(folder / "server.pem")]
            trusted = trionng.TLSConfig.client(ca_files=folder / "ca.pem")
        async with trio.open_nursery() as nursery:
            if inside:
                urls = await nursery.start(serve, urls, None)
            else:
                urls = await _start_peer(nursery, command)
            async with (
                trionng.Req0(recv_max_size=0) as req,
                trionng.Push0(send_buffer_size=BATCH) as push,
                trionng.Req0() as control,
            ):
                for socket, url in zip((req, push, control), urls, strict=True):
                    tls = trusted if url.startswith("tls+") else None
                    await socket.dial(url, block=True, tls_config=tls)
                yield Link(req, push, control)
            nursery.cancel_scope.cancel()


async def _start_peer(nursery: trio.Nursery, command: list[str]) -> list[str]:
    """Start the other process; return its URLs."""
    start = partial(
        trio.run_process,
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        check=False,
        deliver_cancel=_kill,
    )
    # Ctrl-C is for this process alone. A group is enough, and Linux may share out processor time by
    # sessions.
    if sys.version_info >= (3, 11):
        start = partial(start, process_group=0)
    else:
        start = partial(start, start_new_session=True)
    process: trio.Process = await nursery.start(start)
    nursery.start_soon(_watch, process)
    assert process.stdout is not None
    text = b""
    while not text.endswith(b"\n"):
        chunk = await process.stdout.receive_some()
        if not chunk:
            await trio.sleep_forever()  # it has ended, and _watch says so
        text += chunk
    return text.decode().split()


async def _watch(process: trio.Process) -> None:
    code = await process.wait()
    raise Failure(f"the other process ended with {code} before the measurement was over")


async def _kill(process: trio.Process) -> None:
    process.kill()

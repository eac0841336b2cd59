"""Services under load: peers that die, flap, or do not read, and what is left after thousands."""

from __future__ import annotations

import gc
import json
import signal
import struct
import sys
from typing import TYPE_CHECKING

import pytest
import trio

import trionng
from tests.support.processes import PYTHON, other_process
from tests.support.resources import descriptors, resident
from tests.support.sp import REQ0, raw_peer
from tests.support.subprocesses import run_in_subprocess
from trionng.testing import new_url

if TYPE_CHECKING:
    from pathlib import Path

WITHIN = 60

CLIENT = """
import sys, trio, trionng
async def main(url):
    async with trionng.Req0(dial=url) as req, trio.open_nursery() as nursery:
        async def ask():
            while True:
                await req.request(bytes(2000))
        for _ in range(8):
            nursery.start_soon(ask)
        await req.request(b"first")
        print("asking", flush=True)
trio.run(main, sys.argv[1])
"""


async def slow_echo(request: bytes) -> bytes:
    await trio.sleep(0.001)
    return request


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
async def test_service_clients_killed_mid_request_disturb_no_other(
    transport: str, tmp_path: Path
) -> None:
    """Others are answered while clients are killed, and the counts still agree."""
    asked = 0

    async def ask() -> None:
        nonlocal asked
        while True:
            assert await req.request(b"%d" % asked) is not None
            asked += 1

    with trio.fail_after(WITHIN):
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_rep(
                nursery, slow_echo, listen=new_url(transport, tmp_path)
            )
            async with trionng.Req0(dial=service.url) as req, trio.open_nursery() as asking:
                asking.start_soon(ask)
                for _ in range(3):
                    async with other_process(*PYTHON, "-c", CLIENT, service.url) as client:
                        assert await client.line() == "asking"
                        client.signal(signal.SIGKILL)
                        await client.end()
                    before = asked
                    while asked < before + 20:
                        await trio.sleep(0.001)
                asking.cancel_scope.cancel()
            await service.drain()
            counts = service.statistics()
            await service.aclose()

    assert counts.received == counts.answered + counts.abandoned


async def test_service_flapping_connections_disturb_no_other() -> None:
    """Peers that connect, ask and vanish, also with a reset, leave the others alone."""
    with trio.fail_after(WITHIN):
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_rep(nursery, slow_echo, listen="tcp://127.0.0.1:0")
            async with trionng.Req0(dial=service.url) as req:
                for i in range(60):
                    async with raw_peer(service.url) as peer:
                        await peer.greet(REQ0)
                        await peer.send(struct.pack(">I", 0x80000001 + i) + b"bye")
                        await peer.close(reset=i % 2 == 0)
                    assert await req.request(b"x") == b"x"
            nursery.cancel_scope.cancel()


async def test_service_client_that_does_not_read_holds_no_worker() -> None:
    """Replies of one client wait in its connection; two workers go on serving the others."""
    body = bytes(500_000)

    async def handler(request: bytes) -> bytes:
        return body if request == b"large" else request

    with trio.fail_after(WITHIN):
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_rep(
                nursery, handler, listen="tcp://127.0.0.1:0", workers=2
            )
            async with raw_peer(service.url) as peer, trionng.Req0(dial=service.url) as req:
                await peer.greet(REQ0)
                for i in range(40):
                    await peer.send(struct.pack(">I", 0x80000001 + i) + b"large")
                while service.statistics().answered < 40:
                    await trio.sleep(0.001)
                assert service.statistics().unread > 10
                assert await req.request(b"x") == b"x"
                for _ in range(40):
                    assert len(await peer.receive()) == 500_004
                assert await req.request(b"x") == b"x"
                while service.statistics().unread:
                    await trio.sleep(0.001)
            nursery.cancel_scope.cancel()


async def churn(directory: str, times: str) -> None:
    """Connect, ask and leave; print how memory, tasks and descriptors have grown."""

    async def connect(count: int) -> None:
        for _ in range(count):
            async with trionng.Req0(dial=service.url) as req:
                await req.request(b"x")

    def state() -> tuple[int, int, int]:
        gc.collect()
        return resident(), trio.lowlevel.current_statistics().tasks_living, descriptors()

    async with trio.open_nursery() as nursery:
        service = await trionng.serve_rep(nursery, slow_echo, listen=new_url("ipc", directory))
        await connect(int(times) // 5 + 20)
        await trio.sleep(0.2)
        before = state()
        for _ in range(4):
            async with trio.open_nursery() as clients:
                for _ in range(4):
                    clients.start_soon(connect, int(times) // 16)
        with trio.move_on_after(40):
            while state()[2] > before[2]:
                await trio.sleep(0.05)
        after = state()
        nursery.cancel_scope.cancel()
    print(json.dumps([now - then for now, then in zip(after, before, strict=True)]))


def check_churn(directory: Path, times: int, seconds: float) -> None:
    finished = run_in_subprocess(churn, str(directory), str(times), seconds=seconds)

    assert finished.clean, finished
    memory, tasks, descriptors = json.loads(finished.output)
    assert memory < 4_000_000
    assert tasks <= 8  # its workers, which start when they are needed
    assert descriptors <= 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_service_after_many_connections_is_as_it_was(tmp_path: Path) -> None:
    """Memory, tasks and descriptors stay where they were."""
    check_churn(tmp_path, 320, 90)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_service_after_10_000_connections_is_as_it_was(tmp_path: Path) -> None:
    """The same after 10 000."""
    check_churn(tmp_path, 10_000, 300)

"""C10: a Pair0 or Pair1 whose peers leave while their messages arrive goes on receiving.

Every nng of today can note, after it has forgotten a peer, that this peer's connection holds a
message, and follows a null pointer at the next receive. With the workaround left out it soon does.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
import trio
import trio.lowlevel

import trionng
from tests.support.sockets import url_of
from tests.support.subprocesses import Finished, run_in_subprocess

if TYPE_CHECKING:
    from pathlib import Path

KINDS = {"pair0": trionng.Pair0, "pair1": trionng.Pair1}


async def lose_peers(kind: str, transport: str, directory: str, rounds: str) -> None:
    """Cut the connection again and again while messages come through it; print how often."""
    receiver, sender = KINDS[kind](), KINDS[kind](reconnect_time_min=1, reconnect_time_max=1)
    url = receiver.listen(url_of(transport, directory)).url
    await sender.dial(url, block=True)
    cuts = 0

    async def send() -> None:
        while True:
            await sender.send_many([b"x"] * 8)

    async def receive() -> None:
        while True:
            await receiver.recv()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        nursery.start_soon(receive)
        while cuts < int(rounds):
            await receiver.wait_connected()
            await trio.sleep(0.001)
            for pipe in receiver.pipes:
                pipe.close()
                cuts += 1
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    print(cuts, flush=True)
    await receiver.aclose()
    await sender.aclose()


def run(
    kind: str, transport: str, directory: Path, rounds: int, without: str = "", seconds: float = 60
) -> Finished:
    return run_in_subprocess(
        lose_peers, kind, transport, str(directory), str(rounds),
        seconds=seconds, TRIONNG_NATIVE="testing", TNNG_WITHOUT=without,
    )  # fmt: skip


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
@pytest.mark.parametrize("kind", KINDS)
def test_pair_whose_peers_leave_while_they_send_goes_on(
    kind: str, transport: str, tmp_path: Path
) -> None:
    """Whenever a peer goes, the next receive waits for the next peer."""
    finished = run(kind, transport, tmp_path, 300)

    assert (finished.clean, finished.output) == (True, "300\n"), finished


@pytest.mark.probabilistic  # one run of five or so crashes
def test_pair_whose_peers_leave_crashes_without_the_workaround(tmp_path: Path) -> None:
    """C10: a message of a connection that nng has forgotten."""
    codes = (run("pair0", "ipc", tmp_path, 1500, "C10", seconds=15).code for _ in range(40))

    assert any(code == -signal.SIGSEGV for code in codes)

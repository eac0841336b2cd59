"""H1: sockets that are closed while messages pass, again and again, are all closed at once.

Before nng 2.0 a connection that is closed between two steps of a message can hang nng's only
reaper, and with it every later close of the process. With the workaround left out it soon does.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from typing import TYPE_CHECKING

import pytest
import trio

import trionng
from tests.support.certificates import client, server
from tests.support.fixes import has_error, needs_fix
from tests.support.subprocesses import Finished, run_test_build
from trionng.testing import new_url

if TYPE_CHECKING:
    from pathlib import Path

AT_ONCE = 64


async def send_on(pair: trionng.Pair0) -> None:
    with contextlib.suppress(trionng.Closed):
        while True:
            await pair.send_many([b"a length, and then the rest"] * AT_ONCE)


async def receive_on(pair: trionng.Pair0) -> None:
    with contextlib.suppress(trionng.Closed):
        while True:
            await pair.recv_many(AT_ONCE)


async def close_under_load(transport: str, directory: str, rounds: str) -> None:
    """Close both ends of pairs while both send, until a close hangs; print how often none did."""
    closed = 0
    secure = transport == "tls+tcp"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        warnings.simplefilter("ignore", RuntimeWarning)  # ws on an old libnng
        while closed < int(rounds) and not caught:
            pairs: list[trionng.Pair0] = []
            for _ in range(3):
                first = trionng.Pair0(tls_config=server() if secure else None)
                second = trionng.Pair0(tls_config=client() if secure else None)
                own = "tls+tcp://localhost:0" if secure else new_url(transport, directory)
                await second.dial(first.listen(own).url, block=True)
                pairs += [first, second]
            async with trio.open_nursery() as nursery:
                for pair in pairs:
                    nursery.start_soon(send_on, pair)
                    nursery.start_soon(receive_on, pair)
                await trio.sleep(0.01)
                for pair in pairs:
                    nursery.start_soon(pair.aclose)
            closed += not caught
    assert all("nng has not closed it" in str(warning.message) for warning in caught)
    print(closed, flush=True)
    os._exit(0)  # a reaper that hangs would hold up the end of the process


def run(
    transport: str, directory: Path, rounds: int, without: str = "", seconds: float = 60
) -> Finished:
    return run_test_build(
        close_under_load, transport, str(directory), str(rounds),
        seconds=seconds, without=without,
    )  # fmt: skip


@needs_fix("H1")
@pytest.mark.parametrize(
    ("transport", "rounds"), [("ipc", 50), ("tcp", 50), ("ws", 50), ("tls+tcp", 20)]
)
def test_close_while_messages_pass_ends(transport: str, rounds: int, tmp_path: Path) -> None:
    """Whatever step of a message a connection is closed in, the reaper goes on."""
    finished = run(transport, tmp_path, rounds)

    assert (finished.clean, finished.output) == (True, f"{rounds}\n"), finished


@has_error("H1")
@pytest.mark.probabilistic
def test_close_while_messages_pass_hangs_without_the_workaround(tmp_path: Path) -> None:
    """H1: a stopped step is never finished, and the reaper waits for it."""
    tries = (run("ipc", tmp_path, 10_000, without="H1", seconds=30) for _ in range(4))

    assert any(finished.clean and int(finished.output) < 10_000 for finished in tries)

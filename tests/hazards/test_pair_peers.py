"""C10: a Pair0 or Pair1 whose peers leave while their messages arrive goes on receiving.

Every nng of today can note, after it has forgotten a peer, that this peer's connection holds a
message, and follows a null pointer at the next receive.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
import trio
import trio.lowlevel
import trio.testing

import trionng
from tests.support.fixes import needs_fix
from tests.support.pauses import WITHIN
from tests.support.sp import PAIR0, PAIR1, raw_peer
from tests.support.subprocesses import run_in_subprocess, run_test_build
from trionng._ffi import testing
from trionng.testing import new_url

if TYPE_CHECKING:
    from pathlib import Path

KINDS = {"pair0": trionng.Pair0, "pair1": trionng.Pair1}
SP_NUMBERS = {"pair0": PAIR0, "pair1": PAIR1}
# A pause in a test is no event: on a busy machine nng may not have got so far in the first try.
TRIES = 5
HEADERS = {"pair0": b"", "pair1": b"\0\0\0\1"}  # of Pair1: how many hops the message has made


async def lose_peers(kind: str, transport: str, directory: str, rounds: str) -> None:
    """Cut the connection again and again while messages come through it; print how often."""
    receiver, sender = KINDS[kind](), KINDS[kind](reconnect_time_min=1, reconnect_time_max=1)
    url = receiver.listen(new_url(transport, directory)).url
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


@needs_fix("H1")  # each cut can come in the middle of a message
@pytest.mark.parametrize("transport", ["ipc", "tcp"])
@pytest.mark.parametrize("kind", KINDS)
def test_pair_whose_peers_leave_while_they_send_goes_on(
    kind: str, transport: str, tmp_path: Path
) -> None:
    """Whenever a peer goes, the next receive waits for the next peer."""
    finished = run_in_subprocess(
        lose_peers, kind, transport, str(tmp_path), "300",
        seconds=120, TRIONNG_NATIVE="testing",
    )  # fmt: skip

    assert (finished.clean, finished.output) == (True, "300\n"), finished


async def end_late(kind: str, url: str) -> None:
    """Hold up two messages on their way through nng while their peer goes; print what comes."""
    received: list[bytes] = []
    pair = KINDS[kind]()

    async def receive() -> None:
        while True:
            received.append(await pair.recv())

    async with pair, raw_peer(pair.listen(url).url) as peer, trio.open_nursery() as nursery:
        await peer.greet(SP_NUMBERS[kind])
        await pair.wait_connected()
        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        for point, body in (("receive.callback", b"first"), ("nng.finish_sync", b"second")):
            testing.arm_pause(point)
            await peer.send(HEADERS[kind] + body)
            assert await trio.to_thread.run_sync(testing.pause_reached, point, WITHIN)
        pair.pipes[0].close()
        while pair.pipes:
            await trio.sleep(0.001)
        await trio.sleep(0.05)  # now nng has forgotten the connection
        testing.open_pause("nng.finish_sync")
        await trio.sleep(0.05)
        testing.open_pause("receive.callback")
        with trio.move_on_after(40):
            while len(received) < 2:
                await trio.sleep(0.001)
        print(*(body.decode() for body in received), flush=True)
        nursery.cancel_scope.cancel()


@needs_fix("F1")  # one of its wrappers has the pause point
@pytest.mark.parametrize("transport", ["ipc", "tcp"])
@pytest.mark.parametrize("kind", KINDS)
def test_message_that_comes_after_its_peer_has_gone_is_received(
    kind: str, transport: str, tmp_path: Path
) -> None:
    """C10: a receive waits for it, also when all that were posted have their message already."""
    url = new_url(transport, tmp_path)
    finished = run_test_build(end_late, kind, url)
    tries = (run_test_build(end_late, kind, url, without="C10") for _ in range(TRIES))

    assert (finished.clean, finished.output) == (True, "first second\n"), finished
    assert any(broken.code == -signal.SIGSEGV for broken in tries)

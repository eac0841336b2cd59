"""L2, L6, L7: messages of connections that close are freed.

Before nng 1.6 a message that is given to a connection which closes is never freed, and in no nng is
one that a ws connection could not write. From nng 1.12 on nor is one that a ws connection receives
while it closes. The scenarios run in processes of their own on the test build; with the fix
switched off the memory stays taken.
"""

from __future__ import annotations

import ctypes

import pytest
import trio

import trionng
from tests.support.fixes import fix_state, needs_fix
from tests.support.sp import raw_peer
from tests.support.subprocesses import run_test_build
from trionng._ffi.load import lib
from trionng.testing import new_url

SUB0 = 0x21
TRANSPORTS = {"L2": "tcp", "L6": "ws", "L7": "ws"}
SECONDS = 90
SIZE = 300_000  # nothing else in the process is so large, and a system call maps it


def large_blocks() -> int:
    """Count the bytes malloc has mapped."""

    class Mallinfo(ctypes.Structure):
        _fields_ = [(f"field{i}", ctypes.c_size_t) for i in range(10)]

    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = Mallinfo
    heap = mallinfo2()
    return heap.field4 + heap.field7  # mapped, and handed out from the arenas


async def leave(url: str) -> None:
    """Be a peer that hangs up."""
    if url.startswith("ws"):
        async with trionng.Sub0(topics=b"") as sub:
            await sub.dial(url, block=True)
            await sub.recv()
    else:
        async with raw_peer(url) as peer:
            await peer.greet(SUB0)


async def publish_to_peers_who_leave(code: str, directory: str) -> None:
    """Publish all the time to peers that hang up, until nng would have kept a message."""
    async with trionng.Pub0() as pub, trio.open_nursery() as nursery:
        url = pub.listen(new_url(TRANSPORTS[code], directory)).url

        async def send() -> None:
            while True:
                await pub.send(bytes(SIZE))

        nursery.start_soon(send)
        with trio.move_on_after(SECONDS):
            while not lost(code):
                async with trio.open_nursery() as peers:
                    for _ in range(4):
                        peers.start_soon(leave, url)
        nursery.cancel_scope.cancel()


def lost(code: str) -> int:
    """Count how often nng would have kept a message, fix or not."""
    counts = {"L2": lib.tnng_sends_refused, "L6": lib.tnng_ws_unsent, "L7": lib.tnng_ws_unreceived}
    count: int = counts[code]()
    return count


async def measure(code: str, directory: str) -> None:
    async with trionng.Pub0() as pub:
        await pub.send(bytes(SIZE))
    before = large_blocks()
    await publish_to_peers_who_leave(code, directory)
    with trio.move_on_after(30):  # what connections hold that nng still closes
        while large_blocks() - before >= SIZE:
            await trio.sleep(0.01)
    print(lost(code), (large_blocks() - before) // SIZE)


def run(code, directory, without=""):
    finished = run_test_build(measure, code, str(directory), without=without, seconds=180)
    assert finished.clean, finished
    return (int(word) for word in finished.output.split())


# Those that the libnng at hand has.
every_code = pytest.mark.parametrize(
    "code",
    [pytest.param(each, marks=needs_fix(each)) for each in TRANSPORTS if fix_state(each).needed],
)


@every_code
def test_messages_of_connections_that_close_are_freed(code, tmp_path):
    """What a Pub0 sends while its peers hang up leaves no memory behind, on either side."""
    lost, kept = run(code, tmp_path)

    assert kept == 0
    if lost == 0:
        pytest.skip(f"{code}: no peer left at that moment in {SECONDS} s")


@pytest.mark.probabilistic
@every_code
def test_messages_of_connections_that_close_without_fix_leak(code, tmp_path):
    """Without the fix libnng keeps each of them."""
    lost, kept = run(code, tmp_path, without=code)

    assert kept >= lost > 0

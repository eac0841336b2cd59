"""L2, L6: messages that connections cannot send are freed.

Before nng 1.6 a message that is given to a connection which closes is never freed, and in no nng is
one that a ws connection could not write. The scenarios run in processes of their own on the test
build; with the fix switched off the memory stays taken.
"""

from __future__ import annotations

import ctypes

import pytest
import trio

import trionng
from tests.support.fixes import needs_fix
from tests.support.sockets import url_of
from tests.support.sp import raw_peer
from tests.support.subprocesses import run_test_build
from trionng._ffi.load import lib

SUB0 = 0x21
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


async def publish_to_peers_who_leave(transport: str, directory: str) -> None:
    """Publish all the time to peers that hang up, until a connection could not send a message."""
    async with trionng.Pub0() as pub, trio.open_nursery() as nursery:
        url = pub.listen(url_of(transport, directory)).url

        async def send() -> None:
            while True:
                await pub.send(bytes(SIZE))

        nursery.start_soon(send)
        with trio.move_on_after(20):
            while not unsent(transport):
                await leave(url)
        nursery.cancel_scope.cancel()


def unsent(transport: str) -> int:
    count: int = lib.tnng_ws_unsent() if transport == "ws" else lib.tnng_sends_refused()
    return count


async def measure(transport: str, directory: str) -> None:
    async with trionng.Pub0() as pub:
        await pub.send(bytes(SIZE))
    before = large_blocks()
    await publish_to_peers_who_leave(transport, directory)
    print(unsent(transport), (large_blocks() - before) // SIZE)


def run(transport, directory, without=""):
    finished = run_test_build(measure, transport, str(directory), without=without)
    assert finished.clean, finished
    return (int(word) for word in finished.output.split())


@pytest.mark.parametrize(
    ("code", "transport"),
    [
        pytest.param("L2", "tcp", marks=needs_fix("L2")),
        pytest.param("L6", "ws", marks=needs_fix("L6")),
    ],
)
def test_messages_that_connections_cannot_send_are_freed(code, transport, tmp_path):
    """What a Pub0 sends while its peers hang up leaves no memory behind."""
    unsent, kept = run(transport, tmp_path)

    assert kept == 0
    if unsent == 0:
        pytest.skip(f"{code}: no peer left at that moment in 20 s")


@pytest.mark.probabilistic
@pytest.mark.parametrize(
    ("code", "transport"),
    [
        pytest.param("L2", "tcp", marks=needs_fix("L2")),
        pytest.param("L6", "ws", marks=needs_fix("L6")),
    ],
)
def test_messages_that_cannot_be_sent_without_fix_leak(code, transport, tmp_path):
    """Without the fix libnng keeps each of them."""
    unsent, kept = run(transport, tmp_path, without=code)

    assert kept >= unsent > 0

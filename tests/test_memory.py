"""L2: messages that nng gives to a connection which is closing are freed.

Before nng 1.6 such a message is never freed. The scenario runs in a process of its own on the test
build; with the fix switched off the memory stays taken.
"""

from __future__ import annotations

import ctypes

import pytest
import trio
from _sp import raw_peer
from helpers import needs_fix, run_apart, url_of

import trionng
from trionng._ffi._load import lib

SUB0 = 0x21
SIZE = 300_000  # nothing else in the process is so large, and a system call maps it
ENOUGH = 1


def large_blocks() -> int:
    """Count the bytes malloc has mapped."""

    class Mallinfo(ctypes.Structure):
        _fields_ = [(f"field{i}", ctypes.c_size_t) for i in range(10)]

    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = Mallinfo
    heap = mallinfo2()
    return heap.field4 + heap.field7  # mapped, and handed out from the arenas


async def publish_to_peers_who_leave(transport: str, directory: str) -> None:
    """Publish all the time to peers that hang up, until nng has refused to begin enough sends."""
    async with trionng.Pub0() as pub, trio.open_nursery() as nursery:
        url = pub.listen(url_of(transport, directory)).url

        async def send() -> None:
            while True:
                await pub.send(bytes(SIZE))

        nursery.start_soon(send)
        with trio.move_on_after(20):
            while lib.tnng_sends_refused() < ENOUGH:
                async with raw_peer(url) as peer:
                    await peer.greet(SUB0)
        nursery.cancel_scope.cancel()


async def measure(transport: str, directory: str) -> None:
    async with trionng.Pub0() as pub:
        await pub.send(bytes(SIZE))
    before = large_blocks()
    await publish_to_peers_who_leave(transport, directory)
    print(lib.tnng_sends_refused(), (large_blocks() - before) // SIZE)


def run(transport, directory, without=""):
    finished = run_apart(
        measure, transport, str(directory), TRIONNG_NATIVE="testing", TNNG_WITHOUT=without
    )
    assert finished.clean, finished
    return (int(word) for word in finished.output.split())


@needs_fix("L2")
def test_messages_given_to_connections_that_close_are_freed(tmp_path):
    """What a Pub0 sends while its peers hang up leaves no memory behind."""
    refused, kept = run("tcp", tmp_path)

    assert kept == 0
    if refused == 0:
        pytest.skip("no peer left at that moment in 20 s")


@needs_fix("L2")
@pytest.mark.by_chance
def test_messages_given_to_connections_that_close_stay_without_the_fix(tmp_path):
    """Without the fix libnng before 1.6 keeps each of them."""
    refused, kept = run("tcp", tmp_path, without="L2")

    assert kept == refused > 0

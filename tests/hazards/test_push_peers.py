"""C9: a Push0 that keeps sending while its peers come and go neither crashes nor keeps anything.

No version of nng takes a connection off its list that ends just after a send. The scenario runs in
a process of its own on the test build; with the workaround switched off it dies.
"""

from __future__ import annotations

import signal

import pytest
import trio

import trionng
from tests.support.fixes import needs_fix
from tests.support.sp import PULL0, raw_peer
from tests.support.subprocesses import run_test_build
from trionng._ffi.load import lib
from trionng.testing import new_url


async def flush_to_another_peer(push, url):
    """Return when all is written: nothing waits for what went to the peers that left."""
    async with trionng.Pull0() as pull, trio.open_nursery() as nursery:

        async def read():
            while True:
                await pull.recv()

        await pull.dial(url)
        nursery.start_soon(read)
        await push.flush()
        nursery.cancel_scope.cancel()


async def push_to_peers_who_leave(transport, directory, rounds):
    """Send all the time to peers that read a little and hang up; say how often nng kept one.

    So many rounds, and on until it has happened, which on a calm machine may take many more.
    """
    forgotten = done = 0
    async with trionng.Push0() as push:
        url = push.listen(new_url(transport, directory)).url

        async def send():
            while True:
                await push.send(b"work")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            while done < int(rounds) or (not forgotten and done < 25 * int(rounds)):
                done += 1
                async with raw_peer(url) as peer:
                    await peer.greet(PULL0)
                    for _ in range(5):
                        await peer.receive()
                forgotten += lib.tnng_push_deferred_frees() > 0
            nursery.cancel_scope.cancel()
        with trio.fail_after(60):
            await flush_to_another_peer(push, url)
    with trio.fail_after(60):
        while lib.tnng_push_deferred_frees():
            await trio.sleep(0.001)
    print(forgotten)


def run(transport, directory, rounds, without="", **environ):
    # Where every send wakes nng's threads at once, it happens far more often.
    return run_test_build(
        push_to_peers_who_leave, transport, str(directory), str(rounds),
        seconds=120, without=f"WAKEUPS,{without}", **environ,
    )  # fmt: skip


@needs_fix("C9")
@pytest.mark.parametrize("transport", ["tcp", "ipc"])
def test_push_to_peers_that_leave_while_it_sends_goes_on(transport, tmp_path):
    """The memory of a connection stays until nng has forgotten it; a flush waits for none."""
    finished = run(transport, tmp_path, 800)

    assert finished.clean, finished
    assert int(finished.output) > 0, "nng forgot to forget none: nothing was tried"


@pytest.mark.probabilistic
def test_push_to_peers_that_leave_without_fix_crashes(tmp_path):
    """C9: nng follows its list into memory it has freed."""
    # So that freed memory does not look as if it were none.
    environ = {"MALLOC_PERTURB_": "165"}
    ends = (run("tcp", tmp_path, 800, "C9", **environ).code for _ in range(5))

    assert any(code in (-signal.SIGSEGV, -signal.SIGABRT) for code in ends)

"""Fewer wake-ups of nng's threads (nng/perf/wakeups.c): what is left out, what waits, how long."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
import trio

import trionng
import trionng.blocking
from tests.support.pauses import WITHIN
from tests.support.sp import REP0, greeting
from tests.support.subprocesses import run_in_subprocess, run_test_build
from trionng import _ffi
from trionng._ffi import testing
from trionng.testing import connected, new_url

coalesces = pytest.mark.skipif(
    not _ffi.read_build().wakeups, reason="libnng is not linked in, so nng wakes as it does"
)

A_STREAM = 200


def hurry(push: trionng.blocking.Push0) -> int:
    """Send a stream, and count the wake-ups that had to wait."""
    before = testing.wakeups_deferred()
    for number in range(A_STREAM):
        push.send(b"%d" % number)
    return testing.wakeups_deferred() - before


@coalesces
@pytest.mark.parametrize("transport", ["inproc", "ipc", "tcp"])
def test_stream_arrives_while_its_sender_does_nothing_more(transport, tmp_path):
    """A deferred wake-up comes by itself: the last messages need no further call."""
    with (
        trionng.blocking.Pull0(recv_buffer_size=2 * A_STREAM) as pull,
        trionng.blocking.Push0(send_buffer_size=2 * A_STREAM) as push,
    ):
        push.dial(pull.listen(new_url(transport, tmp_path)).url)
        kept_back = 0
        for _ in range(20):  # a loaded machine makes pauses, and then it is no stream
            kept_back += hurry(push)
            until = time.monotonic() + 60
            while pull._ctx.prefetched() < A_STREAM:
                assert time.monotonic() < until, f"{pull._ctx.prefetched()} of {A_STREAM} arrived"
                time.sleep(0.001)
            assert [int(pull.recv()) for _ in range(A_STREAM)] == list(range(A_STREAM))

    assert kept_back > 0


async def test_stream_without_room_goes_on_at_once():
    """A socket without a buffer does not wait for deferred wake-ups that wait for it."""
    async with connected(trionng.Pull0(), trionng.Push0(), "ipc") as (pull, push):
        received = []

        async def receive() -> None:
            for _ in range(1000):
                received.append(int(await pull.recv()))

        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(receive)
                for number in range(1000):
                    await push.send(b"%d" % number)

    assert received == list(range(1000))


def end_in_a_stream() -> None:
    with (
        trionng.blocking.Pull0(recv_buffer_size=20 * A_STREAM) as pull,
        trionng.blocking.Push0(send_buffer_size=A_STREAM) as push,
    ):
        push.dial(pull.listen(new_url()).url)
        kept_back = sum(hurry(push) for _ in range(10))
    raise SystemExit(0 if kept_back else "no wake-up had to wait")


@coalesces
def test_process_that_ends_in_a_stream_ends_well():
    """A wake-up that still waits holds up neither a close nor the end of the process."""
    finished = run_in_subprocess(end_in_a_stream)

    assert finished.clean, str(finished)


def answer_questions(count: int) -> int:
    """Ask and answer over a connection, and count the wake-ups that were left out."""
    before = testing.wakeups_suppressed()
    with trionng.blocking.Rep0() as rep, trionng.blocking.Req0() as req:
        req.dial(rep.listen(new_url("tcp", "")).url)
        for number in range(count):
            req.send(b"%d" % number)
            rep.send(rep.recv(timeout=60), timeout=60)
            assert req.recv(timeout=60) == b"%d" % number
    return testing.wakeups_suppressed() - before


@coalesces
def test_thread_that_reads_a_message_reads_all_of_it():
    """Of the two steps of a message, on either side, one thread of nng's does both."""
    assert answer_questions(100) > 100


def ask_without_fewer_wakeups() -> None:
    raise SystemExit(answer_questions(100))


def test_wakeups_can_all_be_as_nng_has_them():
    """What the tests of hazards compare with: nothing is left out, and all works."""
    finished = run_test_build(ask_without_fewer_wakeups, without="WAKEUPS")

    assert finished.clean, str(finished)


def hold_up_a_thread() -> None:
    """Stop a call that has the lock of a context while its answer comes, and another's after it."""
    with trionng.blocking.Req0() as req:
        held_up, other = req.new_context(), req.new_context()
        address = urlsplit(req.listen(new_url("tcp", "")).url)
        with socket.create_connection((address.hostname, address.port)) as peer:  # type: ignore[arg-type]
            questions = peer.makefile("rb")
            peer.sendall(greeting(REP0))
            questions.read(8)

            def ask(context: trionng.blocking.ReqContext) -> bytes:
                context.send(b"", timeout=60)
                return questions.read(12)  # an answer without content looks the same

            for _ in range(20):  # until every thread has been there once
                peer.sendall(ask(other))
                assert other.recv(timeout=60) == b""
            answers = ask(held_up) + ask(other)

            with ThreadPoolExecutor() as threads:
                received = threads.submit(other.recv, timeout=60)
                time.sleep(0.2)  # so that it waits
                testing.arm_pause("receive.after_submit")
                threads.submit(held_up.recv, timeout=60)
                assert testing.pause_reached("receive.after_submit", WITHIN)
                peer.sendall(answers)
                try:
                    assert received.result(WITHIN / 1000) == b""
                finally:
                    testing.open_pause("receive.after_submit")


def test_thread_that_has_to_wait_wakes_others_first():
    """A thread of nng's that waits for a lock of a context leaves the next message to others."""
    finished = run_test_build(hold_up_a_thread)

    assert finished.clean, str(finished)

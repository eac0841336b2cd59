"""One message in the hands of several threads at once: nothing crashes, nothing goes twice.

Everything runs in processes of their own, as what goes wrong here goes wrong in C.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest
import trio

import trionng
from tests.support.pauses import WITHIN
from tests.support.subprocesses import run_in_subprocess, run_test_build
from trionng import blocking
from trionng._ffi import testing
from trionng.testing import new_url

if TYPE_CHECKING:
    from collections.abc import Callable

CONTENT = bytes(range(256)) * 4
SENDERS = 3

ROUNDS = 20
READS: dict[str, Callable[[trionng.Message], object]] = {
    "len": len,
    "repr": repr,
    "header": lambda message: message.header,
    "bytes": lambda message: message.bytes,
    "numpy-like": lambda message: memoryview(message.body).cast("I")[7],
    "equal": lambda message: message == trionng.Message(CONTENT),
    "hash": hash,
    "pipe": lambda message: message.pipe,
}


def in_rounds(seconds: float, *works: Callable[[], None]) -> Callable[[], bool]:
    """Start a thread for each work; what is returned runs each once, all at once.

    It does so for that time, and at least `ROUNDS` times: on a busy machine they take longer.
    """
    start, end = threading.Barrier(len(works) + 1), threading.Barrier(len(works) + 1)
    stop = time.monotonic() + seconds
    goes_on, rounds = True, 0

    def work_on(work: Callable[[], None]) -> None:
        while True:
            start.wait()
            if not goes_on:
                return
            work()
            end.wait()

    for work in works:
        threading.Thread(target=work_on, args=(work,), daemon=True).start()

    def turn() -> bool:
        nonlocal goes_on, rounds
        goes_on = rounds < ROUNDS or time.monotonic() < stop
        rounds += 1
        start.wait()
        if goes_on:
            end.wait()
        return goes_on

    return turn


def send_and_read(way: str, with_pipe: str) -> None:
    """Let threads send one message all at once, while others read it."""
    sys.setswitchinterval(1e-6)
    message = trionng.Message(b"")
    outcomes: list[str] = []  # without the GIL threads can append, but not count
    poly = blocking.Pair1(polyamorous=True)
    with poly as ours, blocking.Pair1() as theirs:
        theirs.dial(ours.listen(new_url()).url, block=True)
        ours.wait_connected()
        (pipe,) = ours.pipes

        def send() -> None:
            try:
                (pipe if with_pipe else ours).send_msg(message)
                outcomes.append("sent")
            except trionng.MessageStateError:
                outcomes.append("refused")

        def read_it() -> None:
            with contextlib.suppress(trionng.MessageStateError):
                for _ in range(10):
                    READS[way](message)

        turn = in_rounds(0.8, *[send] * SENDERS, read_it, read_it)
        rounds = 0
        message = trionng.Message(CONTENT, pipe)  # type: ignore[arg-type]
        while turn():
            assert theirs.recv(timeout=60) == CONTENT
            rounds += 1
            message = trionng.Message(CONTENT, pipe)  # type: ignore[arg-type]
    counts = Counter(outcomes)
    assert counts == {"sent": rounds, "refused": rounds * (SENDERS - 1)}, (rounds, counts)


@pytest.mark.parametrize("way", READS)
def test_message_sent_by_threads_while_others_read_goes_once(way: str):
    """Of threads that send one message one does; a reader gets all of it, or an error."""
    done = run_in_subprocess(send_and_read, way, "pipe" if way == "pipe" else "")

    assert done.clean, str(done)


def read_a_message_that_leaves() -> None:
    """Stop a thread that has taken a message out, and try everything another thread can do."""
    with blocking.Pair0() as ours, blocking.Pair0() as theirs:
        theirs.dial(ours.listen(new_url()).url, block=True)
        message = trionng.Message(CONTENT)
        testing.arm_pause("message.taken")
        sender = threading.Thread(target=ours.send_msg, args=(message,))
        sender.start()
        assert testing.pause_reached("message.taken", WITHIN)
        assert repr(message) == "<Message sent>"
        for attempt in (
            lambda: len(message),
            lambda: message.header,
            lambda: message.body,
            lambda: message.bytes,
            lambda: hash(message),
            lambda: ours.send_msg(message),
            lambda: ours.send_msg_nowait(message),
        ):
            with pytest.raises(trionng.MessageStateError):
                attempt()
        testing.open_pause("message.taken")
        sender.join()
        assert theirs.recv(timeout=60) == CONTENT


def test_message_that_a_send_has_taken_is_gone_for_all_calls():
    """From the moment a send has the message, no other thread reaches its memory."""
    done = run_test_build(read_a_message_that_leaves)

    assert done.clean, str(done)


async def give_back_while_a_thread_reads() -> None:
    """Cancel sends of one message, which come back, while threads read it and hold views of it."""
    sys.setswitchinterval(1e-5)
    message = trionng.Message(CONTENT)
    ended = threading.Event()
    seen: Counter[bool] = Counter()

    def read() -> None:
        kept = None
        while not ended.is_set():
            try:
                assert len(message) == len(CONTENT)
                kept = message.body
                assert kept == CONTENT
                seen[True] += 1
            except trionng.MessageStateError:
                seen[False] += 1
        assert kept is None or kept == CONTENT

    async with trionng.Push0() as push, trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(trio.to_thread.run_sync, read)
        sends, end = 0, trio.current_time() + 20
        # On a busy machine the threads may not have run when a hundred sends are over.
        while sends < 100 or (not seen[True] and trio.current_time() < end):
            sends += 1
            with trio.move_on_after(0.001):
                await push.send_msg(message)
        ended.set()
    assert seen[True]
    assert message.body == CONTENT


def test_message_of_a_cancelled_send_stays_whole_for_readers():
    """A send that was cancelled gives the very message back, whatever reads it meanwhile."""
    done = run_in_subprocess(give_back_while_a_thread_reads)

    assert done.clean, str(done)

"""Messages: nng's own memory, and views of it that stay valid whatever happens."""

from __future__ import annotations

import gc
import threading
from typing import ClassVar

import pytest
import trio

import trionng
from tests.support.resources import resident
from tests.support.subprocesses import run_in_subprocess
from trionng import blocking
from trionng._ffi import testing
from trionng.testing import connected, new_url

# A power of two: nng gives such a body memory of its own, whose beginning changes when it is freed.
CONTENT = bytes(range(256)) * 64


async def test_body_of_a_received_message_is_the_memory_of_nng():
    """Receiving copies nothing: the body is where nng has it."""
    async with connected(trionng.Push0(), trionng.Pull0(), "tcp") as (push, pull):
        await push.send(CONTENT)
        message = await pull.recv_msg()
        assert testing.address_of(message.body) == testing.native_address(message._owned())
        assert message.body == CONTENT


async def test_view_of_a_message_that_was_sent_stays_as_it_was():
    """While a view exists a copy is sent, and the view outlives message and socket."""
    async with connected(trionng.Push0(), trionng.Pull0(), "inproc") as (push, pull):
        message = trionng.Message(CONTENT)
        view = message.body
        await push.send_msg(message)
        received = await pull.recv_msg()
        assert received.body == CONTENT
        assert testing.address_of(received.body) != testing.address_of(view)
        with pytest.raises(trionng.MessageStateError):
            _ = message.body
        part = view[8:16]
        view.release()
    del message
    gc.collect()
    assert part == CONTENT[8:16]


async def test_message_without_a_view_is_sent_without_a_copy():
    """Once its views are gone, the very memory travels: over inproc it arrives at its address."""
    async with connected(trionng.Push0(), trionng.Pull0(), "inproc") as (push, pull):
        message = trionng.Message(CONTENT + b"odd")
        where = testing.address_of(message.body)
        await push.send_msg(message)
        assert testing.address_of((await pull.recv_msg()).body) == where


async def test_message_returned_by_a_send_keeps_content_and_views():
    """A send that was cancelled gives the message back, and its views stay."""
    async with trionng.Push0() as push:
        message = trionng.Message(CONTENT)
        view = message.body
        for _ in range(3):
            with trio.move_on_after(0.01):
                await push.send_msg(message)
            assert message.body == view == CONTENT


@pytest.mark.parametrize("viewed", [False, True])
async def test_message_sent_by_two_tasks_goes_once(viewed: bool):
    """Of two tasks that send one message, one sends it and the other gets MessageStateError."""
    outcomes = []

    async def send(push: trionng.Push0, message: trionng.Message) -> None:
        try:
            await push.send_msg(message)
        except trionng.MessageStateError:
            outcomes.append("refused")
        else:
            outcomes.append("sent")

    with trio.fail_after(60):
        async with trionng.Push0() as push, trionng.Pull0() as pull:
            message = trionng.Message(CONTENT)
            view = message.body if viewed else None
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send, push, message)
                nursery.start_soon(send, push, message)
                # Neither blocks the loop while no task reads: this goes on, and connects.
                while not outcomes:
                    await trio.sleep(0.001)
                assert outcomes == ["refused"]
                await pull.dial(push.listen(new_url()).url, block=True)
            assert await pull.recv() == CONTENT
            assert outcomes == ["refused", "sent"]
            assert view in (None, CONTENT)
            with pytest.raises(trionng.TryAgain):
                pull.recv_nowait()


def send_one_message_from_many_threads() -> None:
    """Let threads race to send one message, and to look at it."""
    url = new_url()
    results: list[str] = []
    with blocking.Push0(listen=url, send_buffer_size=100) as push, blocking.Pull0(dial=url) as pull:
        for _ in range(200):
            message = trionng.Message(CONTENT)
            start = threading.Barrier(4)

            def send(message=message, start=start) -> None:
                start.wait()
                try:
                    push.send_msg(message)
                except trionng.MessageStateError:
                    results.append("refused")
                else:
                    results.append("sent")

            def look(message=message, start=start) -> None:
                start.wait()
                try:
                    assert message.body == CONTENT
                except trionng.MessageStateError:
                    pass

            threads = [threading.Thread(target=each) for each in (send, send, look, look)]
            for each in threads:
                each.start()
            assert pull.recv(timeout=60) == CONTENT
            for each in threads:
                each.join()
    print(results.count("sent"), results.count("refused"))


def test_message_sent_by_two_threads_goes_once():
    """Threads race to send one message: one does, and readers see it whole or not at all."""
    done = run_in_subprocess(send_one_message_from_many_threads)

    assert (done.clean, done.output) == (True, "200 200\n"), str(done)


class Reader:
    """Reads a view when it is collected, and one that another of its cycle has."""

    valid: ClassVar[list[bool]] = []
    rescued: ClassVar[list[memoryview]] = []

    def __init__(self) -> None:
        self.message = trionng.Message(CONTENT)
        self.view = self.message.body
        self.other = self

    def __del__(self) -> None:
        self.valid.append(self.view == self.other.view == self.other.message.body == CONTENT)
        self.rescued.append(self.view[:32])


def read_in_finalisers() -> None:
    """Read views in finalisers of cycles that the collector takes apart, and keep some."""
    for _ in range(100):
        one, other = Reader(), Reader()
        one.other, other.other = other, one
    del one, other
    gc.collect()
    print(len(Reader.valid), all(Reader.valid))
    others = [trionng.Message(bytes(len(CONTENT))) for _ in range(300)]
    print(len(Reader.rescued), all(view == CONTENT[:32] for view in Reader.rescued), len(others))


def test_views_in_a_collected_cycle_are_valid_for_its_finalisers():
    """A message is freed after every finaliser of its cycle has run, and not if a view is kept."""
    done = run_in_subprocess(read_in_finalisers)

    assert (done.clean, done.output) == (True, "200 True\n200 True 300\n"), str(done)


async def send_in_a_finaliser() -> None:
    """Send, in the finaliser of a cycle, a message of which the cycle has a view."""

    class Sender(Reader):
        def __del__(self) -> None:
            push.send_msg_nowait(self.message)
            self.rescued.append(self.view[:32])

    async with connected(trionng.Push0(), trionng.Pull0(), "inproc") as (push, pull):
        Sender()
        gc.collect()
        assert await pull.recv() == CONTENT
        others = [trionng.Message(bytes(len(CONTENT))) for _ in range(10)]
        print(Sender.rescued[0] == CONTENT[:32], len(others))


def test_message_sent_by_a_finaliser_keeps_its_views_whole():
    """A send copies while views exist, also those of a cycle that is being collected."""
    done = run_in_subprocess(send_in_a_finaliser)

    assert (done.clean, done.output) == (True, "True 10\n"), str(done)


def count_messages() -> None:
    """Make, look at, copy and drop messages, and see the memory of the process stay as it is."""
    gc.freeze()  # each collection looks at what is new alone

    for turn in range(600):
        if turn == 100:
            before = resident()
        message = trionng.Message(bytes(100_000))
        view = message.body
        assert len(trionng.Message(view)) == len(message) == len(view)
        if turn % 3 == 0:
            view.release()
        elif turn % 3 == 1:
            loop = [message, view]
            loop.append(loop)
            gc.collect()
    assert resident() - before < 20_000_000


def test_messages_without_references_are_freed():
    """Neither a message nor a view that has gone leaves memory behind."""
    done = run_in_subprocess(count_messages, seconds=120, covered=False)

    assert done.clean, str(done)


def test_message_is_a_buffer():
    """Python 3.12 calls `__buffer__` where a buffer is wanted; what it gives is the body."""
    assert trionng.Message(CONTENT).__buffer__(0) == CONTENT

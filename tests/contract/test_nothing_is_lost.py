"""What C has made or received while Ctrl-C, or a lack of memory, comes: it has an owner, always."""

from __future__ import annotations

import contextlib
import gc
import signal
import threading
import warnings
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import trio
import trio.testing

import trionng
from tests.contract.test_blocking_steps import Interrupter
from tests.support.resources import descriptors
from tests.support.subprocesses import run_in_subprocess
from trionng import _ffi, blocking
from trionng._ffi import context, message, waiter as waiters
from trionng._sync import wait as sync_wait
from trionng._trio import wait as trio_wait
from trionng.testing import connected, new_url

if TYPE_CHECKING:
    from collections.abc import Callable

CONTENT = [b"%d" % number * 100 for number in range(5)]


class NoMemory:
    """Makes the next copies of messages into objects of Python fail."""

    def __init__(self) -> None:
        self.failures = 0

    def guard(self, copy: Callable[..., object]) -> Callable[..., object]:
        def guarded(*arguments: object) -> object:
            if self.failures:
                self.failures -= 1
                raise MemoryError
            return copy(*arguments)

        return guarded


@pytest.fixture
def no_memory(monkeypatch: pytest.MonkeyPatch) -> NoMemory:
    lack = NoMemory()
    unpack = lack.guard(message.ffi.unpack)  # type: ignore[attr-defined]
    defaults = {**(message.take_bytes.__kwdefaults__ or {}), "_unpack": unpack}
    monkeypatch.setattr(message.take_bytes, "__kwdefaults__", defaults)
    monkeypatch.setattr(message, "_new_ref", lack.guard(message._new_ref))
    monkeypatch.setattr(context, "split_packed", lack.guard(context.split_packed))  # type: ignore[attr-defined]
    monkeypatch.setattr(waiters, "split_packed", lack.guard(waiters.split_packed))  # type: ignore[attr-defined]
    monkeypatch.setattr(context, "copy_of", lack.guard(context.copy_of))  # type: ignore[attr-defined]
    monkeypatch.setattr(_ffi.Waiter, "copy", lack.guard(_ffi.Waiter.copy))
    return lack


async def gather(pull: Any, first: list[Any]) -> list[bytes]:
    """Return what came, and what is still there, in order."""
    found = [each.bytes if isinstance(each, trionng.Message) else each for each in first]
    while len(found) < len(CONTENT):
        found.append(await pull.recv())
    return found


async def polled(receive: Callable[[], object]) -> object:
    """Call until something has come."""
    while True:
        try:
            return receive()
        except trionng.TryAgain:
            await trio.sleep(0.001)


@pytest.mark.parametrize(
    "receive",
    [
        lambda pull: pull.recv(),
        lambda pull: pull.recv_msg(),
        lambda pull: pull.recv_many(3),
        lambda pull: pull.__anext__(),
        lambda pull: polled(pull.recv_nowait),
        lambda pull: polled(pull.recv_msg_nowait),
    ],
    ids=["recv", "recv_msg", "recv_many", "anext", "recv_nowait", "recv_msg_nowait"],
)
@pytest.mark.parametrize("ahead", [1, 4])
@pytest.mark.parametrize("recv_timeout", [-1, 20_000])
async def test_receive_without_memory_keeps_its_message(receive, ahead, recv_timeout, no_memory):
    """A receive that ends in MemoryError leaves messages and order as they were."""
    with trio.fail_after(60):
        async with connected(trionng.Push0(), trionng.Pull0(), "inproc") as (push, pull):
            pull.recv_buffer_size, pull.recv_timeout = ahead, recv_timeout
            async with trio.open_nursery() as nursery:

                async def send() -> None:
                    for data in CONTENT:
                        await push.send(data)

                nursery.start_soon(send)
                await trio.testing.wait_all_tasks_blocked(0.01)
                for _ in range(2):
                    no_memory.failures = 1
                    with pytest.raises(MemoryError):
                        await receive(pull)
                got = await receive(pull)
                first = got if isinstance(got, list) else [got]
                assert await gather(pull, first) == CONTENT


async def test_survey_reply_without_memory_is_kept(no_memory):
    """A reply that could not be copied is the next one, also when the survey is over."""
    with trio.fail_after(60):
        async with connected(trionng.Surveyor0(), trionng.Respondent0(), "inproc") as (ask, answer):
            async with ask.survey(b"?", timeout=60) as replies:
                await answer.recv()
                await answer.send(b"kept")
                for receive in (replies.__anext__, lambda: replies.recv_many(4)):
                    no_memory.failures = 1
                    with pytest.raises(MemoryError):
                        await receive()
                assert await replies.recv_many(4) == [b"kept"]


async def test_request_without_memory_can_be_repeated(no_memory):
    """A request whose answer could not be copied leaves the socket as it was."""
    with trio.fail_after(60):
        async with connected(trionng.Rep0(), trionng.Req0(), "inproc") as (rep, req):

            async def serve() -> None:
                while True:
                    await rep.recv()
                    no_memory.failures = 1
                    await rep.send(b"answer")

            async with trio.open_nursery() as nursery:
                nursery.start_soon(serve)
                for _ in range(3):
                    with pytest.raises(MemoryError):
                        await req.request(b"?")
                nursery.cancel_scope.cancel()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(serve_once, rep)
                assert await req.request(b"?") == b"answer"


async def serve_once(rep: trionng.Rep0) -> None:
    await rep.recv()
    await rep.send(b"answer")


@pytest.mark.parametrize("kind", ["recv", "recv_msg", "recv_many"])
def test_blocking_receive_without_memory_keeps_its_message(kind, no_memory):
    """The same for threads."""
    url = new_url()
    with (
        blocking.Pair0(listen=url, recv_buffer_size=8) as ours,
        blocking.Pair0(dial=url, send_buffer_size=8) as peer,
    ):
        for data in CONTENT:
            peer.send(data)
        calls = {
            "recv": lambda: ours.recv(timeout=60),
            "recv_msg": lambda: ours.recv_msg(timeout=60).bytes,
            "recv_many": lambda: ours.recv_many(1, timeout=60)[0],
        }
        for _ in range(2):
            no_memory.failures = 1
            with pytest.raises(MemoryError):
                calls[kind]()
        assert [calls[kind]() for _ in CONTENT] == CONTENT


class OutsideFinalisers(Interrupter):
    """CPython drops what is raised in a finaliser, and the rest of it: no code can mend that."""

    known: ClassVar[dict[object, dict[int, str]]] = {}

    def __init__(self, at: int | None = None) -> None:
        super().__init__(at)
        self._names = self.known

    def _step(self, frame: Any) -> None:
        if frame.f_code.co_name not in ("__del__", "_warn_if_open", "_disown"):
            super()._step(frame)


def steps(call: Callable[[], object]) -> int:
    counting = OutsideFinalisers()
    assert not counting.run(call)
    return counting.steps


def queue_of_a_thread() -> None:
    sync_wait.thread.idle = None
    sync_wait._pipe = None
    with contextlib.suppress(trionng.Timeout):
        PAIR[0].recv(timeout=0.003)


PAIR: list[Any] = []
# CPython 3.11 goes on handling one exception in whose handler a trace function has raised, and so
# keeps its frames, and their pipe. With Trio before 0.29 in_trio_task has such a handler too.
KEPT = 2 if hasattr(trio.lowlevel, "in_trio_task") else 4


def interrupt_what_owns_descriptors() -> None:
    """Interrupt, at every step, the making of each thing that owns a descriptor or memory of C."""
    warnings.simplefilter("ignore", ResourceWarning)  # an interrupted `with` closes nothing
    PAIR.append(blocking.Pair0())

    def cq() -> None:
        _ffi.CompletionQueue(exclusive=True)

    def queue_of_an_event_loop() -> None:
        _ffi.CompletionQueue(exclusive=True, notify=lambda: None)

    def recv_fd() -> None:
        with blocking.Pull0() as pull:
            assert pull.recv_fd >= 0

    before = descriptors()
    threads = threading.active_count()
    for call in (cq, queue_of_an_event_loop, queue_of_a_thread, recv_fd):
        call()
        for step in range(1, steps(call) + 1):
            OutsideFinalisers(step).run(call)
    sync_wait._pipe = None
    for _ in range(2000):  # what was closed in the background
        gc.collect()
        if descriptors() <= before + KEPT:
            break
        threading.Event().wait(0.005)
    assert descriptors() <= before + KEPT, (before, descriptors())
    assert threading.active_count() == threads
    PAIR.pop().close()


def test_owner_of_a_descriptor_interrupted_anywhere_closes_it():
    """Ctrl-C while a queue, a waiter, its pipe or a `recv_fd` is made leaves no descriptor open."""
    done = run_in_subprocess(interrupt_what_owns_descriptors, seconds=120)

    assert done.clean, str(done)


async def interrupt_queues_of_a_run() -> None:
    """Interrupt the making of a Trio run's completion queue at every step."""

    def cq() -> None:
        trio_wait._CompletionQueue()

    for step in range(1, steps(cq) + 1):
        OutsideFinalisers(step).run(cq)


def count_after_interrupted_queues() -> None:
    """Count descriptors before and after; what was made is closed when the run ends."""
    trio.run(trio.sleep, 0)
    before = descriptors()
    trio.run(interrupt_queues_of_a_run)
    gc.collect()
    assert descriptors() == before


def test_making_the_queue_of_a_run_can_be_interrupted():
    """Ctrl-C while the queue of a Trio run is made leaves nothing behind when the run has ended."""
    done = run_in_subprocess(count_after_interrupted_queues, seconds=120)

    assert done.clean, str(done)


def interrupt_first_calls() -> None:
    """Interrupt runs of Trio, with a real signal, about when their first call makes the queue."""

    async def main(turn: int) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.0001 + turn % 100 * 0.000005)
        await pair.recv()

    warnings.simplefilter("ignore", ResourceWarning)  # Trio's own, when it ends
    pair = trionng.Pair0()
    signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
    before = descriptors()
    for turn in range(300):
        with contextlib.suppress(KeyboardInterrupt):
            trio.run(main, turn)
    pair._abort()
    gc.collect()
    assert descriptors() <= before


def test_ctrl_c_at_first_call_of_a_run_leaves_no_descriptor():
    """Interrupted at any moment, a run closes the descriptor its calls waited with."""
    done = run_in_subprocess(interrupt_first_calls, seconds=120)

    assert done.clean, str(done)

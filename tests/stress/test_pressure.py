"""Without threads, descriptors or memory a call raises, can be repeated, and nothing is lost."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import resource
import socket
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

import trionng
from tests.support.errors import leaves
from tests.support.pauses import WITHIN
from tests.support.resources import threads
from tests.support.subprocesses import run_in_subprocess, run_test_build
from tests.support.waiting import wait_until
from trionng import _ffi, blocking
from trionng._ffi import testing
from trionng._ffi.load import lib
from trionng.testing import new_url

if TYPE_CHECKING:
    from collections.abc import Iterator

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def named(name: str) -> int:
    """Count the threads of this process with a name."""
    count = 0
    for task in os.listdir("/proc/self/task"):
        with (
            contextlib.suppress(OSError),
            open(f"/proc/self/task/{task}/comm", encoding="ascii") as file,
        ):
            count += file.read().strip() == name
    return count


# Threads.


@contextlib.contextmanager
def no_threads() -> Iterator[None]:
    """Let the shim make no thread (the test build)."""
    os.environ["TNNG_SIMULATE"] = "NOTHREAD"
    try:
        yield
    finally:
        del os.environ["TNNG_SIMULATE"]


def only_so_many_threads(spare: int) -> None:
    """Let this process make so many threads more, as the system does it."""
    resource.setrlimit(resource.RLIMIT_NPROC, (threads() + spare, hard_limit()))


def hard_limit() -> int:
    return resource.getrlimit(resource.RLIMIT_NPROC)[1]


def first_socket_with_few_threads() -> None:
    user = 60_000 + os.getpid() % 5000  # so that no other user's threads are counted
    os.setgid(user)
    os.setuid(user)
    for spare in range(13):
        only_so_many_threads(spare)
        try:
            trionng.Pair0()
        except trionng.OutOfThreads as error:
            print("libnng needs" in str(error) and "ulimit -u" in str(error))
    resource.setrlimit(resource.RLIMIT_NPROC, (hard_limit(), hard_limit()))
    with blocking.Pair0() as one, blocking.Pair0() as two:
        two.dial(one.listen("tcp://127.0.0.1:0").url, block=True)
        two.send(b"later")
        print(one.recv().decode())


@linux
@pytest.mark.skipif(os.getuid() != 0, reason="takes the rights to become another user")
def test_first_socket_with_few_threads_raises_and_works_later():
    """Whatever number of threads is left, the first socket is made or raises OutOfThreads."""
    finished = run_in_subprocess(first_socket_with_few_threads, covered=False)

    assert finished.clean, finished
    assert finished.output == "True\n" * 13 + "later\n"


def first_use_of_nng_without_threads() -> None:
    with no_threads():
        for first in (trionng.Req0, blocking.Sub0):
            with pytest.raises(trionng.OutOfThreads, match="libnng needs"):
                first()
        with pytest.raises(trionng.OutOfThreads):
            trionng.TLSConfig(trionng.TLSConfig.MODE_CLIENT)
    blocking.Req0().close()


def test_first_use_of_nng_without_threads_raises_and_works_later():
    """Sockets of both APIs and TLS configurations ask for the threads of nng before they use it."""
    finished = run_test_build(first_use_of_nng_without_threads)

    assert finished.clean, finished


def accepts(url: str) -> bool:
    try:
        socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])), timeout=60).close()
    except ConnectionRefusedError:
        return False
    return True


async def everything_without_threads() -> None:
    async with trionng.Rep0() as rep, trionng.Req0() as req, trionng.Pair0() as other:
        url = rep.listen("tcp://127.0.0.1:0").url
        with no_threads():
            await req.dial(url, block=True)
            with pytest.raises(trionng.ConnectionRefused):
                await other.dial("tcp://127.0.0.1:1", block=True)
            with (
                trio.move_on_after(0.05) as scope,
                socket.create_server(("127.0.0.1", 0)) as silent,
            ):
                await other.dial(f"tcp://127.0.0.1:{silent.getsockname()[1]}", block=True)
            assert scope.cancelled_caught
            dialer = await other.dial("tcp://127.0.0.1:1", block=False)
            listener = other.listen("tcp://127.0.0.1:0")
            await listener.aclose()
            assert not accepts(listener.url)
            await dialer.aclose()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(req.request, b"asked")
                await rep.send(await rep.recv())
            another = trionng.Pair1(listen="tcp://127.0.0.1:0")
            url = another.listeners[0].url
            await another.aclose()
            assert not accepts(url)


def test_all_calls_work_with_the_threads_of_the_first_socket():
    """Dials, listens, requests and closes need no thread that is not there already."""
    finished = run_test_build(everything_without_threads)

    assert finished.clean, finished


@contextlib.contextmanager
def closes_that_hang(count: int) -> Iterator[None]:
    """Have so many helper threads stand in a close of nng that does not end."""
    testing.arm_pause("close.before")
    try:
        for _ in range(count):
            trionng.Pair0()._abort()
        assert testing.pause_reached("close.before", WITHIN)
        # From 1 s on a job is taken for stuck.
        time.sleep(1.1)
        yield
    finally:
        testing.open_pause("close.before")


async def closes_while_nothing_can_close() -> None:
    pair = trionng.Pair0()
    listener = pair.listen("tcp://127.0.0.1:0")
    dialer = await pair.dial("tcp://127.0.0.1:1", block=False)
    with no_threads(), closes_that_hang(2):
        for end in (listener, dialer, pair):
            with pytest.raises(trionng.OutOfThreads, match="close"):
                await end.aclose()
        req = trionng.Req0()
        with pytest.raises(trionng.OutOfThreads, match="dial"):
            await req.dial(listener.url, block=True)
        assert accepts(listener.url)
        assert pair.listeners == (listener,)
        assert pair.dialers == (dialer,)
        with pytest.raises(trionng.OutOfThreads):
            req.listen("tcp://localhost:0")
    await req.aclose()
    await listener.aclose()
    assert pair.listeners == ()
    assert not accepts(listener.url)
    await dialer.aclose()
    await pair.aclose()
    await pair.aclose()


def closes_of_threads_while_nothing_can_close() -> None:
    pair = blocking.Pair0()
    listener = pair.listen("tcp://127.0.0.1:0")
    dialer = pair.dial("tcp://127.0.0.1:1", block=False)
    with no_threads(), closes_that_hang(2):
        for end in (listener, dialer, pair):
            with pytest.raises(trionng.OutOfThreads, match="close"):
                end.close()
        assert accepts(listener.url)
    listener.close()
    assert not accepts(listener.url)
    dialer.close()
    pair.close()


@pytest.mark.parametrize(
    "function", [closes_while_nothing_can_close, closes_of_threads_while_nothing_can_close]
)
def test_close_that_cannot_begin_raises_and_can_be_repeated(function):
    """When every helper hangs and none can be made, a close says so and changes nothing."""
    finished = run_test_build(function, PYTHONWARNINGS="ignore::ResourceWarning")

    assert finished.code == 0, finished


async def closes_beside_those_that_hang() -> None:
    with closes_that_hang(6):
        testing.open_pause("close.before")
        testing.arm_pause("close.after")
        for _ in range(6):
            trionng.Pair0()._abort()
        assert testing.pause_reached("close.after", WITHIN)
        pair = trionng.Pair0(listen="tcp://127.0.0.1:0")
        listener = pair.listeners[0]
        await listener.aclose()
        assert not accepts(listener.url)
        testing.open_pause("close.after")
    await pair.aclose()


def test_close_beside_closes_that_hang_ends():
    """Helpers that hang, however many, keep no other close from ending."""
    finished = run_test_build(closes_beside_those_that_hang)

    assert finished.clean, finished


def dials_before_closes_that_hang() -> None:
    """Queue a dial and a close while both helpers sleep; either may take the close first."""
    with blocking.Pull0(listen="tcp://127.0.0.1:0") as pull:
        url = pull.listeners[0].url.encode()
        for _ in range(20):
            wait_until(lambda: named("trionng:helper") == 2)
            (_, other), (_, socket) = (_ffi.open_socket(lib.TNNG_PUSH0) for _ in range(2))
            assert other is not None
            assert socket is not None
            cq = _ffi.CompletionQueue(exclusive=False)
            code, dialer = socket.create_dialer(url)
            assert code == 0
            testing.arm_pause("close.before")
            assert socket.dial(dialer, True, cq, 1)[0] == _ffi.PARKED
            other.close(None, 0)
            assert testing.pause_reached("close.before", WITHIN)
            ended: list[int] = []
            wait_until(lambda cq=cq, ended=ended: ended.extend(t for t, *_ in cq.take()) or ended)
            testing.open_pause("close.before")
            socket.close(cq, 2)
            wait_until(cq.take)
            cq.close()


@linux
def test_dial_beside_a_close_that_hangs_begins():
    """A close that takes the only helper beside the one that stands by leaves one for a dial."""
    finished = run_test_build(dials_before_closes_that_hang)

    assert finished.clean, finished


def blocked_by_helpers() -> Iterator[int]:
    for task in Path("/proc/self/task").iterdir():
        lines = (task / "status").read_text(encoding="ascii").splitlines()
        status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        if status["Name"] == "trionng:helper":
            yield int(status["SigBlk"], 16)


async def threads_after_sockets() -> None:
    async def one_round() -> None:
        async with trionng.Pair0() as one, trionng.Pair0() as two:
            await two.dial(one.listen("tcp://127.0.0.1:0").url, block=True)

    await one_round()
    wait_until(lambda: named("trionng:helper") == 2)
    before = threads()
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(one_round)
    wait_until(lambda: threads() == before)
    for _ in range(20):
        await one_round()
        assert threads() <= before + 1
    wait_until(lambda: threads() == before)
    assert all(mask & 0b111 == 0b111 for mask in blocked_by_helpers())  # SIGHUP, SIGINT, SIGQUIT


@linux
def test_helper_threads_are_two_named_and_deaf_to_signals():
    """Sockets that come and go leave two helper threads, which signals never meet."""
    finished = run_in_subprocess(threads_after_sockets)

    assert finished.clean, finished


def service_without_threads() -> None:
    with blocking.Rep0(listen="tcp://127.0.0.1:0") as rep:
        before = threads()

        def refuse(self: object) -> None:
            raise RuntimeError("can't start new thread")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("threading.Thread.start", refuse)
            with pytest.raises(trionng.OutOfThreads, match="serve_rep"):
                blocking.serve_rep(bytes.upper, socket=rep)
        assert threads() <= before  # an earlier test's may have just ended
        with (
            blocking.serve_rep(bytes.upper, socket=rep),
            blocking.Req0(dial=rep.listeners[0].url) as req,
        ):
            assert req.request(b"a", timeout=60) == b"A"


@linux
def test_service_whose_threads_cannot_start_leaves_the_socket():
    """blocking.serve_rep without threads raises OutOfThreads, and works on the socket later."""
    service_without_threads()


# Descriptors.


@contextlib.contextmanager
def no_descriptors(spare: int = 0) -> Iterator[None]:
    """Let this process open no file, or so many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(spare + 1)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (held[-1], hard))
    for fd in held:
        os.close(fd)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def first_socket_without_descriptors() -> None:
    for spare in range(4):
        with no_descriptors(spare), contextlib.suppress(trionng.OutOfFiles):
            blocking.Pair0().close()
    with blocking.Pair0() as one, blocking.Pair0() as two:
        two.dial(one.listen("tcp://127.0.0.1:0").url, block=True)
        two.send(b"later")
        assert one.recv(timeout=60) == b"later"


def listens(directory: str) -> list[str]:
    return [
        "tcp://127.0.0.1:0",
        "tcp://localhost:0",
        "abstract://",
        "ws://127.0.0.1:0/x",
        new_url("ipc", directory),
    ]


def threads_without_descriptors() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="tng-") as directory,
        blocking.Pair0() as pair,
        blocking.Req0() as req,
        blocking.Rep0() as rep,
        blocking.Pull0(recv_buffer_size=4) as pull,
    ):
        url = rep.listen("tcp://127.0.0.1:0").url
        path = rep.listen(new_url("ipc", directory)).url
        urls = [url, url.replace("127.0.0.1", "localhost"), path, url.replace("tcp", "ws") + "/"]
        closed = blocking.Pair0(listen="tcp://127.0.0.1:0")
        calls = {
            "recv": lambda: pair.recv(timeout=1),
            "send": lambda: pair.send(b"x", timeout=1),
            "recv_many": lambda: pull.recv_many(3, timeout=1),
            "request": lambda: req.request(b"x", timeout=1),
            "wait_connected": lambda: pair.wait_connected(timeout=1),
            "recv_fd": lambda: pair.recv_fd,
            **{
                f"listen {each}": lambda each=each: pair.listen(each) for each in listens(directory)
            },
            **{f"dial {each}": lambda each=each: req.dial(each, block=True) for each in urls},
        }
        with no_descriptors():
            for operation, call in calls.items():
                with pytest.raises(trionng.OutOfFiles, match=operation.split()[0]) as caught:
                    call()  # type: ignore[operator]
                assert (caught.value.code, caught.value.errno) == (21, errno.EMFILE)
            closed.listeners[0].close()
            closed.close()
        req.dial(urls[0], block=True)
        pull.listen("tcp://127.0.0.1:0")
        with blocking.Push0(dial=pull.listeners[0].url) as push:
            push.send(b"later")
            assert pull.recv(timeout=60) == b"later"


async def tasks_without_descriptors() -> None:
    with tempfile.TemporaryDirectory(prefix="tng-") as directory:
        async with trionng.Pair0() as pair, trionng.Req0() as req, trionng.Rep0() as rep:
            url = rep.listen("tcp://127.0.0.1:0").url
            path = rep.listen(new_url("ipc", directory)).url
            closed = trionng.Pair0(listen="tcp://127.0.0.1:0")
            with no_descriptors():
                for each in listens(directory):
                    with pytest.raises(trionng.OutOfFiles, match="listen"):
                        pair.listen(each)
                for each in (url, url.replace("127.0.0.1", "localhost"), path):
                    with pytest.raises(trionng.OutOfFiles, match="dial"):
                        await req.dial(each, block=True)
                with pytest.raises(trionng.OutOfFiles, match="recv_fd"):
                    _ = pair.recv_fd
                with trio.move_on_after(0.05) as scope:
                    await pair.recv()  # waits without a descriptor
                assert scope.cancelled_caught
                await closed.listeners[0].aclose()
                await closed.aclose()
            await req.dial(url, block=True)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(req.request, b"asked")
                await rep.send(await rep.recv())


async def tasks_without_descriptors_or_threads() -> None:
    pair = trionng.Pair0(listen="tcp://127.0.0.1:0")
    with no_descriptors(), no_threads():
        with pytest.raises(trionng.OutOfFiles):
            await pair.recv()
        for end in (pair.listeners[0], pair):
            with pytest.raises(trionng.OutOfFiles):
                await end.aclose()
        assert accepts_without_descriptor(pair.listeners)
    listener = pair.listeners[0]
    await listener.aclose()
    assert not accepts(listener.url)
    await pair.aclose()


def accepts_without_descriptor(listeners: tuple[trionng.Listener, ...]) -> bool:
    return len(listeners) == 1 and "closed" not in repr(listeners[0])


@pytest.mark.parametrize(
    "function",
    [
        first_socket_without_descriptors,
        threads_without_descriptors,
        tasks_without_descriptors,
        tasks_without_descriptors_or_threads,
    ],
)
def test_call_without_descriptors_raises_and_can_be_repeated(function):
    """A call that finds no descriptor raises OutOfFiles, closes work, and all works later."""
    finished = run_test_build(function)

    assert finished.clean, finished


# Memory.


async def talk(urls: Iterator[str]) -> None:
    """Do a little of everything; sockets are closed whatever happens."""
    async with trionng.Rep0() as rep, trionng.Req0() as req, trio.open_nursery() as nursery:
        await req.dial(rep.listen(next(urls)).url, block=True)

        async def handler(request: bytes) -> bytes:
            return request

        service = await trionng.serve_rep(nursery, handler, socket=rep, workers=2)
        assert await req.request(b"a") == b"a"
        async with req.new_context() as context:
            await context.send(b"b")
            assert await context.recv() == b"b"
        async with req.pipe_events() as events:
            async for _ in events:
                break
        await req.flush()
        await service.aclose()
    async with trionng.Pull0(recv_buffer_size=4) as pull, trionng.Push0() as push:
        listener = pull.listen(next(urls))
        dialer = await push.dial(listener.url, block=True)
        await push.send_many([b"1", b"2", b"3"])
        assert await pull.recv() == b"1"
        assert await pull.recv_many(1) == [b"2"]
        with trio.move_on_after(0.0):
            await pull.recv()
        await dialer.aclose()
        await listener.aclose()


async def talk_within(seconds: float, urls: Iterator[str]) -> None:
    with trio.fail_after(seconds):
        await talk(urls)


def talk_of_threads_within(seconds: float, urls: Iterator[str]) -> None:
    with blocking.Pair1() as one, blocking.Pair1() as two:
        two.dial(one.listen(next(urls)).url, block=True, timeout=seconds)
        two.send(b"x", timeout=seconds)
        two.send_msg(trionng.Message(b"y"), timeout=seconds)
        assert one.recv(timeout=seconds) == b"x"
        assert one.recv_many(1, timeout=seconds) == [b"y"]


def every_allocation_fails_once(transport: str, first: str, step: str) -> None:
    warnings.simplefilter("ignore", ResourceWarning)
    with tempfile.TemporaryDirectory(prefix="tng-") as directory:
        urls = iter(lambda: new_url(transport, directory), "")

        def run(seconds: float) -> None:
            trio.run(talk_within, seconds, urls)
            talk_of_threads_within(seconds, urls)

        run(60)
        began = time.monotonic()
        run(60)
        # What waits for a peer that was dropped waits for so long: no more than is certain.
        limit = max(2, 20 * (time.monotonic() - began))
        # The first call that waits in the main thread makes a pipe that stays.
        with blocking.Pair0() as pair, contextlib.suppress(trionng.Timeout):
            pair.recv(timeout=0.01)
        gc.collect()
        before = len(os.listdir("/proc/self/fd"))
        number, failed = int(first), 0
        while True:
            testing.fail_allocation(number)
            try:
                run(limit)
            except BaseException as error:
                where = testing.allocation_failed() or ""
                for each in leaves(error):
                    # An event that cannot be kept is lost; a peer that cannot be kept is dropped,
                    # and what it had sent with it.
                    dropped = "conn/pipe_table.c" in where and isinstance(
                        each,
                        (
                            AssertionError,
                            TimeoutError,
                            trio.TooSlowError,
                            trionng.ConnectionReset,
                            trionng.ConnectionRefused,
                        ),
                    )
                    lacking = (
                        *(MemoryError, trionng.EventsLost),
                        *(trionng.OutOfThreads, trionng.OutOfFiles),
                    )
                    if not dropped and not isinstance(each, lacking):
                        raise AssertionError(f"allocation {number}, at {where}") from error
                failed += 1
            finally:
                testing_went_on = testing.allocation_failed() is not None
                testing.fail_allocation(0)
            if not testing_went_on:
                break
            number += int(step)
        run(60)
        gc.collect()
        wait_until(lambda: len(os.listdir("/proc/self/fd")) <= before)
        assert failed > 3


@linux
@pytest.mark.parametrize("transport", ["inproc", "tcp"])
def test_allocation_that_fails_raises_no_memory_and_is_undone(transport):
    """Whatever the shim is refused, a call says so, and nothing hangs, leaks, crashes."""
    finished = run_test_build(every_allocation_fails_once, transport, "1", "11", seconds=120)

    assert finished.code == 0, finished


@pytest.mark.slow
@linux
@pytest.mark.parametrize("transport", ["inproc", "tcp", "ipc"])
def test_every_allocation_that_fails_raises_no_memory(transport):
    """The same, for each of them."""
    finished = run_test_build(every_allocation_fails_once, transport, "1", "1", seconds=300)

    assert finished.code == 0, finished

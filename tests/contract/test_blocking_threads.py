"""Threads that share blocking sockets; forks; the end of the interpreter."""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import trio

import trionng
from tests.support.subprocesses import run_in_subprocess
from trionng import _ffi, blocking
from trionng._sync.wait import acquire_waiter, rollback, run
from trionng.testing import new_url

THREADS = 16


def share_sockets(seconds: str) -> None:
    """Let 16 threads send and receive on one Pair1, one Push0 and one Req0."""
    until = time.monotonic() + float(seconds)
    urls = [new_url() for _ in range(3)]
    with (
        blocking.Pair1(listen=urls[0]) as echo,
        blocking.Pair1(dial=urls[0]) as pair,
        blocking.Pull0(listen=urls[1]) as pull,
        blocking.Push0(dial=urls[1]) as push,
        blocking.serve_rep(bytes.upper, listen=urls[2], workers=4),
        blocking.Req0(dial=urls[2]) as req,
        ThreadPoolExecutor(THREADS + 2) as pool,
    ):

        def reflect() -> None:
            for data in echo:
                if data == b"end":
                    return
                echo.send(data)

        def gather() -> list[bytes]:
            return list(iter(pull.recv, b"end"))

        def work(number: int) -> tuple[list[bytes], list[bytes]]:
            pushed, back = [], []
            context = req.new_context()
            for i in range(10**9):
                if time.monotonic() > until:
                    context.close()
                    return pushed, back
                data = b"x%d-%d" % (number, i)
                pair.send(data)
                back.append(pair.recv())
                push.send(data)
                pushed.append(data)
                assert req.request(data) == data.upper()
                context.send(data)
                assert context.recv() == data.upper()
            raise AssertionError

        reflected, gathered = pool.submit(reflect), pool.submit(gather)
        done = [each.result() for each in [pool.submit(work, n) for n in range(THREADS)]]
        pair.send(b"end")
        push.send(b"end")
        reflected.result()
        pushed = sorted(data for each, _ in done for data in each)
        assert sorted(gathered.result()) == pushed
        assert sorted(data for _, each in done for data in each) == pushed
        assert len(pushed) > THREADS


@pytest.mark.parametrize("seconds", ["0.5", pytest.param("10", marks=pytest.mark.slow)])
def test_sockets_shared_by_many_threads_lose_nothing(seconds) -> None:
    """16 threads share a Pair1, a Push0 and a Req0: nothing is lost, nothing comes twice."""
    done = run_in_subprocess(share_sockets, seconds, seconds=float(seconds) + 60)

    assert done.clean, done


def misuse_rep() -> None:
    url = new_url()
    stop = threading.Event()
    counts: dict[str, int] = {}
    with blocking.Rep0(listen=url) as rep, blocking.Req0(dial=url) as req:

        def misuse() -> None:
            while not stop.is_set():
                try:
                    rep.send(rep.recv(timeout=0.5))
                    outcome = "served"
                except (trionng.Busy, trionng.BadState, trionng.Timeout) as exc:
                    outcome = type(exc).__name__
                counts[outcome] = counts.get(outcome, 0) + 1

        threads = [threading.Thread(target=misuse) for _ in range(10)]
        for thread in threads:
            thread.start()
        until = time.monotonic() + 40
        while counts.get("Busy", 0) < 10 and time.monotonic() < until:
            try:
                req.request(b"?", timeout=0.05)
            except trionng.Timeout:
                pass
        stop.set()
        for thread in threads:
            thread.join()
    assert counts.get("Busy", 0) >= 10, counts


def test_rep_misused_by_ten_threads_raises_busy() -> None:
    """Ten threads in one Rep0 without contexts get Busy, and never crash."""
    done = run_in_subprocess(misuse_rep)

    assert done.clean, done


def test_close_wakes_every_waiting_thread_with_closed() -> None:
    """Closing a socket from another thread ends all waits in it with Closed."""
    url = new_url()
    ours = blocking.Pair0(listen=url)
    context = blocking.Rep0()
    worker = context.new_context()
    calls = [ours.recv, ours.recv, ours.recv_msg, lambda: ours.recv_many(2), worker.recv]
    calls += [lambda: ours.send(b"x"), lambda: ours.wait_connected(1)]
    with ThreadPoolExecutor(len(calls)) as pool:
        results = [pool.submit(call) for call in calls]  # type: ignore[arg-type]
        time.sleep(0.05)  # not waited for: most of them shall wait, and all must end
        ours.close()
        context.close()

        for result in results:
            assert isinstance(result.exception(timeout=60), trionng.Closed)


def test_thread_that_waits_on_a_socket_of_a_trio_run_gets_busy() -> None:
    """What a loop waits on is the loop's; what threads wait on is no loop's."""
    _, native = _ffi.open_socket(_ffi.protocol("pair0"))
    assert native is not None
    _, ctx = native.open_context(context=False)
    assert ctx is not None
    loop = _ffi.CompletionQueue(exclusive=True)
    busy = 4

    code, op = ctx.recv(loop, 1)
    waiter = acquire_waiter()
    assert code == _ffi.PARKED
    assert run(waiter, ctx.recv, time.monotonic() + 5) == busy
    assert _ffi.cancel(op) == _ffi.CANCEL_DONE

    waiter.spin_for(0.0001)
    assert ctx.recv(waiter, 0)[0] == _ffi.PARKED
    other = _ffi.Waiter()
    other.spin_for(0.0001)
    assert ctx.recv(other, 0)[0] == _ffi.PARKED
    assert ctx.recv(loop, 2)[0] == busy
    for each in (waiter, other):
        rollback(each)
    native.close(None, 0)
    loop.close()


async def test_blocking_call_in_a_trio_task_names_what_to_await() -> None:
    """In a Trio task a blocking call raises, and says what to await; Trio's threads may call."""
    url = new_url()
    ours = blocking.Pair0(listen=url)
    with pytest.raises(
        RuntimeError, match=r"trionng\.blocking\.Pair0\.recv .*trionng\.Pair0\.recv"
    ):
        ours.recv()
    with pytest.raises(RuntimeError, match=r"trionng\.Pair0\.dial"):
        blocking.Pair0(dial=url)

    def talk() -> bytes:
        with blocking.Pair0(dial=url) as theirs:
            theirs.send(b"from a thread", timeout=60)
            data = ours.recv(timeout=60)
            return data

    assert await trio.to_thread.run_sync(talk) == b"from a thread"
    with pytest.raises(RuntimeError, match=r"trionng\.Pair0\.aclose"):
        ours.close()
    with pytest.raises(trionng.Closed):
        ours.recv_nowait()


def use_in_a_child(how: str) -> None:
    url = new_url()
    ours = blocking.Pair0(listen=url)
    theirs = blocking.Pair0(dial=url)
    with pytest.raises(trionng.Timeout):
        ours.recv(timeout=0.01)

    def wait_for_the_end() -> None:
        with pytest.raises(trionng.Closed):
            theirs.recv(timeout=60)

    waiting = threading.Thread(target=wait_for_the_end)
    waiting.start()

    def child() -> None:
        nonlocal theirs
        for call in (
            ours.recv,
            lambda: ours.recv(block=False),
            lambda: ours.recv_many(1),
            lambda: ours.send(b"x"),
            lambda: ours.wait_connected(2),
        ):
            with pytest.raises(trionng.UsedAfterFork):
                call()
        ours.close()
        del theirs
        gc.collect()

    if how == "fork":
        pid = os.fork()
        if pid == 0:
            try:
                child()
            except BaseException:
                import traceback

                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    else:
        process = multiprocessing.get_context("fork").Process(target=child)
        process.start()
        process.join()
        status = process.exitcode  # type: ignore[assignment]
    assert status == 0, status
    ours.send(b"the parent goes on", timeout=60)
    ours.flush(timeout=60)
    ours.close()
    theirs.close()
    waiting.join()


@pytest.mark.parametrize("how", ["fork", "multiprocessing"])
def test_socket_in_a_forked_child_raises_used_after_fork(how) -> None:
    """Using, closing and collecting an inherited socket in a child is safe; the parent goes on."""
    done = run_in_subprocess(use_in_a_child, how)

    assert done.code == 0, done
    assert "Fatal" not in done.errors


def leave_with_open_sockets() -> None:
    url = new_url()
    ours = blocking.Pair0(listen=url)
    theirs = blocking.Pair0(dial=url)
    service = blocking.serve_rep(bytes.upper, listen=new_url())
    req = blocking.Req0(dial=service.url)
    assert req.request(b"x") == b"X"
    for _ in range(4):
        threading.Thread(target=ours.recv, daemon=True).start()

    def flood() -> None:
        while True:
            theirs.send(b"live callbacks", timeout=60)

    threading.Thread(target=flood, daemon=True).start()
    threading.Thread(target=lambda: list(ours), daemon=True).start()
    globals()["kept"] = (ours, theirs, service, req)
    sys.exit(7)


@pytest.mark.parametrize("dev", ["", "1"])
def test_interpreter_ending_with_open_sockets_keeps_exit_code(dev) -> None:
    """Open sockets, blocked daemon threads and live callbacks do not change how a script ends."""
    done = run_in_subprocess(leave_with_open_sockets, PYTHONDEVMODE=dev)

    assert done.code == 7, done
    assert "Fatal" not in done.errors
    assert "Traceback" not in done.errors

"""How sockets live and end: runs, generators, closing, forks, the end of the interpreter.

Whatever could hang in C runs in a process of its own, under a watchdog.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import warnings
from pathlib import Path

import pytest
import trio

import trionng
import trionng.blocking
from tests.support.subprocesses import run_in_subprocess
from trionng import exceptions
from trionng._core.endpoints import endpoint_of
from trionng.testing import connected, new_url

# --- generators ---------------------------------------------------------------------------------


def use_open_socket_in_unfinished_generator():
    async def messages(url):
        async with trionng.Pull0(dial=url) as pull:
            async for data in pull:
                yield data

    async def main():
        push = trionng.Push0(listen="inproc://unfinished", send_buffer_size=1)
        await push.send(b"first")
        generator = messages("inproc://unfinished")
        assert await anext(generator) == b"first"
        await push.aclose()
        # `generator` is neither exhausted nor closed, and its socket is open.
        main.keep = generator  # type: ignore[attr-defined]

    trio.run(main)
    print("returned")


def close_socket_in_finally_of_generator():
    async def messages():
        pull = trionng.Pull0()
        try:
            while True:
                yield 1
        finally:
            try:
                await pull.aclose()  # closes, then raises that it was cancelled
            finally:
                print("closed" if pull._close_done else "open")

    async def main():
        main.keep = messages()  # type: ignore[attr-defined]
        await anext(main.keep)  # type: ignore[attr-defined]

    trio.run(main)
    print("returned")


def first_use_in_finally_of_generator():
    async def numbers():
        try:
            yield 1
        finally:
            with trio.CancelScope(shield=True):
                async with connected(trionng.Pair0(), trionng.Pair0(), "tcp") as (a, b):
                    await a.send(b"late")
                    print((await b.recv()).decode())

    async def main():
        main.keep = numbers()  # type: ignore[attr-defined]
        await anext(main.keep)  # type: ignore[attr-defined]

    trio.run(main)
    print("returned")


@pytest.mark.parametrize(
    ("function", "output"),
    [
        (use_open_socket_in_unfinished_generator, "returned"),
        (close_socket_in_finally_of_generator, "closed returned"),
        (first_use_in_finally_of_generator, "late returned"),
    ],
)
def test_unfinished_generator_with_a_socket_lets_the_run_return(function, output):
    """`trio.run` returns though an async generator that uses a socket was never finished."""
    finished = run_in_subprocess(function)
    assert finished.clean, finished
    assert finished.output.split() == output.split()


# --- runs ---------------------------------------------------------------------------------------


def test_socket_made_before_the_run_works_in_it_and_in_the_next():
    """A socket made outside a run can be used in one, and then in another, and loses nothing."""
    pub = trionng.Pub0(listen="inproc://two-runs")
    sub = trionng.Sub0(dial="inproc://two-runs", topics="")

    async def first():
        await pub.wait_connected()
        with trio.move_on_after(0.02) as scope:
            await sub.recv()
        assert scope.cancelled_caught
        # The receive that nng has now outlives this run.
        await pub.send(b"between")

    async def second():
        await pub.send(b"second")
        with trio.fail_after(60):
            assert [await sub.recv(), await sub.recv()] == [b"between", b"second"]
        await sub.aclose()
        await pub.aclose()

    trio.run(first)
    trio.run(second)


def test_two_runs_in_two_threads_lose_nothing():
    """Runs in two threads have sockets of their own and talk to each other."""
    count = 2000
    got = []
    ready = threading.Event()

    async def receive():
        async with trionng.Pull0(listen="inproc://two-threads") as pull:
            ready.set()
            with trio.fail_after(60):
                while len(got) < count:
                    got.append(await pull.recv())

    async def send():
        async with trionng.Push0(dial="inproc://two-threads") as push:
            with trio.fail_after(60):
                for number in range(count):
                    await push.send(b"%d" % number)
                while len(got) < count:
                    await trio.sleep(0.001)

    receiver = threading.Thread(target=trio.run, args=(receive,))
    receiver.start()
    assert ready.wait(60)
    trio.run(send)
    receiver.join(60)
    assert got == [b"%d" % number for number in range(count)]


def test_two_live_runs_on_one_socket_raise_busy():
    """While a task of one run waits on a socket, another run gets Busy."""
    pull = trionng.Pull0()
    waiting, done = threading.Event(), threading.Event()

    async def hold():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pull.recv)
            await trio.testing.wait_all_tasks_blocked(0.01)
            waiting.set()
            await trio.to_thread.run_sync(done.wait)
            nursery.cancel_scope.cancel()

    async def intrude():
        with pytest.raises(exceptions.Busy, match="recv"):
            await pull.recv()

    holder = threading.Thread(target=trio.run, args=(hold,))
    holder.start()
    assert waiting.wait(60)
    try:
        trio.run(intrude)
    finally:
        done.set()
        holder.join(60)

    async def after():
        with trio.move_on_after(0.01):
            await pull.recv()
        await pull.aclose()

    trio.run(after)


# --- closing ------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["inproc", "ipc", "tcp"])
async def test_aclose_wakes_every_waiting_task_with_closed(transport):
    """Tasks that receive, send, request or wait for peers are woken with Closed."""
    closed = []

    async def expect_closed(call, *args):
        with pytest.raises(trio.ClosedResourceError):
            await call(*args)
        closed.append(call)

    with trio.fail_after(60):
        async with (
            connected(trionng.Pair0(), trionng.Pair0(), transport) as (pair, _),
            connected(trionng.Req0(), trionng.Rep0(), transport) as (req, rep),
            connected(trionng.Pub0(), trionng.Sub0(topics=""), transport) as (_, sub),
        ):
            push = trionng.Push0()
            lonely = trionng.Req0()
            context = rep.new_context()
            async with trio.open_nursery() as nursery:
                calls = [
                    (pair.recv,),
                    (pair.recv_msg,),
                    (pair.wait_connected, 5),
                    (push.send, b"nobody"),
                    (push.send, b"nobody"),
                    (sub.recv,),
                    (sub.recv,),
                    (rep.recv,),
                    (context.recv,),
                ]
                for call in calls:
                    nursery.start_soon(expect_closed, *call)  # type: ignore[arg-type]
                nursery.start_soon(expect_closed, lonely.request, b"unanswered")
                nursery.start_soon(expect_closed, lonely.request, b"unanswered")
                await trio.testing.wait_all_tasks_blocked(0.05)
                for socket in (pair, push, sub, req, rep, lonely):
                    await socket.aclose()
                    await socket.aclose()
            assert len(closed) == len(calls) + 2


async def test_aclose_concurrently_from_many_tasks_closes_once():
    """Any number of tasks may close a socket at once."""
    with trio.fail_after(60):
        async with connected(trionng.Pair0(), trionng.Pair0(), "tcp") as (a, _):
            async with trio.open_nursery() as nursery:
                for _ in range(10):
                    nursery.start_soon(a.aclose)
            with pytest.raises(exceptions.Closed):
                await a.recv()


async def test_aclose_under_cancellation_closes_then_raises():
    """A cancelled task closes the socket, and gets Cancelled afterwards."""
    with trio.fail_after(60):
        pull = trionng.Pull0(listen="inproc://cancelled-close")
        with trio.CancelScope() as scope:
            scope.cancel()
            await pull.aclose()
        assert scope.cancelled_caught
        # The address is free again, so nng has really closed it.
        async with trionng.Pull0(listen="inproc://cancelled-close"):
            pass


def close_while_dialling_a_silent_host():
    async def main():
        silent = await trio.open_tcp_listeners(0, host="127.0.0.1")
        url = f"tcp://127.0.0.1:{silent[0].socket.getsockname()[1]}"
        pair = trionng.Pair0()

        async def dial():
            with pytest.raises(exceptions.Closed):
                await pair.dial(url, block=True)
            print("woken")

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(dial)
            await trio.sleep(0.1)
            await pair.aclose()
        print("closed")
        await silent[0].aclose()

    trio.run(main)


def test_aclose_during_dials_to_a_silent_host_ends_them():
    """Closing wakes dials that wait for a host which never answers."""
    finished = run_in_subprocess(close_while_dialling_a_silent_host)
    assert finished.clean, finished
    assert finished.output.split() == ["woken"] * 20 + ["closed"]


async def test_dropped_socket_warns_and_is_closed_in_the_background():
    """A socket that is collected unclosed gives ResourceWarning, and its address is free soon."""
    socket = trionng.Pull0(listen="inproc://dropped")
    with pytest.warns(ResourceWarning, match=r"Pull0 inproc://dropped"):  # noqa: PT031
        del socket
        gc.collect()
    with trio.fail_after(60):
        while True:
            try:
                again = trionng.Pull0(listen="inproc://dropped")
                break
            except exceptions.AddressInUse:
                await trio.sleep(0.001)
        await again.aclose()


def collect_cycles():
    warnings.simplefilter("ignore", ResourceWarning)

    class LateUser:
        """Uses what it holds when it is collected, in whatever order that happens."""

        def __init__(self, things):
            self.things = [*things, self]

        def __del__(self):
            for thing in self.things[:-1]:
                try:
                    thing.recv_nowait()
                except (trionng.NNGException, TypeError):
                    pass

    gc.freeze()  # each collection looks at what is new alone
    for number in range(100):
        rep = trionng.Rep0(listen=f"inproc://cycle-{number}")
        sub = trionng.Sub0()
        LateUser([rep, rep.new_context(), sub, sub.new_context(), trionng.Respondent0()])
        gc.collect()


def test_cycles_of_sockets_and_contexts_are_collected():
    """Finalisers in a collected cycle may still use sockets, and touch no freed memory."""
    finished = run_in_subprocess(collect_cycles, MALLOC_PERTURB_="165")
    assert finished.clean, finished


def churn_sockets():
    def usage():
        status = Path("/proc/self/status").read_text(encoding="ascii")
        memory = int(status.split("VmRSS:")[1].split()[0])
        return len(os.listdir("/proc/self/fd")), threading.active_count(), memory

    async def once(number):
        transport = ("tcp", "ipc", "inproc")[number % 3]
        async with connected(trionng.Rep0(), trionng.Req0(), transport) as (rep, req):
            with trio.move_on_after(0.0005):
                await rep.recv()
            async with trio.open_nursery() as nursery:

                async def serve():
                    await rep.send(await rep.recv())

                nursery.start_soon(serve)
                assert await req.request(b"x" * 1000) == b"x" * 1000

    async def main():
        for number in range(60):
            await once(number)
        gc.collect()
        before = usage()
        for number in range(300):
            await once(number)
            if number % 60 == 59:  # the collector of a free-threaded Python waits for more garbage
                gc.collect()
        with trio.move_on_after(40):  # what nng still closes
            while any(now > then for now, then in zip(usage()[:2], before[:2], strict=True)):
                await trio.sleep(0.01)
        after = usage()
        print(before, after)
        assert all(now <= then for now, then in zip(after[:2], before[:2], strict=True))
        assert after[2] - before[2] < 2500, "kB"

    trio.run(main)


def test_churn_of_sockets_leaves_resources_flat():
    """After hundreds of sockets everything is where it was after the first ones."""
    finished = run_in_subprocess(churn_sockets, seconds=180, MALLOC_ARENA_MAX="1")
    assert finished.clean, finished


# --- processes ----------------------------------------------------------------------------------


def use_inherited_sockets_in_forked_child():
    async def main():
        pull = trionng.Pull0(listen="tcp://127.0.0.1:0")
        push = trionng.Push0(dial=pull.listeners[0].url)
        message = trionng.Message(b"inherited")
        await pull.wait_connected()
        with trio.move_on_after(0.01):
            await pull.recv()
        descriptors = pull.recv_fd, push.send_fd
        child = os.fork()
        if child == 0:
            try:
                for call in (
                    lambda: push.send_nowait(b"x"),
                    pull.recv_nowait,
                    lambda: pull.listen("inproc://child"),
                    lambda: trionng.Pair0(),
                    lambda: pull.recv_max_size,
                    lambda: pull.recv_fd,
                    lambda: push.send_fd,
                ):
                    try:
                        call()
                    except exceptions.UsedAfterFork:
                        pass
                    else:
                        os._exit(3)
                assert message.bytes == b"inherited"
                await pull.aclose()
                del push, message
                gc.collect()
            except BaseException as exc:
                print(repr(exc), flush=True)
                os._exit(4)
            os._exit(0)
        _, status = os.waitpid(child, 0)  # noqa: ASYNC222
        print("child", os.waitstatus_to_exitcode(status))
        with trio.fail_after(60):
            await push.send(b"parent")
            assert descriptors == (pull.recv_fd, push.send_fd)
            await trio.lowlevel.wait_readable(pull.recv_fd)
            print((await pull.recv()).decode())
        await pull.aclose()
        await push.aclose()

    trio.run(main)


def test_forked_child_gets_used_after_fork_parent_goes_on():
    """What a forked child does with inherited sockets raises UsedAfterFork or does nothing."""
    finished = run_in_subprocess(use_inherited_sockets_in_forked_child)
    assert finished.clean, finished
    assert finished.output.split() == ["child", "0", "parent"]


def exit_with_open_sockets():
    warnings.simplefilter("ignore", ResourceWarning)

    async def main():
        async with trio.open_nursery() as nursery:
            pull = trionng.Pull0(listen="tcp://127.0.0.1:0")
            push = trionng.Push0(dial=pull.listeners[0].url)
            nursery.start_soon(pull.recv)
            await trio.sleep(0.05)
            main.keep = pull, push, trionng.Message(b"x").body  # type: ignore[attr-defined]
            nursery.cancel_scope.cancel()

    trio.run(main)
    sys.exit(7)


@pytest.mark.parametrize("dev", ["", "1"])
def test_interpreter_exit_with_open_sockets_keeps_its_exit_code(dev):
    """A program that ends with open sockets ends with its own exit code."""
    finished = run_in_subprocess(exit_with_open_sockets, PYTHONDEVMODE=dev)
    assert finished.code == 7, finished
    assert "Fatal" not in finished.errors


def interrupt_parked_receive(who):
    async def main():
        async with connected(trionng.Push0(), trionng.Pull0(), "tcp") as (push, pull):
            interrupted = False
            async with trio.open_nursery() as nursery:
                if who == "follower":
                    # Another task waits for the wake-up descriptor.
                    other = await nursery.start(wait_elsewhere)
                killer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
                try:
                    killer.start()
                    await pull.recv()
                except KeyboardInterrupt:
                    interrupted = True
                killer.join()
                nursery.cancel_scope.cancel()
            assert interrupted
            if who == "follower":
                await other.aclose()
            await push.send(b"later")
            print((await pull.recv()).decode())

    async def wait_elsewhere(task_status):
        pair = trionng.Pair0()
        task_status.started(pair)
        await pair.recv()

    trio.run(main)


@pytest.mark.parametrize("who", ["leader", "follower"])
def test_ctrl_c_during_a_parked_receive_raises_and_loses_nothing(who):
    """Ctrl-C ends a waiting receive at once; what arrives later is received by the next."""
    finished = run_in_subprocess(interrupt_parked_receive, who)
    assert finished.clean, finished
    assert finished.output.split() == ["later"]


async def test_endpoint_closed_twice_or_as_context_manager_is_closed(tmp_path):
    """Endpoints close by themselves, once, and free their address."""
    with trio.fail_after(60):
        async with trionng.Pair0() as a, trionng.Pair0() as b:
            url = new_url("ipc", tmp_path)
            async with a.listen(url) as listener:
                async with await b.dial(url, block=True) as dialer:
                    await a.wait_connected()
                await dialer.aclose()
                assert b.dialers == ()
            await listener.aclose()
            assert a.listeners == ()
            a.listen(url).close()


def test_endpoints_are_forgotten_with_their_socket():
    """What reports use to find an endpoint by its number does not keep it."""
    with trionng.blocking.Pair0() as pair:
        number = pair.listen("inproc://forgotten-with-its-socket").id
        assert endpoint_of(listener=True, number=number) is pair.listeners[0]
    del pair
    gc.collect()

    assert endpoint_of(listener=True, number=number) is None

"""NngClock jumps when nothing works, and not before; hold_clock; wait_all_delivered."""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from functools import partial

import pytest
import trio
import trio.lowlevel
import trio.testing

import trionng
from tests.support.processes import PYTHON, other_process
from trionng import blocking
from trionng._testing import clock as clock_module, delivered, idle
from trionng.testing import NngClock, connected, hold_clock, new_url, open_pair, wait_all_delivered

TRANSPORTS = ("inproc", "ipc", "tcp")


@pytest.fixture
def takes_no_time():
    """The test takes less than a minute of real time, though hours pass on its clock."""
    begin = time.monotonic()
    yield
    assert time.monotonic() - begin < 60


async def test_fixture_is_the_clock_of_the_run(nng_clock, takes_no_time):
    """pytest-trio gives the clock to the run; it jumps to deadlines one after the other."""
    assert trio.lowlevel.current_clock() is nng_clock
    assert trio.current_time() == 0
    await trio.sleep(3600)
    with trio.move_on_after(1800) as scope:
        await trio.sleep_forever()
    assert scope.cancelled_caught
    assert trio.current_time() == 5400


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_clock_stands_while_messages_are_on_their_way(nng_clock, transport):
    """A timeout of a microsecond does not expire while nng works: requests, large messages."""
    async with (
        open_pair("reqrep", transport=transport) as (req, rep),
        open_pair("pair0", transport=transport) as (a, b),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(answer, rep)
        for _ in range(100):
            with trio.fail_after(1e-6):
                assert await req.request(b"question") == b"question"
                await a.send(bytes(200_000))
                assert len(await b.recv()) == 200_000
        assert trio.current_time() == 0
        nursery.cancel_scope.cancel()


async def answer(rep):
    async for request in rep:
        await rep.send(request)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_clock_stands_while_connections_are_made(nng_clock, transport):
    """Dials, closes and flushes take no time of the clock."""
    for _ in range(5):
        with trio.fail_after(1e-6):
            async with connected(trionng.Push0(), trionng.Pull0(), transport) as (push, pull):
                await push.send(b"x")
                await push.flush()
                assert await pull.recv() == b"x"
    assert trio.current_time() == 0


async def test_timeouts_of_sockets_are_on_the_clock(nng_clock, takes_no_time):
    """A receive without a message, a request without a reply, a survey: each ends by a jump."""
    async with open_pair("reqrep") as (req, rep), open_pair("survey") as (surveyor, _):
        rep.recv_timeout = 3_600_000
        with pytest.raises(trionng.Timeout):
            await rep.recv()
        assert trio.current_time() == 3600
        with trio.move_on_after(100) as scope:
            await req.request(b"unanswered")
        assert scope.cancelled_caught
        async with surveyor.survey(b"anyone?", timeout=50) as replies:
            assert [each async for each in replies] == []
        assert trio.current_time() == 3750


async def test_other_thread_that_works_holds_the_clock(nng_clock):
    """to_thread.run_sync, which sleeps as well as computes, takes no time of the clock."""
    for work in (lambda: time.sleep(0.05), lambda: sum(range(1_000_000))):
        with trio.fail_after(1e-6):
            await trio.to_thread.run_sync(work)
    assert trio.current_time() == 0


async def test_thread_that_waits_in_blocking_lets_the_clock_jump(nng_clock, takes_no_time):
    """A server thread that waits for a request is idle; while it works, the clock stands."""

    def serve_two():
        with blocking.Rep0(listen=url) as rep:
            for _ in range(2):
                request = rep.recv()
                time.sleep(0.03)
                rep.send(request)

    url = new_url()
    async with trio.open_nursery() as nursery, trionng.Req0() as req:
        nursery.start_soon(trio.to_thread.run_sync, serve_two)
        with hold_clock():
            await req.dial(url, block=False)
            await req.wait_connected()
        begin = trio.current_time()
        await trio.sleep(3600)
        assert trio.current_time() - begin == pytest.approx(3600)
        begin = trio.current_time()
        for _ in range(2):
            with trio.fail_after(1e-6):
                assert await req.request(b"x") == b"x"
        assert trio.current_time() == begin


def test_plain_thread_that_computes_holds_the_clock():
    """A thread that Trio has not started counts while it runs."""

    def serve():
        try:
            while True:
                request = rep.recv()
                sum(range(300_000))
                rep.send(request)
        except trionng.Closed:
            pass

    async def main():
        async with trionng.Req0() as req:
            await req.dial(rep.listeners[0].url, block=True)
            for _ in range(5):
                with trio.fail_after(1e-6):
                    assert await req.request(b"x") == b"x"
        assert trio.current_time() == 0

    with blocking.Rep0(listen=new_url()) as rep:
        thread = threading.Thread(target=serve)
        thread.start()
        trio.run(main, clock=NngClock())
    thread.join()


@pytest.mark.parametrize("cushion", [0, 0.001, 0.05])
async def test_task_that_waits_for_idleness_goes_first(nng_clock, cushion):
    """As with MockClock: no jump while a task is in wait_all_tasks_blocked."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep, 100)
        await trio.testing.wait_all_tasks_blocked(cushion)
        assert trio.current_time() == 0
    assert trio.current_time() == 100


def test_jump_by_hand_and_rate():
    """`jump` and `rate` are those of MockClock; with an infinite threshold it never jumps."""
    clock = NngClock(autojump_threshold=math.inf)
    assert (clock.rate, clock.autojump_threshold) == (0, math.inf)

    async def main():
        with trio.fail_after(10) as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep, 8)
                await trio.testing.wait_all_tasks_blocked(0.05)
                assert trio.current_time() == 0
                clock.jump(8)
            assert trio.current_time() == 8
        assert not scope.cancelled_caught
        clock.rate = 100
        begin = time.monotonic()
        await trio.sleep(2)
        assert 0.02 <= time.monotonic() - begin < 60

    trio.run(main, clock=clock)
    assert repr(clock).startswith("<NngClock, time=1")


@pytest.mark.parametrize("wrong", [-1, math.nan])
def test_threshold_that_is_no_time_is_refused(wrong):
    """A negative number of seconds is refused, as is a jump back."""
    with pytest.raises(ValueError, match="autojump_threshold"):
        NngClock(autojump_threshold=wrong)
    with pytest.raises(ValueError, match="backwards"):
        NngClock().jump(-1)


def test_threshold_of_zero_jumps_after_two_looks():
    """Even without a pause the clock waits for nng."""

    async def main():
        async with open_pair("pair0", transport="tcp") as (a, b):
            for _ in range(20):
                with trio.fail_after(1e-6):
                    await a.send(b"x")
                    await b.recv()
        await trio.sleep(10)
        assert trio.current_time() == 10

    trio.run(main, clock=NngClock(autojump_threshold=0))


def test_clock_serves_one_run_after_another(takes_no_time):
    """Its time goes on where it was."""
    clock = NngClock()
    for _ in range(2):
        trio.run(trio.sleep, 50, clock=clock)
    assert clock.current_time() == 100


def test_clock_in_a_guest_run(takes_no_time):
    """In guest mode, as anyio's plugin runs tests, it waits for nng and jumps as well."""

    async def main():
        async with (
            open_pair("reqrep", transport="tcp") as (req, rep),
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(answer, rep)
            for _ in range(10):
                with trio.fail_after(1e-6):
                    await req.request(b"x")
            nursery.cancel_scope.cancel()
        await trio.sleep(3600)
        return trio.current_time()

    todo: queue.SimpleQueue = queue.SimpleQueue()
    trio.lowlevel.start_guest_run(
        main,
        run_sync_soon_threadsafe=todo.put,
        done_callback=lambda outcome: todo.put(outcome),
        clock=NngClock(),
    )
    while callable(step := todo.get(timeout=60)):
        step()
    assert step.unwrap() == 3600


def test_clock_that_cannot_jump_says_why(monkeypatch, caplog):
    """One line of the log names the thread that works, instead of a test that hangs in silence."""
    monkeypatch.setattr(clock_module, "_SAY_AFTER", 0.05)
    stop = threading.Event()

    def spin():
        while not stop.is_set():
            sum(range(1000))

    async def main():
        with trio.move_on_after(1):
            await trio.sleep_forever()
        stop.set()

    thread = threading.Thread(target=spin)
    thread.start()
    timer = threading.Timer(0.3, stop.set)
    timer.start()
    with caplog.at_level(logging.WARNING, "trionng"):
        trio.run(main, clock=NngClock())
    thread.join()
    timer.join()
    [record] = caplog.records
    assert "the clock does not jump because something still works" in record.getMessage()


def test_without_proc_time_without_an_event_counts(monkeypatch):
    """Where the system does not tell of threads, the clock waits for 0.05 s without an event."""
    monkeypatch.setattr(idle, "WITHOUT_PROC", 0.05)

    async def main():
        async with open_pair("pair0", transport="tcp") as (a, b):
            await a.send(b"x")
            with trio.fail_after(1):
                await b.recv()
        begin = time.monotonic()
        await trio.sleep(10)
        assert time.monotonic() - begin >= 0.05

    trio.run(main, clock=NngClock())


# hold_clock


@pytest.mark.parametrize("kind", [NngClock, trio.testing.MockClock])
def test_held_clock_goes_as_a_real_one(kind):
    """No jump inside the block, sleeps take real time; afterwards all is as before, also nested."""

    async def main():
        with hold_clock():
            begin = time.monotonic()
            with hold_clock():
                await trio.sleep(0.05)
            await trio.sleep(0.05)
            assert 0.1 <= time.monotonic() - begin < 60
        assert (clock.rate, clock.autojump_threshold) == (0, 0.25)
        await trio.sleep(1000)

    clock = kind(autojump_threshold=0.25)
    trio.run(main, clock=clock)


async def test_held_clock_waits_for_another_process(nng_clock):
    """A timeout around the answer of a process is real time in the block."""
    program = (
        "import sys, time; from trionng import blocking\n"
        "with blocking.Rep0(listen=sys.argv[1]) as rep:\n"
        "    rep.send(rep.recv(timeout=60).upper()); sys.stdin.read()"
    )
    url = new_url("ipc")
    async with other_process(*PYTHON, "-c", program, url) as run, trionng.Req0() as req:
        with hold_clock(), trio.fail_after(60):
            await req.dial(url, block=False)
            assert await req.request(b"hello") == b"HELLO"
            await run.close_input()
            assert (await run.end())[0] == 0


async def test_held_clock_of_overlapping_tasks_jumps_after_the_last(nng_clock, takes_no_time):
    """Two tasks hold it; the end of the first does not let it go."""

    async def hold(until, ended):
        with hold_clock():
            await until.wait()
        ended.set()

    first, second, ended = trio.Event(), trio.Event(), trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hold, first, ended)
        nursery.start_soon(hold, second, trio.Event())
        await trio.testing.wait_all_tasks_blocked()
        first.set()
        await ended.wait()
        assert nng_clock.autojump_threshold == math.inf
        second.set()
    assert nng_clock.autojump_threshold < 1
    await trio.sleep(3600)


async def test_hold_without_a_test_clock_does_nothing():
    """The same test runs with the real clock."""
    with hold_clock():
        await trio.lowlevel.checkpoint()


async def test_hold_ends_with_an_exception(nng_clock):
    """The clock is let go whatever happens in the block."""
    with pytest.raises(ZeroDivisionError), hold_clock():
        _ = 1 // 0
    assert (nng_clock.rate, nng_clock.autojump_threshold) == (0, 0.005)


def test_hold_outside_a_run_is_an_error():
    """There is no clock to hold."""
    with pytest.raises(RuntimeError), hold_clock():
        pytest.fail("the block began")


# wait_all_delivered


@pytest.mark.parametrize("clock", [None, NngClock(), trio.testing.MockClock(autojump_threshold=0)])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_after_delivery_a_poll_finds_what_was_sent(transport, clock):
    """A message that matches is there, one that does not is not, with any clock."""

    async def main():
        async with connected(trionng.Pub0(), trionng.Sub0(topics="a"), transport) as (pub, sub):
            for number in range(10):
                await pub.send(b"a%d" % number)
                await pub.send(b"b%d" % number)
                await wait_all_delivered()
                assert sub.recv_nowait() == b"a%d" % number
                with pytest.raises(trionng.TryAgain):
                    sub.recv_nowait()

    trio.run(main, clock=clock)


async def test_after_delivery_tasks_have_done_their_work():
    """A chain of three sockets and two tasks is at rest."""

    async def forward(source, target):
        async for message in source:
            await target.send(message)

    async with (
        open_pair("pushpull", transport="tcp") as (first, a),
        open_pair("pushpull", transport="ipc") as (b, last),
        trio.open_nursery() as nursery,
    ):
        last.recv_buffer_size = 64
        nursery.start_soon(forward, a, b)
        for number in range(20):
            await first.send(b"%d" % number)
        await wait_all_delivered()
        assert [last.recv_nowait() for _ in range(20)] == [b"%d" % n for n in range(20)]
        nursery.cancel_scope.cancel()


def can_send(socket, data):
    try:
        socket.send_nowait(data)
    except trionng.TryAgain:
        return False
    return True


async def test_delivery_to_a_peer_that_does_not_read_is_no_delivery():
    """What waits for a slow peer is not on its way."""
    async with open_pair("pair0", transport="tcp") as (a, b):
        while can_send(a, bytes(500_000)):
            await wait_all_delivered()
        assert len(b.recv_nowait()) == 500_000


async def test_wait_for_delivery_can_be_cancelled():
    """Only the wait ends."""
    with trio.CancelScope() as scope:
        scope.cancel()
        await wait_all_delivered()
    assert scope.cancelled_caught


async def test_wait_for_delivery_gives_up_and_says_why(monkeypatch):
    """A thread that never rests is named."""
    monkeypatch.setattr(delivered, "_GIVE_UP_AFTER", 0.1)
    stop = threading.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(trio.to_thread.run_sync, stop.wait))
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.TooSlowError, match=r"after 0\.1 s .* 1 x trio"):
            await wait_all_delivered()
        stop.set()

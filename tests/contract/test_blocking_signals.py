"""Ctrl-C and other signals in the main thread, each case in a process of its own."""

from __future__ import annotations

import itertools
import os
import random
import select
import signal
import socket
import sys
import threading
import time

import pytest

import trionng
from tests.support.subprocesses import run_in_subprocess, run_test_build
from trionng import blocking
from trionng._ffi import testing
from trionng.testing import new_url

SOON = 0.1


def interrupt_after(seconds: float, number: int = signal.SIGINT) -> threading.Timer:
    """Send this process a signal from another thread."""
    timer = threading.Timer(seconds, os.kill, (os.getpid(), number))
    timer.start()
    return timer


def assert_interrupts(call) -> None:
    """Check that Ctrl-C ends a wait within 100 ms, several times.

    A loaded machine may be slow now and then; a wait that looks at signals in turns always is.
    """
    for _ in range(10):
        late = lateness_of_interrupts(call)
        if sorted(late)[2] < SOON:
            return
    raise AssertionError(late)


def lateness_of_interrupts(call) -> list[float]:
    """Interrupt a call at several moments; return how much later each ended."""
    late: list[float] = []
    for delay in (0.0005, 0.02, 0.04, 0.06, 0.08):
        go = threading.Lock()
        sent: list[float] = []

        def send(delay=delay, go=go, sent=sent) -> None:
            with go:
                time.sleep(delay)
            sent.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)

        go.acquire()
        thread = threading.Thread(target=send)
        thread.start()
        try:
            go.release()  # not earlier: a thread takes a while to start
            call()
        except KeyboardInterrupt:
            late.append(time.monotonic() - sent[0])
        else:
            raise AssertionError("the call ended by itself")
        thread.join()
    return late


def interrupt_recv() -> None:
    url = new_url()
    with blocking.Pair0(listen=url) as ours, blocking.Pair0(dial=url) as theirs:
        assert_interrupts(ours.recv)
        assert_interrupts(ours.recv_msg)
        assert_interrupts(lambda: ours.recv_many(3))
        assert_interrupts(lambda: next(iter(ours)))
        assert_interrupts(lambda: ours.wait_connected(2))
        theirs.send(b"still there")
        assert ours.recv(timeout=60) == b"still there"


def interrupt_send() -> None:
    url = new_url()
    with blocking.Push0(listen=url) as push, blocking.Pull0() as pull:
        message = trionng.Message(b"mine again")
        assert_interrupts(lambda: push.send(b"never sent"))
        assert_interrupts(lambda: push.send_msg(message))
        assert message.bytes == b"mine again"
        pull.dial(url)
        push.send_msg(message, timeout=60)
        assert pull.recv(timeout=60) == b"mine again"


def interrupt_request() -> None:
    url = new_url()
    with blocking.Rep0(listen=url) as rep, blocking.Req0() as req:
        assert_interrupts(lambda: req.request(b"nobody hears this"))
        req.dial(url)
        assert_interrupts(lambda: req.request(b"nobody answers this"))
        with rep.new_context() as context, blocking.serve_rep(bytes.upper, socket=rep):
            context.close()
            assert req.request(b"at last", timeout=60) == b"AT LAST"


def interrupt_dial() -> None:
    # Accepts, and never says a word: nng waits for the handshake.
    with socket.create_server(("127.0.0.1", 0)) as silent, blocking.Pair0() as ours:
        url = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        assert_interrupts(lambda: ours.dial(url))
        assert ours.dialers == ()


def interrupt_close() -> None:
    def close() -> None:
        sockets.append(blocking.Pair0())
        testing.arm_pause("close.before")
        try:
            sockets[-1].close()
        finally:
            testing.open_pause("close.before")

    sockets: list[blocking.Pair0] = []
    assert_interrupts(close)
    for each in sockets:
        with pytest.raises(trionng.Closed):
            each.recv()
        each.close()


@pytest.mark.parametrize(
    "case", [interrupt_recv, interrupt_send, interrupt_request, interrupt_dial, interrupt_close]
)
def test_ctrl_c_in_a_wait_of_the_main_thread_raises_at_once(case) -> None:
    """Ctrl-C ends every wait of the main thread with KeyboardInterrupt, and nothing is lost."""
    done = run_test_build(case)

    assert done.clean, done


def handle_other_signals() -> None:
    url = new_url()
    calls = []

    def handler(number: int, _frame: object) -> None:
        # A blocking call inside a handler, inside a blocking call.
        theirs.send(b"from the handler")
        calls.append(inner.recv(timeout=60))
        if len(calls) == 3:
            theirs2.send(b"for the wait")
        else:  # not earlier: of two signals that wait the system keeps one
            interrupt_after(0.05, signal.SIGUSR1)

    signal.signal(signal.SIGUSR1, handler)
    with (
        blocking.Pair0(listen=url) as inner,
        blocking.Pair0(dial=url) as theirs,
        blocking.Pair0(listen=url + "2") as outer,
        blocking.Pair0(dial=url + "2") as theirs2,
    ):
        interrupt_after(0.0005, signal.SIGUSR1)
        assert outer.recv(timeout=60) == b"for the wait"
        assert calls == [b"from the handler"] * 3


def test_other_signals_run_their_handlers_and_the_wait_goes_on() -> None:
    """A handler runs while a call waits, may block itself, and the wait ends with its message."""
    done = run_in_subprocess(handle_other_signals)

    assert done.clean, done


def interrupt_receive(ours: blocking.Pair0) -> None:
    interrupt_after(0.03)
    ours.recv(timeout=60)


def keep_the_wakeup_descriptor() -> None:
    read_fd, write_fd = os.pipe()
    os.set_blocking(read_fd, False)
    os.set_blocking(write_fd, False)
    signal.set_wakeup_fd(write_fd)
    signal.signal(signal.SIGUSR1, lambda *_: None)
    with blocking.Pair0(listen=new_url()) as ours:
        for _ in range(20):
            interrupt_after(0.03, signal.SIGUSR1)
            with pytest.raises(trionng.Timeout):
                ours.recv(timeout=0.06)
            select.select([read_fd], [], [], 60)  # the timer may be late
            assert os.read(read_fd, 100).strip(bytes([signal.SIGUSR1])) == b""
            with pytest.raises(KeyboardInterrupt):
                interrupt_receive(ours)
            assert bytes([signal.SIGINT]) in os.read(read_fd, 100)
    assert signal.set_wakeup_fd(-1) == write_fd


def test_wakeup_descriptor_of_the_program_is_kept_and_written() -> None:
    """An event loop's wake-up descriptor is there again after a wait, and heard of the signal."""
    done = run_in_subprocess(keep_the_wakeup_descriptor)

    assert done.clean, done


def rain_signals(seconds: str) -> None:
    """Send SIGINT at random moments while numbered messages are received in every way."""
    url = new_url()
    over = threading.Event()
    sent = 0
    hits = dict.fromkeys(("recv", "recv_msg", "recv_many"), 0)

    def rain() -> None:
        rng = random.Random(7)
        while not over.is_set():
            time.sleep(rng.choice((0.0, 0.0001, 0.0005, 0.002)) * rng.random())
            os.kill(os.getpid(), signal.SIGINT)

    def feed() -> None:
        nonlocal sent
        while not over.is_set():
            theirs.send(b"%d" % sent)
            sent += 1
        theirs.send(b"end")

    def handler(*_: object) -> None:
        # Only the library is under test, so only its calls are interrupted, everywhere in them.
        if exposed[0]:
            raise KeyboardInterrupt

    exposed = [False]
    got: list[bytes | trionng.Message] = []
    ways = list(hits)
    signal.signal(signal.SIGINT, handler)
    with (
        blocking.Pair0(listen=url, recv_buffer_size=16) as ours,
        blocking.Pair0(dial=url) as theirs,
    ):
        threads = [threading.Thread(target=feed), threading.Thread(target=rain)]
        for thread in threads:
            thread.start()
        until = time.monotonic() + float(seconds)
        for turn in itertools.cycle(range(3)):
            if time.monotonic() > until and min(hits.values()) > 10:
                over.set()
            if got and got[-1] == b"end":
                break
            try:
                # Between a call that has returned and these stores Python looks at no signal.
                exposed[0] = True
                if turn == 0:
                    data = ours.recv()
                    got += (data,)
                elif turn == 1:
                    message = ours.recv_msg()
                    got += (message,)  # type: ignore[arg-type]
                else:
                    batch = ours.recv_many(5)
                    got += batch
                exposed[0] = False
            except KeyboardInterrupt:
                exposed[0] = False
                hits[ways[turn]] += 1
            if got and isinstance(got[-1], trionng.Message):
                got[-1] = got[-1].bytes
        for thread in threads:
            thread.join()
        assert got[:-1] == [b"%d" % i for i in range(sent)], (len(got), sent)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="3.10 looks for signals at every return")
@pytest.mark.parametrize("seconds", ["1", pytest.param("20", marks=pytest.mark.slow)])
def test_rain_of_interrupts_ends_every_wait_and_loses_no_message(seconds) -> None:
    """SIGINT at random moments: every wait ends, and the numbered messages stay complete."""
    done = run_in_subprocess(rain_signals, seconds, seconds=float(seconds) + 120)

    assert done.clean, done

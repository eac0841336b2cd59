"""serve_rep with threads: it answers, fails and stops as it says."""

from __future__ import annotations

import contextvars
import functools
import logging
import os
import signal
import socket
import struct
import threading
import time

import pytest

import trionng
from tests.support.subprocesses import run_in_subprocess
from trionng import blocking
from trionng.testing import new_url


def test_requests_are_answered_by_several_threads_at_once() -> None:
    """As many requests as there are workers are answered at the same time."""
    meeting = threading.Barrier(3, timeout=60)

    def handler(request: bytes) -> bytes:
        meeting.wait()
        return request.upper()

    with (
        blocking.serve_rep(handler, listen=new_url(), workers=3) as service,
        blocking.Req0(dial=service.url) as req,
    ):
        contexts = [req.new_context() for _ in range(3)]
        for context in contexts:
            context.send(b"x")

        assert [context.recv(timeout=60) for context in contexts] == [b"X"] * 3
        for context in contexts:
            context.close()


def test_handler_that_fails_is_raised_by_wait() -> None:
    """An exception of a handler ends `wait`, which raises it."""
    service = blocking.serve_rep(lambda _: 1 // 0, listen=new_url(), workers=2)  # type: ignore[arg-type, return-value]
    with blocking.Req0(dial=service.url) as req, service:
        req.send(b"x")

        with pytest.raises(ZeroDivisionError):
            service.wait(timeout=60)


def test_service_on_a_socket_of_ones_own_leaves_it_open() -> None:
    """A socket that was given is not closed with the service."""
    with blocking.Rep0(listen=new_url()) as rep:
        with blocking.serve_rep(bytes.upper, socket=rep):
            pass
        with pytest.raises(trionng.TryAgain):
            rep.recv(block=False)
    with pytest.raises(trionng.InvalidOperation):
        blocking.serve_rep(bytes.upper, workers=0)


def stop_with_ctrl_c() -> None:
    try:
        with blocking.serve_rep(bytes.upper, listen=new_url()) as service:
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
            service.wait(timeout=60)
    except KeyboardInterrupt:
        names = [each.name for each in threading.enumerate() if "serve_rep" in each.name]
        assert names == [], names
        print("stopped")


def test_ctrl_c_stops_a_service_and_its_threads() -> None:
    """Ctrl-C ends `wait`, and leaving the block ends the workers."""
    done = run_in_subprocess(stop_with_ctrl_c)

    assert (done.clean, done.output) == (True, "stopped\n"), done


user = contextvars.ContextVar("user", default="nobody")
application = contextvars.ContextVar("application", default="none")


def test_context_of_a_call_is_a_copy_of_the_servers_and_its_own() -> None:
    """No call sees what another has set, in the same thread or in another one."""
    seen: list[tuple[str, str]] = []

    def handler(request: bytes) -> bytes:
        seen.append((application.get(), user.get()))
        user.set(request.decode())
        return request

    application.set("mine")
    for workers in (1, 3):
        with (
            blocking.serve_rep(handler, listen=new_url(), workers=workers) as service,
            blocking.Req0(dial=service.url) as req,
        ):
            for name in (b"alice", b"bob", b"carol", b"dave"):
                assert req.request(name, timeout=60) == name

    assert seen == [("mine", "nobody")] * 8


async def async_handler(request: bytes) -> bytes:
    return request


class AsyncObject:
    async def __call__(self, request: bytes) -> bytes:
        return request


@pytest.mark.parametrize(
    "handler",
    [async_handler, AsyncObject(), functools.partial(async_handler), None, b"x"],
    ids=["function", "object", "partial", "None", "bytes"],
)
def test_handler_that_threads_cannot_call_is_refused_at_once(handler: object) -> None:
    """An async one is told apart, with the way out; nothing is opened."""
    words = "function" if handler in (None, b"x") else r"async.*trionng\.serve_rep"
    with pytest.raises(TypeError, match=words):
        blocking.serve_rep(handler, listen=new_url())  # type: ignore[arg-type]


def test_handler_that_turns_out_async_ends_its_worker() -> None:
    """`wait` raises a TypeError that names it; Python warns of no coroutine."""
    service = blocking.serve_rep(lambda r: async_handler(r), listen=new_url(), workers=1)  # type: ignore[arg-type, return-value]
    with blocking.Req0(dial=service.url) as req, service:
        req.send(b"x")

        with pytest.raises(TypeError, match=r"async.*coroutine"):
            service.wait(timeout=60)


def close_in_handlers(workers: str, from_main: str) -> None:
    meeting = threading.Barrier(int(workers) + int(from_main), timeout=60)

    def handler(request: bytes) -> bytes:
        meeting.wait()
        service.close()
        return request

    service = blocking.serve_rep(handler, listen=new_url(), workers=int(workers))
    with blocking.Req0(dial=service.url) as req:
        contexts = [req.new_context() for _ in range(int(workers))]
        for context in contexts:
            context.send(b"x")
        if from_main == "1":
            meeting.wait()
        else:
            service.wait(timeout=60)
        service.close()
        for context in contexts:
            context.close()
    assert not [each for each in threading.enumerate() if each.name.startswith("trionng serve")]
    print("closed")


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("from_main", [0, 1])
def test_close_in_handlers_ends_the_service(workers: int, from_main: int) -> None:
    """Handlers that close the service wait for each other no more than the main thread for them."""
    finished = run_in_subprocess(close_in_handlers, str(workers), str(from_main), seconds=90)

    assert finished.clean, finished
    assert finished.output.strip() == "closed"


def test_close_waits_for_handlers_and_their_replies() -> None:
    """A request that is being answered when the service is closed gets its reply."""
    runs, release = threading.Event(), threading.Event()

    def handler(request: bytes) -> bytes:
        runs.set()
        release.wait(60)
        return request * 1_000_000

    service = blocking.serve_rep(handler, listen="tcp://127.0.0.1:0", workers=2)
    with blocking.Req0(dial=service.url) as req:
        req.send(b"x")
        assert runs.wait(60)
        closer = threading.Thread(target=service.close)
        closer.start()
        release.set()

        assert len(req.recv(timeout=60)) == 1_000_000
        closer.join()
    counts = service.statistics()
    assert (counts.received, counts.answered, counts.busy) == (1, 1, 0)


@pytest.mark.parametrize("workers", [1, 8])
def test_silent_client_is_closed_and_the_others_do_not_notice(
    workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that reads nothing holds no thread; its connection is closed and logged once."""
    large = bytes(200_000)

    def handler(request: bytes) -> bytes:
        return large if request == b"large" else request

    slowest = 0.0
    with (
        caplog.at_level(logging.WARNING, "trionng"),
        blocking.serve_rep(handler, listen="tcp://127.0.0.1:0", workers=workers) as service,
        blocking.Req0(dial=service.url) as req,
        socket.create_connection(("127.0.0.1", int(service.url.rsplit(":")[-1]))) as silent,
    ):
        silent.sendall(b"\0SP\0" + struct.pack(">HH", 0x30, 0))
        silent.recv(8)
        asked = 0
        while service.statistics().slow == 0:
            asked += 1
            if asked < 500:
                silent.sendall(struct.pack(">QI", 9, 0x80000000 + asked) + b"large")
            began = time.monotonic()
            assert req.request(b"x", timeout=60) == b"x"
            slowest = max(slowest, time.monotonic() - began)
        assert req.request(b"x", timeout=60) == b"x"

    assert slowest < 20
    assert [each.getMessage() for each in caplog.records if "slow" in each.getMessage()][1:] == []
    with pytest.raises(trionng.InvalidOperation):
        blocking.serve_rep(bytes.upper, listen=new_url(), max_unread=0)


def test_options_of_the_connections_are_those_of_the_service() -> None:
    """`recv_max_size` and `accept` hold for its listener; with `socket=` they are refused."""
    nobody = trionng.Admission(addresses=["10.1.2.3"])
    with blocking.serve_rep(
        bytes.upper, listen="tcp://127.0.0.1:0", recv_max_size=1000, accept=nobody
    ) as service:
        assert service.listeners[0].recv_max_size == 1000
        with blocking.Req0() as req:
            req.dial(service.url, block=False)
            while service._socket.statistics().rejected == 0:
                time.sleep(0.001)
    with blocking.Rep0() as rep, pytest.raises(TypeError, match="socket="):
        blocking.serve_rep(bytes.upper, socket=rep, recv_max_size=1000)
    with pytest.raises(TypeError, match="listen="):
        blocking.serve_rep(bytes.upper)


def test_url_of_a_service_that_dials_is_ambiguous() -> None:
    """A service has a URL when it has one listener, as in the Trio API."""
    with blocking.serve_rep(bytes.upper, dial=new_url()) as service:
        with pytest.raises(trionng.Ambiguous, match="0 listeners"):
            service.url  # noqa: B018

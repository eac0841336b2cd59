"""serve_rep with threads: it answers, fails and stops as it says."""

from __future__ import annotations

import os
import signal
import threading

import pytest
from helpers import run_apart, url_of

import trionng
from trionng import blocking


def test_requests_are_answered_by_several_threads_at_once() -> None:
    """As many requests as there are workers are answered at the same time."""
    meeting = threading.Barrier(3, timeout=20)

    def handler(request: bytes) -> bytes:
        meeting.wait()
        return request.upper()

    with (
        blocking.serve_rep(handler, listen=url_of("inproc", ""), workers=3) as service,
        blocking.Req0(dial=service.url) as req,
    ):
        contexts = [req.new_context() for _ in range(3)]
        for context in contexts:
            context.send(b"x")

        assert [context.recv(timeout=20) for context in contexts] == [b"X"] * 3
        for context in contexts:
            context.close()


def test_handler_that_fails_is_raised_by_wait() -> None:
    """An exception of a handler ends `wait`, which raises it."""
    service = blocking.serve_rep(lambda _: 1 // 0, listen=url_of("inproc", ""), workers=2)  # type: ignore[arg-type, return-value]
    with blocking.Req0(dial=service.url) as req, service:
        req.send(b"x")

        with pytest.raises(ZeroDivisionError):
            service.wait(timeout=20)


def test_service_on_a_socket_of_ones_own_leaves_it_open() -> None:
    """A socket that was given is not closed with the service."""
    with blocking.Rep0(listen=url_of("inproc", "")) as rep:
        with blocking.serve_rep(bytes.upper, socket=rep):
            pass
        with pytest.raises(trionng.TryAgain):
            rep.recv(block=False)
    with pytest.raises(trionng.InvalidOperation):
        blocking.serve_rep(bytes.upper, workers=0)


def stop_with_ctrl_c() -> None:
    try:
        with blocking.serve_rep(bytes.upper, listen=url_of("inproc", "")) as service:
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
            service.wait(timeout=20)
    except KeyboardInterrupt:
        names = [each.name for each in threading.enumerate() if "serve_rep" in each.name]
        assert names == [], names
        print("stopped")


def test_ctrl_c_stops_a_service_and_its_threads() -> None:
    """Ctrl-C ends `wait`, and leaving the block ends the workers."""
    done = run_apart(stop_with_ctrl_c)

    assert (done.clean, done.output) == (True, "stopped\n"), done

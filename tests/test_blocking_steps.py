"""Ctrl-C at each step at which Python looks for signals, one after the other: nothing is lost."""

from __future__ import annotations

import dis
import sys
import threading
import time
from pathlib import Path

import pytest
from helpers import url_of

import trionng
from trionng import blocking

PACKAGE = str(Path(trionng.__file__).parent)
SOON = 10.0


class Interrupter:
    """Raises KeyboardInterrupt at the n-th step at which Python would look for signals.

    Those are: the start of a function, the return of a call that went into C, and the turn of a
    loop. Only the functions of the package count.
    """

    CALLS = ("CALL", "JUMP_BACKWARD", "JUMP_ABSOLUTE")

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.steps = 0
        self.places: list[str] = []
        self._previous: dict[int, str] = {}
        self._names: dict[object, dict[int, str]] = {}

    def _step(self, frame) -> None:
        self.steps += 1
        self.places.append(f"{frame.f_code.co_name}:{frame.f_lineno}")
        if self.steps == self.at:
            raise KeyboardInterrupt

    def _names_of(self, code) -> dict[int, str]:
        if code not in self._names:
            self._names[code] = {each.offset: each.opname for each in dis.get_instructions(code)}
        return self._names[code]

    def trace(self, frame, event, _arg):
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "call":
            frame.f_trace_opcodes = True
            if frame.f_back is not None:
                self._previous[id(frame.f_back)] = ""  # it returns without a look at signals
            self._step(frame)
        elif event == "opcode":
            previous = self._previous.get(id(frame), "")
            self._previous[id(frame)] = self._names_of(frame.f_code).get(frame.f_lasti, "")
            if previous.startswith(self.CALLS):
                self._step(frame)
        elif event == "return":
            self._previous.pop(id(frame), None)
        return self.trace

    def run(self, call):
        """Call it; True when it was interrupted."""
        before = sys.gettrace()
        sys.settrace(self.trace)
        try:
            call()
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(before)
        return False


@pytest.fixture(params=["ready", "later"])
def pairs(request):
    """Return two connected sockets, and what makes a message come: at once, or during the wait."""
    url = url_of("inproc", "")
    options = {"recv_buffer_size": 64, "send_buffer_size": 64}
    with blocking.Pair1(listen=url, **options) as ours, blocking.Pair1(dial=url, **options) as peer:
        threads = []

        def later(data):
            time.sleep(0.002)  # so that the other is likely to wait by now
            peer.send(data)

        def make_come(data):
            if request.param == "ready":
                peer.send(data)
            else:
                threads.append(threading.Thread(target=later, args=(data,)))
                threads[-1].start()

        yield ours, make_come
        for thread in threads:
            thread.join()


def steps_of(call):
    """Count at how many steps a call can be interrupted."""
    interrupter = Interrupter()
    assert not interrupter.run(call)
    assert interrupter.steps > 3
    return interrupter.steps


@pytest.mark.parametrize("kind", ["recv", "recv_msg", "recv_many", "next", "poll"])
def test_receive_interrupted_at_any_step_loses_nothing(pairs, kind):
    """Ctrl-C at any step of a receive leaves the message, once, to the next receive."""
    ours, make_come = pairs
    calls = {
        "recv": lambda: ours.recv(timeout=SOON),
        "recv_msg": lambda: ours.recv_msg(timeout=SOON),
        "recv_many": lambda: ours.recv_many(8, timeout=SOON),
        "next": lambda: next(ours),
        "poll": lambda: ours.recv(block=False),
    }
    if kind == "poll" and not has_come_at_once(ours, make_come):
        return
    make_come(b"first")
    steps = steps_of(calls[kind])

    for step in range(1, steps + 1):
        data = b"%d" % step
        make_come(data)
        if Interrupter(step).run(calls[kind]):
            assert ours.recv(timeout=SOON) == data
        assert not ready(ours)


def has_come_at_once(ours, make_come) -> bool:
    make_come(b"probe")
    try:
        return ours.recv(block=False) == b"probe"
    except trionng.TryAgain:
        assert ours.recv(timeout=SOON) == b"probe"
        return False


def ready(ours) -> bool:
    try:
        ours.recv(block=False)
    except trionng.TryAgain:
        return False
    return True


def test_batch_interrupted_at_any_step_is_put_back_in_order():
    """Ctrl-C at any step of recv_many puts the whole batch back, in its order."""
    url = url_of("inproc", "")
    batch = [b"1", b"2", b"3"]
    with blocking.Pair1(listen=url, recv_buffer_size=8) as ours, blocking.Pair1(dial=url) as peer:

        def take():
            taken.extend(ours.recv_many(8, timeout=SOON))

        taken: list[bytes] = []
        peer.send_many(batch)
        for step in range(1, steps_of(take) + 1):
            taken = []
            peer.send_many(batch)
            Interrupter(step).run(take)
            while len(taken) < len(batch):
                taken += ours.recv_many(8, timeout=SOON)
            assert taken == batch


def test_send_msg_interrupted_at_any_step_knows_whether_it_went():
    """After Ctrl-C in send_msg the message is ours exactly when the peer does not get it."""
    url = url_of("inproc", "")
    with blocking.Pair1(listen=url, recv_buffer_size=8) as ours:
        with blocking.Pair1(dial=url, recv_buffer_size=8) as peer:

            def went(step):
                msg = trionng.Message(b"%d" % (step or 0))
                interrupter = Interrupter(step)
                interrupter.run(lambda: ours.send_msg(msg, timeout=SOON))
                try:
                    gone = not msg.bytes
                except trionng.MessageStateError:
                    gone = True
                try:
                    assert peer.recv(timeout=SOON if gone else 0.005) == b"%d" % (step or 0)
                    assert gone
                except trionng.Timeout:
                    assert not gone
                return interrupter.steps

            for step in range(1, went(None) + 1):
                went(step)


def test_request_interrupted_at_any_step_leaves_the_socket_usable():
    """Ctrl-C at any step of request() abandons that request; the next one gets its own answer."""
    url = url_of("inproc", "")
    with blocking.serve_rep(bytes.upper, listen=url, workers=2):
        with blocking.Req0(dial=url) as req:
            steps = steps_of(lambda: req.request(b"first", timeout=SOON))
            for step in range(1, steps + 1):
                Interrupter(step).run(lambda: req.request(b"given up", timeout=SOON))
                assert req.request(b"n%d" % step, timeout=SOON) == b"N%d" % step

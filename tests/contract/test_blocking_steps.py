"""Ctrl-C at each step at which Python looks for signals, one after the other: nothing is lost."""

from __future__ import annotations

import dis
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import trionng
from tests.support.subprocesses import run_in_subprocess
from trionng import blocking
from trionng.testing import new_url

PACKAGE = str(Path(trionng.__file__).parent)
SOON = 60.0


class Interrupter:
    """Raises KeyboardInterrupt at the n-th step at which Python would look for signals.

    Those are: the start of a function, the return of a call that went into C, and the turn of a
    loop. Only the functions of the package count.
    """

    CALLS = ("CALL", "JUMP_BACKWARD", "JUMP_ABSOLUTE")

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.pause_in = ""
        self.steps = 0
        self.places: list[str] = []
        self._previous: dict[int, str] = {}
        self._names: dict[object, dict[int, str]] = {}

    def _step(self, frame) -> None:
        self.steps += 1
        self.places.append(f"{frame.f_code.co_name}:{frame.f_lineno}")
        if self.steps == self.at:
            if frame.f_code.co_name == self.pause_in:
                time.sleep(0.02)  # until the helper thread has certainly ended
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
    url = new_url()
    options: dict[str, Any] = {"recv_buffer_size": 64, "send_buffer_size": 64}
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
        "poll": lambda: poll(ours),
    }
    make_come(b"first")
    if kind == "poll":
        time.sleep(0.05)  # so that it has come: the steps of one attempt are counted
    steps = steps_of(calls[kind])

    for step in range(1, steps + 1):
        data = b"%d" % step
        make_come(data)
        if Interrupter(step).run(calls[kind]):
            assert ours.recv(timeout=SOON) == data
        assert not ready(ours)


def poll(ours) -> bytes:
    while True:
        try:
            return ours.recv(block=False)
        except trionng.TryAgain:
            time.sleep(0.001)


def ready(ours) -> bool:
    try:
        ours.recv(block=False)
    except trionng.TryAgain:
        return False
    return True


def test_batch_interrupted_at_any_step_is_put_back_in_order():
    """Ctrl-C at any step of recv_many puts the whole batch back, in its order."""
    url = new_url()
    batch = [b"1", b"2", b"3"]
    with blocking.Pair1(listen=url, recv_buffer_size=8) as ours, blocking.Pair1(dial=url) as peer:

        def take():
            taken.extend(ours.recv_many(8, timeout=SOON))

        taken: list[bytes] = []
        peer.send_many(batch)
        steps = steps_of(take)
        while len(taken) < len(batch):  # a part of it may have come a moment later
            taken += ours.recv_many(8, timeout=SOON)
        for step in range(1, steps + 1):
            taken = []
            peer.send_many(batch)
            Interrupter(step).run(take)
            while len(taken) < len(batch):
                taken += ours.recv_many(8, timeout=SOON)
            assert taken == batch


def test_send_msg_interrupted_at_any_step_knows_whether_it_went():
    """After Ctrl-C in send_msg the message is ours exactly when the peer does not get it."""
    url = new_url()
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


def test_request_interrupted_anywhere_leaves_the_socket_usable():
    """Ctrl-C at any step of request() abandons that request; the next one gets its own answer."""
    url = new_url()
    with blocking.serve_rep(bytes.upper, listen=url, workers=2):
        with blocking.Req0(dial=url) as req:
            steps = steps_of(lambda: req.request(b"first", timeout=SOON))
            for step in range(1, steps + 1):
                Interrupter(step).run(lambda: req.request(b"given up", timeout=SOON))
                assert req.request(b"n%d" % step, timeout=SOON) == b"N%d" % step


# --- the same, in all protocols -----------------------------------------------------------------


def sweep(prepare, call, check, pause_in=""):
    """Interrupt a call at each of its steps; `check` looks at what is left."""
    prepare(0)
    for step in range(1, steps_of(call) + 1):
        prepare(step)
        interrupter = Interrupter(step)
        interrupter.pause_in = pause_in
        check(step, interrupter.run(call))


def test_rep_and_req_interrupted_anywhere_keep_their_messages():
    """Ctrl-C in a receive of Rep0 leaves the request answerable; in one of Req0, the answer."""
    url = new_url()
    with blocking.Rep0(listen=url) as rep, blocking.Req0(dial=url) as req:

        def answer(step, interrupted):
            if interrupted:
                assert rep.recv(timeout=SOON) == b"%d" % step
            rep.send(b"%d" % step, timeout=SOON)
            assert req.recv(timeout=SOON) == b"%d" % step

        def ask_and_answer(step):
            req.send(b"%d" % step, timeout=SOON)
            rep.send(rep.recv(timeout=SOON), timeout=SOON)

        def hear(step, interrupted):
            if interrupted:
                assert req.recv(timeout=SOON) == b"%d" % step

        sweep(
            lambda step: req.send(b"%d" % step, timeout=SOON),
            lambda: rep.recv(timeout=SOON),
            answer,
        )
        sweep(ask_and_answer, lambda: req.recv(timeout=SOON), hear)


@pytest.mark.parametrize("unsubscribed", [False, True])
def test_sub_interrupted_at_any_step_keeps_the_message(unsubscribed):
    """Ctrl-C in a receive of Sub0 loses nothing, also while topics are looked at."""
    url = new_url()
    with blocking.Pub0(listen=url) as pub, blocking.Sub0(dial=url, topics="") as sub:
        pub.wait_connected(timeout=SOON)
        if unsubscribed:
            sub.subscribe("other")
            sub.unsubscribe("other")

        def check(step, interrupted):
            if interrupted:
                assert sub.recv(timeout=SOON) == b"%d" % step

        for call in (lambda: sub.recv(timeout=SOON), lambda: sub.recv_many(4, timeout=SOON)):
            sweep(lambda step: pub.send(b"%d" % step), call, check)


def test_survey_interrupted_anywhere_keeps_its_messages():
    """Ctrl-C loses neither a survey in Respondent0 nor an answer in Surveyor0."""
    url = new_url()
    with blocking.Surveyor0(listen=url, survey_time=60_000) as surveyor:
        with blocking.Respondent0(dial=url) as respondent:
            surveyor.wait_connected(timeout=SOON)  # a survey is not kept for a later peer

            def answer(step, interrupted):
                if interrupted:
                    assert respondent.recv(timeout=SOON) == b"%d" % step
                respondent.send(b"answer", timeout=SOON)
                assert surveyor.recv(timeout=SOON) == b"answer"

            def ask_and_answer(step):
                surveyor.send(b"%d" % step)
                respondent.send(respondent.recv(timeout=SOON), timeout=SOON)

            def hear(step, interrupted):
                if interrupted:
                    assert surveyor.recv(timeout=SOON) == b"%d" % step

            sweep(
                lambda step: surveyor.send(b"%d" % step),
                lambda: respondent.recv(timeout=SOON),
                answer,
            )
            sweep(ask_and_answer, lambda: surveyor.recv(timeout=SOON), hear)


# --- what opens and closes ----------------------------------------------------------------------


def interrupt_dial() -> None:
    url = new_url()
    with blocking.Pair1(listen=url, polyamorous=True):
        with blocking.Pair1(polyamorous=True) as ours:

            def check(_step, interrupted):
                assert len(ours.dialers) == (not interrupted)
                for dialer in ours.dialers:
                    dialer.close()

            def prepare(_step):
                for dialer in ours.dialers:
                    dialer.close()

            sweep(prepare, lambda: ours.dial(url, timeout=SOON), check)


def interrupt_listen() -> None:
    url = new_url()
    made = []

    def listen():
        made.append(blocking.Pair1(listen=url))

    def check(_step=0, _interrupted=False):
        """The address is free again, soon: what was half made has been closed."""
        for socket in made:
            socket.close()
        made.clear()
        until = time.monotonic() + SOON
        while True:
            try:
                blocking.Pair1(listen=url).close()
                return
            except trionng.AddressInUse:
                assert time.monotonic() < until
                time.sleep(0.001)

    sweep(check, listen, check, pause_in="_listen")


def interrupt_close() -> None:
    url = new_url()
    made = []

    def prepare(_step):
        until = time.monotonic() + SOON
        while not made:
            try:
                made.append(blocking.Pair1(listen=url))
            except trionng.AddressInUse:
                assert time.monotonic() < until
                time.sleep(0.001)

    def check(_step, _interrupted):
        socket = made.pop()
        socket.close()
        with pytest.raises(trionng.Closed):
            socket.recv(timeout=0)

    def close():
        made[0].close()

    prepare(0)
    steps = steps_of(close)
    made.clear()
    for step in range(1, steps + 1):
        prepare(step)
        check(step, Interrupter(step).run(close))


@pytest.mark.parametrize("case", [interrupt_dial, interrupt_listen, interrupt_close])
def test_open_and_close_interrupted_anywhere_leave_nothing(case):
    """Ctrl-C at any step of dial, listen or close crashes nothing, and leaves nothing half open."""
    done = run_in_subprocess(case)

    assert done.clean, done

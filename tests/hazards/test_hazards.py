"""What nng gets wrong, one test a hazard: fine as shipped, broken with the workaround switched off.

Every scenario runs in a process of its own on the test build. `TNNG_WITHOUT=<hazard>` leaves a
workaround out, `TNNG_SIMULATE=N2` lets the shim see results as nng 1.12 rewrites them. Where it
takes luck to meet a hazard, its broken half is a test of its own, marked `probabilistic`.

Three hazards cannot be shown on nng 1.5.2 by leaving something out; their tests hold on to what
keeps them out of reach:

* L3 (an aio that slept takes timeouts for success): no aio of the shim ever sleeps or times out.
* N1 (nng 1.9 to 1.11: wait, stop and free return before the callback): nothing that has a callback
  is ever waited for, stopped, or freed at once. Where nng itself does so, its stop is mended.
* N3 (from nng 1.7 a zero-timeout receive on Surveyor0 blocks): none is made there. nng 1.5.2 would
  answer at once, so its behaviour tells nothing.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import threading
import time
from pathlib import Path

import pytest
import trio
import trio.testing

import trionng
import trionng.blocking
from tests.support.fixes import expect_to_hang, fix_state, has_error, is_off, needs_fix
from tests.support.sp import PUSH0, raw_peer
from tests.support.subprocesses import run_test_build
from tests.support.waiting import wait_until
from tests.transports.test_hostile_peers import (
    dial_one_who_hangs_up,
    fin_then_reset,
    is_served,
    listen_beside_nngcat,
    serving,
)
from trionng import _ffi
from trionng._ffi import testing
from trionng._ffi.load import lib
from trionng.testing import connected, new_url

NNG = Path(trionng.__file__).parents[1] / "nng"
WITHIN = 40_000  # milliseconds until a pause point must have been reached

EBUSY, ECLOSED, EAGAIN = 4, 7, 8


def c_code() -> str:
    """Return the C of the shim, but for the wrappers of libnng's calls, without its comments."""
    paths = sorted(path for part in ("core", "conn", "sock") for path in NNG.glob(f"{part}/*.[ch]"))
    text = "\n".join(path.read_text(encoding="utf-8") for path in paths)
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)


# A socket without references is closed.
OPEN: list[_ffi.NativeSocket] = []


def opened(protocol: int) -> _ffi.NativeSocket:
    code, socket = _ffi.open_socket(protocol)
    assert socket is not None, code
    OPEN.append(socket)
    return socket


def context_of(socket: _ffi.NativeSocket, *, context: bool = False) -> _ffi.Context:
    code, ctx = socket.open_context(context=context)
    assert ctx is not None, code
    return ctx


def connect(listening: int, dialing: int) -> tuple[_ffi.NativeSocket, _ffi.NativeSocket]:
    """Connect two sockets of the shim over inproc."""
    first, second = opened(listening), opened(dialing)
    url = new_url().encode()
    code, listener = first.create_listener(url)
    assert (code, first.start_listener(listener)) == (0, 0)
    code, dialer = second.create_dialer(url)
    assert (code, second.start_dialer(dialer)) == (0, 0)
    wait_until(lambda: first.pipe_count() and second.pipe_count())
    return first, second


def reached(point: str) -> None:
    assert testing.pause_reached(point, WITHIN), f"no thread came to {point}"


# C1


def flood_of_sub_cancels(seconds: str) -> None:
    """Cancel the receives of many contexts while nng hands the same message to each."""
    publisher, subscriber = connect(_ffi.protocol("pub0"), _ffi.protocol("sub0"))
    publishing = context_of(publisher)
    contexts = [context_of(subscriber, context=True) for _ in range(16)]
    for ctx in contexts:
        assert _ffi.set_bytes(_ffi.ON_CONTEXT, ctx.id, "sub:subscribe", b"") == 0
    cq = _ffi.CompletionQueue(exclusive=False)
    end = time.monotonic() + float(seconds)
    number = 0
    while time.monotonic() < end:
        number += 1
        answers = [ctx.recv(cq, tag) for tag, ctx in enumerate(contexts)]
        assert {code for code, _ in answers} == {_ffi.PARKED}
        assert publishing.send(b"%d" % number, None, 0)[0] == 0
        spin_until = time.monotonic() + number % 50 * 1e-6
        while time.monotonic() < spin_until:
            pass
        for _, op in reversed(answers):  # nng goes through them from the other end
            _ffi.cancel(op)
        received = {tag: (code, msg) for tag, code, msg in cq.take()}
        for tag, ctx in enumerate(contexts):
            until = time.monotonic() + (1 if is_off("C1") else 10)
            code, msg = received.get(tag) or ctx.recv(None, 0)
            while code == EAGAIN and time.monotonic() < until:
                time.sleep(0)
                code, msg = ctx.recv(None, 0)
            assert code == 0, f"message {number} came to {code}"
            assert _ffi.take_bytes(msg) == b"%d" % number


def test_sub_receive_cancelled_in_a_flood_loses_nothing():
    """C1: a cancelled Sub0 receive stays posted in nng, which would corrupt memory."""
    safe = run_test_build(flood_of_sub_cancels, "2")
    assert safe.clean, str(safe)


@has_error("C1")
@pytest.mark.probabilistic
def test_sub_receive_cancelled_in_a_flood_without_fix_crashes():
    """C1: nng follows a receive that has gone."""
    broken = run_test_build(flood_of_sub_cancels, "20", without="C1", seconds=40)
    assert broken.code in (-signal.SIGSEGV, -signal.SIGABRT, 1), str(broken)
    assert broken.errors, str(broken)


# C2


def receive_beside_a_waiting_request() -> None:
    """Receive on a Req0 while its request waits for a peer, and cancel the request."""
    request = context_of(opened(_ffi.protocol("req0")))
    cq = _ffi.CompletionQueue(exclusive=False)
    code, op = request.send(b"request", cq, 1)
    assert code == _ffi.PARKED
    receive_code, _ = request.recv(cq, 2)
    assert _ffi.cancel(op) == _ffi.CANCEL_PENDING
    cq_has = []
    wait_until(lambda: cq_has.extend(cq.take()) or cq_has)
    print(receive_code, [code for _, code, _ in cq_has])


def test_req_receive_beside_a_waiting_send_is_busy():
    """C2: no receive is posted before its request was sent; nng asserts that there is none."""
    safe = run_test_build(receive_beside_a_waiting_request)
    assert (safe.clean, safe.output) == (True, f"{EBUSY} [20]\n"), str(safe)

    broken = run_test_build(receive_beside_a_waiting_request, without="C2")
    assert broken.code == -signal.SIGABRT, str(broken)
    assert "recv_aio == NULL" in broken.errors, str(broken)


# C4


def many_messages_of_64_bytes() -> None:
    """Make messages of a size that fits the room nng has, but not behind its headroom."""
    first, second = connect(_ffi.protocol("pair0"), _ffi.protocol("pair0"))
    sending, receiving = context_of(first), context_of(second)
    data = b"\xff" * 64
    kept = [_ffi.MessageHandle.from_data(data)[1] for _ in range(100)]
    for message in kept:
        assert bytes(message.view()) == data  # type: ignore[arg-type]
        wait_until(lambda: sending.send(data, None, 0)[0] == 0)
        cq = _ffi.CompletionQueue(exclusive=False)
        code, msg = receiving.recv(cq, 1)
        if code == _ffi.PARKED:
            got = []
            wait_until(lambda got=got, cq=cq: got.extend(cq.take()) or got)
            _, code, msg = got[0]
        assert (code, _ffi.take_bytes(msg)) == (0, data)
        cq.close()


def test_message_made_of_64_bytes_keeps_the_heap_whole():
    """C4: messages are made in one copy; nng_msg_insert writes past the end of its memory."""
    safe = run_test_build(many_messages_of_64_bytes)
    assert safe.clean, str(safe)

    broken = run_test_build(many_messages_of_64_bytes, without="C4")
    if _ffi.nng_is(10):  # mended there; the shim's way is the faster one and stays
        assert broken.clean, str(broken)
        return
    assert broken.code in (-signal.SIGABRT, -signal.SIGSEGV), str(broken)


# C5


def receive_while_the_socket_closes() -> None:
    """Receive on a queue socket when nng has shut its queues and is not done with its pipes."""
    socket, _peer = connect(lib.TNNG_PAIR1_POLY, lib.TNNG_PAIR1_POLY)
    ctx = context_of(socket)
    cq = _ffi.CompletionQueue(exclusive=False)
    testing.arm_pause("pipe.gone")
    testing.arm_pause("close.after")
    assert socket.close(cq, 1)[0] == _ffi.PARKED
    reached("pipe.gone")
    time.sleep(0.3)  # nng_close goes on to its queues, and nothing says when it has shut them
    code, op = ctx.recv(cq, 2)
    testing.open_pause("pipe.gone")
    reached("close.after")
    assert cq.take() == []
    testing.open_pause("close.after")
    print("orphaned" if code == _ffi.PARKED else code, flush=True)
    if code == _ffi.PARKED:
        _ffi.cancel(op)


def test_receive_on_a_queue_socket_that_closes_is_refused():
    """C5: the gate is shut before nng_close; nng would forget the receive, and free under it."""
    safe = run_test_build(receive_while_the_socket_closes)
    assert (safe.clean, safe.output) == (True, f"{ECLOSED}\n"), str(safe)

    # On a busy machine nng may not have got to its queues in the first try.
    both = "C5,C12"  # its cancel would be left to nng
    tries = (run_test_build(receive_while_the_socket_closes, without=both) for _ in range(5))
    crashes = (-signal.SIGABRT, -signal.SIGSEGV)
    assert any(each.output == "orphaned\n" and each.code in crashes for each in tries)


# C12


def send_cancelled_while_nng_closes() -> None:
    """Cancel a send that waits when nng is about to close its socket; say who ends it."""
    socket = opened(lib.TNNG_PUSH0)
    ctx = context_of(socket)
    cq = _ffi.CompletionQueue(exclusive=False)
    code, op = ctx.send(b"left over", cq, 2)
    assert code == _ffi.PARKED
    testing.arm_pause("close.left_to_nng")
    assert socket.close(cq, 1)[0] == _ffi.PARKED
    reached("close.left_to_nng")
    assert _ffi.cancel(op) == _ffi.CANCEL_PENDING
    until = time.monotonic() + (60 if is_off("C12") else 0.3)
    ended = []
    while not ended and time.monotonic() < until:
        ended = cq.take()
        time.sleep(0.01)
    print("the cancel" if ended else "nng's close", flush=True)
    testing.open_pause("close.left_to_nng")
    while len(ended) < 2:
        ended += cq.take()
        time.sleep(0.01)


def test_cancel_that_meets_the_close_of_nng_leaves_it_to_that():
    """C12: a cancel works on memory that nng's close frees, so none is under way then."""
    safe = run_test_build(send_cancelled_while_nng_closes)
    assert (safe.clean, safe.output) == (True, "nng's close\n"), str(safe)

    assert run_test_build(send_cancelled_while_nng_closes, without="C12").output == "the cancel\n"


def sends_cancelled_while_nng_closes(rounds: str) -> None:
    """Cancel a send that waits, somewhere in the time in which nng closes its socket."""
    rng = random.Random(12)
    for number in range(int(rounds)):
        socket = opened((lib.TNNG_PUSH0, lib.TNNG_REQ0, lib.TNNG_PAIR0)[number % 3])
        cq = _ffi.CompletionQueue(exclusive=False)
        code, op = context_of(socket).send(b"left over", cq, 1)
        assert code == _ffi.PARKED
        closing = threading.Thread(target=socket.close, args=(None, 0))
        closing.start()
        until = time.perf_counter() + rng.random() * 2e-4
        while time.perf_counter() < until:
            pass
        _ffi.cancel(op)
        closing.join()
        while not cq.take():
            time.sleep(0)


def test_cancels_in_the_middle_of_closes_do_no_harm():
    """C12: whenever it comes, a cancel meets a socket that is there, or leaves the send alone."""
    assert run_test_build(sends_cancelled_while_nng_closes, "1500").clean


@pytest.mark.probabilistic
@has_error("C12")
def test_cancels_in_the_middle_of_closes_without_fix_crash():
    """C12: nng calls the cancel of a protocol whose memory its close has freed."""
    tries = (
        run_test_build(sends_cancelled_while_nng_closes, "60000", without="C12") for _ in range(3)
    )
    assert any(each.code in (-signal.SIGABRT, -signal.SIGSEGV) for each in tries)


# C7


def surveys_one_after_the_other(seconds: str) -> None:
    """Send survey after survey from several contexts, about when the last ones expire."""
    surveyor = opened(lib.TNNG_SURVEYOR0)
    contexts = [context_of(surveyor, context=True) for _ in range(16)]
    if is_off("C7"):
        for ctx in contexts:
            name = "surveyor:survey-time"
            assert _ffi.set_number(_ffi.ON_CONTEXT, ctx.id, "ms", name, 1) == 0
    end = time.monotonic() + float(seconds)
    surveys = 0
    while time.monotonic() < end:
        expect_to_hang("C7")
        for ctx in contexts:
            assert ctx.send(b"survey", None, 0)[0] == 0
        surveys += 1
        spin_until = time.monotonic() + (500 + surveys % 1000) * 1e-6
        while time.monotonic() < spin_until:
            pass


def survey_time_of_a_socket_and_a_context() -> None:
    surveyor = opened(lib.TNNG_SURVEYOR0)
    context = context_of(surveyor, context=True)
    for on, number in ((_ffi.ON_SOCKET, surveyor.id), (_ffi.ON_CONTEXT, context.id)):
        print(_ffi.get_number(on, number, "ms", "surveyor:survey-time"))


def test_surveys_sent_while_others_are_out_never_lock_up():
    """C7: surveys never expire in nng, whose timer would wait for the sender that waits for it."""
    safe = run_test_build(surveys_one_after_the_other, "2")
    assert safe.clean, str(safe)


@pytest.mark.probabilistic
def test_surveys_sent_while_others_run_without_fix_lock_up():
    """C7: the timer waits for the sender, and the sender for the timer."""
    broken = run_test_build(surveys_one_after_the_other, "20", without="C7")
    assert "Timeout" in broken.errors, str(broken)
    assert "in send" in broken.errors, str(broken)


def test_survey_time_of_nng_is_its_longest():
    """C7: sockets, and contexts after them, get the longest survey time there is."""
    longest, default = f"{(0, 2**31 - 1)}\n", f"{(0, 1000)}\n"
    safe = longest if fix_state("C7").active else default
    assert run_test_build(survey_time_of_a_socket_and_a_context).output == safe * 2
    assert run_test_build(survey_time_of_a_socket_and_a_context, without="C7").output == default * 2


# S1


async def peer_that_announces_too_much() -> None:
    """Serve a peer whose message is so long that nng's sum wraps around."""
    async with trionng.Pull0() as pull:
        url = pull.listen("tcp://127.0.0.1:0").url
        async with raw_peer(url) as peer:
            await peer.greet(PUSH0)
            await peer.send_raw(peer.frame(b"", length=0xFFFF_FFFF_FFFF_FFD8))
            await peer.wait_dropped()
        async with trionng.Push0() as push:
            await push.dial(url, block=True)
            await push.send(b"honest")
            print((await pull.recv()).decode())


def test_message_of_absurd_length_drops_its_peer_only():
    """S1: every socket has a size limit from the start; without one a peer can end the process."""
    safe = run_test_build(peer_that_announces_too_much)
    assert (safe.clean, safe.output) == (True, "honest\n"), str(safe)

    if tuple(map(int, trionng.nng_version.split(".")[:3])) < (1, 12, 1):  # mended there
        broken = run_test_build(peer_that_announces_too_much, without="S1")
        assert broken.code in (-signal.SIGABRT, -signal.SIGSEGV), str(broken)


# S2


async def newcomers_after_hangups(transport: str) -> None:
    """Hang up on a listener, and ask it something, until it answers no more; twenty times."""
    async with serving(transport) as (_, url):
        for _ in range(20):
            await trio.to_thread.run_sync(fin_then_reset, url, [])
            if not await is_served(url, within=20):
                print("deaf")
                return
        print("served")


@needs_fix("S2")
@pytest.mark.parametrize("transport", ["ipc", "tcp"])
def test_listener_hung_up_on_serves_newcomers(transport: str):
    """S2: a write that fails because the peer has gone is no reason to stop; nng 1.5 stops."""
    safe = run_test_build(newcomers_after_hangups, transport)
    assert (safe.clean, safe.output) == (True, "served\n"), str(safe)


@has_error("S2")
@pytest.mark.probabilistic
@pytest.mark.parametrize("transport", ["ipc", "tcp"])
def test_listener_hung_up_on_is_deaf_without_the_workaround(transport: str):
    """S2: and the loop that accepts is over."""
    broken = run_test_build(newcomers_after_hangups, transport, without="S2")
    assert broken.output == "deaf\n", str(broken)


@has_error("S2")
@pytest.mark.probabilistic
def test_dialer_hung_up_on_gives_up_without_the_workaround():
    """S2: the same for dialers in the background; test_hostile_peers has the safe half."""
    broken = run_test_build(dial_one_who_hangs_up, "2", without="S2")
    assert broken.output == "in vain\n", str(broken)


@has_error("S2")
@pytest.mark.probabilistic
def test_listen_on_a_path_in_use_without_fix_ends_its_listener(tmp_path: Path):
    """S2: nng connects in order to ask, which is more than a listener of nng 1.5 survives."""
    broken = run_test_build(listen_beside_nngcat, new_url("ipc", tmp_path), "2000", without="S2")
    assert broken.output == "refused, and it is deaf\n", str(broken)


# N2


async def receive_cancelled_too_late() -> None:
    """Cancel a receive whose message nng has already attached."""
    async with connected(trionng.Pull0(), trionng.Push0(), "inproc") as (pull, push):
        testing.arm_pause("receive.callback")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pull.recv)
            await trio.testing.wait_all_tasks_blocked()
            await push.send(b"first")
            reached("receive.callback")
            nursery.cancel_scope.cancel()
        testing.open_pause("receive.callback")
        await push.send(b"second")
        print((await pull.recv()).decode())


async def send_cancelled_too_late() -> None:
    """Cancel a send that nng has already handed to a peer."""
    async with trionng.Push0() as push, trionng.Pull0() as pull:
        url = push.listen(new_url()).url
        testing.arm_pause("send.callback")
        scope = trio.CancelScope()

        async def send() -> None:
            with scope:
                await push.send(b"message")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await trio.testing.wait_all_tasks_blocked()
            await pull.dial(url, block=True)
            reached("send.callback")
            scope.cancel()
            await trio.testing.wait_all_tasks_blocked()
            testing.open_pause("send.callback")
        received = (await pull.recv()).decode()
        print("cancelled" if scope.cancelled_caught else "sent", received)


def test_result_rewritten_by_a_late_cancel_loses_no_message():
    """N2: a receive that has a message has received, whatever its result says."""
    for simulate in ("", "N2"):
        safe = run_test_build(receive_cancelled_too_late, simulate=simulate)
        assert (safe.clean, safe.output) == (True, "first\n"), str(safe)

    broken = run_test_build(receive_cancelled_too_late, simulate="N2", without="N2")
    assert broken.output == "second\n", str(broken)


def test_result_rewritten_by_a_late_cancel_denies_no_send():
    """N2: a send whose message has gone has sent, so that the caller does not send it twice."""
    for simulate in ("", "N2"):
        safe = run_test_build(send_cancelled_too_late, simulate=simulate)
        assert (safe.clean, safe.output) == (True, "sent message\n"), str(safe)

    broken = run_test_build(send_cancelled_too_late, simulate="N2", without="N2")
    assert broken.output == "cancelled message\n", str(broken)


# CHAIN


async def request_cancelled_between_its_stages() -> None:
    """Cancel a request that was sent and has no receive yet; no peer answers it."""
    async with trionng.Req0() as req, trionng.Rep0() as rep:
        url = req.listen(new_url()).url
        testing.arm_pause("send.callback")
        scope = trio.CancelScope()

        async def request() -> None:
            with scope:
                await req.request(b"request")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(request)
            await trio.testing.wait_all_tasks_blocked()
            await rep.dial(url, block=True)
            reached("send.callback")
            scope.cancel()
            await trio.testing.wait_all_tasks_blocked()
            print("cancelled", flush=True)
            expect_to_hang("CHAIN")
            testing.open_pause("send.callback")
        print("ended")


def test_request_cancelled_between_its_stages_ends():
    """A chain looks at its cancel before the second stage: one that came between has no aio."""
    safe = run_test_build(request_cancelled_between_its_stages)
    assert (safe.clean, safe.output) == (True, "cancelled\nended\n"), str(safe)

    broken = run_test_build(request_cancelled_between_its_stages, without="CHAIN")
    assert broken.output == "cancelled\n", str(broken)
    assert "Timeout" in broken.errors, str(broken)


# L1


async def pairs_opened_and_closed(seconds: str = "10") -> None:
    """Use and close many Pair0 sockets, ask them for their descriptors, and count what is left."""

    async def use_one() -> None:
        pair = connected(trionng.Pair0(), trionng.Pair0(), "tcp")
        async with pair as (first, second):
            await first.send(b"message")
            await trio.lowlevel.wait_readable(second.recv_fd)
            assert second.recv_nowait() == b"message"
            with contextlib.suppress(trionng.NotSupported):
                await trio.lowlevel.wait_readable(first.send_fd)

    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    await use_one()
    before = count()
    for _ in range(50):
        await use_one()
    with trio.fail_after(float(seconds)):
        while count() > before:
            await trio.sleep(0.01)


def test_pair_opened_and_closed_leaves_no_descriptor():
    """L1: fifty Pair0 sockets leave no descriptor behind, because nng is not asked for one."""
    safe = run_test_build(pairs_opened_and_closed)
    assert safe.clean, str(safe)

    broken = run_test_build(pairs_opened_and_closed, "1", without="L1")
    assert ("TooSlowError" in broken.errors) == fix_state("L1").needed, str(broken)
    assert "NNG_OPT_RECVFD" not in c_code()


# L3, N1, N3: see the top of this file.


def test_aio_of_the_shim_never_sleeps_and_does_something_else():
    """L3: no aio sleeps, and those with a callback have no timeout, so none can lie about one.

    The clock of sock/backlog.c does nothing but sleep, and how that ended is not asked.
    """
    code = c_code()

    assert re.findall(r"nng_sleep_aio\(.*\)", code) == [
        "nng_sleep_aio(TICK, pool_ctx->pool->clock)"
    ]
    assert not re.search(r"nng_(ctx_|aio_result)\w*\([^;]*clock", code)
    timeouts = re.findall(r"nng_aio_set_timeout\(([^,]+),\s*(\w+)\)", code)
    assert {name for name, limit in timeouts if limit != "NNG_DURATION_INFINITE"} == {
        "ctx->try_send",
        "ctx->try_recv",
    }


def test_aio_with_a_callback_is_never_waited_for():
    """N1: callbacks say what has ended; nothing trusts wait, stop, busy or a free to say so."""
    code = c_code()

    # Replies have no callback, and there the message and the result decide: those of a context, and
    # those of the slots of a pool, which are never cancelled. Waiting only makes sure that nng has
    # let go of an aio before it is used again.
    assert set(re.findall(r"nng_aio_(?:wait|stop|busy)\([^)]*\)", code)) == {
        "nng_aio_wait(aio)",
        "nng_aio_wait(ctx->try_send)",
        "nng_aio_wait(slot->reply)",
    }
    assert "is_pending(aio)" in (NNG / "sock/reply.c").read_text(encoding="utf-8")
    assert "nng_aio_alloc(&slot->reply, NULL, NULL)" in code
    assert "nng_aio_cancel(slot->reply)" not in code
    freed = set(re.findall(r"nng_aio_free\(([^)]+)\)", code))
    assert freed == {"ctx->try_send", "ctx->try_recv"}
    for name in freed:
        assert re.search(rf"nng_aio_alloc\(&{re.escape(name)}, NULL, NULL\)", code)


def operation_that_is_stopped() -> None:
    print(testing.stop_waits())


@needs_fix("N1")
def test_stop_within_nng_waits_for_the_operation():
    """N1: nng frees a connection after a stop, so its operations must have ended by then."""
    broken = run_test_build(operation_that_is_stopped, without="N1")

    assert run_test_build(operation_that_is_stopped).output == "True\n"
    assert broken.output == f"{not fix_state('N1').needed}\n"


def surveyor_asked_for_what_is_here() -> None:
    """Ask for a reply, without waiting, while a survey is out."""
    ctx = context_of(opened(lib.TNNG_SURVEYOR0))
    assert ctx.send(b"survey", None, 0)[0] == 0
    answers = []
    thread = threading.Thread(target=lambda: answers.append(ctx.recv(None, 0)[0]), daemon=True)
    thread.start()
    thread.join(5)
    print(answers)


def test_surveyor_is_never_tried_with_a_zero_timeout():
    """N3: asking a Surveyor0 for what is here never gets as far as nng, which may block."""
    traits = re.search(r"\[TNNG_SURVEYOR0\] = \{([^}]*)\}", c_code())
    done = run_test_build(surveyor_asked_for_what_is_here)

    assert traits is not None
    assert "TRAITS_DIRECTIONS" in traits[1]  # TRAIT_SEND and TRAIT_RECV
    assert not re.search("TRAIT_TRY_RECV|TRAITS_TRY|TRAITS_BOTH|TRAITS_RAW", traits[1])
    assert (done.clean, done.output) == (True, f"[{EAGAIN}]\n"), str(done)

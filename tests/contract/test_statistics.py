"""What sockets count: exactly what was sent and received, once, and never less than before."""

from __future__ import annotations

import itertools
import os
import random
import struct
import threading
import time
from functools import partial
from typing import Any

import attrs
import pytest
import trio
import trio.testing

import trionng
from tests.support.fixes import fix_state
from tests.support.sp import RawPeer, raw_peer
from tests.support.subprocesses import run_in_subprocess
from tests.support.waiting import wait_until
from trionng import _ffi, blocking
from trionng._base.errors import EAGAIN
from trionng._sync.wait import acquire_waiter, rollback, run
from trionng.testing import connected, new_url

SURVEYOR0 = 0x62
MAX_UNREAD = 1024  # of nng/sock/context_pool.c

ONE_WAY = [
    ("Pair0", "Pair0"),
    ("Pair1", "Pair1"),
    ("Push0", "Pull0"),
    ("Pub0", "Sub0"),
    ("Bus0", "Bus0"),
]
ASKING = [("Req0", "Rep0"), ("Surveyor0", "Respondent0")]
SIZES = (0, 5, 3000)
TOTAL = len(SIZES), sum(SIZES)


# A survey lasts a second unless it is told otherwise, which a busy machine can need.
OPTIONS: dict[str, dict[str, Any]] = {"Sub0": {"topics": ""}, "Surveyor0": {"survey_time": 60_000}}


def make(module, name):
    return getattr(module, name)(**OPTIONS.get(name, {}))


def sent(socket) -> tuple[int, int]:
    counted = socket.statistics()
    return counted.messages_sent, counted.bytes_sent


def received(socket) -> tuple[int, int]:
    counted = socket.statistics()
    return counted.messages_received, counted.bytes_received


def open_blocking(listening, dialing):
    """Connect two sync sockets; the caller closes them."""
    dialing.dial(listening.listen(new_url("tcp", "")).url, block=True)
    listening.wait_connected(timeout=60)
    return listening, dialing


def wait_until_held(socket, count: int) -> None:
    """Wait until so many messages were taken from nng and lie there; only nng's threads know."""
    wait_until(lambda: socket._ctx.prefetched() >= count)


# --- messages and bytes, each protocol, both APIs


@pytest.mark.parametrize(("sender", "receiver"), ONE_WAY)
async def test_message_one_way_is_counted_on_either_side(sender, receiver):
    """One side has sent what the other has received: messages, and bytes of their bodies."""
    async with connected(make(trionng, receiver), make(trionng, sender), "tcp") as (there, here):
        for size in SIZES:
            await here.send(b"x" * size)
            assert len(await there.recv()) == size

        assert (sent(here), received(here)) == (TOTAL, (0, 0))
        assert (sent(there), received(there)) == ((0, 0), TOTAL)


@pytest.mark.parametrize(("sender", "receiver"), ONE_WAY)
def test_message_one_way_is_counted_in_threads(sender, receiver):
    """The sync counterparts count the same."""
    with make(blocking, receiver) as there, make(blocking, sender) as here:
        open_blocking(there, here)
        for size in SIZES:
            here.send(b"x" * size, timeout=60)
            assert len(there.recv(timeout=60)) == size

        assert (sent(here), received(here)) == (TOTAL, (0, 0))
        assert (sent(there), received(there)) == ((0, 0), TOTAL)


@pytest.mark.parametrize(("asking", "answering"), ASKING)
async def test_question_and_answer_are_counted_without_headers(asking, answering):
    """Questions and answers count on both sides, and the protocol's header does not."""
    async with connected(make(trionng, answering), make(trionng, asking), "tcp") as (b, a):
        for size in SIZES:
            await a.send(b"q" * size)
            assert len(await b.recv()) == size
            await b.send(b"a" * (size + 1))
            assert len(await a.recv()) == size + 1

        answers = TOTAL[0], TOTAL[1] + len(SIZES)
        assert (sent(a), received(a)) == (TOTAL, answers)
        assert (sent(b), received(b)) == (answers, TOTAL)


@pytest.mark.parametrize(("asking", "answering"), ASKING)
def test_question_and_answer_are_counted_in_threads(asking, answering):
    """The sync counterparts count the same."""
    with make(blocking, answering) as b, make(blocking, asking) as a:
        open_blocking(b, a)
        for size in SIZES:
            a.send(b"q" * size)
            assert len(b.recv(timeout=60)) == size
            b.send(b"a" * (size + 1))
            assert len(a.recv(timeout=60)) == size + 1

        answers = TOTAL[0], TOTAL[1] + len(SIZES)
        assert (sent(a), received(a)) == (TOTAL, answers)
        assert (sent(b), received(b)) == (answers, TOTAL)


async def test_contexts_requests_and_services_count_for_their_socket():
    """What contexts move (requests, surveys, the workers of services) the socket has counted."""
    async with trio.open_nursery() as nursery:

        async def shout(request):
            return request * 2

        url = new_url("tcp", "")
        service = await trionng.serve_rep(nursery, shout, listen=url, workers=4)
        asked = await trionng.serve_respondent(nursery, shout, listen=url, workers=4)
        async with trionng.Req0(dial=service.url) as req, trionng.Surveyor0() as surveyor:
            await surveyor.dial(asked.url, block=True)
            async with trio.open_nursery() as requests:
                for _ in range(20):
                    requests.start_soon(req.request, b"12345")
            async with surveyor.survey(b"123", timeout=60) as replies:
                async for _ in replies:
                    break

            assert (sent(req), received(req)) == ((20, 100), (20, 200))
            assert (received(service.socket), sent(service.socket)) == ((20, 100), (20, 200))
            assert (sent(surveyor), received(surveyor)) == ((1, 3), (1, 6))
            assert (received(asked.socket), sent(asked.socket)) == ((1, 3), (1, 6))
        await service.aclose()
        await asked.aclose()


async def test_nowait_calls_and_message_calls_are_counted():
    """`send_nowait`, `send_msg`, `recv_msg` and `recv_nowait` are counted too."""
    pull = trionng.Pull0(recv_buffer_size=8)
    async with connected(pull, trionng.Push0(send_buffer_size=8), "inproc") as (_, push):
        push.send_nowait(b"1")
        await push.send_msg(trionng.Message(b"22"))
        push.send_msg_nowait(trionng.Message(b"333"))
        message = await pull.recv_msg()
        assert (sent(push), received(pull)) == ((3, 6), (1, 1))
        assert await pull.recv() == b"22"
        assert (await pull.recv_msg()).bytes == b"333"
        assert received(pull) == (3, 6)
        with pytest.raises(trionng.TryAgain):
            pull.recv_nowait()
        await push.send_msg(message)
        assert await pull.recv() == b"1"
        assert (sent(push), received(pull)) == ((4, 7), (4, 7))


async def test_send_that_was_refused_or_cancelled_is_not_counted():
    """Only what nng took is sent."""
    async with trionng.Push0() as push:
        with pytest.raises(trionng.TryAgain):
            push.send_nowait(b"nobody is there")
        with trio.move_on_after(0.01) as scope:
            await push.send(b"nobody is there")

        assert scope.cancelled_caught
        assert sent(push) == (0, 0)


async def test_batch_counts_what_it_returns_and_not_what_did_not_fit():
    """`recv_many` counts the messages it returns; the next one stays, and is not counted yet."""
    pull = trionng.Pull0(recv_buffer_size=8)
    async with connected(pull, trionng.Push0(send_buffer_size=8), "inproc") as (_, push):
        assert await push.send_many([b"x" * 20_000, b"x" * 60_000]) == 2
        assert sent(push) == (2, 80_000)
        wait_until_held(pull, 2)
        assert [len(each) for each in await pull.recv_many(10)] == [20_000]
        assert received(pull) == (1, 20_000)
        assert [len(each) for each in await pull.recv_many(10)] == [60_000]
        assert received(pull) == (2, 80_000)
        await push.send(b"x" * 100_000)  # more than a batch has room for
        assert [len(each) for each in await pull.recv_many(10)] == [100_000]
        assert received(pull) == (3, 180_000)


async def test_batch_without_a_receive_buffer_counts_what_it_returns():
    """A message taken from nng that does not fit into the batch is not counted yet."""
    async with connected(trionng.Bus0(recv_buffer_size=8), trionng.Bus0(), "inproc") as (b, a):
        for size in (20_000, 60_000, 1):
            await a.send(b"x" * size)
        got: list[bytes] = []
        while len(got) < 3:
            got += await b.recv_many(10)
            assert received(b) == (len(got), sum(map(len, got)))


def test_batch_in_a_thread_counts_what_it_returns():
    """The blocking `recv_many` counts the same."""
    with blocking.Pull0() as pull, blocking.Push0(send_buffer_size=8) as push:
        pull.recv_buffer_size = 8
        open_blocking(pull, push)
        assert push.send_many([b"x" * 20_000, b"x" * 60_000], timeout=60) == 2
        wait_until_held(pull, 2)
        assert [len(each) for each in pull.recv_many(10, timeout=60)] == [20_000]
        assert received(pull) == (1, 20_000)
        assert [len(each) for each in pull.recv_many(10, timeout=60)] == [60_000]
        assert received(pull) == (2, 80_000)
        push.send(b"x" * 100_000, timeout=60)
        assert [len(each) for each in pull.recv_many(10, timeout=60)] == [100_000]
        assert received(pull) == (3, 180_000)


# --- what was handed out and given back


async def test_message_that_forward_gives_back_is_counted_once():
    """A message that `forward` received and could not send is not counted again later."""
    front, back = trionng.Pull0(raw=True), trionng.Push0(raw=True)
    async with back, connected(front, trionng.Push0(), "inproc") as (_, push):
        await push.send(b"12345")
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                await nursery.start(trionng.forward, front, back)
                while received(front) == (0, 0):
                    await trio.testing.wait_all_tasks_blocked(0.001)
                nursery.cancel_scope.cancel()
            assert received(front) == (1, 5)
            assert await front.recv() == b"12345"
            assert received(front) == (1, 5)
            await push.send(b"678")
            assert await front.recv() == b"678"

        assert received(front) == (2, 8)


@pytest.mark.parametrize(("sender", "receiver"), [("Push0", "Pull0"), ("Surveyor0", "Respondent0")])
async def test_message_given_back_is_counted_once(sender, receiver):
    """A message whose call was interrupted is counted once, and the next one is counted."""
    async with connected(make(trionng, receiver), make(trionng, sender), "inproc") as (there, here):
        with trio.fail_after(60):
            await here.send(b"12345")
            code, msg = there._ctx.recv(None, 0)
            while code == EAGAIN:
                await trio.testing.wait_all_tasks_blocked(0.001)
                code, msg = there._ctx.recv(None, 0)
            assert (code, received(there)) == (0, (1, 5))
            there._ctx.unget(msg)
            assert received(there) == (1, 5)
            assert await there.recv() == b"12345"
            assert received(there) == (1, 5)
            async with trio.open_nursery() as nursery:  # one that has to wait for its message
                nursery.start_soon(there.recv)
                await trio.testing.wait_all_tasks_blocked()
                await here.send(b"678")

        assert received(there) == (2, 8)


async def test_request_a_worker_gives_back_is_counted_once():
    """A request that goes back to its pool is counted when it is first handed out."""
    async with connected(trionng.Rep0(), trionng.Req0(), "inproc") as (rep, req):
        code, service = _ffi.open_service(rep._ctx, 1, 64)
        assert service is not None, code
        code, worker = service.open_worker()
        assert worker is not None, code
        cq = _ffi.CompletionQueue(exclusive=True)
        await req.send(b"12345")
        for _ in range(2):
            code, msg = worker.recv(cq, 1)
            until = time.monotonic() + 60
            while code == _ffi.PARKED and time.monotonic() < until:
                for _tag, code, msg in cq.take():  # noqa: B007
                    pass
            assert code == 0
            assert received(rep) == (1, 5)
            worker.unget(msg)
            assert received(rep) == (1, 5)
        service.close()
        cq.close()


def test_batch_a_thread_gives_back_is_counted_once():
    """What Ctrl-C takes from a batch goes back, and is not counted again."""
    with blocking.Pull0() as pull, blocking.Push0(send_buffer_size=8) as push:
        pull.recv_buffer_size = 8
        open_blocking(pull, push)
        push.send_many([b"1", b"22", b"333"], timeout=60)
        waiter = acquire_waiter()
        assert run(waiter, pull._ctx.recv, time.monotonic() + 60) == 0
        until = time.monotonic() + 60
        while received(pull) != (3, 6) and time.monotonic() < until:
            waiter.recv_many(pull._ctx, 2)
        assert received(pull) == (3, 6)

        rollback(waiter)

        assert received(pull) == (3, 6)
        assert [pull.recv(timeout=60) for _ in range(3)] == [b"1", b"22", b"333"]
        assert received(pull) == (3, 6)


async def test_statistics_under_many_cancels_stay_exact():
    """Whatever is cancelled, the numbers only grow, and at the end are what tasks got."""
    messages = [b"x" * (number % 50) for number in range(1500)]
    got: list[bytes] = []
    done = trio.Event()
    seen: list[tuple[int, ...]] = []

    async def receive(pull, seed):
        dice = random.Random(seed)
        while len(got) < len(messages):
            with trio.move_on_after(dice.random() * 0.0005):
                if dice.random() < 0.5:
                    got.append(await pull.recv())
                else:
                    got.extend(await pull.recv_many(5))
        done.set()

    async def push_all(push):
        dice = random.Random(0)
        rest = iter(messages)
        data = next(rest, None)
        while data is not None:
            with trio.move_on_after(dice.random() * 0.0005):
                await push.send(data)
                data = next(rest, None)

    async def watch(*sockets):
        while not done.is_set():
            seen.append(tuple(n for each in sockets for n in (*sent(each), *received(each))))
            await trio.lowlevel.checkpoint()

    async with connected(trionng.Pull0(), trionng.Push0(), "tcp") as (pull, push):
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch, push, pull)
                for seed in range(1, 6):
                    nursery.start_soon(receive, pull, seed)
                nursery.start_soon(push_all, push)
                await done.wait()
                nursery.cancel_scope.cancel()

        expected = len(messages), sum(map(len, messages))
        assert sorted(got) == sorted(messages)
        assert (sent(push), received(pull)) == (expected, expected)
    assert len(seen) > 10
    for before, after in itertools.pairwise(seen):
        assert all(x <= y for x, y in zip(before, after, strict=True))


# --- connections, waiting tasks, drops


async def test_connections_are_counted_now_and_rejected_ones_for_ever():
    """`pipes` is the number of this moment; a peer that was turned away stays in `rejected`."""
    async with trionng.Pair0() as pair, trionng.Pair0() as first, trionng.Pair0() as second:
        assert (pair.statistics().pipes, pair.statistics().rejected) == (0, 0)
        url = pair.listen(new_url()).url
        await first.dial(url, block=True)
        await pair.wait_connected()
        assert (pair.statistics().pipes, pair.statistics().rejected) == (1, 0)

        with trio.fail_after(60):
            async with pair.pipe_events() as events:
                await second.dial(url, block=False)
                async for event in events:
                    if event.kind == "rejected":
                        break
                assert pair.statistics().rejected >= 1
                await second.aclose()
                await first.aclose()
                async for event in events:
                    if event.kind == "disconnected":
                        break
        assert pair.statistics().pipes == 0


async def test_waiting_tasks_are_counted_while_they_wait():
    """Tasks that wait in any call on the socket or its contexts are counted, and no others."""
    async with trionng.Sub0(topics="") as sub, sub.new_context() as context:
        async with trio.open_nursery() as nursery:
            for call in (sub.recv, sub.recv, context.recv, sub.wait_connected):
                nursery.start_soon(call)
            await trio.testing.wait_all_tasks_blocked()
            assert sub.statistics().tasks_waiting == 4
            nursery.cancel_scope.cancel()

        assert sub.statistics().tasks_waiting == 0


def test_waiting_threads_are_counted_while_they_wait():
    """Threads that wait are counted as tasks are."""
    with blocking.Pull0() as pull:
        threads = [
            threading.Thread(target=partial(pytest.raises, trionng.Closed, pull.recv))
            for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        until = time.monotonic() + 60
        while pull.statistics().tasks_waiting < 3 and time.monotonic() < until:
            time.sleep(0.001)
        assert pull.statistics().tasks_waiting == 3
        pull.close()
        for thread in threads:
            thread.join(10)

        assert pull.statistics().tasks_waiting == 0


@pytest.mark.parametrize("module", [trionng, blocking])
async def test_dropped_is_a_number_only_where_it_is_known(module):
    """`dropped` is 0 where nothing was lost yet, and None where nng drops and nothing counts it."""
    known = {"Pair0", "Pair1", "Push0", "Pull0", "Req0", "Rep0", "Respondent0"}
    published = {"Pub0", "Sub0", "Surveyor0"} if fix_state("F2").active else set()
    names = {name for pair in (*ONE_WAY, *ASKING) for name in pair}

    def dropped(name, **options):
        socket = getattr(module, name)(**options)
        try:
            return socket.statistics().dropped
        finally:
            socket._abort()

    assert {name for name in names if dropped(name) is not None} == known | published
    raw = {name for name in names if dropped(name, raw=True) is not None}
    assert raw == {"Pair0", "Pair1", "Push0", "Pull0"} | (published - {"Sub0", "Surveyor0"})
    assert dropped("Pair1", polyamorous=True) is None
    assert dropped("Sub0", prefer_new=False) is None


async def test_surveys_not_received_in_time_are_dropped_and_counted():
    """A Respondent0 that does not receive keeps 1024 surveys, and counts those it threw away."""
    async with trionng.Respondent0(listen="tcp://127.0.0.1:0") as respondent:
        async with raw_peer(respondent.listeners[0].url) as peer:
            await send_surveys(peer, MAX_UNREAD + 22)
            with trio.fail_after(60):
                while respondent.statistics().dropped != 22:
                    await trio.testing.wait_all_tasks_blocked(0.001)
                    assert (respondent.statistics().dropped or 0) <= 22
            assert received(respondent) == (0, 0)
            assert await respondent.recv() == b"22"
            assert received(respondent) == (1, 2)
            assert respondent.statistics().dropped == 22


async def send_surveys(peer: RawPeer, count: int) -> None:
    await peer.greet(SURVEYOR0)
    for number in range(count):
        await peer.send(struct.pack(">I", 0x8000_0000 | number) + b"%d" % number)


# --- the object, and the end


async def test_statistics_of_a_closed_socket_are_its_last():
    """The numbers can be read when the socket has closed."""
    async with connected(trionng.Pull0(), trionng.Push0(), "inproc") as (pull, push):
        await push.send(b"12345")
        assert await pull.recv() == b"12345"
        before = pull.statistics()
    after = pull.statistics()

    assert (sent(push), received(pull)) == ((1, 5), (1, 5))
    assert (after.messages_received, after.dropped, after.tasks_waiting) == (1, 0, 0)
    assert attrs.evolve(before, pipes=0) == attrs.evolve(after, pipes=0)
    assert blocking.SocketStatistics is trionng.SocketStatistics
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        after.messages_sent = 7


def read_statistics_in_a_forked_child() -> None:
    with blocking.Pair0() as pair:
        child = os.fork()
        if child == 0:
            try:
                pair.statistics()
            except trionng.UsedAfterFork:
                os._exit(0)
            os._exit(1)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), pair.statistics().messages_sent)


def test_statistics_in_a_forked_child_are_refused():
    """A forked child has no numbers: it gets UsedAfterFork, and its parent goes on."""
    finished = run_in_subprocess(read_statistics_in_a_forked_child)

    assert finished.clean, str(finished)
    assert finished.output == "0 0\n"

"""Many surveys at once: nng keeps eight for a connection and drops the next, so they wait."""

from __future__ import annotations

import contextlib
import time

import pytest
import trio

import trionng
from tests.support.apis import SyncApi, TrioApi
from tests.support.fixes import needs_fix
from tests.support.sockets import TRANSPORTS
from tests.support.sp import raw_peer
from tests.support.subprocesses import run_test_build
from trionng.testing import new_url

RESPONDENT0 = 0x63
# What nothing is known of without F1 goes slower there, and perhaps not all of it.
COUNTED = ("inproc", "ws")


@contextlib.asynccontextmanager
async def answered(api, surveyor, url):
    """Answer every survey with itself, for the time of a block."""
    respondent = trionng.Respondent0()

    async def answer():
        async for survey in respondent:
            await respondent.send(survey)

    async with respondent, trio.open_nursery() as nursery:
        await respondent.dial(url, block=True)
        await api.call(surveyor.wait_connected)
        nursery.start_soon(answer)
        yield
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("count", [50, 300])
@pytest.mark.parametrize(
    "transport",
    [
        pytest.param(each, marks=needs_fix("F1")) if each in COUNTED else each
        for each in (*TRANSPORTS, "ws")
    ],
)
async def test_burst_of_surveys_is_answered_whole(api, transport, count, tmp_path):
    """Each of many surveys that go at once reaches the peer, and is answered."""
    surveyor = api.module.Surveyor0(listen=new_url(transport, tmp_path), survey_time=60_000)
    with trio.fail_after(60):
        async with answered(api, surveyor, surveyor.listeners[0].url):
            contexts = [surveyor.new_context() for _ in range(count)]
            for number, context in enumerate(contexts):
                await api.call(context.send, b"%d" % number)
            for number, context in enumerate(contexts):
                assert await api.call(context.recv) == b"%d" % number
        await api.close(surveyor)


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
async def test_surveys_of_many_tasks_are_answered(transport, tmp_path):
    """`survey()` of any number of tasks at once: each has its answer."""
    got = []

    async def ask(surveyor, number):
        async with surveyor.survey(b"%d" % number, timeout=60) as replies:
            async for reply in replies:
                got.append(int(reply))
                assert int(reply) == number
                break

    with trio.fail_after(60):
        async with trionng.Surveyor0(listen=new_url(transport, tmp_path)) as surveyor:
            async with answered(TrioApi(), surveyor, surveyor.listeners[0].url):
                async with trio.open_nursery() as nursery:
                    for number in range(300):
                        nursery.start_soon(ask, surveyor, number)
    assert sorted(got) == list(range(300))


async def test_surveys_of_many_threads_are_answered():
    """The same from threads."""
    api = SyncApi()
    surveyor = trionng.blocking.Surveyor0(listen="tcp://127.0.0.1:0")
    got = []

    def ask(number):
        with surveyor.survey(b"%d" % number, timeout=60) as replies:
            got.append(next(replies))

    with trio.fail_after(60):
        async with answered(api, surveyor, surveyor.listeners[0].url):
            limit = trio.CapacityLimiter(50)
            async with trio.open_nursery() as nursery:
                for number in range(100):
                    nursery.start_soon(
                        lambda n=number: trio.to_thread.run_sync(ask, n, limiter=limit)
                    )
        await api.close(surveyor)
    assert sorted(map(int, got)) == list(range(100))


async def test_burst_is_not_held_up_by_a_peer_that_does_not_read(api):
    """A stopped peer costs a burst a moment, once; the others have every survey."""
    surveyor = api.module.Surveyor0(listen="tcp://127.0.0.1:0", survey_time=60_000)
    url = surveyor.listeners[0].url
    with trio.fail_after(60):
        async with raw_peer(url) as stopped:
            await stopped.greet(RESPONDENT0)
            async with answered(api, surveyor, url):
                await api.call(surveyor.wait_connected, 2)
                contexts = [surveyor.new_context() for _ in range(60)]
                data = b"x" * 300_000  # what the system keeps for the stopped one is soon full
                began = time.monotonic()
                for context in contexts:
                    await api.call(context.send, data)
                assert time.monotonic() - began < 30
                for context in contexts:
                    assert await api.call(context.recv) == data
        await api.close(surveyor)


async def test_survey_without_room_obeys_timeout_and_cancellation():
    """A survey that waits for room can be left, and its message is the caller's again."""
    with trio.fail_after(60):
        async with trionng.Surveyor0(listen="tcp://127.0.0.1:0", send_timeout=20) as surveyor:
            async with raw_peer(surveyor.listeners[0].url) as stopped:
                await stopped.greet(RESPONDENT0)
                await surveyor.wait_connected()
                over = ""
                while not over:
                    message = trionng.Message(b"x" * 900_000)
                    try:
                        await surveyor.new_context().send_msg(message)
                    except trionng.Timeout as exc:
                        over = str(exc)
                assert "20 ms" in over
                assert len(message) == 900_000
                surveyor.send_timeout = -1
                with trio.move_on_after(0.01) as scope:
                    await surveyor.send_msg(message)
                assert not scope.cancelled_caught or len(message) == 900_000


async def burst_without_counts() -> None:
    """Send 100 surveys over tcp, and print how many were answered."""
    async with trionng.Surveyor0(listen="tcp://127.0.0.1:0", survey_time=60_000) as surveyor:
        async with answered(TrioApi(), surveyor, surveyor.listeners[0].url):
            contexts = [surveyor.new_context() for _ in range(100)]
            for context in contexts:
                await context.send(b"?")
            print(len([await context.recv() for context in contexts]))


def test_burst_counted_by_nng_statistics_is_answered_whole():
    """Without F1 surveys wait for what nng says it has written."""
    done = run_test_build(burst_without_counts, without="F1")
    assert (done.code, done.output) == (0, "100\n"), done

"""Surveys: one question, any number of answers, until time is up."""

from __future__ import annotations

import itertools

import pytest
import trio

import trionng
from tests.support.sp import raw_peer
from trionng import exceptions
from trionng._trio.wait import wait_for
from trionng.testing import new_url

RESPONDENT0 = 0x63  # a peer says what it is itself

TRANSPORTS = ["inproc", "ipc", "tcp"]


async def answer(respondent, suffix):
    async for survey in respondent:
        await respondent.send(survey + suffix)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_survey_yields_all_answers_and_ends_without_an_exception(transport, tmp_path):
    """A survey yields what every respondent answers, and ends when its time is up."""
    with trio.fail_after(60):
        async with (
            trionng.Surveyor0(listen=new_url(transport, tmp_path)) as surveyor,
            trionng.Respondent0(dial=surveyor.listeners[0].url) as one,
            trionng.Respondent0(dial=surveyor.listeners[0].url) as two,
            trio.open_nursery() as nursery,
        ):
            await surveyor.wait_connected(2)
            nursery.start_soon(answer, one, b"1")
            nursery.start_soon(answer, two, b"2")
            complete = 0
            for number in itertools.count():
                async with surveyor.survey(b"%d:" % number, timeout=0.2) as replies:
                    answers = [reply async for reply in replies]
                every = [b"%d:1" % number, b"%d:2" % number]
                assert sorted(answers) == [each for each in every if each in answers]
                complete += len(answers) == 2  # on a busy machine one can be too late
                if complete == 3:
                    break
            nursery.cancel_scope.cancel()


async def test_surveyor_reads_the_answers_in_time_then_times_out():
    """After `survey_time` what had arrived is still read; then Timeout, now and later."""
    with trio.fail_after(60):
        async with (
            trionng.Surveyor0(listen="tcp://127.0.0.1:0", survey_time=100) as surveyor,
            trionng.Respondent0() as respondent,
        ):
            await respondent.dial(surveyor.listeners[0].url, block=True)
            await surveyor.wait_connected()
            while not surveyor._ctx.prefetched():  # on a busy machine the first can be too late
                await surveyor.send(b"in time?")
                await respondent.send(await respondent.recv() + b" yes")
                await trio.sleep(0.15)
            assert await surveyor.recv() == b"in time? yes"
            for _ in range(2):
                with pytest.raises(exceptions.Timeout, match="survey is over"):
                    await surveyor.recv()
            with pytest.raises(exceptions.Timeout, match="survey is over"):
                await surveyor.recv_many(5)


async def test_surveyor_late_answer_does_not_reach_the_next_survey():
    """An answer to an old survey is dropped, and never taken for one to the new."""
    with trio.fail_after(60):
        async with (
            trionng.Surveyor0(listen="inproc://late-answer", survey_time=10) as surveyor,
            trionng.Respondent0(dial="inproc://late-answer") as respondent,
        ):
            await surveyor.wait_connected()
            await surveyor.send(b"old")
            assert await respondent.recv() == b"old"
            with pytest.raises(exceptions.Timeout):
                await surveyor.recv()
            surveyor.survey_time = 60_000
            await surveyor.send(b"new")
            await respondent.send(b"to old")
            assert await respondent.recv() == b"new"
            await respondent.send(b"to new")
            assert await surveyor.recv() == b"to new"


async def test_surveyor_receive_after_a_new_survey_raises_superseded():
    """A receive that waits for the old survey is told that a new one has begun."""
    with trio.fail_after(60):
        async with trionng.Surveyor0(survey_time=-1) as surveyor, trio.open_nursery() as nursery:
            await surveyor.send(b"old")

            async def wait():
                with pytest.raises(exceptions.Superseded):
                    await surveyor.recv()

            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked(0.01)
            await surveyor.send(b"new")


async def test_surveyor_cancelled_receive_leaves_the_survey_alive():
    """A cancelled receive ends neither the survey nor loses an answer."""
    with trio.fail_after(60):
        async with (
            trionng.Surveyor0(listen="inproc://alive", survey_time=60_000) as surveyor,
            trionng.Respondent0(dial="inproc://alive") as respondent,
        ):
            await surveyor.wait_connected()
            await surveyor.send(b"ask")
            with trio.move_on_after(0.02) as scope:
                await surveyor.recv()
            assert scope.cancelled_caught
            await respondent.recv()
            await respondent.send(b"answer")
            assert await surveyor.recv() == b"answer"


async def test_surveyor_without_survey_raises_bad_state():
    """Without a survey there is nothing to receive."""
    with trio.fail_after(60):
        async with trionng.Surveyor0() as surveyor:
            with pytest.raises(exceptions.BadState):
                await surveyor.recv()


async def test_respondent_second_receiver_is_busy_contexts_are_not():
    """One task at a time per Respondent0; contexts each take and answer their own survey."""
    with trio.fail_after(60):
        async with (
            trionng.Surveyor0(listen="inproc://contexts", survey_time=60_000) as surveyor,
            trionng.Respondent0(dial="inproc://contexts") as respondent,
            trio.open_nursery() as nursery,
        ):
            await surveyor.wait_connected()
            nursery.start_soon(answer, respondent, b"0")
            await trio.testing.wait_all_tasks_blocked(0.01)
            with pytest.raises(exceptions.Busy):
                await respondent.recv()
            with pytest.raises(exceptions.Busy):
                await respondent.send(b"x")
            context = respondent.new_context()
            nursery.start_soon(answer, context, b"1")
            got = set()
            for number in range(4):
                await surveyor.send(b"%d" % number)
                got.add((await surveyor.recv())[-1:])
            assert got <= {b"0", b"1"}
            nursery.cancel_scope.cancel()


async def test_respondent_cancelled_receive_loses_no_survey():
    """A survey that arrives after the receiver left is what the next receive returns."""
    with trio.fail_after(60):
        async with (
            trionng.Surveyor0(listen="inproc://cancelled", survey_time=60_000) as surveyor,
            trionng.Respondent0(dial="inproc://cancelled") as respondent,
        ):
            await surveyor.wait_connected()
            with trio.move_on_after(0.01):
                await respondent.recv()
            await surveyor.send(b"ask")
            await respondent.send(await respondent.recv() + b"!")
            assert await surveyor.recv() == b"ask!"
            with pytest.raises(exceptions.BadState):
                await respondent.send(b"twice")


async def test_respondent_closed_wakes_its_receivers():
    """A close of a context or its socket ends a receive with Closed."""
    with trio.fail_after(60):
        async with trionng.Respondent0() as respondent, trio.open_nursery() as nursery:
            context = respondent.new_context()
            other = respondent.new_context()

            async def wait(receiver):
                with pytest.raises(exceptions.Closed):
                    await receiver.recv()

            nursery.start_soon(wait, context)
            nursery.start_soon(wait, other)
            nursery.start_soon(wait, respondent)
            await trio.testing.wait_all_tasks_blocked(0.01)
            await context.aclose()
            await trio.testing.wait_all_tasks_blocked(0.01)
            await respondent.aclose()


async def test_two_contexts_surveying_at_once_never_deadlock():
    """Two contexts with short surveys on one socket go on (C7)."""
    with trio.fail_after(60):
        async with (
            trionng.Surveyor0(listen="inproc://two-contexts") as surveyor,
            trionng.Respondent0(dial="inproc://two-contexts") as respondent,
            trio.open_nursery() as nursery,
        ):
            await surveyor.wait_connected()
            nursery.start_soon(answer, respondent, b"")

            async def survey():
                for _ in range(100):
                    async with surveyor.survey(b"?", timeout=0.003) as replies:
                        async for _reply in replies:
                            pass

            async with trio.open_nursery() as surveys:
                surveys.start_soon(survey)
                surveys.start_soon(survey)
            nursery.cancel_scope.cancel()


async def test_flush_of_a_survey_watches_every_peer():
    """A survey one peer has not read is unsent, also when the other peer has it."""
    with trio.fail_after(60):
        async with trionng.Surveyor0(listen="tcp://127.0.0.1:0") as surveyor:
            url = surveyor.listeners[0].url
            async with raw_peer(url) as reader, raw_peer(url) as sleeper:
                for peer in (reader, sleeper):
                    await peer.greet(RESPONDENT0)
                await surveyor.wait_connected(2)
                await surveyor.send(b"x" * 30_000_000)
                await reader.receive()

                unsent = progress = 0
                while progress == 0:
                    await wait_for(surveyor._native.check_flush)
                    unsent, progress, _ = surveyor._native.unflushed()

                assert unsent == 1
                await sleeper.receive()
                await surveyor.flush()

"""Receives that never wait on the protocols that ask: they find what has arrived, and say the truth
about what never will. (`recv_fd` is in test_readiness.)"""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import trio
import trio.testing

import trionng
from tests.support.apis import SyncApi, TrioApi
from tests.support.pauses import Pause
from tests.support.sockets import TRANSPORTS
from tests.support.subprocesses import run_test_build
from trionng.testing import connected, new_url

ASKING = {"Req0": "Rep0", "Surveyor0": "Respondent0"}
asking = pytest.mark.parametrize("protocol", ASKING)


@contextlib.asynccontextmanager
async def dialog(api, protocol, transport="inproc", directory="", **options):
    """Connect a socket that asks to one that answers."""
    if protocol == "Surveyor0":
        options.setdefault("survey_time", 60_000)
    requester = getattr(api.module, protocol)(**options)
    responder = getattr(api.module, ASKING[protocol])()
    with trio.fail_after(60):
        try:
            url = responder.listen(new_url(transport, directory)).url
            await api.call(requester.dial, url, block=True)
            await api.call(requester.wait_connected)
            yield requester, responder
        finally:
            await api.close(requester)
            await api.close(responder)


def ways_to_poll(api, ends: Any) -> dict[str, Any]:
    """Return every call of a socket or context that receives without waiting, as functions."""

    async def option_of_zero():
        ends.recv_timeout = 0
        try:
            return await api.call(ends.recv)
        except trionng.Timeout as exc:
            if "0 ms" not in str(exc):
                raise
            raise trionng.TryAgain(str(exc)) from exc
        finally:
            ends.recv_timeout = -1

    async def message(call, *arguments):
        return (await api.call(call, *arguments)).bytes

    async def now(call):
        value = call()
        return value if isinstance(value, bytes) else value.bytes

    ways = {
        "recv_nowait": lambda: now(ends.recv_nowait),
        "recv_msg_nowait": lambda: now(ends.recv_msg_nowait),
        "recv_timeout": option_of_zero,
    }
    if isinstance(api, SyncApi):
        ways["recv"] = lambda: api.call(ends.recv, False)
        ways["recv_msg"] = lambda: message(ends.recv_msg, False)
    return ways


async def poll(way) -> bytes:
    """Poll until there is something, as a loop of a program does."""
    while True:
        try:
            return await way()
        except trionng.TryAgain:
            await trio.sleep(0.001)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("on", ["socket", "context"])
@asking
async def test_poll_of_a_socket_that_asks_finds_the_answer(api, protocol, on, transport, tmp_path):
    """A loop of receives that never wait ends, in every spelling, round after round."""
    async with dialog(api, protocol, transport, tmp_path) as (requester, responder):
        ends = requester if on == "socket" else requester.new_context()
        for way in ways_to_poll(api, ends).values():
            await api.call(ends.send, b"question")
            with pytest.raises(trionng.TryAgain):
                await way()
            await api.call(responder.send, await api.call(responder.recv) + b"!")
            assert await poll(way) == b"question!"
        assert requester.statistics().messages_received == len(ways_to_poll(api, ends))


@asking
async def test_poll_without_a_question_says_bad_state(api, protocol):
    """Nothing was asked, so nothing will come, as `recv` says too."""
    async with dialog(api, protocol) as (requester, _):
        for ends in (requester, requester.new_context()):
            for way in ways_to_poll(api, ends).values():
                with pytest.raises(trionng.BadState):
                    await way()


async def test_poll_after_the_answer_was_taken_says_bad_state(api):
    """One answer for one request."""
    async with dialog(api, "Req0") as (requester, responder):
        await api.call(requester.send, b"question")
        await api.call(responder.send, await api.call(responder.recv))
        assert await poll(ways_to_poll(api, requester)["recv_nowait"]) == b"question"
        for way in ways_to_poll(api, requester).values():
            with pytest.raises(trionng.BadState):
                await way()


async def test_poll_leaves_the_request_alone(api):
    """Polls that find nothing do not give the request up: a receive that waits gets the answer."""
    async with dialog(api, "Req0") as (requester, responder):
        await api.call(requester.send, b"question")
        for way in ways_to_poll(api, requester).values():
            for _ in range(50):
                with pytest.raises(trionng.TryAgain):
                    await way()
        await api.call(responder.send, await api.call(responder.recv))
        assert await api.call(requester.recv) == b"question"


async def test_poll_finds_no_answer_to_a_request_given_up(api):
    """After a new request the answer to the one before it is nowhere."""
    async with dialog(api, "Req0") as (requester, responder):
        await api.call(requester.send, b"old")
        await api.call(responder.send, await api.call(responder.recv))
        await api.call(requester.send, b"new")
        await api.call(responder.send, await api.call(responder.recv))
        assert await poll(ways_to_poll(api, requester)["recv_nowait"]) == b"new"


async def test_poll_after_a_cancelled_receive_finds_the_answer():
    """What a cancelled task waited for comes to the polls that follow."""
    api = TrioApi()
    async with dialog(api, "Req0") as (requester, responder):
        await requester.send(b"question")
        with trio.move_on_after(0.01):
            await requester.recv()
        await responder.send(await responder.recv())
        assert await poll(ways_to_poll(api, requester)["recv_nowait"]) == b"question"


async def test_poll_after_the_survey_says_timeout(api):
    """A survey that is over gives the replies that came in time, then Timeout, as `recv` does."""
    async with dialog(api, "Surveyor0", survey_time=50) as (requester, responder):
        for ends in (requester, requester.new_context()):
            answer = None
            while answer is None:  # on a busy machine the first one can be too late
                await api.call(ends.send, b"question")
                await api.call(responder.send, await api.call(responder.recv))
                with contextlib.suppress(trionng.Timeout):
                    answer = await api.call(ends.recv)
            assert answer == b"question"
            with pytest.raises(trionng.Timeout, match="survey is over"):
                await api.call(ends.recv)
            for name in ("recv_nowait", "recv_msg_nowait"):
                with pytest.raises(trionng.Timeout, match="survey is over"):
                    await ways_to_poll(api, ends)[name]()
            ends.recv_timeout = 0
            with pytest.raises(trionng.Timeout, match="survey is over"):
                await api.call(ends.recv)
            if isinstance(api, SyncApi):
                with pytest.raises(trionng.Timeout, match="survey is over"):
                    await api.call(ends.recv, block=False)


async def test_poll_when_the_survey_just_ended_still_finds_its_replies(api):
    """Replies that came in time are read by polls after the end, none is lost."""
    async with dialog(api, "Surveyor0", survey_time=100) as (requester, responder):
        answer = None
        while answer is None:  # on a busy machine the first one can be too late
            await api.call(requester.send, b"question")
            await api.call(responder.send, await api.call(responder.recv))
            await trio.sleep(0.15)  # the time of the survey
            with contextlib.suppress(trionng.Timeout):
                answer = requester.recv_nowait()
        assert answer == b"question"
        with pytest.raises(trionng.Timeout, match="survey is over"):
            requester.recv_nowait()


async def test_batch_with_a_timeout_of_0_is_a_poll(api):
    """`recv_many` with `recv_timeout=0` returns what is there, and raises Timeout else."""
    url = new_url()
    pull = api.module.Pull0(recv_timeout=0, listen=url)
    push = api.module.Push0(send_timeout=0)
    with pytest.raises(trionng.Timeout):
        await api.call(push.send, b"no peer")
    await api.call(push.dial, url, block=True)
    with pytest.raises(trionng.Timeout):
        await api.call(pull.recv_many, 5)
    await api.call(push.send, b"x")
    while True:
        try:
            assert await api.call(pull.recv_many, 5) == [b"x"]
            break
        except trionng.Timeout:
            await trio.sleep(0.01)
    await api.close(push)
    await api.close(pull)


async def poll_while_a_message_is_on_its_way() -> None:
    """Poll a socket while nng hands a message to a task that waits; print what the task got."""
    got: list[bytes] = []

    async def receive() -> None:
        got.append(await pull.recv())

    async with connected(trionng.Pull0(), trionng.Push0(), "inproc") as (pull, push):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            await trio.testing.wait_all_tasks_blocked()
            with Pause("receive.callback") as callback:
                await push.send(b"for the task")
                callback.reached()
                with pytest.raises(trionng.TryAgain):
                    pull.recv_nowait()
    print(got)


def test_poll_while_a_message_goes_to_a_task_takes_it_from_none():
    """A poll finds nothing while the message is on its way to a task, and the task gets it."""
    finished = run_test_build(poll_while_a_message_is_on_its_way)

    assert (finished.clean, finished.output) == (True, "[b'for the task']\n"), finished

"""`trionng.guest`: calls of asyncio programs into Trio, under asyncio and uvloop."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import math
import os
import re
import signal
import sys
from typing import TYPE_CHECKING

import pytest
import trio
import trio.lowlevel
import uvloop

import trionng
from tests.support.subprocesses import run_in_subprocess
from tests.support.web import left_behind
from trionng.guest import Portal, open_portal
from trionng.testing import new_url

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

number: contextvars.ContextVar[int] = contextvars.ContextVar("number", default=0)


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def in_portal(request):
    """Run an async function with an open portal, in a loop of each kind."""

    def run(function: Callable[[Portal], Awaitable[None]]) -> None:
        async def main() -> None:
            async with open_portal() as portal:
                await asyncio.wait_for(function(portal), 60)

        request.param(main())

    return run


class Stubborn:
    """A call that says when it begins, and that ends well whether it is cancelled or not."""

    def __init__(self) -> None:
        self.has_begun = asyncio.Event()
        self.may_end = trio.Event()

    async def __call__(self) -> str:
        self.has_begun.set()
        with trio.CancelScope(shield=True):
            await self.may_end.wait()
        return "done"


async def cancelled(task: asyncio.Task[str]) -> bool:
    """Wait for a task; say whether it was cancelled."""
    await asyncio.wait([task])
    return task.cancelled()


def test_call_has_result_exception_and_context(in_portal):
    """A result and an exception come back; the call has the caller's context, in a copy."""

    async def add(amount: int, *, times: int) -> int:
        number.set(number.get() + amount * times)
        await trio.lowlevel.checkpoint()
        return number.get()

    async def fail() -> None:
        await trio.lowlevel.checkpoint()
        raise StopIteration("of the call")

    async def main(portal: Portal) -> None:
        number.set(5)
        assert await portal.run(add, 2, times=3) == 11
        assert number.get() == 5
        with pytest.raises(RuntimeError) as caught:  # as from any coroutine
            await portal.run(fail)
        assert repr(caught.value.__cause__) == "StopIteration('of the call')"
        with pytest.raises(SystemExit):
            await portal.run(leave)

    async def leave() -> None:
        raise SystemExit(3)

    in_portal(main)


def test_hundred_requests_at_once_are_answered(in_portal):
    """Client and server are calls into one portal; a server is ended by a cancel."""

    async def upper(request: bytes) -> bytes:
        await trio.sleep(0.001)
        return request.upper()

    async def main(portal: Portal) -> None:
        rep = trionng.Rep0(listen=new_url())
        req = trionng.Req0(dial=rep.listeners[0].url)
        server = asyncio.create_task(portal.run(trionng.run_rep, upper, socket=rep, workers=100))
        asked = [portal.run(req.request, b"word %d" % i) for i in range(100)]
        assert await asyncio.gather(*asked) == [b"WORD %d" % i for i in range(100)]
        server.cancel()
        await asyncio.wait([server])
        assert server.cancelled()
        await portal.run(req.aclose)
        await portal.run(rep.aclose)

    in_portal(main)


def test_receive_that_timed_out_loses_nothing(in_portal):
    """The Trio call is cancelled, so the next receive gets the message."""

    async def main(portal: Portal) -> None:
        push, pull = trionng.Push0(listen=new_url()), trionng.Pull0()
        await portal.run(pull.dial, push.listeners[0].url, block=True)
        for message in (b"one", b"two"):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(portal.run(pull.recv), 0.01)
            await portal.run(push.send, message)
            assert await portal.run(pull.recv) == message
        for each in (push, pull):
            await portal.run(each.aclose)

    in_portal(main)


def test_call_that_ends_well_though_cancelled_has_its_result(in_portal):
    """The result is the task's; and a task that goes on is cancelled at its next await."""

    async def main(portal: Portal) -> None:
        results = []

        async def once_more() -> str:
            results.append(await portal.run(stubborn))
            await asyncio.sleep(30)
            return "not cancelled"

        for function, ends_cancelled in (portal.run, False), (once_more, True):
            stubborn = Stubborn()
            call = [stubborn] if function == portal.run else []
            task = asyncio.ensure_future(function(*call))
            await stubborn.has_begun.wait()
            task.cancel()
            await asyncio.sleep(0)
            task.cancel()  # again, while the call ends
            await asyncio.sleep(0)
            assert not task.done()
            stubborn.may_end.set()
            assert await cancelled(task) is ends_cancelled
            results += [] if ends_cancelled else [task.result()]
        assert results == ["done", "done"]

    in_portal(main)


def test_trio_task_runs_asyncio_code_and_cancels_it(in_portal):
    """Results, exceptions, context and cancellation go the other way, too."""
    ended: list[str] = []

    async def query(word: str) -> str:
        try:
            if word == "hang":
                await asyncio.Event().wait()
            await asyncio.sleep(0)
            return f"{word} {number.get()}"
        finally:
            ended.append(word)

    async def handler(portal: Portal) -> None:
        number.set(7)
        assert await portal.run_asyncio(query, "one") == "one 7"
        with trio.move_on_after(0.01) as scope:
            await portal.run_asyncio(query, "hang")
        assert (scope.cancelled_caught, ended) == (True, ["one", "hang"])
        with pytest.raises(KeyError):
            await portal.run_asyncio(fail)

    async def fail() -> None:
        raise KeyError("of asyncio")

    async def main(portal: Portal) -> None:
        await portal.run(handler, portal)
        with pytest.raises(RuntimeError, match="this is no Trio task of the portal"):
            await portal.run_asyncio(query, "one")

    in_portal(main)


if sys.version_info >= (3, 11):  # with asyncio.timeout

    def test_timeout_that_was_left_in_time_cancels_nothing_later(in_portal):
        """The result of a call that ended in spite of a timeout is kept, and the task goes on."""

        async def main(portal: Portal) -> None:
            stubborn = Stubborn()
            async with asyncio.timeout(30) as limit:
                task = asyncio.current_task()
                assert task is not None
                loop = asyncio.get_running_loop()
                loop.call_later(0.01, stubborn.may_end.set)
                limit.reschedule(loop.time())
                assert await portal.run(stubborn) == "done"
            for _ in range(3):
                await asyncio.sleep(0)
            assert task.cancelling() == 0
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await portal.run(trio.sleep_forever)

        in_portal(main)


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("how", ["well", "with an error", "cancelled"])
def test_leaving_waits_for_calls_or_cancels_them(run, how: str):
    """Leaving waits; with an exception it cancels the calls, whose tasks get Closed."""

    async def main() -> None:
        stubborn = Stubborn()
        calls: list[asyncio.Task[object]] = []
        portal: Portal

        async def program() -> None:
            nonlocal portal
            async with open_portal() as portal:
                calls.append(asyncio.create_task(portal.run(stubborn)))
                for seconds in (0.02, 0) if how == "well" else (math.inf, math.inf):
                    calls.append(asyncio.create_task(portal.run(trio.sleep, seconds)))
                await stubborn.has_begun.wait()
                if how == "with an error":
                    raise KeyError("of the program")

        task = asyncio.create_task(program())
        while not calls:
            await asyncio.sleep(0)
        await stubborn.has_begun.wait()
        await asyncio.sleep(0)
        with pytest.raises(trionng.Closed, match=r"^Portal\.run: the portal is closed$"):
            await portal.run(trio.sleep, 0)
        if how == "cancelled":
            task.cancel()
        for _ in range(3):
            await asyncio.sleep(0)
        assert not task.done()
        stubborn.may_end.set()
        await asyncio.wait([task, *calls])
        assert calls[0].result() == "done"
        if how == "well":
            assert (task.result(), calls[1].result(), calls[2].result()) == (None, None, None)
            return
        assert task.cancelled() or repr(task.exception()) == "KeyError('of the program')"
        says = r"^Portal\.run: sleep was cancelled, because the portal closes$"
        for call in calls[1:]:
            with pytest.raises(trionng.Closed, match=says):
                call.result()

    run(main())


async def plain_function() -> None:
    pass


WRONG = {
    "a coroutine": (lambda portal: portal.run(plain_function()), TypeError, "without calling it"),
    "a plain function": (lambda portal: portal.run(len, []), TypeError, "len is not async"),
    "of asyncio": (lambda portal: portal.run(asyncio.sleep, 1), TypeError, "asyncio"),
    "in Trio": (lambda portal: portal.run(portal.run, trio.sleep, 0), RuntimeError, "a Trio task"),
    "in a thread": (
        lambda portal: asyncio.to_thread(asyncio.run, portal.run(trio.sleep, 0)),
        RuntimeError,
        "belongs to another thread",
    ),
    "a second portal": (
        lambda portal: open_portal().__aenter__(),
        RuntimeError,
        "a thread has one portal at a time",
    ),
}


@pytest.mark.parametrize(("call", "kind", "says"), WRONG.values(), ids=WRONG)
def test_wrong_call_is_refused_in_one_sentence(in_portal, call, kind: type[Exception], says: str):
    """What is wrong is said, and the portal goes on working."""

    async def main(portal: Portal) -> None:
        with pytest.raises(kind, match=re.escape(says)):
            await call(portal)
        await portal.run(trio.sleep, 0)

    in_portal(main)


def test_portal_in_another_loop_or_none_is_refused():
    """A portal belongs to the loop that opened it, and needs one."""

    async def leave(portals: list[Portal]) -> None:
        async with open_portal() as portal:
            portals.append(portal)
            await portal.run(trio.sleep, 0)

    portals: list[Portal] = []
    asyncio.run(leave(portals))
    with pytest.raises(RuntimeError, match=r"^Portal\.run: the portal belongs to another event"):
        asyncio.run(portals[0].run(trio.sleep, 0))
    with pytest.raises(RuntimeError, match="no running event loop"):
        trio.run(leave, portals)


def test_crash_of_the_run_reaches_callers_and_owner(in_portal):
    """Every call raises TrioInternalError with the cause; so does leaving, at once."""
    calls: list[asyncio.Task[None]] = []

    async def crash() -> None:
        trio.lowlevel.spawn_system_task(fail)
        await trio.sleep_forever()

    async def fail() -> None:
        raise KeyError("of the system")

    async def main(portal: Portal) -> None:
        for each in (crash, trio.sleep_forever):
            calls.append(asyncio.create_task(portal.run(each)))
        await asyncio.Event().wait()

    with pytest.raises(trio.TrioInternalError) as caught:
        in_portal(main)

    assert len(calls) == 2
    for each in calls:
        error = each.exception()
        assert isinstance(error, trio.TrioInternalError)
        assert error.__cause__ is caught.value


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_portal_leaves_no_task_thread_or_descriptor(run):
    """After the first, which opens what nng keeps for the process, the next ones leave nothing."""

    async def use() -> None:
        async with open_portal() as portal:
            rep = trionng.Rep0(listen=new_url())
            req = trionng.Req0(dial=rep.listeners[0].url)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(portal.run(req.request, b"x"), 0.01)
            await portal.run(req.aclose)
            await portal.run(rep.aclose)

    async def main() -> None:
        await use()
        before, settings = state()
        await use()
        # Fewer is possible: what an earlier test closed in the background.
        after, same_settings = state()
        assert {name: n for name, n in after.items() if n > before[name]} == {}
        assert same_settings == settings

    def state() -> tuple[dict[str, int], list[object]]:
        counts = {**left_behind(), "descriptors": len(os.listdir("/proc/self/fd"))}
        return counts, [signal.getsignal(signal.SIGINT), *sys.get_asyncgen_hooks()]

    run(main())


def test_signal_handlers_of_the_loop_run_beside_a_portal(in_portal):
    """The loop keeps its wake-up descriptor, and hears of a signal while both wait."""

    async def main(portal: Portal) -> None:
        loop = asyncio.get_running_loop()
        heard = asyncio.Event()
        loop.add_signal_handler(signal.SIGUSR1, heard.set)
        try:
            sleeping = asyncio.create_task(portal.run(trio.sleep_forever))
            await asyncio.sleep(0.01)
            os.kill(os.getpid(), signal.SIGUSR1)
            await heard.wait()
            sleeping.cancel()
        finally:
            loop.remove_signal_handler(signal.SIGUSR1)

    in_portal(main)


def interrupt_a_program(runner: str) -> None:
    """Let Ctrl-C come while the program waits; print how it ends."""

    async def call() -> None:
        try:
            await trio.sleep_forever()
        finally:
            print("the call has ended")

    async def main() -> None:
        async with open_portal() as portal:
            asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), signal.SIGINT)
            await portal.run(call)

    try:
        if runner == "asyncio":
            asyncio.run(main())
        else:
            with contextlib.closing(asyncio.new_event_loop()) as loop:
                loop.run_until_complete(main())
    except KeyboardInterrupt:
        print("interrupted", signal.getsignal(signal.SIGINT) is signal.default_int_handler)


@pytest.mark.parametrize("runner", ["loop", "asyncio"])
def test_ctrl_c_ends_calls_and_portal(runner: str):
    """Also where the loop has no handler of its own for it, and Trio has one meanwhile."""
    finished = run_in_subprocess(interrupt_a_program, runner)

    assert finished.output == "the call has ended\ninterrupted True\n", finished

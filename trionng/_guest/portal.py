"""A Trio run as a guest of asyncio's loop, in the same thread, and the calls that go into it.

One guest run lasts as long as the block of `open_portal`. Each call is a Trio task in a cancel
scope of its own; the asyncio task that makes it waits for a future, and no other asyncio task is
needed. Both loops run in one thread, so nothing here has a lock, and each may call the plain
functions of the other.

Rules of this file:
* A call ends on Trio's side first. An asyncio task that is cancelled cancels the scope, and waits
  until the Trio task has ended: only then is it known what has happened.
* What a call has returned or raised is delivered, even to a cancelled task. That task is cancelled
  again at its next await, unless the cancellation was taken back meanwhile (`asyncio.timeout`).
* Whatever a Trio task raises goes to the asyncio task that waits for it. So the run itself ends
  when it is told to, or crashes.
"""

from __future__ import annotations

import asyncio
import math
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from inspect import isawaitable, iscoroutine
from typing import Generic, ParamSpec, TypeVar

import trio
from outcome import Error, Outcome, Value

from trionng._base.callables import name_of
from trionng._base.errors import Closed
from trionng._base.sealed import Sealed
from trionng._base.util import in_trio_task
from trionng._trio.run import checkpoint_if_cancelled, start_guest_run

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


def _innermost(error: BaseException) -> BaseException:
    """Return Ctrl-C itself: Trio gives it in the groups of the nurseries that it came through."""
    exceptions: tuple[BaseException, ...] = getattr(error, "exceptions", ())
    return _innermost(exceptions[0]) if len(exceptions) == 1 else error


# Python 3.10 does not count cancellations, so there none can be taken back.
def _cancelling(task: asyncio.Task[object]) -> int:
    if sys.version_info >= (3, 11):
        return task.cancelling()
    return 1


def _uncancel(task: asyncio.Task[object]) -> int:
    if sys.version_info >= (3, 11):
        return task.uncancel()
    return 0


class _Moment:
    """Something that happens once, and one asyncio task that waits for it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiter: asyncio.Future[None] | None = None
        self.has_come = False

    def come(self) -> None:
        self.has_come = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self, cancel: Callable[[], object]) -> asyncio.CancelledError | None:
        """Wait, also when cancelled: call `cancel` then, and return the cancellation at the end."""
        cancelled: asyncio.CancelledError | None = None
        while not self.has_come:
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            except asyncio.CancelledError as error:
                cancelled = error
                cancel()
        return cancelled


class _Call(Generic[T_co]):
    """One call: a Trio task, and the asyncio task that waits for it."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, name: str, function: Callable[[], Awaitable[T_co]]
    ) -> None:
        self.task = asyncio.current_task(loop)
        self._loop = loop
        self._name = name
        self._function = function
        self._scope = trio.CancelScope()
        self._ended = _Moment(loop)
        self._outcome: Outcome[T_co] | None = None  # None at the end: it was cancelled
        self._closing = False

    async def run_in_trio(self) -> None:
        """Run the function; the outcome is the caller's, whatever it is."""
        try:
            with self._scope:
                self._outcome = Value(await self._awaitable())
        except BaseException as error:
            if trio.current_effective_deadline() == -math.inf:
                return  # the whole run ends, which says why
            self._outcome = Error(error)
        self._ended.come()

    def _awaitable(self) -> Awaitable[T_co]:
        awaitable = self._function()
        if not isawaitable(awaitable):
            raise TypeError(
                f"Portal.run: {self._name} is not async: it returned {type(awaitable).__name__}"
            )
        return awaitable

    def close(self) -> None:
        """Cancel it, because the portal closes."""
        self._closing = True
        self._scope.cancel()

    def fail(self, error: BaseException) -> None:
        """End it: the Trio run has ended, and nothing runs any more."""
        if not self._ended.has_come:
            self._outcome = Error(error)
            self._ended.come()

    async def wait(self) -> T_co:
        """Wait for the end in the asyncio task, and return or raise what has happened."""
        cancelled = await self._ended.wait(self._scope.cancel)
        if self._outcome is None:
            if cancelled is not None:
                raise cancelled
            assert self._closing
            raise Closed(f"Portal.run: {self._name} was cancelled, because the portal closes")
        if cancelled is not None:
            self._cancel_later(*cancelled.args)
        return self._outcome.unwrap()

    def _cancel_later(self, *message: object) -> None:
        """Deliver at the task's next await a cancellation that was too late for the call."""
        task = self.task
        assert task is not None
        wanted = _cancelling(task)

        def cancel_again() -> None:
            if 0 < wanted <= _cancelling(task):
                _uncancel(task)  # so that the count stays as it is
                task.cancel(*message)

        self._loop.call_soon(cancel_again)


class Portal(Sealed):
    """Calls from the asyncio tasks of one event loop into one Trio run; made by `open_portal`."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._owner = asyncio.current_task()
        self._calls: set[_Call[object]] = set()
        self._stop = trio.Event()
        self._opened, self._ended = _Moment(self._loop), _Moment(self._loop)
        self._failure: BaseException | None = None  # of the run
        self._closed = False
        # Whether the owner was cancelled because the run ended before its time.
        self._has_cancelled_owner = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"calls={len(self._calls)}"
        return f"<Portal, {state}>"

    async def run(
        self, async_fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run an async function of Trio, and return or raise what it returns or raises.

        Any number of asyncio tasks may have calls running. Each is a Trio task of its own, in a
        copy of the context (`contextvars`) of the asyncio task.

        Cancellation: when the asyncio task is cancelled (`task.cancel()`, `asyncio.timeout`), so is
            the Trio task, and this waits until that has ended. A function that was cancelled raises
            CancelledError here. One that has returned or raised all the same does so here too, so
            no result is lost; the asyncio task is then cancelled at its next await, unless the
            timeout that cancelled it is left before.

        Args:
            async_fn: an async function, such as `socket.recv`, not called.
            args, kwargs: its arguments.

        Raises:
            Closed: the portal is closed; or it closes on an error, which has cancelled this call.
            RuntimeError: called in another thread or event loop, or in a Trio task.
            TypeError: `async_fn` is not async.
            trio.TrioInternalError: the Trio run has crashed; the cause says why.

        Example:
            reply = await portal.run(req.request, b"question")
        """
        self._check(async_fn)
        call = _Call(self._loop, name_of(async_fn), partial(async_fn, *args, **kwargs))
        self._calls.add(call)
        try:
            self._nursery.start_soon(call.run_in_trio, name=name_of(async_fn))
            return await call.wait()
        finally:
            self._calls.discard(call)

    async def run_asyncio(
        self,
        async_fn: Callable[P, Coroutine[object, object, T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run an async function of asyncio from a Trio task: the other direction of `run`.

        A handler of a service, which is a Trio task, uses a library of asyncio with it. The
        function runs in an asyncio task, in a copy of the context of the Trio task.

        Cancellation: cancels the asyncio task, and waits until that has ended. One that has
            returned or raised all the same does so here too; Trio cancels at the next checkpoint.

        Args:
            async_fn: an async function of asyncio, not called.
            args, kwargs: its arguments.

        Raises:
            RuntimeError: called elsewhere than in a Trio task of this portal.

        Example:
            async def handler(request):
                return await portal.run_asyncio(database.find, request)
        """
        if not in_trio_task() or threading.get_ident() != self._thread:
            raise RuntimeError("Portal.run_asyncio: this is no Trio task of the portal")
        await checkpoint_if_cancelled()
        task = self._loop.create_task(async_fn(*args, **kwargs))
        ended = trio.Event()
        task.add_done_callback(lambda _: ended.set())
        try:
            await ended.wait()
        except BaseException:
            task.cancel()
            with trio.CancelScope(shield=True):
                await ended.wait()
            if task.cancelled():
                raise
        return task.result()

    def _check(self, async_fn: object) -> None:
        """Refuse a call that cannot be made."""
        if iscoroutine(async_fn):
            async_fn.close()  # or Python would warn of it as well
            raise TypeError(
                "Portal.run: this is a coroutine object: give the async function and its "
                "arguments, without calling it, as in portal.run(req.request, data)"
            )
        if in_trio_task():
            raise RuntimeError("Portal.run: this is a Trio task, so await the function itself")
        if threading.get_ident() != self._thread:
            raise RuntimeError(
                "Portal.run: the portal belongs to another thread; from this one, use "
                "asyncio.run_coroutine_threadsafe(portal.run(...), loop)"
            )
        if asyncio.get_running_loop() is not self._loop:
            raise RuntimeError("Portal.run: the portal belongs to another event loop")
        if self._ended.has_come and self._failure is not None:
            raise self._end_of_run()
        if self._closed:
            raise Closed("Portal.run: the portal is closed")

    # -- the run

    async def _open(self) -> None:
        try:
            start_guest_run(
                self._main,
                run_sync_soon_threadsafe=self._loop.call_soon_threadsafe,
                run_sync_soon_not_threadsafe=self._loop.call_soon,
                done_callback=self._on_end,
                host_uses_signal_set_wakeup_fd=True,
            )
        except RuntimeError as error:
            raise RuntimeError(
                "open_portal: Trio runs in this thread already, and a thread has one portal at a "
                "time: pass the open one on"
            ) from error
        cancelled = await self._opened.wait(self._stop.set)
        if cancelled is not None:
            await self._close()
            raise cancelled

    async def _main(self) -> None:
        async with trio.open_nursery() as self._nursery:
            self._opened.come()
            await self._stop.wait()

    def _on_end(self, ended: Outcome[None]) -> None:
        """Take note that the run has ended, perhaps before its time; nothing runs any more."""
        self._failure = _innermost(ended.error) if isinstance(ended, Error) else None
        if not self._stop.is_set() and self._owner is not None:
            # As asyncio.TaskGroup does; but a call that fails tells the task as well.
            if all(call.task is not self._owner for call in self._calls):
                self._has_cancelled_owner = self._owner.cancel()
        for call in self._calls:
            call.fail(self._end_of_run())
        self._opened.come()
        self._ended.come()

    def _end_of_run(self) -> Exception:
        """Make the exception for a caller: each gets one of its own, with the cause."""
        error: Exception
        if isinstance(self._failure, KeyboardInterrupt):
            error = Closed("Portal.run: Ctrl-C has ended the Trio run of the portal")
        else:
            error = trio.TrioInternalError("Portal.run: the Trio run of the portal has crashed")
        error.__cause__ = self._failure
        return error

    def _cancel_calls(self) -> None:
        for call in self._calls:
            call.close()

    async def _close(self) -> None:
        """Refuse new calls, wait for those that run, and end the run."""
        self._closed = True
        self._stop.set()
        cancelled = await self._ended.wait(self._cancel_calls)
        if cancelled is not None:
            raise cancelled

    def _raise_failure(self, error: BaseException | None) -> None:
        """Leave with the error of the run, if there is one and it is not `error` that matters."""
        ours = False
        if self._has_cancelled_owner and self._owner is not None:
            # Others may have cancelled the owner as well.
            ours = _uncancel(self._owner) == 0 and isinstance(error, asyncio.CancelledError)
        if self._failure is not None:
            if error is None or ours or isinstance(self._failure, KeyboardInterrupt):
                raise self._failure


@asynccontextmanager
async def open_portal() -> AsyncIterator[Portal]:
    """Run Trio in the loop of this asyncio program, in the same thread, and open a portal to it.

    One portal serves the whole program: open it once, and hand it to the tasks that need it. Works
    under asyncio and uvloop, on the main thread and on others. The loop's signal handlers stay as
    they are.

    Leaving the block refuses new calls and waits until those that run have ended. Leaving it with
    an exception cancels them first: their callers get `Closed`. So does cancelling the task that
    leaves it. Afterwards nothing is left of the run, but for the thread in which Trio waited, which
    Trio keeps for ten seconds for its next use.

    When the Trio run itself crashes, each running call raises `trio.TrioInternalError`, the task
    that has opened the portal is cancelled, and leaving raises the error.

    Raises:
        RuntimeError: no asyncio loop is running; or this thread has a Trio run, or a portal,
            already.

    Example:
        async with open_portal() as portal:
            req = trionng.Req0(dial="tcp://127.0.0.1:5555")
            print(await portal.run(req.request, b"question"))
            await portal.run(req.aclose)
    """
    portal = Portal()
    await portal._open()
    try:
        yield portal
    except BaseException as error:
        portal._cancel_calls()
        await portal._close()
        portal._raise_failure(error)
        raise
    await portal._close()
    portal._raise_failure(None)

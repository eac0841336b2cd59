"""How a Trio task waits for an operation (floor 3). The only module that sees `trio.lowlevel`.

One port per Trio run carries the finished operations of all its sockets. Its bell is a descriptor:
one of the waiting tasks, the leader, awaits it, collects for everybody, and hands the lead on when
it leaves. No system task serves it, so a single waiter wakes in one scheduling pass, an exception
here is an exception of one task, and waiting works for as long as a task can run: also while Trio
finalises async generators, when it takes no new system tasks. Where no descriptor can be had, the
shim calls `TrioToken.run_sync_soon` once per batch instead; then nobody leads.

Rules of this file:
* Look at cancellation before submitting; after the submit, nothing that can raise comes before the
  operation is either parked in `_waiting` or taken. Ctrl-C is kept out by `enable_ki_protection`.
* What happened is delivered, even to a cancelled task. Whether it happened is the shim's word,
  never a guess from an error code.
* What did not happen raises Trio's own exception in a task whose cancellation has been asked for,
  whatever the reason was: a socket that closes in the same pass of the loop, a connection that
  ends, a newer request. A task without a cancellation gets the error.
* A parked operation is cancelled, abandoned or collected exactly once.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import threading
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Final, NoReturn, TypeVar

import trio
from outcome import Value
from sniffio import thread_local as _sniffio
from trio.lowlevel import (
    Abort,
    RaiseCancelT,
    RunVar,
    Task as Task,
    cancel_shielded_checkpoint as cancel_shielded_checkpoint,
    checkpoint as _checkpoint,
    checkpoint_if_cancelled as _checkpoint_if_cancelled,
    current_clock,
    current_task as current_task,
    current_trio_token,
    enable_ki_protection as enable_ki_protection,
    notify_closing,
    reschedule,
    spawn_system_task,
    wait_readable,
    wait_task_rescheduled,
)

from trionng import _ffi
from trionng._base.errors import OutOfFiles, OutOfThreads

T = TypeVar("T")

# Starts an operation with a port and a tag.
Submit = Callable[[_ffi.Port, int], _ffi.Answer]

_CANCELED: Final = 20
_ETIMEDOUT: Final = 5

# Tests set this to learn of cancels that came when the result was taken already.
count_taken = False

# Tests set this to use the bell that needs no descriptor.
use_token_bell = False


class _Parked:
    """What ends a parked operation when Trio cancels its task."""

    __slots__ = ("_op", "_tag", "_waiting", "raise_cancel")

    def __init__(self, waiting: dict[int, Task], op: _ffi.Op, tag: int) -> None:
        self._waiting = waiting
        self._op = op
        self._tag = tag
        self.raise_cancel: RaiseCancelT | None = None

    def __call__(self, raise_cancel: RaiseCancelT) -> Abort:
        if _ffi.cancel(self._op) == _ffi.LEFT:
            del self._waiting[self._tag]
            return Abort.SUCCEEDED
        self.raise_cancel = raise_cancel
        return Abort.FAILED


class _Port:
    """The waiting tasks of one Trio run."""

    def __init__(self) -> None:
        self._trio_token = current_trio_token()
        ring = self._ring_token if use_token_bell else None
        try:
            self.native = _ffi.Port(exclusive=True, ring=ring)
        except OutOfFiles as missing:
            try:
                self.native = _ffi.Port(exclusive=True, ring=self._ring_token)
            except OutOfThreads:
                raise missing from None
        self._waiting: dict[int, Task] = {}
        self._leader: Task | None = None
        self.next_tag = itertools.count(1).__next__
        self.closed = False
        # Nobody tells a port that its run is over; a system task does, and where Trio takes none
        # any more, the port lives for as long as somebody waits.
        try:
            spawn_system_task(self._close_at_run_end, name="trionng port")
            self._leaving = False
        except RuntimeError:
            self._leaving = True

    async def _close_at_run_end(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            self._leaving = True
            self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self._leaving and not self._waiting and not self.closed:
            self.closed = True
            if self.native.fd >= 0:
                notify_closing(self.native.fd)
            self.native.close()

    def _ring_token(self) -> None:
        # [a thread of the shim, with the GIL]
        try:
            self._trio_token.run_sync_soon(self._collect_all, idempotent=True)
        except trio.RunFinishedError:
            pass

    def _collect_all(self) -> None:
        if not self.closed:
            self._collect(0)

    def _collect(self, own: int) -> _ffi.Done | None:
        """Give every finished operation to its task; return the caller's own."""
        mine = None
        for tag, code, msg in self.native.take():
            task = self._waiting.pop(tag)
            if tag == own:
                mine = code, msg
            else:
                reschedule(task, Value((code, msg)))
        return mine

    @enable_ki_protection
    async def run(
        self,
        submit: Submit,
        reclaim: _ffi.PutBack,
        *,
        poll: bool = False,
        check_cancelled: bool = True,
        schedule: bool = True,
    ) -> _ffi.Done:
        """See `wait_for`; `look=False` submits whether the task is cancelled or not.

        One coroutine and not several, as a waiting task has its memory for as long as it waits.
        """
        if check_cancelled:
            await checkpoint_if_cancelled()
        tag = self.next_tag()
        code, op = submit(self.native, tag)
        del submit
        if code != _ffi.PARKED:
            if schedule:
                await cancel_shielded_checkpoint()
            if code != 0:
                await _raise_if_cancelled(op, reclaim)
            return code, op
        if poll and _ffi.cancel(op) == _ffi.LEFT:
            await cancel_shielded_checkpoint()
            await _raise_if_cancelled(_ffi.NULL, reclaim)
            return _ETIMEDOUT, _ffi.NULL
        self._waiting[tag] = current_task()
        raise_cancel: RaiseCancelT | None = None
        try:
            done: _ffi.Done | None = None
            if self._leader is not None or self.native.fd < 0:
                # Another task (or the token) collects; None when that has left.
                parked = _Parked(self._waiting, op, tag)
                done = await wait_task_rescheduled(parked)
                raise_cancel = parked.raise_cancel
            if done is None:
                done = await self._lead(op, tag, reclaim)
                raise_cancel = None  # looked at there
            elif raise_cancel is None and count_taken:
                self._count_cancel_taken()
        except BaseException:
            if self._waiting.pop(tag, None) is not None:
                _ffi.abandon(op)
            raise
        finally:
            if self._leaving:
                self._close_if_idle()
        code, op = done
        if code != 0:
            if raise_cancel is not None:
                if op:
                    reclaim(op)
                raise_cancel()
            await _raise_if_cancelled(op, reclaim)
            if poll and code == _CANCELED:
                code = _ETIMEDOUT
        return code, op

    def _count_cancel_taken(self) -> None:
        if trio.current_effective_deadline() == -math.inf:
            _ffi.count_cancel_taken()

    async def _lead(self, op: _ffi.Op, tag: int, reclaim: _ffi.PutBack) -> _ffi.Done:
        """Wait for the bell itself, and collect for everybody."""
        self._leader = self._waiting[tag]
        try:
            done: _ffi.Done | None = None
            while done is None:
                try:
                    await wait_readable(self.native.fd)
                except BaseException as exc:
                    return await self._cancel_leader(op, tag, reclaim, exc)
                done = self._collect(tag)
            return done
        except BaseException:
            # Before the lead is handed on: it must not come back to this task.
            if self._waiting.pop(tag, None) is not None:
                _ffi.abandon(op)
            raise
        finally:
            self._leader = None
            self._elect_leader()

    def _elect_leader(self) -> None:
        """Make the task that has waited longest the leader."""
        for task in self._waiting.values():
            self._leader = task
            reschedule(task, Value(None))
            break

    async def _cancel_leader(
        self, op: _ffi.Op, tag: int, reclaim: _ffi.PutBack, exc: BaseException
    ) -> _ffi.Done:
        """Decide what Cancelled or Ctrl-C at the bell means for the leader's operation."""
        if not isinstance(exc, (trio.Cancelled, KeyboardInterrupt)):
            raise exc
        outcome = _ffi.cancel(op)
        if outcome == _ffi.LEFT:
            del self._waiting[tag]
            raise exc
        done = self._collect(tag)
        with trio.CancelScope(shield=True):
            while done is None:
                try:
                    await wait_readable(self.native.fd)
                except KeyboardInterrupt as interrupt:
                    exc = interrupt
                done = self._collect(tag)
        assert done is not None
        code, msg = done
        if isinstance(exc, trio.Cancelled) and code == 0:
            return done
        # Ctrl-C was taken from Trio already, so it is raised, even when the operation happened.
        if msg:
            reclaim(msg)
        raise exc


_port: RunVar[_Port | None] = RunVar("trionng port", default=None)


@enable_ki_protection
def _new_port() -> _Port:
    port = _Port()
    _port.set(port)
    return port


def _current_port() -> _Port:
    try:
        port = _port.get()
    except RuntimeError:
        _refuse_other_loops()
    return _new_port() if port is None or port.closed else port


def _refuse_other_loops() -> NoReturn:
    """Say in the caller's words that this is no Trio task.

    Under trio-asyncio, asyncio code runs inside a Trio task, whose functions would work until the
    first of them yields. What was submitted by then would end the whole run. sniffio's variable is
    what Trio and trio-asyncio set around each step of a task.
    """
    here = _sniffio.name
    where = "none" if here in (None, "trio") else f"{here} code"
    raise RuntimeError(
        f"trionng's sockets are awaited in Trio tasks, and this is {where}: run it with trio.run, "
        "or use trionng.blocking in a thread"
    )


async def checkpoint_if_cancelled() -> None:
    """Raise the cancellation, or the Ctrl-C, that is there already."""
    if _sniffio.name != "trio":
        _refuse_other_loops()
    try:
        await _checkpoint_if_cancelled()
    except trio.Cancelled:
        _ffi.count_cancel_before_submit()
        raise


async def checkpoint() -> None:
    """Let other tasks run, and raise the cancellation; as `trio.lowlevel.checkpoint`."""
    if _sniffio.name != "trio":
        _refuse_other_loops()
    await _checkpoint()


async def _raise_if_cancelled(msg: _ffi.Msg, reclaim: _ffi.PutBack) -> None:
    """Raise the cancellation that came after the operation had failed, in the same pass."""
    try:
        await _checkpoint_if_cancelled()
    except BaseException:
        if msg:
            reclaim(msg)
        raise


@enable_ki_protection
async def run_nowait(call: Callable[[], _ffi.Answer]) -> _ffi.Done:
    """Make a call that never parks, as a checkpoint; ETIMEDOUT when there is nothing."""
    await checkpoint_if_cancelled()
    code, msg = call()
    await cancel_shielded_checkpoint()
    if code != 0:
        await _raise_if_cancelled(msg, _ffi.drop)
    return (_ETIMEDOUT if code == _ffi.AGAIN else code), msg


def wait_for(
    submit: Submit,
    reclaim: _ffi.PutBack = _ffi.drop,
    *,
    poll: bool = False,
    check_cancelled: bool = True,
    schedule: bool = True,
) -> Awaitable[_ffi.Done]:
    """Run one operation: submit it, wait for it if it parks, take what it came to.

    Cancellation: looked at before anything is submitted; later it raises only when the operation
        did not happen. A checkpoint always, also when the operation finishes at once.

    Args:
        submit: starts the operation with a port and a tag, and answers at once or PARKED.
        put_back: called with a message that the task must not have: what a cancelled send gives
            back, what a receive brought just when Ctrl-C came.
        poll: do not wait; ETIMEDOUT when it is not finished at once.
        look: look at cancellation first. Who says no has just done so.
        rest: let other tasks run even when it finishes at once. Who says no does so now and then.
    """
    return _current_port().run(
        submit, reclaim, poll=poll, check_cancelled=check_cancelled, schedule=schedule
    )


@enable_ki_protection
async def wait_for_many(
    lane: _ffi.Lane, max_messages: int, *, poll: bool = False
) -> tuple[int, list[bytes]]:
    """Receive what is ready, at least one message, with one wake-up; (code, messages).

    Cancellation: as `wait_for`; a cancelled call takes nothing.
    """
    await checkpoint_if_cancelled()
    taken = lane.receive_many(max_messages)
    if taken:
        await cancel_shielded_checkpoint()
        return 0, taken
    if poll:
        code, msg = await run_nowait(partial(lane.receive, None, 0))
    else:
        code, msg = await wait_for(lane.receive, lane.give_back)
    if code != 0:
        return code, taken
    taken = [_ffi.take_bytes(msg, lane)]
    try:
        taken += lane.receive_many(max_messages - 1)
    except MemoryError:
        pass  # the next call gets them, or the exception
    return 0, taken


def _clock_is_real() -> bool:
    """Say whether Trio's seconds are those of the world; a test's MockClock has its own."""
    kind = type(current_clock())
    return kind.__name__ == "SystemClock" and kind.__module__.split(".")[0] == "trio"


@contextlib.contextmanager
def real_time_limit(seconds: float, *, shield: bool = False) -> Iterator[trio.CancelScope]:
    """Cancel the block when so many seconds of real time are over, whatever Trio's clock says.

    nng works in real time, so what bounds nng does. No deadline of Trio's stands meanwhile for a
    MockClock to jump to.
    """
    scope = trio.CancelScope(shield=shield)
    timer: threading.Timer | None = None
    if seconds != math.inf:
        if _clock_is_real():
            scope.deadline = trio.current_time() + seconds
        else:
            timer = _call_later(seconds, scope.cancel)
    try:
        with scope:
            yield scope
    finally:
        if timer is not None:
            timer.cancel()


async def sleep_in_real_time(seconds: float) -> None:
    """Sleep so many seconds of real time, whatever Trio's clock says."""
    if _clock_is_real():
        await trio.sleep(seconds)
        return
    over = trio.Event()
    timer = _call_later(seconds, over.set)
    try:
        await over.wait()
    finally:
        timer.cancel()


def _call_later(seconds: float, call: Callable[[], object]) -> threading.Timer:
    """Call in this run when so many seconds of real time are over; for tests, which can wait."""
    token = current_trio_token()

    def tell() -> None:
        with contextlib.suppress(trio.RunFinishedError):
            token.run_sync_soon(call)

    timer = threading.Timer(seconds, tell)
    timer.daemon = True
    timer.start()
    return timer


@enable_ki_protection
async def run_shielded(submit: Submit, within: float) -> int:
    """Run an operation that must go on whatever happens to the task; its code.

    It starts before cancellation is looked at, and a cancelled task still waits for it, at most
    `within` seconds of real time: ETIMEDOUT when it takes longer. The cancellation is raised
    afterwards, unless the operation failed.
    """
    if _sniffio.name != "trio":
        _refuse_other_loops()
    with real_time_limit(within, shield=True) as scope:
        code, _ = await _current_port().run(submit, _ffi.drop, check_cancelled=False)
    if scope.cancelled_caught:
        code = _ETIMEDOUT
    if code in (0, _ETIMEDOUT, _ffi.FORKED):
        await _checkpoint_if_cancelled()
    return code


async def with_timeout(
    seconds: float, awaitable: Callable[[], Awaitable[T]]
) -> tuple[bool, T | None]:
    """Await within so many seconds; (False, None) when they are over first."""
    if seconds == math.inf:
        return True, await awaitable()
    with trio.move_on_after(seconds) as scope:
        return True, await awaitable()
    assert scope.cancelled_caught
    return False, None

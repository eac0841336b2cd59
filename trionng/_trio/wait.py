"""How a Trio task waits for an operation.

A task submits an operation to the shim. The shim answers at once, or with PARKED: then an nng
thread will finish the operation later, and put it into the completion queue of the Trio run. Each
run has one queue for all its sockets.

The queue has a descriptor that becomes readable when an operation has finished. One of the waiting
tasks, the leader, awaits it with `wait_readable`; the other tasks sleep. When the descriptor is
readable the leader collects every finished operation and reschedules the task of each. When its own
operation has finished the leader returns, and the task that has waited longest leads.

No system task serves the queue. So one waiting task wakes in one scheduling pass; an exception here
is an exception of one task, not of Trio's internals; and waiting works for as long as a task can
run, also while Trio finalises async generators and starts no system tasks any more. Where no
descriptor can be had, the shim calls `TrioToken.run_sync_soon` once a batch, and no task leads.

Rules of this file:
* Check for cancellation before the submit. After the submit, nothing that can raise runs before the
  operation is stored in `_waiting` or its result is taken. `enable_ki_protection` defers Ctrl-C.
* An operation that has happened is delivered, even to a cancelled task. The shim says whether it
  has happened; an error code is never used to guess.
* An operation that has not happened raises Cancelled in a task that is cancelled, whatever the
  error was: a socket that closes in the same pass of the loop, a connection that ends, a newer
  request. A task that is not cancelled gets the error.
* A parked operation is cancelled, detached or collected exactly once.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import NoReturn, TypeVar

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
from trionng._base.errors import EAGAIN, ECANCELED, ETIMEDOUT, OutOfFiles, OutOfThreads

T = TypeVar("T")

# Starts an operation with a completion queue and a tag.
Submit = Callable[[_ffi.CompletionQueue, int], _ffi.SubmitResult]


# Tests set this to count cancellations before the submit, and after the result was taken.
count_cancels = False

# Tests set this to be woken by the Trio token, without a descriptor.
use_token_wakeup = False


class _Parked:
    """The abort function of a parked operation: Trio calls it to cancel the task."""

    __slots__ = ("_op", "_tag", "_waiting", "raise_cancel")

    def __init__(self, waiting: dict[int, Task], op: _ffi.Op, tag: int) -> None:
        self._waiting = waiting
        self._op = op
        self._tag = tag
        self.raise_cancel: RaiseCancelT | None = None

    def __call__(self, raise_cancel: RaiseCancelT) -> Abort:
        if _ffi.cancel(self._op) == _ffi.CANCEL_DONE:
            del self._waiting[self._tag]
            return Abort.SUCCEEDED
        self.raise_cancel = raise_cancel
        return Abort.FAILED


class _CompletionQueue:
    """The completion queue of one Trio run, and the tasks that wait for operations."""

    def __init__(self) -> None:
        self._trio_token = current_trio_token()
        notify = self._notify_token if use_token_wakeup else None
        try:
            self.native = _ffi.CompletionQueue(exclusive=True, notify=notify)
        except OutOfFiles as missing:
            try:
                self.native = _ffi.CompletionQueue(exclusive=True, notify=self._notify_token)
            except OutOfThreads:
                raise missing from None
        self._waiting: dict[int, Task] = {}
        self._leader: Task | None = None
        self.next_tag = itertools.count(1).__next__
        self.closed = False
        # A system task notices the end of the run. Where Trio starts none any more, the queue is
        # closed when the last task has stopped waiting.
        try:
            spawn_system_task(self._close_at_run_end, name="trionng completion queue")
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

    def _notify_token(self) -> None:
        # [a thread of the shim, with the GIL]
        try:
            self._trio_token.run_sync_soon(self._collect_all, idempotent=True)
        except trio.RunFinishedError:
            pass

    def _collect_all(self) -> None:
        if not self.closed:
            self._collect(0)

    def _collect(self, own: int) -> _ffi.Completion | None:
        """Reschedule the task of every finished operation; return the caller's own result."""
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
        reclaim: _ffi.Reclaim,
        poll: bool = False,
        check_cancelled: bool = True,
        schedule: bool = True,
    ) -> _ffi.Completion:
        """See `wait_for`; with `check_cancelled=False` a cancelled task submits as well.

        One coroutine and not several: a waiting task keeps the frames in memory.
        """
        if check_cancelled:
            await checkpoint_if_cancelled()
        tag = self.next_tag()
        code, op = submit(self.native, tag)
        del submit  # one object less while the task waits
        if code != _ffi.PARKED:
            if schedule:
                await cancel_shielded_checkpoint()
            if code != 0:
                await _raise_if_cancelled(op, reclaim)
            return code, op
        # A poll cancels at once; unless that succeeds the operation has finished, or will soon.
        if poll and _ffi.cancel(op) == _ffi.CANCEL_DONE:
            await cancel_shielded_checkpoint()
            await _raise_if_cancelled(_ffi.NULL, reclaim)
            return ETIMEDOUT, _ffi.NULL
        self._waiting[tag] = current_task()
        raise_cancel: RaiseCancelT | None = None
        try:
            done: _ffi.Completion | None = None
            if self._leader is not None or self.native.fd < 0:
                # Another task (or the token) collects; None makes this task the leader.
                parked = _Parked(self._waiting, op, tag)
                done = await wait_task_rescheduled(parked)
                raise_cancel = parked.raise_cancel
            if done is None:
                done = await self._lead(op, tag, reclaim)
                raise_cancel = None  # _lead has handled it
            elif raise_cancel is None and count_cancels:
                self._count_cancel_taken()
        except BaseException:
            if self._waiting.pop(tag, None) is not None:
                _ffi.detach(op)
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
            if poll and code == ECANCELED:
                code = ETIMEDOUT
        return code, op

    def _count_cancel_taken(self) -> None:
        if trio.current_effective_deadline() == -math.inf:
            _ffi.count_cancel_taken()

    async def _lead(self, op: _ffi.Op, tag: int, reclaim: _ffi.Reclaim) -> _ffi.Completion:
        """Be the leader: await the descriptor, and collect for all tasks."""
        self._leader = self._waiting[tag]
        try:
            done: _ffi.Completion | None = None
            while done is None:
                try:
                    await wait_readable(self.native.fd)
                except BaseException as exc:
                    return await self._cancel_leader(op, tag, reclaim, exc)
                done = self._collect(tag)
            return done
        except BaseException:
            # Before the next leader is chosen: it must not be this task.
            if self._waiting.pop(tag, None) is not None:
                _ffi.detach(op)
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
        self, op: _ffi.Op, tag: int, reclaim: _ffi.Reclaim, exc: BaseException
    ) -> _ffi.Completion:
        """Cancel the leader's operation after Cancelled or Ctrl-C; raise, or return its result."""
        if not isinstance(exc, (trio.Cancelled, KeyboardInterrupt)):
            raise exc
        outcome = _ffi.cancel(op)
        if outcome == _ffi.CANCEL_DONE:
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
        # Trio has delivered Ctrl-C already, so it is raised even if the operation has happened.
        if msg:
            reclaim(msg)
        raise exc


_cq: RunVar[_CompletionQueue | None] = RunVar("trionng completion queue", default=None)


@enable_ki_protection
def _new_cq() -> _CompletionQueue:
    cq = _CompletionQueue()
    _cq.set(cq)
    return cq


def _current_cq() -> _CompletionQueue:
    try:
        cq = _cq.get()
    except RuntimeError:
        _refuse_other_loops()
    return _new_cq() if cq is None or cq.closed else cq


def _refuse_other_loops() -> NoReturn:
    """Raise: the caller is no Trio task.

    Under trio-asyncio, asyncio code runs inside a Trio task: Trio's functions work there until one
    of them yields, and an operation that was submitted before would crash the run. Trio and
    trio-asyncio set sniffio's variable around each step of a task.
    """
    here = _sniffio.name
    where = "none" if here in (None, "trio") else f"{here} code"
    raise RuntimeError(
        f"trionng's sockets are awaited in Trio tasks, and this is {where}: run it with trio.run, "
        "in an asyncio program with trionng.guest, or use trionng.blocking in a thread"
    )


def checkpoint_if_cancelled() -> Awaitable[None]:
    """Raise a pending cancellation or Ctrl-C, else return without yielding."""
    # Trio's own coroutine: a second one around it costs each message a tenth of a microsecond.
    if _sniffio.name != "trio":
        _refuse_other_loops()
    return _count_if_cancelled() if count_cancels else _checkpoint_if_cancelled()  # noqa: ASYNC105


async def _count_if_cancelled() -> None:
    try:
        await _checkpoint_if_cancelled()
    except trio.Cancelled:
        _ffi.count_cancel_before_submit()
        raise


def checkpoint() -> Awaitable[None]:
    """Let other tasks run, and raise a cancellation; as `trio.lowlevel.checkpoint`."""
    if _sniffio.name != "trio":
        _refuse_other_loops()
    return _checkpoint()  # noqa: ASYNC105


async def _raise_if_cancelled(msg: _ffi.Msg, reclaim: _ffi.Reclaim) -> None:
    """Raise a cancellation that came in the same pass as the failure of the operation."""
    try:
        await _checkpoint_if_cancelled()
    except BaseException:
        if msg:
            reclaim(msg)
        raise


@enable_ki_protection
async def run_nowait(call: Callable[[], _ffi.SubmitResult]) -> _ffi.Completion:
    """Make a call that never parks, as a checkpoint; its EAGAIN becomes ETIMEDOUT."""
    await checkpoint_if_cancelled()
    code, msg = call()
    await cancel_shielded_checkpoint()
    if code != 0:
        await _raise_if_cancelled(msg, _ffi.drop)
    return (ETIMEDOUT if code == EAGAIN else code), msg


def wait_for(
    submit: Submit,
    reclaim: _ffi.Reclaim = _ffi.drop,
    *,
    poll: bool = False,
    check_cancelled: bool = True,
    schedule: bool = True,
) -> Awaitable[_ffi.Completion]:
    """Run one operation: submit it, wait for it if it parks, return its code and message.

    Cancellation: raised before the submit; later only if the operation has not happened. Always a
        checkpoint, also when the operation completes immediately.

    Args:
        submit: starts the operation with a completion queue and a tag; returns a result or PARKED.
        reclaim: called with a message that the task does not get: that of a cancelled send, or one
            that was received when Ctrl-C came.
        poll: do not wait; ETIMEDOUT if the operation does not complete immediately.
        check_cancelled: run `checkpoint_if_cancelled` first; pass False only if the caller just
            did.
        schedule: yield even if the operation completes immediately; a caller that passes False
            must yield itself every few calls.
    """
    # _current_cq written out.
    try:
        cq = _cq.get()
    except RuntimeError:
        _refuse_other_loops()
    if cq is None or cq.closed:
        cq = _new_cq()
    return cq.run(submit, reclaim, poll, check_cancelled, schedule)


@enable_ki_protection
async def wait_for_many(
    ctx: _ffi.Context, max_messages: int, *, poll: bool = False
) -> tuple[int, list[bytes]]:
    """Receive every message that has arrived, at least one, with one wake-up; (code, messages).

    Cancellation: as `wait_for`; a cancelled call takes nothing.
    """
    await checkpoint_if_cancelled()
    taken = ctx.recv_many(max_messages)
    if taken:
        await cancel_shielded_checkpoint()
        return 0, taken
    if poll:
        code, msg = await run_nowait(partial(ctx.recv, None, 0))
    else:
        code, msg = await wait_for(ctx.recv, ctx.unget)
    if code != 0:
        return code, taken
    taken = [_ffi.take_bytes(msg, ctx)]
    try:
        taken += ctx.recv_many(max_messages - 1)
    except MemoryError:
        pass  # the next call gets the messages, or the exception
    return 0, taken


def _clock_is_real() -> bool:
    """Tell whether Trio's clock is the system clock, and not a test's MockClock."""
    return _is_system_clock(type(current_clock()))


@functools.cache
def _is_system_clock(kind: type) -> bool:
    return kind.__name__ == "SystemClock" and kind.__module__.split(".")[0] == "trio"


@contextlib.contextmanager
def real_time_limit(seconds: float, *, shield: bool = False) -> Iterator[trio.CancelScope]:
    """Cancel the block after so many seconds of real time, whatever Trio's clock says.

    nng runs in real time, so its time limits do. Under a MockClock a thread's timer replaces Trio's
    deadline, which the clock could jump to.
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


# Of the tasks of a run that wait for what takes real time, until when that is so; for the clocks
# of tests.
_real_waits: RunVar[list[float] | None] = RunVar("trionng real waits", default=None)


@contextlib.contextmanager
def real_wait(seconds: float) -> Iterator[None]:
    """Tell a clock that jumps that this block needs real time, at most so many seconds."""
    if _sniffio.name != "trio":
        _refuse_other_loops()
    if _clock_is_real():
        yield
        return
    waits = _real_waits.get()
    if waits is None:
        _real_waits.set(waits := [])
    waits.append(until := time.monotonic() + seconds)
    try:
        yield
    finally:
        waits.remove(until)


def real_waits() -> int:
    """Count the blocks of `real_wait` that tasks of this run are in, and whose time is not over."""
    now = time.monotonic()
    return sum(until > now for until in _real_waits.get() or ())


async def sleep_in_real_time(seconds: float) -> None:
    """Sleep so many seconds of real time, whatever Trio's clock says."""
    if _clock_is_real():
        await trio.sleep(seconds)
        return
    over = trio.Event()
    timer = _call_later(seconds, over.set)
    try:
        with real_wait(math.inf):
            await over.wait()
    finally:
        timer.cancel()


def _call_later(seconds: float, call: Callable[[], object]) -> threading.Timer:
    """Call in this run after so many seconds of real time; only for tests with a MockClock."""
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
    """Run an operation, a close, that a cancellation must not stop; return its code.

    A cancelled task submits the operation and waits for it all the same, at most `within` seconds
    of real time: ETIMEDOUT if it takes longer. The cancellation is raised afterwards, unless the
    operation failed.
    """
    if _sniffio.name != "trio":
        _refuse_other_loops()
    if _clock_is_real():  # the usual case, with one scope and nothing else
        with trio.CancelScope(shield=True, deadline=trio.current_time() + within) as scope:
            code, _ = await _current_cq().run(submit, _ffi.drop, check_cancelled=False)
    else:
        with real_wait(within), real_time_limit(within, shield=True) as scope:
            code, _ = await _current_cq().run(submit, _ffi.drop, check_cancelled=False)
    if scope.cancelled_caught:
        code = ETIMEDOUT
    if code in (0, ETIMEDOUT, _ffi.FORKED):
        await _checkpoint_if_cancelled()
    return code


async def with_timeout(
    seconds: float, awaitable: Callable[[], Awaitable[T]]
) -> tuple[bool, T | None]:
    """Await for at most so many seconds of Trio's clock; (False, None) after that."""
    if seconds == math.inf:
        return True, await awaitable()
    with trio.move_on_after(seconds) as scope:
        return True, await awaitable()
    assert scope.cancelled_caught
    return False, None

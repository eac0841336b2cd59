"""How a Trio task waits for an operation (floor 3). The only module that sees `trio.lowlevel`.

One port per Trio run carries the finished operations of all its sockets. Its bell is a descriptor:
one of the waiting tasks, the leader, awaits it, collects for everybody, and hands the lead on when
it leaves. No system task serves it, so a single waiter wakes in one scheduling pass, an exception
here
is an exception of one task, and waiting works for as long as a task can run: also while Trio
    finalises async generators, when it takes no new system tasks. Where no descriptor can be had,
    the shim calls `TrioToken.run_sync_soon` once per batch instead; then nobody leads.

Rules of this file:
* Look at cancellation before submitting; after the submit, nothing that can raise comes before the
  operation is either parked in `_waiting` or taken. Ctrl-C is kept out by `enable_ki_protection`.
* What happened is delivered, even to a cancelled task. What was cancelled raises Trio's own
exception. Whether it happened is the shim's word, never a guess from an error code. * A parked
operation is cancelled, abandoned or collected exactly once.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import trio
from outcome import Value
from trio.lowlevel import (
    Abort,
    RaiseCancelT,
    RunVar,
    Task,
    cancel_shielded_checkpoint,
    checkpoint as checkpoint,
    checkpoint_if_cancelled,
    current_task,
    current_trio_token,
    enable_ki_protection,
    notify_closing,
    reschedule,
    spawn_system_task,
    wait_readable,
    wait_task_rescheduled,
)

from trionng import _ffi

T = TypeVar("T")

# Starts an operation with a port and a tag.
Submit = Callable[[_ffi.Port, int], _ffi.Answer]

_CANCELED: Final = 20
_ETIMEDOUT: Final = 5

# Tests set this to use the bell that needs no descriptor.
use_token_bell = False


class _Port:
    """The waiting tasks of one Trio run."""

    def __init__(self) -> None:
        self._trio_token = current_trio_token()
        ring = self._ring_token if use_token_bell else None
        try:
            self.native = _ffi.Port(exclusive=True, ring=ring)
        except OSError:
            self.native = _ffi.Port(exclusive=True, ring=self._ring_token)
        self._waiting: dict[int, Task] = {}
        self._leader: Task | None = None
        self._tag = 0
        self.closed = False
        # Nobody tells a port that its run is over; a system task does, and where Trio takes none
        # any more, the port lives for as long as somebody waits.
        try:
            spawn_system_task(self._stay_until_the_run_ends, name="trionng port")
            self._leaving = False
        except RuntimeError:
            self._leaving = True

    def next_tag(self) -> int:
        self._tag += 1
        return self._tag

    async def _stay_until_the_run_ends(self) -> None:
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
    async def wait(self, op: _ffi.Op, tag: int, put_back: _ffi.PutBack) -> _ffi.Done:
        """Park until the operation has finished, or was cancelled and did not happen."""
        self._waiting[tag] = current_task()
        try:
            if self._leader is None and self.native.fd >= 0:
                done = await self._lead(op, tag, put_back)
            else:
                done = await self._follow(op, tag, put_back)
        except BaseException:
            if self._waiting.pop(tag, None) is not None:
                _ffi.abandon(op)
            raise
        finally:
            self._close_if_idle()
        return done

    async def leave_at_once(self, op: _ffi.Op, tag: int, put_back: _ffi.PutBack) -> _ffi.Done:
        """End a parked operation that may not wait; it may turn out to have happened."""
        if _ffi.cancel(op) == _ffi.LEFT:
            await cancel_shielded_checkpoint()
            return _ETIMEDOUT, _ffi.NULL
        code, msg = await self.wait(op, tag, put_back)
        return (_ETIMEDOUT if code == _CANCELED else code), msg

    async def _follow(self, op: _ffi.Op, tag: int, put_back: _ffi.PutBack) -> _ffi.Done:
        """Wait while another task (or the token) collects."""
        raise_cancel: RaiseCancelT | None = None

        def abort(raise_it: RaiseCancelT) -> Abort:
            nonlocal raise_cancel
            outcome = _ffi.cancel(op)
            if outcome == _ffi.LEFT:
                del self._waiting[tag]
                return Abort.SUCCEEDED
            raise_cancel = raise_it
            return Abort.FAILED

        done: _ffi.Done | None = await wait_task_rescheduled(abort)
        if done is None:
            # The leader has left.
            return await self._lead(op, tag, put_back)
        code, msg = done
        if raise_cancel is None:
            if trio.current_effective_deadline() == -math.inf:
                _ffi.count_cancel_taken()
        elif code in (_CANCELED, _ffi.SENT):
            if msg:
                put_back(msg)
            raise_cancel()
        return done

    async def _lead(self, op: _ffi.Op, tag: int, put_back: _ffi.PutBack) -> _ffi.Done:
        """Wait for the bell itself, and collect for everybody."""
        self._leader = self._waiting[tag]
        try:
            done: _ffi.Done | None = None
            while done is None:
                try:
                    await wait_readable(self.native.fd)
                except BaseException as exc:
                    return await self._leave(op, tag, put_back, exc)
                done = self._collect(tag)
            return done
        except BaseException:
            # Before the lead is handed on: it must not come back to this task.
            if self._waiting.pop(tag, None) is not None:
                _ffi.abandon(op)
            raise
        finally:
            self._leader = None
            self._hand_on()

    def _hand_on(self) -> None:
        """Make the task that has waited longest the leader."""
        for task in self._waiting.values():
            self._leader = task
            reschedule(task, Value(None))
            break

    async def _leave(
        self, op: _ffi.Op, tag: int, put_back: _ffi.PutBack, exc: BaseException
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
        if isinstance(exc, trio.Cancelled) and code not in (_CANCELED, _ffi.SENT):
            return done
        # Ctrl-C was taken from Trio already, so it is raised, even when the operation happened.
        if msg:
            put_back(msg)
        raise exc


_port: RunVar[_Port] = RunVar("trionng port")


def _current_port() -> _Port:
    try:
        port = _port.get()
    except LookupError:
        port = None
    if port is None or port.closed:
        port = _Port()
        _port.set(port)
    return port


@enable_ki_protection
async def wait_for(
    submit: Submit, put_back: _ffi.PutBack = _ffi.drop, *, poll: bool = False
) -> _ffi.Done:
    """Run one operation: submit it, wait for it if it parks, take what it came to.

    Cancellation: looked at before anything is submitted; later it raises only when the operation
        did not happen. A checkpoint always, also when the operation finishes at once.

    Args:
        submit: starts the operation with a port and a tag, and answers at once or PARKED.
        put_back: called with a message that the task must not have: what a cancelled send gives
            back, what a receive brought just when Ctrl-C came.
        poll: do not wait; ETIMEDOUT when it is not finished at once.
    """
    try:
        await checkpoint_if_cancelled()
    except trio.Cancelled:
        _ffi.count_cancel_before_submit()
        raise
    port = _current_port()
    tag = port.next_tag()
    code, what = submit(port.native, tag)
    if code == _ffi.PARKED:
        if poll:
            return await port.leave_at_once(what, tag, put_back)
        return await port.wait(what, tag, put_back)
    await cancel_shielded_checkpoint()
    return code, what


@enable_ki_protection
async def wait_for_many(
    lane: _ffi.Lane, most: int, *, poll: bool = False
) -> tuple[int, list[bytes]]:
    """Receive what is ready, at least one message, with one wake-up; (code, messages).

    Cancellation: as `wait_for`; a cancelled call takes nothing.
    """
    await checkpoint_if_cancelled()
    taken = lane.receive_many(most)
    if taken:
        await cancel_shielded_checkpoint()
        return 0, taken
    code, msg = await wait_for(lane.receive, lane.give_back, poll=poll)
    if code != 0:
        return code, taken
    return 0, [_ffi.take_bytes(msg), *lane.receive_many(most - 1)]


@enable_ki_protection
async def finish(submit: Submit, within: float) -> bool:
    """Run an operation that must go on whatever happens to the task; False when it takes too long.

    It starts before cancellation is looked at, and a cancelled task still waits for it, at most
    `within` seconds. The cancellation is raised afterwards.
    """
    port = _current_port()
    tag = port.next_tag()
    code, what = submit(port.native, tag)
    ended = True
    if code == _ffi.PARKED:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + within) as scope:
            await port.wait(what, tag, _ffi.drop)
        ended = not scope.cancelled_caught
    else:
        await cancel_shielded_checkpoint()
    await checkpoint_if_cancelled()
    return ended


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

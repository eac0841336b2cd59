"""Forwarding between two raw sockets, as `nng_device` does.

A cancellation loses no message: a message that was received and not sent goes back to the front of
the socket it came from. The protocols that have a hop count (Rep0, Respondent0, Pair1) limit it
themselves: a raw socket counts hops when it receives, and drops a message over `ttl_max`.
"""

from __future__ import annotations

import itertools
from contextvars import copy_context
from functools import partial
from typing import Final, NoReturn, Protocol

import attrs
import trio

from trionng import _ffi
from trionng._base.errors import EPROTO, InvalidOperation, TryAgain, error_for
from trionng._base.sealed import Sealed
from trionng._base.types import Buffer
from trionng._core.addresses import In6Addr, InAddr
from trionng._sockets import Bus0, Pub0, Pull0, Push0, Sub0
from trionng._trio.socket import Socket
from trionng._trio.wait import checkpoint, wait_for

# A negative pipe number leaves the pipe of the message as it is.
_AS_IT_IS: Final = -1

# The paths of this process, (source, target), on which no hop count stops a message.
_Path = tuple["Socket", "Socket"]
_paths_without_limit: set[_Path] = set()
_NO_LIMIT: Final = (Bus0, Pub0, Sub0, Push0, Pull0)
# Check for a ring after this many messages, and again after twice as many: a ring soon has many.
# With more connections than this the check would take too long.
_LOOK_AFTER: Final = 64
_CONNECTIONS: Final = 256


def _ends(socket: Socket) -> tuple[set[object], set[object]]:
    """Return the connections of a socket that it dialled, and those it accepted.

    An address of tcp is one of a connection; elsewhere the listener's alone says which it is.
    """
    dialled: set[object] = set()
    accepted: set[object] = set()
    for pipe in socket.pipes:
        ours, theirs = pipe.local_address, pipe.remote_address
        is_tcp = isinstance(ours, (InAddr, In6Addr))
        if pipe.dialer is not None:
            dialled.add((theirs, ours if is_tcp else None))
        else:
            accepted.add((ours, theirs if is_tcp else None))
    return dialled, accepted


def _is_ring(path: _Path) -> bool:
    """Say whether what is passed on here comes back here, as far as this process can see."""
    # A copy: other threads may run other forwarders.
    paths = [each for each in tuple(_paths_without_limit) if each[0] is not each[1]]
    if sum(each._native.pipe_count() for each in {*itertools.chain(*paths)}) > _CONNECTIONS:
        return False
    ends = {socket: _ends(socket) for each in paths for socket in each}
    seen: set[_Path] = set()
    ahead = [path]
    while ahead:
        dialled, accepted = ends[ahead.pop()[1]]
        for each in paths:
            their_dialled, their_accepted = ends[each[0]]
            if dialled & their_accepted or accepted & their_dialled:
                if each == path:
                    return True
                if each not in seen:
                    seen.add(each)
                    ahead.append(each)
    return False


class Capture(Protocol):
    """What can take a copy of every message: Pub0, Push0, Pair0, Pair1, Bus0."""

    def send_nowait(self, data: Buffer) -> None:
        """Send, or raise TryAgain."""


@attrs.frozen
class ForwardStatistics:
    """What has been forwarded so far.

    Attributes:
        messages: from the first socket to the second, and the other way round.
        bytes: likewise, without protocol headers.
        dropped: messages whose header the protocol refused to send on.
        uncaptured: copies the capture socket could not take at once.
    """

    messages: tuple[int, int]
    bytes: tuple[int, int]
    dropped: int
    uncaptured: int


class Forwarder(Sealed):
    """A running `forward`, with its counters."""

    def __init__(self, capture: Capture | None) -> None:
        self._capture = capture
        self._messages = [0, 0]
        self._bytes = [0, 0]
        self._dropped = self._uncaptured = 0

    def __repr__(self) -> str:
        return f"<Forwarder, messages={self._messages}>"

    def statistics(self) -> ForwardStatistics:
        """Return the counters."""
        return ForwardStatistics(
            messages=(self._messages[0], self._messages[1]),
            bytes=(self._bytes[0], self._bytes[1]),
            dropped=self._dropped,
            uncaptured=self._uncaptured,
        )

    async def _run(self, direction: int, source: Socket, target: Socket) -> None:
        """Forward one way, for ever."""
        ctx = source._ctx
        while True:
            code, msg = await wait_for(ctx.recv, ctx.unget)
            if code != 0:
                raise error_for(code, "forward: receive", source._urls())
            try:
                size = _ffi.size_of(msg)
                content = _ffi.copy_of(msg) if self._capture is not None else b""
                op = ForwardOp(ctx, target._ctx)
            except BaseException:
                ctx.unget(msg)
                raise
            code = await op.send(msg)
            if code == EPROTO:
                self._dropped += 1
                continue
            if code != 0:
                raise error_for(code, "forward: send", target._urls())
            self._messages[direction] += 1
            self._bytes[direction] += size
            path, count = (source, target), self._messages[direction]
            if count >= _LOOK_AFTER and not count & (count - 1) and path in _paths_without_limit:
                if source is not target and _is_ring(path):
                    raise InvalidOperation(
                        f"forward: {source!r} and {target!r} are part of a ring, in which messages "
                        f"run for ever: {source.protocol_name} has no hop count; connect a tree"
                    )
            if self._capture is not None:
                try:
                    copy_context().run(self._capture.send_nowait, content)
                except TryAgain:
                    self._uncaptured += 1


class ForwardOp:
    """A message between its receive and its send."""

    def __init__(self, source: _ffi.Context, target: _ffi.Context) -> None:
        self._handle = _ffi.MessageHandle()
        self._source = source
        self._target = target
        self._submitted = False

    def submit(self, cq: _ffi.CompletionQueue, tag: int) -> _ffi.SubmitResult:
        self._submitted = True
        return self._target.send_message(self._handle, _AS_IT_IS, cq, tag)

    async def send(self, msg: _ffi.Msg) -> int:
        """Send it; a message that was not sent goes back to the source, or is dropped on EPROTO."""
        self._handle.own(msg)
        try:
            code, msg = await wait_for(self.submit, self._source.unget)
        finally:
            if not self._submitted:
                self._source.unget(msg)
                self._handle.own(_ffi.NULL)
        if msg and code == EPROTO:
            _ffi.drop(msg)
        elif msg:
            self._source.unget(msg)
        return code


def _paths(a: Socket, b: Socket) -> list[tuple[Socket, Socket]]:
    for socket in (a, b):
        if not socket.raw:
            raise InvalidOperation(
                f"forward: {socket!r} is not raw: make it with {type(socket).__name__}(raw=True)"
            )
    if a.peer != b.protocol or b.peer != a.protocol:
        raise InvalidOperation(
            f"forward: {a.protocol_name} and {b.protocol_name} do not talk to each other"
        )
    paths = [(a, b)] if a is b else [(a, b), (b, a)]
    return [
        (source, target)
        for source, target in paths
        if not isinstance(source, (Pub0, Push0)) and not isinstance(target, (Sub0, Pull0))
    ]


async def forward(
    a: Socket,
    b: Socket | None = None,
    *,
    capture: Capture | None = None,
    task_status: trio.TaskStatus[Forwarder] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """Forward the messages that either of two raw sockets receives to the other (`nng_device`).

    The protocols must be each other's peers: Rep0 and Req0, Pull0 and Push0, Sub0 and Pub0,
    Respondent0 and Surveyor0, or Pair0, Pair1 or Bus0 twice. With one socket (Pair0, Pair1, Bus0)
    every message is sent back out of it. The header that raw sockets show routes the replies. A raw
    Sub0 receives every topic.

    Rep0 and Req0, Respondent0 and Surveyor0, and Pair1 count the hops of a message and drop it
    after more than `ttl_max`. The other protocols carry no count on the wire: in a ring of
    forwarders of Bus0, Sub0 and Pub0, or Pull0 and Push0, a message runs for ever, as with
    `nng_device`. Connect these as a tree. A ring within one process is detected and refused; for a
    ring through other processes, `statistics()` shows forwarded messages while nothing is sent.

    Both sockets stay yours: close them yourself.

    Cancellation: no message is lost; the next receive on the source socket returns a message that
        was received and not yet sent.

    Concurrency: no other task should receive on the sockets.

    Args:
        a, b: raw sockets; without `b`, `a` is a reflector.
        capture: a socket that gets a copy of the content of each forwarded message; a copy that it
            cannot take at once is only counted.

    Returns:
        Never. `await nursery.start(forward, a, b)` returns a `Forwarder` with `statistics()`.

    Raises:
        InvalidOperation: a socket is not raw, or the two do not talk to each other.
        ExceptionGroup: contains Closed when one of the sockets was closed, and InvalidOperation
            when messages run in a ring.

    Example:
        async with Rep0(raw=True, listen=front) as a, Req0(raw=True, listen=back) as b:
            await forward(a, b)
    """
    paths = _paths(a, a if b is None else b)
    await checkpoint()
    forwarder = Forwarder(capture)
    without_limit = set(paths) if isinstance(a, _NO_LIMIT) else set()
    _paths_without_limit.update(without_limit)
    try:
        async with trio.open_nursery() as nursery:
            for source, target in paths:
                direction = 0 if source is a else 1
                run = partial(forwarder._run, direction, source, target)
                nursery.start_soon(run, name="forward")
            task_status.started(forwarder)
            await trio.sleep_forever()
    finally:
        _paths_without_limit.difference_update(without_limit)
    raise AssertionError("forwarding never ends by itself")

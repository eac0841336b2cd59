"""Every ending of the handshake between a task and nng, forced with pause points.

A call ends because it happened, because its task was cancelled, or because another call ended it
(a close, a newer request). Each ending is forced at each place where it can meet the other threads:
before and after the submit, in nng's callback, between the callback and the task.

A scenario runs in a process of its own on the test build, in three modes: its task awaits the
wake-up descriptor itself (leader), another task does (follower), or there is no descriptor (token).
A pause in a callback blocks a thread of nng; a pause around a submit blocks the Trio thread, and is
opened by a thread of the test.
"""

from __future__ import annotations

import contextlib
import dataclasses
import select
import threading
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trionng
from tests.support.pauses import Pause
from tests.support.subprocesses import run_test_build
from tests.support.waiting import wait_until
from trionng import _ffi
from trionng._ffi import testing
from trionng._trio import wait as trio_wait
from trionng.testing import connected, new_url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

MODES = ("leader", "follower", "token")
RECEIVING = ("pull", "pair", "rep", "sub", "req")
CANCELLED_IN_NNG = ("pull", "pair", "rep")
SENDING = ("push", "pair", "req")

WAITING, CANCELLED = "waiting", "cancelled"


@contextlib.contextmanager
def meanwhile(point: str, action: Callable[[], object]) -> Iterator[None]:
    """Have another thread do something while the Trio thread is paused at `point`."""
    failed = []

    def watch() -> None:
        try:
            pause.reached()
            action()
        except BaseException as error:
            failed.append(error)
        finally:
            pause.open()

    with Pause(point) as pause:
        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            thread.join()
    if failed:
        raise failed[0]


class Call:
    """A call in a task of its own, and what it came to."""

    def __init__(self, nursery: trio.Nursery, call: Callable[[], Awaitable[Any]]) -> None:
        self._call = call
        self._scope = trio.CancelScope()
        self._ended = trio.Event()
        self.came_to: object = WAITING
        nursery.start_soon(self._run)

    async def _run(self) -> None:
        with self._scope:
            try:
                self.came_to = await self._call()
            except trionng.NNGException as error:
                self.came_to = type(error)
        if self._scope.cancelled_caught:
            self.came_to = CANCELLED
        self._ended.set()

    def cancel_now(self) -> None:
        """Cancel; a leader hears of it when it runs next."""
        self._scope.cancel()

    async def cancel(self) -> None:
        """Cancel, and let the task do what it can do about it now."""
        self._scope.cancel()
        await wait_all_tasks_blocked()

    async def end(self) -> object:
        await self._ended.wait()
        return self.came_to


def take(socket: Any, expected: bytes) -> None:
    """Receive a message without any callback that a pause could hold up."""
    answers: list[Any] = []

    def asked() -> bool:
        answers.append(socket._ctx.recv(None, 0))
        return answers[-1][0] == 0

    wait_until(asked)
    assert _ffi.take_bytes(answers[-1][1]) == expected


class TokenWakeups:
    """Notices a token wake-up before Trio does."""

    def __init__(self) -> None:
        self.came = threading.Event()
        notify = trio_wait._CompletionQueue._notify_token

        def wake_and_tell(cq: trio_wait._CompletionQueue) -> None:
            notify(cq)
            self.came.set()

        trio_wait._CompletionQueue._notify_token = wake_and_tell  # type: ignore[assignment, method-assign]


def open_until_posted(pause: Pause, wakeups: TokenWakeups | None) -> None:
    """Let the callback finish the call, and keep Trio from noticing."""
    if wakeups is not None:
        wakeups.came.clear()
    pause.open()
    if wakeups is not None:
        assert wakeups.came.wait(60)
    else:
        descriptor = trio_wait._current_cq().native.fd
        assert select.select([descriptor], [], [], 60)[0]


@dataclasses.dataclass
class Receiving:
    """A socket that receives, and how to make a message come to it."""

    socket: Any
    deliver: Callable[[bytes], None]
    ask: Callable[[], Awaitable[None]]


@contextlib.asynccontextmanager
async def receiving(kind: str) -> AsyncIterator[Receiving]:
    """Connect a socket that receives; `deliver` may be called by any thread."""
    ends: dict[str, tuple[Any, Any]] = {
        "pull": (trionng.Pull0, trionng.Push0),
        "pair": (trionng.Pair0, trionng.Pair0),
        "sub": (lambda: trionng.Sub0(topics=""), trionng.Pub0),
        "rep": (trionng.Rep0, trionng.Req0),
        "req": (trionng.Req0, trionng.Rep0),
    }
    here, there = ends[kind]
    cq = _ffi.CompletionQueue(exclusive=False)
    asking = []

    async def ask() -> None:
        if kind == "req":
            await socket.send(b"question")
            take(peer, b"question")

    def deliver(data: bytes) -> None:
        if kind == "rep":
            asking.append(peer.new_context())
            wait_until(lambda: asking[-1]._ctx.send(data, None, 0)[0] == 0)
        elif kind == "req":
            code, _ = peer._ctx.send(data, cq, 1)
            if code == _ffi.PARKED:
                done: list[Any] = []
                wait_until(lambda: done.extend(cq.take()) or done)
                code = done[0][1]
            assert code == 0
        else:
            wait_until(lambda: peer._ctx.send(data, None, 0)[0] == 0)

    async with connected(here(), there(), "inproc") as (socket, peer):
        await peer.wait_connected()
        yield Receiving(socket, deliver, ask)
        for context in asking:
            await context.aclose()
    cq.close()


@dataclasses.dataclass
class Sending:
    """A socket without a peer, and how to connect one."""

    socket: Any
    connect: Callable[[], None]
    recv: Callable[[], Awaitable[bytes]]

    async def expect(self, *messages: bytes) -> None:
        """Check what the peer receives: this, and one more message behind it."""
        await self.socket.send(b"last")
        for message in (*messages, b"last"):
            assert await self.recv() == message


@contextlib.asynccontextmanager
async def sending(kind: str) -> AsyncIterator[Sending]:
    """Open a socket whose sends must wait until `connect` is called, by any thread."""
    ends: dict[str, tuple[Any, Any]] = {
        "push": (trionng.Push0, trionng.Pull0),
        "pair": (trionng.Pair0, trionng.Pair0),
        "req": (trionng.Req0, trionng.Rep0),
    }
    here, there = ends[kind]
    peers: list[Any] = []
    async with here() as socket:
        url = socket.listen(new_url()).url
        yield Sending(
            socket, lambda: peers.append(there(dial=url)), lambda: next(iter(peers)).recv()
        )
        for peer in peers:
            await peer.aclose()


# How a scenario is run: over its kinds and the three modes.


def run_scenario(name: str, *kinds: str) -> None:
    wakeups = TokenWakeups()
    for kind in kinds or ("",):
        for mode in MODES:
            print(f"{kind} {mode}", flush=True)
            trio_wait.use_token_wakeup = mode == "token"
            token = wakeups if mode == "token" else None
            trio.run(run_in_mode, globals()[name], mode, kind, token)
    print("done")


async def run_in_mode(
    scenario: Callable[..., Awaitable[None]], mode: str, kind: str, wakeups: TokenWakeups | None
) -> None:
    arguments = [*filter(None, (kind,)), *([wakeups] if scenario in NEED_WAKEUPS else [])]
    async with trionng.Pair0() as other, trio.open_nursery() as nursery:
        if mode == "follower":
            nursery.start_soon(other.recv)
            await wait_all_tasks_blocked()
        await scenario(*arguments)
        nursery.cancel_scope.cancel()


def check(scenario: Callable[..., Awaitable[None]], *kinds: str) -> None:
    """Run a scenario apart, over kinds and modes."""
    done = run_test_build(
        run_scenario,
        scenario.__name__,
        *kinds,
        seconds=180,
        without="",
        simulate="",
    )
    assert done.clean, str(done)
    assert done.output.endswith("done\n"), str(done)


# Receives, on sockets that cancel them in nng and on those where they stand (Sub0, Req0).


async def receive_met_by_its_message_around_the_submit(kind: str) -> None:
    async with receiving(kind) as side:
        await side.ask()
        with meanwhile("receive.before_submit", lambda: side.deliver(b"first")):
            assert await side.socket.recv() == b"first"
        await side.ask()
        with Pause("receive.callback") as callback:

            def deliver_and_see_it_called_back() -> None:
                side.deliver(b"second")
                callback.reached()
                callback.open()

            with meanwhile("receive.after_submit", deliver_and_see_it_called_back):
                assert await side.socket.recv() == b"second"
        assert side.socket._ctx.prefetched() == 0
        with pytest.raises(trionng.BadState if kind == "req" else trionng.TryAgain):
            side.socket.recv_nowait()


def test_receive_with_message_around_submit_delivers_once():
    """Completed: a message that comes before nng knows the receive, or before we do, is there."""
    check(receive_met_by_its_message_around_the_submit, *RECEIVING)


async def receive_cancelled_with_nothing_there(kind: str) -> None:
    async with receiving(kind) as side, trio.open_nursery() as nursery:
        await side.ask()
        left = Call(nursery, side.socket.recv)
        await wait_all_tasks_blocked()
        with Pause("receive.callback") as callback:
            await left.cancel()
            assert left.came_to == CANCELLED
            if kind in CANCELLED_IN_NNG:
                callback.reached()
            next_one = Call(nursery, side.socket.recv)
            await wait_all_tasks_blocked()
            side.deliver(b"first")
            callback.reached()
            assert next_one.came_to == WAITING
        assert await next_one.end() == b"first"
        await side.ask()
        side.deliver(b"second")
        assert await side.socket.recv() == b"second"


def test_receive_cancelled_with_nothing_there_leaves_at_once():
    """Cancelled: the task does not wait for nng's callback, nor is the next receive disturbed."""
    check(receive_cancelled_with_nothing_there, *RECEIVING)


async def receive_cancelled_during_its_callback(kind: str) -> None:
    async with receiving(kind) as side, trio.open_nursery() as nursery:
        await side.ask()
        left = Call(nursery, side.socket.recv)
        await wait_all_tasks_blocked()
        with Pause("receive.callback") as callback:
            side.deliver(b"first")
            callback.reached()
            await left.cancel()
            assert left.came_to == CANCELLED
        if kind != "req":
            side.deliver(b"second")
        assert await side.socket.recv() == b"first"
        if kind == "req":
            await side.ask()
            side.deliver(b"second")
        assert await side.socket.recv() == b"second"


def test_receive_cancelled_in_its_callback_leaves_the_message():
    """Cancelled, too late for nng: the task leaves at once; nothing is lost, the order is kept."""
    check(receive_cancelled_during_its_callback, *RECEIVING)


async def receive_cancelled_after_its_callback(kind: str, wakeups: TokenWakeups | None) -> None:
    async with receiving(kind) as side, trio.open_nursery() as nursery:
        await side.ask()
        call = Call(nursery, side.socket.recv)
        await wait_all_tasks_blocked()
        before = testing.cancel_counts().completed
        with Pause("receive.callback") as callback:
            side.deliver(b"message")
            callback.reached()
            open_until_posted(callback, wakeups)
            call.cancel_now()
        assert await call.end() == b"message"
        assert testing.cancel_counts().completed == before + 1


def test_receive_cancelled_after_its_callback_delivers():
    """A cancel after the callback is too late: the task gets what happened."""
    check(receive_cancelled_after_its_callback, *RECEIVING)


async def receive_whose_neighbour_leaves(kind: str) -> None:
    async with receiving(kind) as side, trio.open_nursery() as nursery:
        left = Call(nursery, side.socket.recv)
        await wait_all_tasks_blocked()
        stays = Call(nursery, side.socket.recv)
        await wait_all_tasks_blocked()
        with Pause("receive.callback") as callback:
            side.deliver(b"first")
            callback.reached()
            await left.cancel()
            assert (left.came_to, stays.came_to) == (CANCELLED, WAITING)
        assert await stays.end() == b"first"
        side.deliver(b"second")
        assert await side.socket.recv() == b"second"


def test_receive_whose_neighbour_leaves_gets_the_message():
    """The message of a task that left goes to the task that has waited longest."""
    check(receive_whose_neighbour_leaves, "pull", "pair", "sub")


async def receive_ended_by_a_close(kind: str) -> None:
    async with receiving(kind) as side, trio.open_nursery() as nursery:
        await side.ask()
        waits = Call(nursery, side.socket.recv)
        await wait_all_tasks_blocked()
        with Pause("close.before") as close:
            closing = Call(nursery, side.socket.aclose)
            assert await waits.end() is trionng.Closed
            close.reached()
            assert closing.came_to == WAITING
        assert await closing.end() is None


async def receive_ended_by_a_close_during_its_callback(kind: str) -> None:
    async with receiving(kind) as side, trio.open_nursery() as nursery:
        await side.ask()
        waits = Call(nursery, side.socket.recv)
        await wait_all_tasks_blocked()
        with Pause("receive.callback") as callback:
            side.deliver(b"message")
            callback.reached()
            closing = Call(nursery, side.socket.aclose)
            assert await waits.end() is trionng.Closed
        assert await closing.end() is None


async def receive_ended_by_a_close_around_the_submit(kind: str) -> None:
    for point in ("receive.before_submit", "receive.after_submit"):
        async with receiving(kind) as side:
            await side.ask()
            # It waits for the submit to be over, so it has a thread of its own.
            closes = threading.Thread(target=side.socket._native.close, args=(None, 0))
            with meanwhile(point, closes.start), pytest.raises(trionng.Closed):
                await side.socket.recv()
            closes.join()


@pytest.mark.parametrize(
    "scenario",
    [
        receive_ended_by_a_close,
        receive_ended_by_a_close_during_its_callback,
        receive_ended_by_a_close_around_the_submit,
    ],
)
def test_receive_ended_by_a_close_raises_closed(scenario):
    """A close wakes the task before nng has done anything about it."""
    check(scenario, *RECEIVING)


async def receive_ended_by_a_newer_request() -> None:
    async with receiving("req") as side, trio.open_nursery() as nursery:
        for answered in (False, True):
            await side.ask()
            waits = Call(nursery, side.socket.recv)
            await wait_all_tasks_blocked()
            with Pause("receive.callback") as callback:
                if answered:
                    side.deliver(b"old")
                    callback.reached()
                await side.ask()
                callback.reached()
                assert await waits.end() is trionng.Superseded
                newer = Call(nursery, side.socket.recv)
                await wait_all_tasks_blocked()
                side.deliver(b"new")
            assert await newer.end() == b"new"


def test_receive_ended_by_a_newer_request_raises_superseded():
    """A newer request drops the old answer, even one that nng has handed over already."""
    check(receive_ended_by_a_newer_request)


# Sends that must wait.


async def send_met_by_a_peer_around_the_submit(kind: str) -> None:
    async with sending(kind) as side:

        def connect_first() -> None:
            side.connect()
            wait_until(lambda: side.socket._native.pipe_count())

        with meanwhile("send.before_submit", connect_first):
            await side.socket.send(b"message")
        await side.expect(b"message")
    async with sending(kind) as side:
        with Pause("send.callback") as callback:

            def connect_and_see_it_called_back() -> None:
                side.connect()
                callback.reached()
                callback.open()

            with meanwhile("send.after_submit", connect_and_see_it_called_back):
                await side.socket.send(b"message")
        await side.expect(b"message")


def test_send_whose_peer_comes_around_the_submit_sends_once():
    """Completed: a peer that comes before nng knows the send, or before we do, gets it once."""
    check(send_met_by_a_peer_around_the_submit, *SENDING)


async def send_cancelled_without_a_peer(kind: str) -> None:
    message = trionng.Message(b"message")
    async with sending(kind) as side, trio.open_nursery() as nursery:
        left = Call(nursery, lambda: side.socket.send_msg(message))
        await wait_all_tasks_blocked()
        with Pause("send.callback") as callback:
            await left.cancel()
            callback.reached()
            assert left.came_to == WAITING
            with pytest.raises(trionng.MessageStateError):
                await side.socket.send_msg(message)
        assert await left.end() == CANCELLED
        side.connect()
        await side.socket.send_msg(message)
        await side.expect(b"message")


def test_send_cancelled_without_a_peer_gives_the_message_back():
    """Cancelled: once nng has called back the message is ours again, and was not sent."""
    check(send_cancelled_without_a_peer, *SENDING)


async def send_cancelled_during_its_callback(kind: str) -> None:
    async with sending(kind) as side, trio.open_nursery() as nursery:
        call = Call(nursery, lambda: side.socket.send(b"message"))
        await wait_all_tasks_blocked()
        with Pause("send.callback") as callback:
            side.connect()
            callback.reached()
            await call.cancel()
            assert call.came_to == WAITING
        assert await call.end() is None
        await side.expect(b"message")


async def send_cancelled_after_its_callback(kind: str, wakeups: TokenWakeups | None) -> None:
    async with sending(kind) as side, trio.open_nursery() as nursery:
        call = Call(nursery, lambda: side.socket.send(b"message"))
        await wait_all_tasks_blocked()
        before = testing.cancel_counts().completed
        with Pause("send.callback") as callback:
            side.connect()
            callback.reached()
            open_until_posted(callback, wakeups)
            call.cancel_now()
        assert await call.end() is None
        assert testing.cancel_counts().completed == before + 1
        await side.expect(b"message")


@pytest.mark.parametrize(
    "scenario", [send_cancelled_during_its_callback, send_cancelled_after_its_callback]
)
def test_send_cancelled_too_late_returns(scenario):
    """Cancelled too late: what was sent is not called cancelled, and is not sent again."""
    check(scenario, *SENDING)


async def send_ended_by_a_close(kind: str) -> None:
    message = trionng.Message(b"message")
    async with sending(kind) as side, trio.open_nursery() as nursery:
        waits = Call(nursery, lambda: side.socket.send_msg(message))
        await wait_all_tasks_blocked()
        with Pause("send.callback") as callback:
            closing = Call(nursery, side.socket.aclose)
            await wait_all_tasks_blocked()
            callback.reached()
            assert waits.came_to == WAITING
        assert await waits.end() is trionng.Closed
        assert await closing.end() is None
    async with sending(kind) as side:
        side.connect()
        await side.socket.send_msg(message)
        await side.expect(b"message")


async def send_ended_by_a_close_around_the_submit(kind: str) -> None:
    for point in ("send.before_submit", "send.after_submit"):
        async with sending(kind) as side:
            closes = threading.Thread(target=side.socket._native.close, args=(None, 0))
            with meanwhile(point, closes.start), pytest.raises(trionng.Closed):
                await side.socket.send(b"message")
            closes.join()


@pytest.mark.parametrize(
    "scenario", [send_ended_by_a_close, send_ended_by_a_close_around_the_submit]
)
def test_send_ended_by_a_close_raises_closed(scenario):
    """A close ends a send that no peer took, and its message is the caller's."""
    check(scenario, *SENDING)


async def send_closed_during_its_callback(kind: str) -> None:
    async with sending(kind) as side, trio.open_nursery() as nursery:
        call = Call(nursery, lambda: side.socket.send(b"message"))
        await wait_all_tasks_blocked()
        with Pause("send.callback") as callback:
            side.connect()
            callback.reached()
            closing = Call(nursery, side.socket.aclose)
            await wait_all_tasks_blocked()
            assert call.came_to == WAITING
        assert await call.end() is None
        assert await closing.end() is None


def test_send_closed_during_its_callback_returns():
    """A close after nng accepted the message is too late: the send returns."""
    check(send_closed_during_its_callback, *SENDING)


# Chains: a request is a send and a receive in one operation.


@contextlib.asynccontextmanager
async def requesting() -> AsyncIterator[tuple[Any, Callable[[], Any]]]:
    """Open a Req0 without a peer, and say how to get one: `connect()` returns a Rep0."""
    reps: list[Any] = []
    async with trionng.Req0() as req:
        url = req.listen(new_url()).url

        def connect() -> Any:
            reps.append(trionng.Rep0(dial=url))
            return reps[-1]

        yield req, connect
        for rep in reps:
            await rep.aclose()


async def works(req: Any, rep: Any) -> None:
    """Check that the next request is the next one the peer gets, and has its own answer."""
    async with trio.open_nursery() as nursery:
        call = Call(nursery, lambda: req.request(b"next"))
        assert await rep.recv() == b"next"
        await rep.send(b"answer to next")
        assert await call.end() == b"answer to next"


async def request_answered_between_its_stages() -> None:
    async with requesting() as (req, connect), trio.open_nursery() as nursery:
        call = Call(nursery, lambda: req.request(b"request"))
        await wait_all_tasks_blocked()
        with Pause("send.callback") as callback:
            rep = connect()
            callback.reached()
            take(rep, b"request")
            answering = Call(nursery, lambda: rep.send(b"answer"))
            await wait_all_tasks_blocked()
            assert call.came_to == WAITING
        assert await call.end() == b"answer"
        assert await answering.end() is None
        await works(req, rep)


def test_request_answered_between_its_stages_returns_the_answer():
    """Completed: an answer that comes before the receive was submitted is not missed."""
    check(request_answered_between_its_stages)


async def request_cancelled_between_its_stages() -> None:
    for answered in (False, True):
        async with requesting() as (req, connect), trio.open_nursery() as nursery:
            call = Call(nursery, lambda: req.request(b"request"))
            await wait_all_tasks_blocked()
            with Pause("send.callback") as callback:
                rep = connect()
                callback.reached()
                await call.cancel()
                take(rep, b"request")
                if answered:
                    nursery.start_soon(rep.send, b"answer")
                    await wait_all_tasks_blocked()
            assert await call.end() == CANCELLED
            if not answered:
                await rep.send(b"answer")
            await works(req, rep)


def test_request_cancelled_between_its_stages_ends():
    """Cancelled: no second stage begins, the late answer is dropped, and the next one is right."""
    check(request_cancelled_between_its_stages)


async def request_cancelled_without_a_peer() -> None:
    async with requesting() as (req, connect), trio.open_nursery() as nursery:
        call = Call(nursery, lambda: req.request(b"request"))
        await wait_all_tasks_blocked()
        with Pause("send.callback") as callback:
            await call.cancel()
            callback.reached()
            assert call.came_to == WAITING
        assert await call.end() == CANCELLED
        await works(req, connect())


def test_request_cancelled_without_a_peer_was_never_sent():
    """Cancelled: the peer that comes later gets the next request, and not this one."""
    check(request_cancelled_without_a_peer)


async def request_cancelled_with_its_answer_there() -> None:
    async with requesting() as (req, connect), trio.open_nursery() as nursery:
        call = Call(nursery, lambda: req.request(b"request"))
        await wait_all_tasks_blocked()
        rep = connect()
        take(rep, b"request")
        with Pause("receive.callback") as callback:
            await rep.send(b"answer")
            callback.reached()
            await call.cancel()
            assert call.came_to == CANCELLED
            again = Call(nursery, lambda: req.request(b"again"))
            await wait_all_tasks_blocked()
        take(rep, b"again")
        await rep.send(b"answer to again")
        assert await again.end() == b"answer to again"
        await works(req, rep)


def test_request_cancelled_with_its_answer_there_discards_it():
    """Cancelled: the answer nng was about to hand over is not taken for the next request's."""
    check(request_cancelled_with_its_answer_there)


async def request_cancelled_after_its_callback(wakeups: TokenWakeups | None) -> None:
    async with requesting() as (req, connect), trio.open_nursery() as nursery:
        call = Call(nursery, lambda: req.request(b"request"))
        await wait_all_tasks_blocked()
        rep = connect()
        take(rep, b"request")
        with Pause("receive.callback") as callback:
            await rep.send(b"answer")
            callback.reached()
            open_until_posted(callback, wakeups)
            call.cancel_now()
        assert await call.end() == b"answer"
        await works(req, rep)


def test_request_cancelled_after_its_callback_returns_the_answer():
    """A cancel after the answer came is too late: the request returns it."""
    check(request_cancelled_after_its_callback)


async def request_ended_by_a_close(stage: str) -> None:
    async with requesting() as (req, connect), trio.open_nursery() as nursery:
        call = Call(nursery, lambda: req.request(b"request"))
        await wait_all_tasks_blocked()
        if stage == "waiting for the answer":
            take(connect(), b"request")
        elif stage == "receive.callback":
            rep = connect()
            take(rep, b"request")
        with Pause(stage) as callback:
            if stage == "send.callback":
                connect()
            elif stage == "receive.callback":
                await rep.send(b"answer")
            if stage.endswith("callback"):
                callback.reached()
            closing = Call(nursery, req.aclose)
            await wait_all_tasks_blocked()
        assert await call.end() is trionng.Closed
        assert await closing.end() is None


def test_request_ended_by_a_close_raises_closed():
    """A close ends a request in each of its stages, and between them."""
    stages = ("waiting for a peer", "send.callback", "waiting for the answer", "receive.callback")
    check(request_ended_by_a_close, *stages)


# The close itself.


async def close_cancelled_before_and_after_nng_closes() -> None:
    for point in ("close.before", "close.after"):
        async with trionng.Pair0() as pair, trio.open_nursery() as nursery:
            with Pause(point) as close:
                closing = Call(nursery, pair.aclose)
                await wait_all_tasks_blocked()
                close.reached()
                await closing.cancel()
                assert closing.came_to == WAITING
                for call in (pair.recv, lambda: pair.send(b"late")):
                    with pytest.raises(trionng.Closed):
                        await call()
            assert await closing.end() == CANCELLED


def test_close_cancelled_while_nng_closes_closes_all_the_same():
    """A close goes on when its task is cancelled, and nothing can be begun meanwhile."""
    check(close_cancelled_before_and_after_nng_closes)


NEED_WAKEUPS = {
    receive_cancelled_after_its_callback,
    send_cancelled_after_its_callback,
    request_cancelled_after_its_callback,
}

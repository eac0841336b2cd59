"""A task that was cancelled gets Cancelled, whatever becomes of its socket in the same pass."""

from __future__ import annotations

import socket as sockets
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
import trio
import trio.testing

import trionng
from tests.support.errors import leaves
from trionng import _ffi
from trionng._trio import wait as trio_wait
from trionng.testing import connected, new_url

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Call: TypeAlias = "Callable[[Any], Awaitable[object]]"


async def drain(socket: Any) -> None:
    async for _ in socket:
        pass


async def send_for_ever(push: Any) -> None:
    while True:
        await push.send(b"x")


async def read_replies(surveyor: Any) -> None:
    async with surveyor.survey(b"anybody?", timeout=1000) as replies:
        await drain(replies)


async def read_events(socket: Any) -> None:
    async with socket.pipe_events() as events:
        await drain(events)


async def dial_a_silent_host(socket: Any) -> None:
    with sockets.create_server(("127.0.0.1", 0)) as server:
        await socket.dial(f"tcp://127.0.0.1:{server.getsockname()[1]}", block=True)


async def in_a_context(socket: Any) -> None:
    async with socket.new_context() as context:
        await context.recv()


async def serve(socket: Any) -> None:
    services: dict[type, Any] = {
        trionng.Rep0: trionng.run_rep,
        trionng.Pull0: trionng.run_pull,
        trionng.Sub0: trionng.run_sub,
        trionng.Respondent0: trionng.run_respondent,
    }

    async def handler(_message: bytes) -> bytes:
        return b""

    await services[type(socket)](handler, socket=socket, workers=2)


async def serve_pipes(socket: Any) -> None:
    async with trio.open_nursery() as nursery:
        await trionng.serve_pipes(nursery, socket, drain)


def subscriber(**options: Any) -> trionng.Sub0:
    return trionng.Sub0(topics="", **options)


CALLS: dict[str, tuple[Callable[[], Any], Call]] = {
    "recv": (trionng.Pair0, lambda pair: pair.recv()),
    "recv with a timeout": (lambda: trionng.Pull0(recv_timeout=60_000), lambda pull: pull.recv()),
    "receive": (subscriber, lambda sub: sub.receive()),
    "recv_msg": (trionng.Pair1, lambda pair: pair.recv_msg()),
    "recv_many": (trionng.Bus0, lambda bus: bus.recv_many(9)),
    "async for": (subscriber, drain),
    "recv of requests": (trionng.Rep0, in_a_context),
    "recv of surveys": (trionng.Respondent0, in_a_context),
    "recv of a context": (subscriber, in_a_context),
    "replies": (trionng.Surveyor0, read_replies),
    "send": (trionng.Push0, send_for_ever),
    "send with a timeout": (lambda: trionng.Push0(send_timeout=60_000), send_for_ever),
    "send_msg": (trionng.Push0, lambda push: push.send_msg(trionng.Message(b"x"))),
    "send_many": (trionng.Push0, lambda push: push.send_many([b"x"])),
    "request": (trionng.Req0, lambda req: req.request(b"x")),
    "wait_connected": (trionng.Pair0, lambda pair: pair.wait_connected()),
    "pipe_events": (trionng.Pair0, read_events),
    "dial": (trionng.Pair0, dial_a_silent_host),
    "run_rep": (trionng.Rep0, serve),
    "run_pull": (trionng.Pull0, serve),
    "run_sub": (subscriber, serve),
    "run_respondent": (trionng.Respondent0, serve),
    "serve_pipes": (lambda: trionng.Pair1(polyamorous=True), serve_pipes),
    "forward": (lambda: trionng.Pair0(raw=True), trionng.forward),
}


class Boom(Exception):
    """What a failing sibling raises."""


async def fail_when_told(told: trio.Event) -> None:
    await told.wait()
    raise Boom


@pytest.mark.parametrize("why", ["cancel", "deadline", "sibling"])
@pytest.mark.parametrize("call", CALLS)
async def test_task_cancelled_while_its_socket_closes_gets_cancelled(call: str, why: str):
    """Leaving socket and nursery by a cancellation raises nothing else, in the leader or others."""
    make, run = CALLS[call]
    told = trio.Event()
    failures: list[BaseException] = []
    with trio.fail_after(60):
        try:
            async with trio.open_nursery() as nursery:
                async with make() as socket:
                    if call not in ("forward", "serve_pipes", "run_respondent"):  # one at a time
                        nursery.start_soon(run, socket)
                    nursery.start_soon(run, socket)
                    nursery.start_soon(fail_when_told, told)
                    await trio.testing.wait_all_tasks_blocked(0.001)
                    if why == "cancel":
                        nursery.cancel_scope.cancel()
                    elif why == "deadline":
                        nursery.cancel_scope.deadline = trio.current_time()
                        await trio.sleep_forever()
                    else:
                        told.set()
                        await trio.sleep_forever()
        except Exception as exc:
            failures = leaves(exc)
    assert list(map(type, failures)) == ([Boom] if why == "sibling" else [])


@pytest.mark.parametrize("call", CALLS)
async def test_task_cancelled_after_close_in_one_pass_gets_cancelled(call: str):
    """The order within one pass makes no difference: close then cancel is Cancelled, too."""
    make, run = CALLS[call]
    with trio.fail_after(60):
        async with make() as socket, trio.open_nursery() as nursery:
            nursery.start_soon(run, socket)
            await trio.testing.wait_all_tasks_blocked(0.001)
            socket._abort()
            nursery.cancel_scope.cancel()


def fails_at_once(scope: trio.CancelScope, code: int) -> Callable[[object, int], _ffi.SubmitResult]:
    """Return a submit that fails, and meets a cancellation just then."""

    def submit(_cq: object, _tag: int) -> _ffi.SubmitResult:
        scope.cancel()
        return code, _ffi.NULL

    return submit


@pytest.mark.parametrize("code", [7, 11, 19, 31, 6, 2, _ffi.SUPERSEDED, -5])
async def test_cancel_together_with_an_error_raises_cancelled(code: int):
    """Whatever nng says of an operation that did not happen, Cancelled wins."""
    with trio.CancelScope() as scope:
        await trio_wait.wait_for(fails_at_once(scope, code))
    assert scope.cancelled_caught


async def test_cancelled_send_that_fails_gives_its_message_back():
    """A send that meets a lost connection and a cancellation at once leaves the message whole."""
    message = trionng.Message(b"mine")
    pair = trionng.Pair1(polyamorous=True)
    async with connected(pair, trionng.Pair1(), "inproc") as (ours, _):
        op = trionng._core.operations.SendMessageOp(ours, ours._ctx, message)

        def refuse(_cq: _ffi.CompletionQueue, _tag: int) -> _ffi.SubmitResult:
            scope.cancel()
            return 19, op._handle.take()[1]

        with trio.CancelScope() as scope:
            await trio_wait.wait_for(refuse, op.reclaim)
        assert scope.cancelled_caught
        assert message.bytes == b"mine"


async def test_cancelled_scope_and_closed_socket_raise_cancelled():
    """A call of a cancelled task says nothing of a socket that is closed already."""
    calls: list[Callable[[Any], Awaitable[object]]] = [
        lambda req: req.request(b"x"),
        lambda req: req.recv(),
        lambda req: req.send(b"x"),
        lambda req: req.send_msg(trionng.Message(b"")),
        lambda req: req.dial(new_url(), block=True),
        lambda req: req.wait_connected(),
        lambda req: req.flush(),
        lambda req: req.aclose(),
    ]
    async with trionng.Req0() as req, trionng.Surveyor0() as surveyor:
        pass
    for call in calls:
        with trio.CancelScope() as scope:
            scope.cancel()
            await call(req)
        assert scope.cancelled_caught
    with trio.CancelScope() as scope:
        scope.cancel()
        await read_replies(surveyor)
    assert scope.cancelled_caught

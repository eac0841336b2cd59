"""Handlers of services: their context, their frames, what may be one, and ending the service."""

from __future__ import annotations

import contextvars
import functools
import types
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import stackscope
import trio
import trio.lowlevel

import trionng
from trionng.testing import new_url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator

WITHIN = 60
application = contextvars.ContextVar("application", default="none")
user = contextvars.ContextVar("user", default="nobody")


class Kind:
    """How each kind of service is started, and sent something to."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.serve = getattr(trionng, f"serve_{name}")
        self.peer = {
            "rep": trionng.Req0,
            "respondent": trionng.Surveyor0,
            "pull": trionng.Push0,
            "sub": trionng.Pub0,
        }[name]
        self.options = {"topics": ""} if name == "sub" else {}

    async def start(
        self, nursery: trio.Nursery, handler: object, **options: object
    ) -> trionng.Service:
        service: trionng.Service = await self.serve(
            nursery, handler, listen=new_url(), **self.options, **options
        )
        return service

    async def send(self, peer: object, data: bytes) -> bytes | None:
        """Send, and wait for the answer where there is one."""
        if self.name == "rep":
            return await peer.request(data)  # type: ignore[attr-defined]
        if self.name == "respondent":
            async with peer.survey(data, timeout=60) as replies:  # type: ignore[attr-defined]
                async for reply in replies:
                    return reply
            return None
        await peer.send(data)  # type: ignore[attr-defined]
        return None


@pytest.fixture(params=["rep", "respondent", "pull", "sub"])
def kind(request: pytest.FixtureRequest) -> Kind:
    return Kind(request.param)


# -- contexts


async def test_context_of_a_handler_is_a_copy_of_the_servers(kind: Kind) -> None:
    """No call sees what another has set, one after the other or while the other waits."""
    seen: list[tuple[bytes, str, str]] = []
    login, release = trio.Event(), trio.Event()
    all_seen = trio.Event()

    async def handler(message: bytes) -> bytes:
        seen.append((message, application.get(), user.get()))
        user.set(message.decode())
        if message == b"waits":
            login.set()
            await release.wait()
        else:
            await trio.lowlevel.checkpoint()
        seen.append((message, application.get(), user.get()))
        if len(seen) == 8:
            all_seen.set()
        return message

    with trio.fail_after(WITHIN):
        application.set("mine")
        async with trio.open_nursery() as nursery:
            service = await kind.start(nursery, handler, workers=3)
            application.set("changed later")
            async with kind.peer(dial=service.url) as peer, trio.open_nursery() as senders:
                await peer.wait_connected()
                await service.socket.wait_connected()
                await kind.send(peer, b"first")
                while len(seen) < 2:
                    await trio.sleep(0.001)
                senders.start_soon(kind.send, peer, b"waits")
                await login.wait()
                await kind.send(peer, b"second")
                await kind.send(peer, b"third")
                while len(seen) < 7:
                    await trio.sleep(0.001)
                release.set()
                await all_seen.wait()
            nursery.cancel_scope.cancel()

    for message, app, name in seen:
        assert app == "mine"
        assert name in ("nobody", message.decode())
    assert [name for _, _, name in seen].count("nobody") == 4


async def test_context_of_a_handler_is_that_of_on_error_and_its_tasks() -> None:
    """What the handler has set is seen by its child tasks, in its waits, and by `on_error`."""
    seen: list[str] = []

    async def child() -> None:
        await trio.lowlevel.checkpoint()
        seen.append(user.get())

    async def handler(request: bytes) -> bytes:
        token = user.set("alice")
        async with trio.open_nursery() as children:
            children.start_soon(child)
        await trio.to_thread.run_sync(lambda: seen.append(user.get()))
        assert trio.lowlevel.current_task().context[user] == "alice"
        user.reset(token)
        user.set(request.decode())
        raise ValueError("fails")

    async def on_error(_exc: Exception, _request: bytes) -> bytes:
        await trio.lowlevel.checkpoint()
        return user.get().encode()

    with trio.fail_after(WITHIN):
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_rep(nursery, handler, listen=new_url(), on_error=on_error)
            async with trionng.Req0(dial=service.url) as req:
                assert await req.request(b"bob") == b"bob"
                assert await req.request(b"carol") == b"carol"
            nursery.cancel_scope.cancel()

    assert seen == ["alice"] * 4
    assert user.get() == "nobody"


async def test_context_of_a_handler_that_is_cancelled_stays_its_own() -> None:
    """A cancelled handler unwinds in its own context."""
    seen: list[str] = []
    started = trio.Event()

    async def handler(request: bytes) -> bytes:
        user.set("alice")
        started.set()
        try:
            await trio.sleep_forever()
        finally:
            seen.append(user.get())
        return request

    with trio.fail_after(WITHIN):
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_rep(nursery, handler, listen=new_url())
            async with (
                trionng.Req0(dial=service.url) as req,
                trio.open_nursery() as clients,
            ):
                clients.start_soon(req.request, b"x")
                await started.wait()
                await service.aclose()
                clients.cancel_scope.cancel()

    assert seen == ["alice"]


async def test_context_of_a_peer_of_serve_pipes_is_its_own() -> None:
    """Each peer's handler has a copy of the context of the task that called `serve_pipes`."""
    seen: list[tuple[str, str]] = []

    async def handler(connection: trionng.PipeChannel) -> None:
        async for data in connection:
            seen.append((application.get(), user.get()))
            user.set(data.decode())
            await connection.send(data)

    with trio.fail_after(WITHIN):
        application.set("mine")
        async with (
            trionng.Pair1(polyamorous=True, listen=new_url()) as server,
            trio.open_nursery() as nursery,
        ):
            await trionng.serve_pipes(nursery, server, handler)
            for name in (b"alice", b"bob"):
                async with trionng.Pair1(dial=server.listeners[0].url) as peer:
                    await peer.send(name)
                    assert await peer.recv() == name
            nursery.cancel_scope.cancel()

    assert seen == [("mine", "nobody")] * 2


async def test_context_of_a_capture_is_its_own_for_each_message() -> None:
    """`forward` calls `capture` in a copy of the context of the task that called `forward`."""
    seen: list[tuple[str, str]] = []

    class Capture:
        def send_nowait(self, data: Any) -> None:
            seen.append((application.get(), user.get()))
            user.set(data.decode())

    front, back = new_url(), new_url()
    application.set("mine")
    with trio.fail_after(WITHIN):
        async with (
            trionng.Pull0(raw=True, listen=front) as a,
            trionng.Push0(raw=True, listen=back) as b,
            trionng.Push0(dial=front) as push,
            trionng.Pull0(dial=back) as pull,
            trio.open_nursery() as nursery,
        ):
            await nursery.start(partial(trionng.forward, a, b, capture=Capture()))
            for _ in range(3):
                await push.send(b"x")
                await pull.recv()
            while len(seen) < 3:
                await trio.sleep(0.001)
            nursery.cancel_scope.cancel()

    assert seen == [("mine", "nobody")] * 3


# -- ending the service from within


@pytest.mark.parametrize("how", ["plain", "child", "shielded", "on_error", "twice"])
async def test_aclose_in_a_handler_ends_the_service(kind: Kind, how: str) -> None:
    """It cancels the handler that calls it, from its child tasks and from `on_error` too."""
    ended: list[str] = []

    async def close() -> None:
        try:
            await service.aclose()
        finally:
            ended.append("closed")

    async def handler(_message: bytes) -> bytes:
        try:
            if how == "on_error":
                raise ValueError("fails")
            if how == "child":
                async with trio.open_nursery() as children:
                    children.start_soon(close)
            elif how == "shielded":
                with trio.CancelScope(shield=True):
                    await close()
            elif how == "twice":
                async with trio.open_nursery() as children:
                    children.start_soon(close)
                    children.start_soon(close)
            else:
                await close()
            await trio.lowlevel.checkpoint()
            ended.append("went on")
        finally:
            ended.append("left")
        return b"never sent"

    async def on_error(exc: Exception, _message: bytes) -> None:
        await close()
        raise exc

    with trio.fail_after(WITHIN):
        async with trio.open_nursery() as nursery:
            service = await kind.start(nursery, handler, workers=2, on_error=on_error)
            async with kind.peer(dial=service.url) as peer:
                await peer.wait_connected()
                await service.socket.wait_connected()
                with trio.CancelScope() as asking:
                    async with trio.open_nursery() as clients:
                        clients.start_soon(kind.send, peer, b"quit")
                        await service._ended.wait()
                        asking.cancel()
        assert repr(service).endswith("ended>")

    assert ended.count("closed") == (2 if how == "twice" else 1)
    assert "left" in ended
    assert "went on" not in ended


async def test_aclose_in_two_handlers_at_once_ends_the_service() -> None:
    """Neither waits for the other."""
    both = trio.Event()
    calling = 0

    async def handler(request: bytes) -> bytes:
        nonlocal calling
        calling += 1
        if calling == 2:
            both.set()
        await both.wait()
        await service.aclose()
        return request

    with trio.fail_after(WITHIN):
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_rep(nursery, handler, listen=new_url(), workers=2)
            async with trionng.Req0(dial=service.url) as req:
                async with trio.open_nursery() as clients:
                    clients.start_soon(req.request, b"a")
                    clients.start_soon(req.request, b"b")
                    await service._ended.wait()
                    clients.cancel_scope.cancel()


async def test_aclose_by_a_task_of_the_handler_waits_for_the_end() -> None:
    """A task that does not belong to the handler may wait for the whole service."""
    state: list[str] = []

    async def close() -> None:
        await service.aclose()
        state.append(repr(service))

    async def handler(_request: bytes) -> bytes:
        nursery.start_soon(close)
        await trio.sleep_forever()
        raise AssertionError

    with trio.fail_after(WITHIN):
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_rep(nursery, handler, listen=new_url(), workers=2)
            async with trionng.Req0(dial=service.url) as req:
                with trio.CancelScope() as scope:
                    async with trio.open_nursery() as clients:
                        clients.start_soon(req.request, b"quit")
                        await service._ended.wait()
                        scope.cancel()

    assert state == ["<serve_rep ended>"]


@pytest.mark.parametrize("workers", [1, 3])
async def test_drain_in_a_handler_waits_for_the_others_only(kind: Kind, workers: int) -> None:
    """It returns when all other handlers have, and its own message is answered afterwards."""
    order: list[str] = []
    slow_runs, release, handled = trio.Event(), trio.Event(), trio.Event()

    async def handler(message: bytes) -> bytes:
        if message == b"slow":
            slow_runs.set()
            await release.wait()
            order.append("slow")
            return message
        release.set()
        await service.drain()
        order.append("drained")
        handled.set()
        return message

    answers: list[bytes | None] = []

    async def ask(data: bytes) -> None:
        answers.append(await kind.send(peer, data))

    with trio.fail_after(WITHIN):
        async with trio.open_nursery() as nursery:
            service = await kind.start(nursery, handler, workers=workers)
            async with kind.peer(dial=service.url) as peer, trio.open_nursery() as clients:
                await peer.wait_connected()
                await service.socket.wait_connected()
                if workers > 1:
                    clients.start_soon(ask, b"slow")
                    await slow_runs.wait()
                clients.start_soon(ask, b"quit")
                await handled.wait()
                await service.drain()
            await service.aclose()

    assert order == ["slow", "drained"][-2 if workers > 1 else -1 :]
    if kind.name in ("rep", "respondent"):
        assert sorted(answers) == ([b"quit", b"slow"] if workers > 1 else [b"quit"])  # type: ignore[type-var]


async def test_drain_in_all_handlers_at_once_returns() -> None:
    """Handlers that drain do not wait for each other; then one of them may close the service."""
    arrived = 0
    all_arrived = trio.Event()

    async def handler(request: bytes) -> bytes:
        nonlocal arrived
        arrived += 1
        if arrived == 3:
            all_arrived.set()
        await all_arrived.wait()
        async with trio.open_nursery() as children:
            children.start_soon(service.drain)
            children.start_soon(service.drain)
        return request

    answers: list[bytes] = []

    async def ask(data: bytes) -> None:
        answers.append(await req.request(data))

    with trio.fail_after(WITHIN):
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_rep(nursery, handler, listen=new_url(), workers=3)
            async with trionng.Req0(dial=service.url) as req:
                async with trio.open_nursery() as clients:
                    for data in (b"a", b"b", b"c"):
                        clients.start_soon(ask, data)
            await service.aclose()

    assert sorted(answers) == [b"a", b"b", b"c"]


async def test_drain_in_a_handler_obeys_a_deadline() -> None:
    """One that waits for another handler too long is cancelled as any wait is."""
    stuck = trio.Event()

    async def handler(request: bytes) -> bytes:
        if request == b"stuck":
            stuck.set()
            await trio.sleep_forever()
        with trio.move_on_after(0.01) as scope:
            await service.drain()
        return b"late" if scope.cancelled_caught else b"drained"

    with trio.fail_after(WITHIN):
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_rep(nursery, handler, listen=new_url(), workers=2)
            async with trionng.Req0(dial=service.url) as req:
                async with trio.open_nursery() as clients:
                    clients.start_soon(req.request, b"stuck")
                    await stuck.wait()
                    assert await req.request(b"drain") == b"late"
                    clients.cancel_scope.cancel()
            nursery.cancel_scope.cancel()


# -- frames


async def test_frames_of_a_waiting_handler_are_seen_by_stackscope() -> None:
    """`Task.iter_await_frames` and stackscope show where in the handler a worker waits."""
    waiting = trio.Event()

    async def inner() -> None:
        waiting.set()
        await trio.sleep_forever()

    async def my_handler(request: bytes) -> bytes:
        await trio.lowlevel.checkpoint()
        await inner()
        return request

    with trio.fail_after(WITHIN):
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_rep(nursery, my_handler, listen=new_url())
            async with (
                trionng.Req0(dial=service.url) as req,
                trio.open_nursery() as clients,
            ):
                clients.start_soon(req.request, b"x")
                await waiting.wait()
                (worker,) = (
                    task for task in nursery.child_tasks if task.name == "serve_rep worker 0"
                )
                frames = [frame.f_code.co_name for frame, _ in worker.iter_await_frames()]
                scoped = [
                    frame.pyframe.f_code.co_name for frame in stackscope.extract(worker).frames
                ]
                await service.aclose()
                clients.cancel_scope.cancel()

    for names in (frames, scoped):
        assert names.index("my_handler") < names.index("inner") < names.index("sleep_forever")


# -- what may be a handler


class Later:
    """Awaitable, and no coroutine."""

    def __init__(self, value: bytes) -> None:
        self._value = value

    def __await__(self) -> Generator[object, None, bytes]:
        yield from trio.lowlevel.checkpoint().__await__()  # noqa: ASYNC105
        return self._value


async def echo(request: bytes) -> bytes:
    await trio.lowlevel.checkpoint()
    return request


async def echo_at_once(request: bytes) -> bytes:
    return request


class Echo:
    async def __call__(self, request: bytes) -> bytes:
        return await echo(request)

    async def method(self, request: bytes) -> bytes:
        return await echo(request)

    @staticmethod
    async def static(request: bytes) -> bytes:
        return await echo(request)


async def prefixed(prefix: bytes, request: bytes) -> bytes:
    return await echo(prefix + request)


def decorated(function: Callable[[bytes], Awaitable[bytes]]) -> Callable[[bytes], Awaitable[bytes]]:
    @functools.wraps(function)
    def wrapper(request: bytes) -> Awaitable[bytes]:
        return function(request)

    return wrapper


@types.coroutine
def old_style(request: bytes) -> Generator[object, None, bytes]:
    yield from trio.lowlevel.checkpoint().__await__()  # noqa: ASYNC105
    return request


HANDLERS = {
    "async": echo,
    "at once": echo_at_once,
    "object": Echo(),
    "method": Echo().method,
    "static": Echo.static,
    "partial": partial(prefixed, b""),
    "partial of an object": partial(Echo()),
    "decorated": decorated(echo),
    "awaitable": Later,
    "lambda to an awaitable": lambda request: Later(request),
    "lambda": lambda request: echo(request),
    "types.coroutine": old_style,
}


@pytest.mark.parametrize("name", HANDLERS)
async def test_handler_that_returns_an_awaitable_is_one(name: str) -> None:
    """Whatever returns an awaitable answers requests, at once and after a wait."""
    with trio.fail_after(WITHIN):
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_rep(nursery, HANDLERS[name], listen=new_url())  # type: ignore[call-overload]
            async with trionng.Req0(dial=service.url) as req:
                assert await req.request(b"x") == b"x"
                assert await req.request(b"y") == b"y"
            nursery.cancel_scope.cancel()


def annotated(request: bytes) -> bytes:
    return request


async def yields(request: bytes) -> AsyncIterator[bytes]:
    yield request


def generates(request: bytes) -> Iterator[bytes]:
    yield request


class NotAwaitable:
    def __init__(self, request: bytes) -> None: ...


NO_HANDLERS = {
    "None": None,
    "bytes": b"x",
    "a method of bytes": bytes.upper,
    "a function of C": len,
    "annotated": annotated,
    "partial": partial(annotated),
    "async generator": yields,
    "generator": generates,
    "class": NotAwaitable,
}


@pytest.mark.parametrize("name", NO_HANDLERS)
async def test_handler_that_cannot_be_async_is_refused_at_once(kind: Kind, name: str) -> None:
    """The call raises a TypeError that says "async" and names the service; nothing is opened."""
    async with trio.open_nursery() as nursery:
        with pytest.raises(TypeError, match=f"serve_{kind.name}.*async"):
            await kind.start(nursery, NO_HANDLERS[name])
        assert not nursery.child_tasks
    async with trionng.Pair1(polyamorous=True) as pair, trio.open_nursery() as nursery:
        with pytest.raises(TypeError, match=r"serve_pipes.*async"):
            await trionng.serve_pipes(nursery, pair, NO_HANDLERS[name])  # type: ignore[arg-type]


async def test_handler_given_as_a_coroutine_is_refused_without_warning() -> None:
    """A coroutine object in place of the function is what the text says."""
    async with trio.open_nursery() as nursery:
        with pytest.raises(TypeError, match="without calling it"):
            await trionng.serve_rep(nursery, echo(b""), listen=new_url())  # type: ignore[call-overload]
        with pytest.raises(TypeError, match="on_error"):
            await trionng.serve_rep(nursery, echo, listen=new_url(), on_error=b"")  # type: ignore[call-overload]


def test_handler_that_turns_out_sync_ends_the_nursery(kind: Kind) -> None:
    """What no look at the function tells is told at its first call, past `on_error`."""

    def my_handler(message):
        return message.upper()

    async def main() -> None:
        with trio.fail_after(WITHIN):
            async with trio.open_nursery() as nursery:
                service = await kind.start(nursery, my_handler, on_error=trionng.reply_error)
                async with kind.peer(dial=service.url) as peer:
                    await peer.wait_connected()
                    await service.socket.wait_connected()
                    await kind.send(peer, b"x")
                    await trio.sleep_forever()

    with pytest.RaisesGroup(
        pytest.RaisesExc(TypeError, match=rf"serve_{kind.name}.*async.*my_handler.*bytes"),
        flatten_subgroups=True,
    ):
        trio.run(main)


async def test_on_error_may_be_async_or_return_an_awaitable() -> None:
    """An async `on_error` is awaited, and what it gives is the reply."""

    async def fails(_request: bytes) -> bytes:
        raise ValueError("no")

    async def on_error(exc: Exception, request: bytes) -> bytes:
        await trio.lowlevel.checkpoint()
        return f"{exc}: {request.decode()}".encode()

    with trio.fail_after(WITHIN):
        async with trio.open_nursery() as nursery:
            for each in (on_error, lambda _exc, request: Later(b"no: " + request)):
                service = await trionng.serve_rep(nursery, fails, listen=new_url(), on_error=each)
                async with trionng.Req0(dial=service.url) as req:
                    assert await req.request(b"x") == b"no: x"
            nursery.cancel_scope.cancel()

"""Services: what serve_rep and its like promise, on real sockets."""

from __future__ import annotations

import json
import random
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.lowlevel
import trio.testing

import trionng
from tests.support.sockets import TRANSPORTS
from tests.support.subprocesses import run_in_subprocess
from trionng.testing import new_url

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WITHIN = 60


async def echo(request: bytes) -> bytes:
    return request


async def slow_echo(request: bytes) -> bytes:
    await trio.sleep(0.001)
    return request


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("handler", [echo, slow_echo])
async def test_serve_rep_under_64_clients_loses_no_request(
    transport: str, handler: Callable[[bytes], object], tmp_path: Path
) -> None:
    """Every client gets the answer to each of its own requests, and the counts agree."""
    with trio.fail_after(WITHIN):
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_rep(
                nursery,
                handler,  # type: ignore[arg-type]
                listen=new_url(transport, tmp_path),
            )

            async def client(number: int) -> None:
                for i in range(8):
                    question = b"%d %d" % (number, i)
                    assert await req.request(question) == question

            async with trionng.Req0(dial=service.url) as req, trio.open_nursery() as clients:
                for number in range(64):
                    clients.start_soon(client, number)
            counts = service.statistics()
            nursery.cancel_scope.cancel()

    assert (counts.received, counts.answered, counts.abandoned) == (512, 512, 0)


async def test_serve_rep_handlers_that_wait_run_at_once_up_to_workers() -> None:
    """So many requests as there are workers are handled at once, and no more."""
    running = most = 0
    together = trio.Event()

    async def handler(request: bytes) -> bytes:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 3:
            together.set()
        await together.wait()
        await trio.sleep(0.005)
        running -= 1
        return request

    with trio.fail_after(WITHIN):
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_rep(nursery, handler, listen=new_url(), workers=3)
            async with trionng.Req0(dial=service.url) as req, trio.open_nursery() as clients:
                for _ in range(30):
                    clients.start_soon(req.request, b"x")
            nursery.cancel_scope.cancel()

    assert most == 3


async def test_serve_rep_one_request_at_a_time_needs_one_task() -> None:
    """Workers that are not needed are never started."""
    names: set[str] = set()

    async def handler(request: bytes) -> bytes:
        names.add(trio.lowlevel.current_task().name)
        return request

    with trio.fail_after(WITHIN):
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_rep(nursery, handler, listen=new_url())
            async with trionng.Req0(dial=service.url) as req:
                for _ in range(20):
                    await req.request(b"x")
            nursery.cancel_scope.cancel()

    assert len(names) == 1


async def test_serve_rep_that_never_runs_dry_lets_other_tasks_run() -> None:
    """Of requests that are there already only a few are answered before it is others' turn."""
    handled = 0
    at_once: list[int] = []

    async def handler(request: bytes) -> bytes:
        nonlocal handled
        handled += 1
        return request

    async def look() -> None:
        while True:
            before = handled
            await trio.lowlevel.checkpoint()
            at_once.append(handled - before)

    async def client(req: trionng.Req0) -> None:
        for _ in range(20):
            await req.request(b"x")

    with trio.fail_after(WITHIN):
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_rep(nursery, handler, listen=new_url())
            nursery.start_soon(look)
            async with trionng.Req0(dial=service.url) as req, trio.open_nursery() as clients:
                for _ in range(64):
                    clients.start_soon(client, req)
            nursery.cancel_scope.cancel()

    assert sum(at_once) > 640, "most were answered before they were counted"
    assert max(at_once) <= 16, "Trio may run it last in one pass and first in the next"


async def test_serve_rep_handler_that_raises_ends_nursery_with_a_note() -> None:
    """The exception is in the nursery's group, with a note that names service and peer."""

    async def handler(request: bytes) -> bytes:
        if request == b"bad":
            raise ValueError(request.decode())
        return request

    async def serve_and_ask() -> None:
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_rep(nursery, handler, listen="tcp://127.0.0.1:0")
            async with trionng.Req0(dial=service.url) as req:
                await service.socket.wait_connected()
                await req.request(b"good")
                await req.request(b"bad")

    with trio.fail_after(WITHIN), pytest.raises(trionng_group()) as caught:
        await serve_and_ask()

    (error,) = caught.value.exceptions
    assert isinstance(error, ValueError)
    assert str(error) == "bad"
    (note,) = error.__notes__  # type: ignore[attr-defined]
    assert "serve_rep tcp://127.0.0.1:" in note
    assert "<Pipe" in note


def trionng_group() -> Any:
    """Return ExceptionGroup, which Python 3.10 has not."""
    try:
        return ExceptionGroup  # type: ignore[name-defined]
    except NameError:
        import exceptiongroup

        return exceptiongroup.ExceptionGroup


async def test_serve_rep_on_error_turns_exceptions_into_replies() -> None:
    """reply_error answers with class and text, and the service lives on."""

    async def handler(request: bytes) -> bytes:
        if request == b"bad":
            raise ValueError("no such thing")
        return request

    with trio.fail_after(WITHIN):
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_rep(
                nursery, handler, listen=new_url(), on_error=trionng.reply_error
            )
            async with trionng.Req0(dial=service.url) as req:
                answers = [await req.request(b"bad"), await req.request(b"good")]
            nursery.cancel_scope.cancel()

    assert answers == [b"ValueError: no such thing", b"good"]


@pytest.mark.parametrize(("reply", "kind"), [(None, TypeError), ("text", TypeError)])
async def test_serve_rep_handler_without_a_reply_raises_type_error(
    reply: object, kind: type[Exception]
) -> None:
    """A handler that returns None or a str has a bug, and the nursery hears of it."""

    async def handler(_request: bytes) -> object:
        return reply

    async def serve_and_ask() -> None:
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_rep(nursery, handler, listen=new_url())  # type: ignore[arg-type]
            async with trionng.Req0(dial=service.url) as req:
                await req.request(b"x")

    with trio.fail_after(WITHIN), pytest.raises(trionng_group()) as caught:
        await serve_and_ask()

    assert [type(each) for each in caught.value.exceptions] == [kind]


async def test_serve_rep_messages_know_their_pipe_and_can_be_replies() -> None:
    """With messages=True the handler gets a Message, and may send it back."""
    pipes = []

    async def handler(request: trionng.Message) -> trionng.Message:
        pipes.append(request.pipe)
        return request

    with trio.fail_after(WITHIN):
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_rep(nursery, handler, listen=new_url(), messages=True)
            async with trionng.Req0(dial=service.url) as req:
                assert await req.request(b"there") == b"there"
                assert await req.request(b"again") == b"again"
            nursery.cancel_scope.cancel()

    assert pipes[0] is not None
    assert pipes[0] == pipes[1]


async def test_drain_answers_what_was_taken_and_takes_nothing_more() -> None:
    """Handlers that run finish and their replies arrive; a later request stays unanswered."""
    release = trio.Event()
    handled = []

    async def handler(request: bytes) -> bytes:
        handled.append(request)
        await release.wait()
        return request

    with trio.fail_after(WITHIN):
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_rep(nursery, handler, listen="tcp://127.0.0.1:0")
            answers: list[bytes] = []

            async def ask(data: bytes) -> None:
                answers.append(await req.request(data))

            async with trionng.Req0(dial=service.url) as req, trionng.Req0() as late:
                async with trio.open_nursery() as clients:
                    for data in (b"1", b"2", b"3"):
                        clients.start_soon(ask, data)
                    while len(handled) < 3:
                        await trio.lowlevel.checkpoint()
                    async with trio.open_nursery() as drains:
                        drains.start_soon(service.drain)
                        await trio.testing.wait_all_tasks_blocked()
                        await late.dial(service.url, block=True)
                        with trio.move_on_after(0.05):
                            await late.request(b"late")
                        release.set()
                assert sorted(answers) == [b"1", b"2", b"3"]
                assert len(service.listeners) == 1
                await service.aclose()
            counts = service.statistics()

    assert sorted(handled) == [b"1", b"2", b"3"]
    assert (counts.received, counts.answered, counts.abandoned, counts.busy) == (3, 3, 0, 0)


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
async def test_drain_after_a_4_mb_reply_writes_it_all(transport: str, tmp_path: Path) -> None:
    """A large reply followed by drain and aclose arrives."""
    await large_replies(transport, str(tmp_path), 3)


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["ipc", "tcp"])
async def test_drain_after_a_4_mb_reply_writes_it_all_100_times_of_100(
    transport: str, tmp_path: Path
) -> None:
    """The same, 100 times of 100."""
    await large_replies(transport, str(tmp_path), 100)


async def large_replies(transport: str, directory: str, times: int) -> None:
    body = bytes(4_000_000)

    async def handler(_request: bytes) -> bytes:
        handled.set()
        return body

    async def ask() -> None:
        async with trionng.Req0(dial=service.url, recv_max_size=0) as req:
            answers.append(len(await req.request(b"more")))

    for _ in range(times):
        handled = trio.Event()
        answers: list[int] = []
        with trio.fail_after(WITHIN):
            async with trio.open_nursery() as nursery:
                service = await trionng.serve_rep(
                    nursery, handler, listen=new_url(transport, directory)
                )
                nursery.start_soon(ask)
                await handled.wait()
                await service.drain()
                await service.aclose()
                while not answers:
                    await trio.sleep(0.001)
        assert answers == [4_000_000]


async def test_aclose_cancels_handlers_and_counts_what_it_abandons() -> None:
    """A request that is being handled when the service closes is counted as abandoned."""
    started = trio.Event()

    async def handler(_request: bytes) -> bytes:
        started.set()
        await trio.sleep_forever()
        return b""

    with trio.fail_after(WITHIN):
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_rep(nursery, handler, listen=new_url())
            async with trionng.Req0(dial=service.url) as req:
                nursery.start_soon(swallow_closed, partial(req.request, b"x"))
                await started.wait()
                await service.aclose()
                await service.aclose()
            counts = service.statistics()

    assert (counts.received, counts.answered, counts.abandoned) == (1, 0, 1)


async def swallow_closed(call: Callable[[], object]) -> None:
    try:
        await call()
    except trionng.Closed:
        pass


async def test_serve_rep_a_given_socket_stays_open() -> None:
    """A socket that belongs to the caller can be used again after the service."""
    with trio.fail_after(WITHIN):
        async with trionng.Rep0(listen=new_url()) as rep:
            for _ in range(2):
                async with trio.open_nursery() as nursery:
                    service = await trionng.serve_rep(nursery, echo, socket=rep)
                    async with trionng.Req0(dial=rep.listeners[0].url) as req:
                        assert await req.request(b"x") == b"x"
                    await service.drain()
                    await service.aclose()
            async with trionng.Req0(dial=rep.listeners[0].url) as req:
                await req.send(b"y")
                assert await rep.recv() == b"y"


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, TypeError),
        ({"listen": "inproc://a", "workers": 0}, trionng.InvalidOperation),
        ({"listen": "inproc://a", "workers": 1.5}, TypeError),
        ({"listen": "nonsense://x"}, trionng.NotSupported),
    ],
)
async def test_serve_rep_called_wrongly_raises_and_starts_nothing(
    options: dict[str, object], kind: type[Exception]
) -> None:
    """What cannot be served is refused by the call itself."""
    async with trio.open_nursery() as nursery:
        with pytest.raises(kind):
            await trionng.serve_rep(nursery, echo, **options)  # type: ignore[call-overload]
        assert not nursery.child_tasks


async def test_run_rep_started_serves_until_it_is_closed() -> None:
    """It reports the service when it listens, and ends with Closed when that is closed."""

    async def run_and_close() -> None:
        async with trio.open_nursery() as nursery:
            service = await nursery.start(partial(trionng.run_rep, echo, listen=new_url()))
            async with trionng.Req0(dial=service.url) as req:
                assert await req.request(b"x") == b"x"
            await service.aclose()

    with trio.fail_after(WITHIN), pytest.raises(trionng_group()) as caught:
        await run_and_close()

    assert "Closed" in repr(caught.value)


async def test_serve_respondent_answers_surveys() -> None:
    """Every respondent's answer comes back; a handler may keep silent."""

    async def handler(survey: bytes) -> bytes | None:
        return None if survey == b"quiet" else survey.upper()

    with trio.fail_after(WITHIN):
        async with trionng.Surveyor0(listen=new_url()) as surveyor:
            async with trio.open_nursery() as nursery:
                url = surveyor.listeners[0].url
                services = [
                    await trionng.serve_respondent(nursery, handler, dial=url) for _ in range(2)
                ]
                await surveyor.wait_connected(2)
                replies = []
                async with surveyor.survey(b"who", timeout=60) as answers:
                    async for answer in answers:
                        replies.append(answer)
                        if len(replies) == 2:
                            break
                async with surveyor.survey(b"quiet", timeout=0.05) as answers:
                    replies += [answer async for answer in answers]
                while any(service.statistics().received < 2 for service in services):
                    await trio.sleep(0.001)  # they may get it when it is over
                for service in services:
                    await service.drain()
                    await service.aclose()
        counts = [service.statistics() for service in services]

    assert replies == [b"WHO", b"WHO"]
    assert [(each.received, each.answered, each.abandoned) for each in counts] == [(2, 2, 0)] * 2


async def test_serve_pull_handles_every_message_and_drains() -> None:
    """Each message is handled once; with on_error a failing one does not end the nursery."""
    handled: list[bytes] = []
    failed: list[bytes] = []

    async def handler(message: bytes) -> None:
        await trio.lowlevel.checkpoint()
        if message == b"13":
            raise ValueError
        handled.append(message)

    def on_error(_exc: Exception, message: bytes) -> None:
        failed.append(message)

    with trio.fail_after(WITHIN):
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_pull(
                nursery, handler, listen=new_url(), workers=4, on_error=on_error
            )
            async with trionng.Push0(dial=service.url) as push:
                for i in range(100):
                    await push.send(b"%d" % i)
                while len(handled) + len(failed) < 100:
                    await trio.sleep(0.001)
            await service.drain()
            await service.aclose()

    assert sorted(handled + failed) == sorted(b"%d" % i for i in range(100))
    assert failed == [b"13"]
    assert service.statistics().received == 100


async def test_serve_sub_handles_its_topics_in_order() -> None:
    """One worker, and what was subscribed."""
    handled: list[bytes] = []

    async def handler(message: bytes) -> None:
        await trio.lowlevel.checkpoint()
        handled.append(message)

    with trio.fail_after(WITHIN):
        async with trionng.Pub0(listen=new_url()) as pub, trio.open_nursery() as nursery:
            service = await trionng.serve_sub(
                nursery, handler, topics="a.", dial=pub.listeners[0].url
            )
            await pub.wait_connected()
            for i in range(20):
                await pub.send(b"b.%d" % i)
                await pub.send(b"a.%d" % i)
                while len(handled) <= i:
                    await trio.sleep(0.001)
            await service.aclose()

    assert handled == [b"a.%d" % i for i in range(20)]


async def test_service_calls_are_checkpoints() -> None:
    """serve_rep, drain and aclose, at once and parked."""
    may_answer = trio.Event()

    async def answer(request: bytes) -> bytes:
        await may_answer.wait()
        return request

    with trio.fail_after(WITHIN):
        async with trio.open_nursery() as nursery:
            with trio.testing.assert_checkpoints():
                service = await trionng.serve_rep(nursery, answer, listen="tcp://127.0.0.1:0")
            async with trionng.Req0(dial=service.url) as req:
                async with trio.open_nursery() as asking:  # over before the socket closes
                    asking.start_soon(req.request, b"x")
                    while not service.statistics().busy:
                        await trio.sleep(0.0001)
                    may_answer.set()  # in the next pass of the loop
                    with trio.testing.assert_checkpoints():
                        await service.drain()
            for _ in range(2):
                with trio.testing.assert_checkpoints():
                    await service.drain()
            for _ in range(2):
                with trio.testing.assert_checkpoints():
                    await service.aclose()


@pytest.mark.parametrize("kind", ["rep", "respondent", "pull", "sub"])
async def test_service_run_drain_and_aclose_are_checkpoints(kind: str) -> None:
    """serve_*, drain, aclose and run_* are checkpoints; run_* ends with Closed."""
    serve, run = getattr(trionng, f"serve_{kind}"), getattr(trionng, f"run_{kind}")
    ended = trio.Event()

    async def run_until_closed(task_status: trio.TaskStatus[trionng.Service]) -> None:
        with (
            pytest.raises(trionng.Closed, match=f"serve_{kind}"),
            trio.testing.assert_checkpoints(),
        ):
            await run(echo, listen=new_url(), task_status=task_status)
        ended.set()

    with trio.fail_after(WITHIN):
        async with trio.open_nursery() as nursery:
            with trio.testing.assert_checkpoints():
                service = await serve(nursery, echo, listen=new_url())
            for call in (service.drain, service.drain, service.aclose, service.aclose):
                with trio.testing.assert_checkpoints():
                    await call()
            running = await nursery.start(run_until_closed)
            assert running.url.startswith("inproc://")
            await running.aclose()
            await ended.wait()


async def test_serve_rep_in_a_cancelled_scope_starts_nothing() -> None:
    """Cancellation is looked at first."""
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            scope.cancel()
            await trionng.serve_rep(nursery, echo, listen=new_url())
        assert scope.cancelled_caught
        assert not nursery.child_tasks


def cancel_under_load(times: str, seed: str) -> None:
    """Cancel a loaded service at random moments; every request must be accounted for."""
    chance = random.Random(int(seed))
    totals = [0, 0, 0]

    async def once() -> None:
        handler = chance.choice([echo, slow_echo])
        workers = chance.choice([1, 2, 8])
        async with trio.open_nursery() as clients:
            req = trionng.Req0()
            answered = 0

            async def ask() -> None:
                nonlocal answered
                try:
                    while True:
                        await req.request(b"x")
                        answered += 1
                except trionng.Closed:
                    pass

            async with trio.open_nursery() as nursery:
                service = await trionng.serve_rep(
                    nursery, handler, listen=new_url(), workers=workers
                )
                await req.dial(service.url)
                for _ in range(chance.choice([1, 4, 16])):
                    clients.start_soon(ask)
                await trio.sleep(chance.random() * 0.004)
                nursery.cancel_scope.cancel()
            counts = service.statistics()
            assert counts.received == counts.answered + counts.abandoned, counts
            assert counts.busy == 0, counts
            assert answered <= counts.answered, (answered, counts)
            await req.aclose()
        for i, count in enumerate((counts.received, counts.answered, counts.abandoned)):
            totals[i] += count

    async def main() -> None:
        for _ in range(int(times)):
            with trio.fail_after(WITHIN):
                await once()

    trio.run(main)
    print(json.dumps(totals))


def check_cancels(times: int, seconds: float) -> None:
    finished = run_in_subprocess(
        cancel_under_load, str(times), str(random.randrange(2**32)), seconds=seconds
    )
    assert finished.clean, finished
    received, answered, abandoned = json.loads(finished.output)
    assert received == answered + abandoned
    assert answered
    assert abandoned


def test_nursery_cancelled_under_load_accounts_for_every_request() -> None:
    """Wherever the cancel lands, each request was answered, never taken, or is abandoned."""
    check_cancels(100, 90)


@pytest.mark.slow
def test_nursery_cancelled_2000_times_accounts_for_every_request() -> None:
    """The same, 2 000 times."""
    check_cancels(2000, 300)


@pytest.mark.parametrize("kind", ["rep", "respondent", "pull", "sub"])
async def test_options_of_the_connections_are_those_of_the_service(kind: str) -> None:
    """`recv_max_size` and `accept` hold for what it opens; with `socket=` they are refused."""
    serve = getattr(trionng, f"serve_{kind}")
    sockets = {
        "rep": trionng.Rep0,
        "respondent": trionng.Respondent0,
        "pull": trionng.Pull0,
        "sub": trionng.Sub0,
    }
    strangers = trionng.Admission(addresses=["10.1.2.3"])

    with trio.fail_after(WITHIN):
        async with sockets[kind]() as socket, trio.open_nursery() as nursery:
            service = await serve(
                nursery, echo, listen="tcp://127.0.0.1:0", recv_max_size=1000, accept=strangers
            )
            assert service.listeners[0].recv_max_size == 1000
            stream = await trio.open_tcp_stream("127.0.0.1", int(service.url.rsplit(":")[-1]))
            async with stream:
                await stream.send_all(b"\0SP\0" + socket.peer.to_bytes(2, "big") + b"\0\0")
                while service.socket.statistics().rejected == 0:
                    await trio.sleep(0.001)
            for option in ({"recv_max_size": 1}, {"accept": strangers}, {"dial": "inproc://x"}):
                with pytest.raises(TypeError, match="socket="):
                    await serve(nursery, echo, socket=socket, **option)
            with pytest.raises(TypeError, match="accept"):
                await serve(nursery, echo, dial="inproc://x", accept=strangers)
            nursery.cancel_scope.cancel()

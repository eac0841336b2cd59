"""Clients that do not read their replies: a service serves the others, and closes the silent."""

from __future__ import annotations

import logging
import signal
import struct
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio
import trio.lowlevel
import trio.testing

import trionng
from tests.support.processes import PYTHON, other_process
from tests.support.sp import REQ0, SURVEYOR0, raw_peer
from trionng.testing import new_url

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

WITHIN = 60
REPLY = bytes(100_000)
LARGER_THAN_BUFFERS = bytes(1_000_000)  # eight of them, of a connection that is not read


def request_id(number: int) -> bytes:
    return struct.pack(">I", 0x80000001 + number)


async def handler(request: bytes) -> bytes:
    return REPLY if request == b"large" else request


async def asks_until_closed(url: str, *, slowly: bool) -> int:
    """Ask and never read, until the service hangs up; return how many requests it took."""
    count = 0
    async with raw_peer(url) as peer:
        await peer.greet(REQ0)
        try:
            while True:
                request = request_id(count) + b"large"
                await peer._stream.send_all(peer.frame(request))
                count += 1
                await trio.sleep(0.001 if slowly else 0)
        except trio.BrokenResourceError:
            return count


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await trio.sleep(0.002)


@pytest.mark.parametrize("workers", [1, 8])
async def test_silent_client_is_closed_and_the_others_do_not_notice(
    workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Its connection is closed, counted and logged once; others are answered all the time."""
    slowest = 0.0
    closed = 0

    async def silent(url: str) -> None:
        nonlocal closed
        await asks_until_closed(url, slowly=True)
        closed += 1

    with trio.fail_after(WITHIN), caplog.at_level(logging.WARNING, "trionng"):
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_rep(
                nursery, handler, listen="tcp://127.0.0.1:0", workers=workers
            )
            async with trionng.Req0(dial=service.url) as req:
                for _ in range(3):
                    nursery.start_soon(silent, service.url)
                while closed < 3:
                    began = trio.current_time()
                    assert await req.request(b"x") == b"x"
                    async with trionng.Req0(dial=service.url) as newcomer:
                        assert await newcomer.request(b"y") == b"y"
                    slowest = max(slowest, trio.current_time() - began)
            await until(lambda: service.statistics().unread == 0)
            counts = service.statistics()
            nursery.cancel_scope.cancel()

    assert slowest < 20
    assert counts.slow == 3
    assert counts.received == counts.answered + counts.abandoned
    warnings = [each.getMessage() for each in caplog.records if "slow" in each.getMessage()]
    assert len(warnings) == 3
    assert all("max_unread=64" in each and "127.0.0.1" in each for each in warnings)


async def test_silent_client_within_its_limit_gets_its_replies() -> None:
    """As many replies as `max_unread` may wait for as long as it likes; then they are read."""
    with trio.fail_after(WITHIN):
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_rep(
                nursery, handler, listen="tcp://127.0.0.1:0", max_unread=10
            )
            async with raw_peer(service.url) as peer:
                await peer.greet(REQ0)
                sent = 0
                while service.statistics().unread < 10:
                    await peer.send(request_id(sent) + b"large")
                    sent += 1
                    await until(lambda: service.statistics().answered == sent)  # noqa: B023
                await trio.sleep(1.5)  # longer than a connection beyond its limit may stay
                assert service.statistics().slow == 0
                for i in range(sent):
                    reply = await peer.receive()
                    assert reply[:4] == request_id(i)
                    assert len(reply) == len(REPLY) + 4
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("max_unread", [1, 2, 3, 64])
@pytest.mark.parametrize("workers", [1, 8])
@pytest.mark.parametrize("transport", ["tcp", "ipc", "inproc"])
async def test_client_that_reads_slowly_is_answered_in_full(
    max_unread: int, workers: int, transport: str, tmp_path: Path
) -> None:
    """Any number of requests in flight is answered, each once, in as much as the client reads."""
    count = 150
    replies = set()

    async def numbered(request: bytes) -> bytes:
        return request + REPLY

    async def ask(number: int) -> None:
        replies.add((await req.request(b"%03d" % number))[:3])

    with trio.fail_after(WITHIN):
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_rep(
                nursery,
                numbered,
                listen=new_url(transport, tmp_path),
                workers=workers,
                max_unread=max_unread,
            )
            async with trionng.Req0(dial=service.url) as req, trio.open_nursery() as clients:
                for number in range(count):
                    clients.start_soon(ask, number)
            await until(lambda: service.statistics().unread == 0)
            counts = service.statistics()
            nursery.cancel_scope.cancel()

    assert replies == {b"%03d" % number for number in range(count)}
    assert (counts.received, counts.answered, counts.slow) == (count, count, 0)


async def test_requests_of_a_client_that_reads_late_keep_their_order() -> None:
    """What was held back is handled in the order it came in, also beside a newer request."""
    handled: list[int] = []

    async def numbered(request: bytes) -> bytes:
        handled.append(int(request))
        return REPLY

    with trio.fail_after(WITHIN):
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_rep(
                nursery, numbered, listen="tcp://127.0.0.1:0", workers=1, max_unread=2
            )
            async with raw_peer(service.url) as peer:
                await peer.greet(REQ0)
                for i in range(60):
                    await peer.send(request_id(i) + b"%d" % i)
                await until(lambda: service.statistics().busy > 0)
                for i in range(60):
                    assert (await peer.receive())[:4] == request_id(i)
            nursery.cancel_scope.cancel()

    assert handled == list(range(60))


STOPPED = """
import sys, trio, trionng
async def main(url):
    async with trionng.Req0(dial=url) as req, trio.open_nursery() as nursery:
        async def ask():
            while True:
                await req.request(b"large")
        await req.request(b"first")
        for _ in range(300):
            nursery.start_soon(ask)
        while req.statistics().messages_sent < 301:
            await trio.sleep(0.001)
        await req.flush()
        print("asking", flush=True)
trio.run(main, sys.argv[1])
"""


@pytest.mark.parametrize(("transport", "workers"), [("tcp", 8), ("tcp", 400), ("ipc", 400)])
async def test_stopped_client_with_300_requests_disturbs_no_other(
    transport: str, workers: int, tmp_path: Path
) -> None:
    """An ordinary client that is stopped is closed, and answered again when it goes on."""
    stopped = trio.Event()

    async def when_stopped(request: bytes) -> bytes:
        if request == b"large":
            await stopped.wait()
        return await handler(request)

    with trio.fail_after(WITHIN):
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_rep(
                nursery, when_stopped, listen=new_url(transport, tmp_path), workers=workers
            )
            async with (
                trionng.Req0(dial=service.url) as req,
                other_process(*PYTHON, "-c", STOPPED, service.url) as client,
            ):
                assert await client.line() == "asking"
                client.signal(signal.SIGSTOP)
                stopped.set()
                slowest = 0.0
                while service.statistics().slow == 0:
                    began = trio.current_time()
                    assert await req.request(b"x") == b"x"
                    slowest = max(slowest, trio.current_time() - began)
                assert slowest < 20
                before = service.statistics().answered
                client.signal(signal.SIGCONT)
                await until(lambda: service.statistics().answered > before + 300)
                client.signal(signal.SIGKILL)
                await client.end()
                assert await req.request(b"x") == b"x"
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("end", ["aclose", "cancel", "peer"])
async def test_service_ends_while_requests_are_held_back(end: str) -> None:
    """Whatever ends first, everything that was received is accounted for."""
    with trio.fail_after(WITHIN):
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_rep(
                nursery, handler, listen="tcp://127.0.0.1:0", workers=2, max_unread=4
            )
            async with raw_peer(service.url) as peer:
                await peer.greet(REQ0)
                for i in range(100):
                    await peer.send(request_id(i) + b"large")
                await until(lambda: service.statistics().received == 100)
                if end == "aclose":
                    await service.aclose()
                elif end == "cancel":
                    nursery.cancel_scope.cancel()
            if end == "peer":
                await until(lambda: service.statistics().busy == 0)
                await until(lambda: service.statistics().unread == 0)
                await service.aclose()

    counts = service.statistics()
    assert counts.received == counts.answered + counts.abandoned == 100
    assert counts.busy == 0


async def test_client_that_floods_without_reading_is_closed_soon() -> None:
    """Held back requests are bounded too: what one connection holds does not grow for a second."""
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, service.statistics().busy)
            await trio.sleep(0.005)

    with trio.fail_after(WITHIN):
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_rep(nursery, handler, listen="tcp://127.0.0.1:0")
            nursery.start_soon(watch)
            await asks_until_closed(service.url, slowly=False)
            await until(lambda: service.statistics().slow == 1)
            nursery.cancel_scope.cancel()

    assert most <= 16384 + 8


async def test_client_that_reads_while_it_asks_thousands_is_kept() -> None:
    """Thousands of requests may be held back for a connection that goes on reading."""
    count, most = 2500, 0

    async def large(request: bytes) -> bytes:
        return request + bytes(30_000)

    with trio.fail_after(WITHIN):
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_rep(
                nursery, large, listen="tcp://127.0.0.1:0", max_unread=4
            )
            async with raw_peer(service.url) as peer:
                await peer.greet(REQ0)
                for i in range(count):
                    await peer.send(request_id(i) + b"%d" % i)
                    if i % 5 == 0:
                        await peer.receive()
                for _ in range(count - count // 5):
                    if most <= 1024:  # nng may not have read that many requests yet
                        most = max(most, service.statistics().busy)
                        await trio.sleep(0.005)
                    await peer.receive()
            counts = service.statistics()
            nursery.cancel_scope.cancel()

    assert most > 1024  # else nothing was tested
    assert (counts.received, counts.answered, counts.slow) == (count, count, 0)


async def test_client_that_does_not_read_ends_with_reason_slow() -> None:
    """The event of the connection that a service closed says why."""
    with trio.fail_after(WITHIN):
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_rep(nursery, handler, listen="tcp://127.0.0.1:0")
            async with service.socket.pipe_events() as events:
                await asks_until_closed(service.url, slowly=False)
                reasons = [(await anext(events)).reason for _ in ("connected", "disconnected")]
            nursery.cancel_scope.cancel()

    assert reasons == [None, "slow"]


@pytest.mark.parametrize("serve", [trionng.serve_rep, trionng.serve_respondent])
@pytest.mark.parametrize(
    ("max_unread", "kind"),
    [(0, trionng.InvalidOperation), (-1, trionng.InvalidOperation), (1.5, TypeError)],
)
async def test_max_unread_that_is_no_number_of_replies_is_refused(
    serve: Callable[..., Awaitable[object]], max_unread: object, kind: type[Exception]
) -> None:
    """It is at least 1."""
    async with trio.open_nursery() as nursery:
        with pytest.raises(kind, match="max_unread"):
            await partial(serve, max_unread=max_unread)(nursery, handler, listen="inproc://x")
        assert not nursery.child_tasks


async def test_drain_does_not_wait_for_a_client_that_never_reads(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Replies that are not read hold it up for a bounded time, and a warning says so."""
    monkeypatch.setattr("trionng._services.service._UNREAD_FOR", 0.3)

    with trio.fail_after(WITHIN), caplog.at_level(logging.WARNING, "trionng"):
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_rep(nursery, handler, listen="tcp://127.0.0.1:0")
            async with raw_peer(service.url) as peer, trionng.Req0(dial=service.url) as req:
                await peer.greet(REQ0)
                for i in range(100):
                    await peer.send(request_id(i) + b"large")
                await until(lambda: service.statistics().unread > 10)
                assert await req.request(b"x") == b"x"
                await service.drain()
                await service.aclose()

    counts = service.statistics()
    assert counts.received == counts.answered + counts.abandoned
    assert "not read" in caplog.text


@pytest.mark.parametrize("serve", [trionng.serve_rep, trionng.serve_respondent])
async def test_clients_that_leave_without_reading_leave_nothing_behind(
    serve: Callable[..., Awaitable[trionng.Service]],
) -> None:
    """The contexts in which their replies waited serve others; none is made for each client."""
    protocol = REQ0 if serve is trionng.serve_rep else SURVEYOR0
    clients, requests = 80, 8
    handled = 0

    async def large(request: bytes) -> bytes:
        nonlocal handled
        handled += 1
        return LARGER_THAN_BUFFERS

    async def contexts_made() -> int:
        """nng numbers the contexts of all sockets one after the other."""
        async with trionng.Req0() as req, req.new_context() as context:
            return context._ctx.id

    with trio.fail_after(WITHIN):
        async with trio.open_nursery() as nursery:
            service = await serve(nursery, large, listen="tcp://127.0.0.1:0", workers=requests)
            before = await contexts_made()
            for i in range(clients):
                async with raw_peer(service.url) as peer:
                    await peer.greet(protocol)
                    for each in range(requests):
                        await peer.send(request_id(each) + b"x")
                    await until(lambda i=i: handled == (i + 1) * requests)
                    await trio.testing.wait_all_tasks_blocked()
            made = await contexts_made() - before
            nursery.cancel_scope.cancel()

    assert made < 160


# -- surveys: the same through another protocol


async def test_silent_surveyor_is_closed_and_the_others_do_not_notice(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A surveyor that reads no answers holds no worker; it is closed, and logged once."""
    slowest = 0.0

    with trio.fail_after(WITHIN), caplog.at_level(logging.WARNING, "trionng"):
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_respondent(
                nursery, handler, listen="tcp://127.0.0.1:0", workers=2
            )
            async with (
                trionng.Surveyor0(dial=service.url, survey_time=60_000) as surveyor,
                raw_peer(service.url) as peer,
            ):
                await surveyor.wait_connected()
                await peer.greet(SURVEYOR0)
                sent = 0
                while service.statistics().slow == 0:
                    if sent < 400:
                        await peer.send(request_id(sent) + b"large")
                        sent += 1
                    began = trio.current_time()
                    await surveyor.send(b"x")
                    assert await surveyor.recv() == b"x"
                    slowest = max(slowest, trio.current_time() - began)
                await surveyor.send(b"x")
                assert await surveyor.recv() == b"x"
            await until(lambda: service.statistics().unread == 0)
            counts = service.statistics()
            nursery.cancel_scope.cancel()

    assert slowest < 20
    assert counts.received == counts.answered + counts.abandoned
    warnings = [each.getMessage() for each in caplog.records if "slow" in each.getMessage()]
    assert len(warnings) == 1
    assert warnings[0].startswith("serve_respondent")


async def test_surveys_without_an_answer_count_as_answered() -> None:
    """A handler may return None; more surveys than workers are handled, the newest 128 at least."""
    handled = trio.Event()
    release = trio.Event()

    async def silent(survey: bytes) -> None:
        if survey == b"first":
            handled.set()
            await release.wait()

    with trio.fail_after(WITHIN):
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_respondent(
                nursery, silent, listen="tcp://127.0.0.1:0", workers=1
            )
            async with raw_peer(service.url) as peer:
                await peer.greet(SURVEYOR0)
                await peer.send(struct.pack(">I", 0x80000000) + b"first")
                await handled.wait()
                for i in range(200):
                    await peer.send(request_id(i) + b"more")
                await until(lambda: service.statistics().received == 201)
                assert service.statistics().busy == 129
                assert service.socket.statistics().dropped == 72
                release.set()
                await until(lambda: service.statistics().busy == 0)
            await service.aclose()
    counts = service.statistics()
    assert (counts.answered, counts.abandoned) == (129, 72)


async def test_socket_of_serve_respondent_has_one_service_at_a_time() -> None:
    """A second service on it is refused; when the first has ended, the socket receives again."""
    with trio.fail_after(WITHIN):
        async with (
            trionng.Respondent0(listen="tcp://127.0.0.1:0") as respondent,
            trio.open_nursery() as nursery,
        ):
            service = await trionng.serve_respondent(nursery, handler, socket=respondent)
            with pytest.raises(trionng.Busy):
                await trionng.serve_respondent(nursery, handler, socket=respondent)
            async with trionng.Surveyor0(
                dial=respondent.listeners[0].url, survey_time=60_000
            ) as surveyor:
                await surveyor.wait_connected()
                await surveyor.send(b"served")
                assert await surveyor.recv() == b"served"
                await service.aclose()
                await surveyor.send(b"by hand")
                assert await respondent.recv() == b"by hand"
                await respondent.send(b"done")
                assert await surveyor.recv() == b"done"
                await trionng.serve_respondent(nursery, handler, socket=respondent)
                await surveyor.send(b"served again")
                assert await surveyor.recv() == b"served again"
            nursery.cancel_scope.cancel()


async def test_surveyors_that_reset_connections_disturb_no_service() -> None:
    """C3: none of their surveys lies unread in nng, also when all workers are busy."""
    with trio.fail_after(WITHIN):
        async with trio.open_nursery() as nursery:

            async def slow(survey: bytes) -> bytes:
                await trio.sleep(0.002)
                return survey

            service = await trionng.serve_respondent(
                nursery, slow, listen="tcp://127.0.0.1:0", workers=2
            )
            async with trionng.Surveyor0(dial=service.url, survey_time=60_000) as surveyor:
                await surveyor.wait_connected()
                for i in range(50):
                    async with raw_peer(service.url) as peer:
                        await peer.greet(SURVEYOR0)
                        for number in range(4):
                            await peer.send(request_id(number) + b"bye")
                        await peer.close(reset=i % 2 == 0)
                    await surveyor.send(b"x")
                    assert await surveyor.recv() == b"x"
            await until(lambda: service.statistics().busy == 0)
            nursery.cancel_scope.cancel()

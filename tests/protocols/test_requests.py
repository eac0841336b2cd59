"""Req0.request at its best: thousands at once, and deadlines."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
import trio

import trionng
from trionng.testing import new_url

if TYPE_CHECKING:
    from pathlib import Path

WITHIN = 180
MANY = 10_000


async def ask_at_once(url: str, resend_time: int | None) -> None:
    """Have MANY requests in flight before the first is answered."""
    all_asked = trio.Event()

    async def handler(request: bytes) -> bytes:
        await all_asked.wait()
        return request

    async def ask(number: int) -> None:
        question = b"%d" % number
        assert await req.request(question) == question

    async with trio.open_nursery() as nursery:
        service = await trionng.serve_rep(nursery, handler, listen=url)
        async with trionng.Req0(dial=service.url, resend_time=resend_time) as req:
            async with trio.open_nursery() as clients:
                for number in range(MANY):
                    clients.start_soon(ask, number)
                # Every client has had its turn after this.
                await trio.lowlevel.checkpoint()
                all_asked.set()
        counts = service.statistics()
        nursery.cancel_scope.cancel()
    assert (counts.received, counts.answered, counts.abandoned) == (MANY, MANY, 0)


async def test_10000_requests_on_one_socket_are_each_answered() -> None:
    """One socket has 10 000 requests in flight, and each gets its own answer, once."""
    with trio.fail_after(WITHIN):
        await ask_at_once(f"inproc://{uuid.uuid4().hex}", None)


@pytest.mark.slow
@pytest.mark.parametrize("resend_time", [None, -1])
@pytest.mark.parametrize("transport", ["ipc", "tcp"])
async def test_10000_requests_over_any_transport_are_each_answered(
    transport: str, resend_time: int | None, tmp_path: Path
) -> None:
    """The same between descriptors, and with requests that are never sent again."""
    with trio.fail_after(WITHIN):
        await ask_at_once(new_url(transport, tmp_path), resend_time)


async def test_request_past_its_deadline_ends_and_the_others_go_on() -> None:
    """A cancel scope around a request is its deadline; those beside it do not notice."""
    answers: list[bytes] = []

    async def handler(request: bytes) -> bytes:
        if request == b"too slow":
            await trio.sleep_forever()
        return request

    async def ask(question: bytes, within: float) -> None:
        with trio.move_on_after(within):
            answers.append(await req.request(question))

    with trio.fail_after(WITHIN):
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_rep(
                nursery, handler, listen=f"inproc://{uuid.uuid4().hex}"
            )
            async with trionng.Req0(dial=service.url) as req:
                async with trio.open_nursery() as clients:
                    for _ in range(4):
                        clients.start_soon(ask, b"too slow", 0.05)
                        clients.start_soon(ask, b"fast", WITHIN)
            nursery.cancel_scope.cancel()

    assert answers == [b"fast"] * 4

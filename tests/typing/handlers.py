"""Which functions can be handlers of a service, and which cannot."""

from collections.abc import Awaitable, Callable
from functools import partial

import trio
from typing_extensions import assert_type

import trionng
from trionng import blocking

URL = "tcp://127.0.0.1:0"


async def answer(request: bytes) -> bytes:
    return request


async def answer_message(message: trionng.Message) -> bytearray:
    return bytearray(message.body)


async def with_two(prefix: bytes, request: bytes) -> bytes:
    return prefix + request


async def silent(request: bytes) -> None: ...


async def wants_text(request: str) -> bytes:
    return request.encode()


async def returns_text(request: bytes) -> str:
    return request.decode()


def plain(request: bytes) -> bytes:
    return request


class Handler:
    async def __call__(self, request: bytes) -> bytes:
        return request

    async def method(self, request: bytes) -> memoryview:
        return memoryview(request)


def on_error(error: Exception, request: bytes) -> bytes:
    return b""


def on_error_message(error: Exception, request: trionng.Message) -> bytes:
    return b""


async def rep(nursery: trio.Nursery, given: Callable[[bytes], Awaitable[bytes]]) -> None:
    service = await trionng.serve_rep(nursery, answer, listen=URL)
    assert_type(service, trionng.Service)
    for listener in service.listeners:
        assert_type(listener, trionng.Listener)
    await trionng.serve_rep(nursery, given, listen=URL)
    await trionng.serve_rep(nursery, lambda request: answer(request), listen=URL)
    await trionng.serve_rep(nursery, partial(with_two, b">"), listen=URL)
    await trionng.serve_rep(nursery, Handler(), listen=URL)
    await trionng.serve_rep(nursery, Handler().method, listen=[URL.encode()], workers=2)
    await trionng.serve_rep(nursery, answer, listen=URL, messages=False, on_error=on_error)
    await trionng.serve_rep(nursery, answer_message, listen=URL, messages=True)
    await trionng.serve_rep(nursery, lambda message: answer(message.bytes), messages=True)
    await trionng.serve_rep(nursery, answer, listen=URL, on_error=trionng.reply_error)
    await trionng.serve_rep(
        nursery, answer_message, listen=URL, messages=True, on_error=trionng.reply_error
    )

    await trionng.serve_rep(nursery, answer_message, listen=URL)  # E
    await trionng.serve_rep(nursery, answer, listen=URL, messages=True)  # E
    await trionng.serve_rep(nursery, wants_text, listen=URL)  # E
    await trionng.serve_rep(nursery, returns_text, listen=URL)  # E
    await trionng.serve_rep(nursery, silent, listen=URL)  # E
    await trionng.serve_rep(nursery, plain, listen=URL)  # E
    await trionng.serve_rep(nursery, lambda request: request, listen=URL)  # E
    await trionng.serve_rep(nursery, answer, listen=URL, on_error=on_error_message)  # E
    await trionng.serve_rep(nursery, answer, listen=URL, wokers=3)  # E
    await trionng.serve_rep(nursery, answer, listen=5)  # E


async def others(nursery: trio.Nursery) -> None:
    await trionng.serve_respondent(nursery, answer, dial=URL)
    await trionng.serve_respondent(nursery, silent, dial=URL)
    await trionng.serve_respondent(nursery, answer_message, dial=URL, messages=True)
    await trionng.serve_pull(nursery, silent, listen=URL)
    await trionng.serve_pull(nursery, answer, listen=URL)
    await trionng.serve_sub(nursery, silent, topics=["a", b"b"], dial=URL)
    await nursery.start(partial(trionng.run_rep, answer, listen=URL))

    await trionng.serve_respondent(nursery, answer_message, dial=URL)  # E
    await trionng.serve_respondent(nursery, plain, dial=URL)  # E
    await trionng.serve_pull(nursery, answer_message, listen=URL)  # E
    await trionng.serve_pull(nursery, plain, listen=URL)  # E
    await trionng.serve_sub(nursery, answer_message, dial=URL)  # E
    await trionng.serve_sub(nursery, silent, topics=5, dial=URL)  # E


async def run() -> None:
    await trionng.run_rep(answer, listen=URL)


async def run_wrongly() -> None:
    await trionng.run_rep(answer_message, listen=URL)  # E


def threads() -> None:
    with blocking.serve_rep(plain, listen=URL) as service:
        print(service.url)
    blocking.serve_rep(lambda request: request, listen=URL)
    blocking.serve_rep(answer, listen=URL)  # E
    blocking.serve_rep(wants_text, listen=URL)  # E

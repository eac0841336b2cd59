"""The programs of examples/, run as real processes, as their first lines say."""

from __future__ import annotations

import contextlib
import runpy
import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import trionng
from tests.support.processes import PYTHON, STRICT, OtherProcess, other_process
from trionng.instrument import add_instrument, remove_instrument
from trionng.testing import new_url

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

EXAMPLES = Path(__file__).parents[2] / "examples"
WITHIN = 60


def example(name: str, *arguments: str) -> AbstractAsyncContextManager[OtherProcess]:
    """Run an example; a warning in it is an error."""
    return other_process(*PYTHON, *STRICT, EXAMPLES / f"{name}.py", *arguments)


@pytest.fixture
def urls(tmp_path: Path) -> list[str]:
    """Two addresses that no other test has."""
    return [new_url("ipc", tmp_path), new_url("ipc", tmp_path)]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_example_file_fits_on_a_screen(path: Path) -> None:
    """An example has at most 60 lines."""
    assert len(path.read_text("utf-8").splitlines()) <= 60


async def test_example_worker_pool_survives_workers_that_are_killed(urls: list[str]) -> None:
    """Two of three workers are killed at work; every job is done, and counted once."""
    with trio.fail_after(WITHIN):
        async with example("worker_pool", "boss", urls[0], "150") as boss:
            assert await boss.line() == "ready"
            async with contextlib.AsyncExitStack() as stack:
                workers = [
                    await stack.enter_async_context(example("worker_pool", "worker", urls[0]))
                    for _ in range(3)
                ]
                for worker in workers:
                    assert await worker.line() == "working"
                await trio.sleep(0.2)  # in the middle of the work, if only nearly
                for worker in workers[:2]:
                    worker.signal(signal.SIGKILL)
                assert await boss.line() == f"sum of squares: {sum(i * i for i in range(150))}"
                assert await boss.end() == (0, "", "")


async def test_example_rpc_service_stopped_answers_what_was_asked() -> None:
    """SIGTERM in the middle of a call: the caller gets its answer, and the service ends well."""
    with trio.fail_after(WITHIN):
        async with example("rpc_service", "serve", "tcp://127.0.0.1:0") as service:
            url = await service.line()
            async with example("rpc_service", "call", url, "add", "2", "3") as first:
                assert await first.end() == (0, "5.0\n", "")
            async with example("rpc_service", "call", url, "sub", "2", "3") as wrong:
                assert await wrong.end() == (0, "KeyError: 'sub'\n", "")
            async with example("rpc_service", "call", url, "add", "1", "1") as second:
                with contextlib.suppress(trio.TooSlowError), trio.fail_after(0.7):
                    assert await second.line() == "2.0"
                service.signal(signal.SIGTERM)
                code, _, errors = await service.end()
            assert (code, errors) == (0, "")


async def test_example_ticker_late_reader_gets_state_and_changes(urls: list[str]) -> None:
    """A reader who comes later misses no change after the state it was told."""
    with trio.fail_after(WITHIN):
        async with example("ticker", "publish", *urls) as publisher:
            assert await publisher.line() == "publishing"
            async with example("ticker", "read", *urls, "NNG", "3") as reader:
                code, output, errors = await reader.end()

    assert (code, errors) == (0, "")
    first, *changes = output.splitlines()
    price = int(first.removeprefix("so far "))
    assert changes == [f"NNG {price + i}" for i in (1, 2, 3)]


async def test_example_discovery_finds_every_node(urls: list[str]) -> None:
    """Both nodes answer in time."""
    with trio.fail_after(WITHIN):
        async with (
            example("discovery", "node", urls[0], "alice"),
            example("discovery", "node", urls[0], "bob"),
            example("discovery", "ask", urls[0], "2") as asking,
        ):
            code, output, errors = await asking.end()

    assert (code, errors) == (0, "")
    assert [line.partition(",")[0] for line in output.splitlines()] == [
        "asking",
        "found alice",
        "found bob",
    ]


async def test_example_chat_reaches_everybody(urls: list[str]) -> None:
    """What one says, the other reads."""
    with trio.fail_after(WITHIN):
        async with example("chat", "alice", urls[0]) as alice:
            assert await alice.line() == "joined"
            async with example("chat", "bob", urls[1], urls[0]) as bob:
                assert await bob.line() == "joined"
                await bob.write("hello\n")
                assert await alice.line() == "bob: hello"
                await alice.write("hi\n")
                assert await bob.line() == "alice: hi"
                for each in (bob, alice):
                    await each.close_input()
                    assert await each.end() == (0, "", "")


async def test_example_proxy_passes_requests_and_replies(urls: list[str]) -> None:
    """A client that knows the proxy alone is answered by the server behind it."""
    with trio.fail_after(WITHIN):
        async with (
            example("proxy", "proxy", *urls) as proxy,
            example("proxy", "serve", urls[1]) as server,
        ):
            assert await proxy.line() == "forwarding"
            assert await server.line() == "serving"
            async with example("proxy", "ask", urls[0], "hello") as client:
                assert await client.end() == (0, f"hello from {server.pid}\n", "")


async def test_example_guest_mode_answers_in_asyncio(urls: list[str]) -> None:
    """Server and client are asyncio programs; Ctrl-C ends the server."""
    with trio.fail_after(WITHIN):
        async with example("guest_mode", "serve", urls[0]) as server:
            assert await server.line() == "serving"
            async with example("guest_mode", "ask", urls[0], "hello", "nng") as client:
                assert await client.end() == (0, "asyncio says hello\nasyncio says nng\n", "")
            server.signal(signal.SIGINT)
            assert await server.end() == (0, "", "")


async def test_example_tracing_has_one_trace_for_both_sides() -> None:
    """The span of the handler is a child of the client's, and is current in the handler."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    example = runpy.run_path(str(EXAMPLES / "observability" / "tracing.py"))
    instrument = example["Tracing"](tracer)

    async def handler(request: bytes) -> bytes:
        if request.endswith(b"milk"):
            raise ValueError("not sold")
        await trio.lowlevel.checkpoint()
        with tracer.start_as_current_span("look up"):
            return bytes(await example["handler"](request))

    add_instrument(instrument)
    async with trio.open_nursery() as nursery:
        serve = partial(trionng.serve_rep, nursery, on_error=trionng.reply_error)
        service = await serve(handler, listen=new_url())
        async with trionng.Req0(dial=service.url) as req:
            for word, reply in (b"tea", b"ordered: tea"), (b"milk", b"ValueError: not sold"):
                assert await example["ask"](tracer, req, word) == reply
        nursery.cancel_scope.cancel()
    remove_instrument(instrument)

    spans = exporter.get_finished_spans()
    assert [each.name for each in spans] == ["look up", "serve_rep", "order", "serve_rep", "order"]
    assert [each.status.is_ok for each in spans] == [True, True, True, False, True]
    ids = [each.context.span_id for each in spans if each.context]
    parents = [each.parent and each.parent.span_id for each in spans]
    assert parents == [ids[1], ids[2], None, ids[4], None]
    assert len({each.context.trace_id for each in spans if each.context}) == 2

"""`trionng.instrument`: what instruments are told, in both APIs, and that none costs nothing."""

from __future__ import annotations

import contextvars
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio

import trionng
from tests.support.fixes import needs_fix
from tests.support.waiting import wait_until
from trionng import blocking
from trionng._core import hooks
from trionng._instrument import registry
from trionng.instrument import Instrument, add_instrument, remove_instrument
from trionng.testing import connected, new_url

if TYPE_CHECKING:
    from collections.abc import Iterator

MISSED = 4096  # EVENTS_KEPT of nng/conn/reports.c


@contextmanager
def added(*instruments: object) -> Iterator[None]:
    """Have instruments for the time of a block; afterwards nothing is hooked in any more."""
    for each in instruments:
        add_instrument(each)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for each in {*instruments} & {*registry._all}:
            remove_instrument(each)  # type: ignore[arg-type]
    names = ("request", "handler", "drop", "failure", "connection")
    assert [getattr(hooks, name) for name in names] == [None] * 5


class Calls(Instrument):
    """Keeps what it is told of requests and handlers."""

    def __init__(self) -> None:
        self.requests = []
        self.handlers = []

    def request_started(self, request):
        self.requests.append(request)

    def request_finished(self, request, error):
        self.requests.append((request, error))

    def handler_started(self, call):
        self.handlers.append(call)

    def handler_finished(self, call, error):
        self.handlers.append((call, error))


class Connections(Instrument):
    """Keeps what it is told of the connections of one URL, with the thread."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.told: list[tuple[object, ...]] = []
        self.threads: set[str] = set()

    def tell(self, url, *what):
        self.threads.add(threading.current_thread().name)
        if url == self.url:
            self.told.append(what)

    def those(self, what: str) -> set[object]:
        """Return the connections of which it was told this."""
        return {each[1] for each in self.told if each[0] == what}

    def connection_opened(self, pipe):
        self.tell(pipe.url, "opened", pipe)

    def connection_closed(self, pipe, reason):
        self.tell(pipe.url, "closed", pipe, reason)

    def connection_rejected(self, pipe, reason):
        self.tell(pipe.url, "rejected", pipe, reason)

    def connection_failed(self, dialer, error):
        self.tell(dialer.url, "failed", type(error))


async def answer(request: bytes) -> bytes:
    if request == b"fail":
        raise ValueError("no")
    if request == b"hang":
        await trio.sleep_forever()
    return request.upper()


async def test_instrument_hears_of_requests(api):
    """Started and finished have the same object; finished has the error, a timeout too."""
    instrument = Calls()
    async with trio.open_nursery() as nursery:
        service = await trionng.serve_rep(nursery, answer, listen=new_url())
        req = await trio.to_thread.run_sync(lambda: api.module.Req0(dial=service.url))
        with added(instrument):
            assert await api.call(req.request, b"one") == b"ONE"
            if api.module is trionng:
                with trio.move_on_after(0.01):
                    await req.request(b"hang")
            else:
                with pytest.raises(trionng.Timeout):
                    await api.call(req.request, b"hang", timeout=0.01)
            await api.close(req)
            with pytest.raises(trionng.Closed):
                await api.call(req.request, b"closed")
        nursery.cancel_scope.cancel()

    started, finished = instrument.requests[::2], instrument.requests[1::2]
    assert [each.data for each in started] == [b"one", b"hang", b"closed"][: len(started)]
    assert all(each.socket is req for each in started)
    assert [each for each, _ in finished] == started
    cancelled = trio.Cancelled if api.module is trionng else trionng.Timeout
    kinds = [type(None), cancelled, trionng.Closed]
    assert [type(error) for _, error in finished] == kinds[: len(finished)]
    assert len(finished) >= 2  # the sync API refuses a closed socket before a request begins


async def test_instrument_hears_of_handlers():
    """It has message and connection; an error also where `on_error` makes a reply of it."""
    instrument = Calls()
    with added(instrument):
        async with trio.open_nursery() as nursery:
            serve = partial(trionng.serve_rep, nursery, on_error=trionng.reply_error)
            service = await serve(answer, listen=new_url("tcp", ""))
            async with trionng.Req0(dial=service.url) as req:
                assert await req.request(b"one") == b"ONE"
                assert await req.request(b"fail") == b"ValueError: no"
                pipes = service.socket.pipes
                nursery.start_soon(req.request, b"hang")
                while len(instrument.handlers) < 5:
                    await trio.sleep(0.001)
                nursery.cancel_scope.cancel()
            nursery.cancel_scope.cancel()

    started, finished = instrument.handlers[::2], instrument.handlers[1::2]
    assert [each.message for each in started] == [b"one", b"fail", b"hang"]
    assert {(each.service, each.socket, each.pipe) for each in started} == {
        ("serve_rep", service.socket, pipes[0])
    }
    assert [each for each, _ in finished] == started
    assert [type(error) for _, error in finished] == [type(None), ValueError, trio.Cancelled]


async def test_handler_runs_in_the_context_of_its_instrument():
    """What handler_started sets, the handler sees and handler_finished can reset; no other does."""
    name = contextvars.ContextVar("name", default="none")
    seen = []

    class Tracing(Instrument):
        def handler_started(self, call):
            self.token = name.set(call.message.bytes.decode())

        def handler_finished(self, call, error):
            name.reset(self.token)
            seen.append(name.get())

    async def handler(message: trionng.Message) -> bytes:
        seen.append(name.get())
        await trio.lowlevel.checkpoint()
        seen.append(name.get())
        return b""

    async with trio.open_nursery() as nursery:
        service = await trionng.serve_rep(nursery, handler, listen=new_url(), messages=True)
        async with trionng.Req0(dial=service.url) as req:
            with added(Tracing()):
                await req.request(b"one")
                await req.request(b"two")
        nursery.cancel_scope.cancel()

    assert seen == ["one", "one", "none", "two", "two", "none"]
    assert name.get() == "none"


async def test_instrument_hears_of_handlers_of_every_service():
    """serve_pull, serve_pipes and the service of threads call it, too."""
    instrument = Calls()
    done = trio.Event()

    async def handle(_message: bytes) -> None:
        done.set()

    async def serve(channel: trionng.PipeChannel) -> None:
        await channel.send(await channel.receive())

    with added(instrument):
        async with trio.open_nursery() as nursery:
            pull = await trionng.serve_pull(nursery, handle, listen=new_url())
            async with trionng.Push0(dial=pull.url) as push:
                await push.send(b"job")
                await done.wait()
            hub = trionng.Pair1(polyamorous=True, listen=new_url())
            async with hub, trionng.Pair1(dial=hub.listeners[0].url) as pair:
                await trionng.serve_pipes(nursery, hub, serve)
                await pair.send(b"hello")
                await pair.recv()
                while len(instrument.handlers) < 4:
                    await trio.sleep(0.001)
            nursery.cancel_scope.cancel()
        await trio.to_thread.run_sync(serve_in_threads)

    started = instrument.handlers[::2]
    assert [(each.service, each.message) for each in started] == [
        ("serve_pull", b"job"),
        ("serve_pipes", None),
        ("serve_rep", b"word"),
        ("serve_rep", b""),
    ]
    assert [type(each[1]) for each in instrument.handlers[1::2]] == [type(None)] * 3 + [IndexError]


def serve_in_threads() -> None:
    def handler(request: bytes) -> bytes:
        return request[0:1] + request[0].to_bytes(1, "big")

    service = blocking.serve_rep(handler, listen=new_url(), workers=1)
    with blocking.Req0(dial=service.url) as req:
        assert req.request(b"word") == b"ww"
        req.send(b"")
        with pytest.raises(IndexError):
            service.wait(timeout=60)
    service.close()


@pytest.mark.parametrize("module", [trionng, blocking], ids=["trio", "blocking"])
def test_instrument_hears_of_connections(module):
    """Opened and closed in this order, rejected with the reason, and a dialer that gets none."""
    pair = module.Pair0()
    url = pair.listen("tcp://127.0.0.1:0").url
    instrument = Connections(url)
    with added(instrument), blocking.Pair0() as late:
        with blocking.Pair0() as peer, blocking.Pair0() as third:
            peer.dial(url, block=True)
            with pytest.raises(trionng.NNGException):  # noqa: PT012
                while True:  # on a busy machine a refusal comes late, and the dial misses it
                    third.dial(url, block=True).close()
            own = {*pair.pipes, *peer.pipes}
        pair._abort()
        wait_until(lambda: own <= instrument.those("opened") == instrument.those("closed"))
        late.dial(url, block=False)  # nothing listens there any more, or not for long
        wait_until(lambda: instrument.those("failed"))

    assert len(own) == 2
    gone = {trionng.ConnectionRefused, trionng.ConnectionReset, trionng.ConnectionShutdown}
    assert instrument.those("failed") <= gone
    assert ("rejected", "taken") in [(each[0], each[-1]) for each in instrument.told]
    assert instrument.threads == {"trionng reports"}


@needs_fix("F1", "F2")
@pytest.mark.parametrize("protocol", ["Pub0", "Sub0", "Respondent0"])
async def test_instrument_hears_of_drops_again_and_again(protocol: str):
    """Each time with the number of all that the socket has dropped; the log has one line."""
    counts: dict[object, list[int]] = {}

    class Drops(Instrument):
        def message_dropped(self, socket, count):
            counts.setdefault(socket, []).append(count)

    sender: trionng.Surveyor0 | trionng.Pub0
    receiver: trionng.Respondent0 | trionng.Sub0
    if protocol == "Respondent0":
        sender, receiver = trionng.Surveyor0(), trionng.Respondent0()
    else:
        size = 1 if protocol == "Pub0" else 8000
        sender = trionng.Pub0(send_buffer_size=size)
        receiver = trionng.Sub0(topics="", recv_buffer_size=1)
    async with connected(sender, receiver, "inproc"):
        dropping = sender if protocol == "Pub0" else receiver
        with added(Drops()), trio.fail_after(60):
            while len(counts.get(dropping, [])) < 2:
                await sender.send(b"x")
    assert counts[dropping] == sorted(counts[dropping])


async def test_instrument_that_raises_is_removed_and_logged(caplog):
    """The call goes on as if there were none, and the other instruments do."""

    class Broken(Instrument):
        def request_started(self, request):
            raise KeyError("of the instrument")

    class OneMethod:
        """Needs no base class."""

        def request_finished(self, request, error):
            finished.append(error)

    finished: list[BaseException | None] = []
    broken = Broken()
    async with trio.open_nursery() as nursery:
        service = await trionng.serve_rep(nursery, answer, listen=new_url())
        async with trionng.Req0(dial=service.url) as req:
            with added(broken, OneMethod()):
                for _ in range(2):
                    assert await req.request(b"one") == b"ONE"
                with pytest.raises(KeyError):
                    remove_instrument(broken)
        nursery.cancel_scope.cancel()

    assert finished == [None, None]
    [record] = caplog.records
    assert record.name == "trionng"
    assert record.getMessage().startswith("request_started of the instrument <")
    assert "KeyError: 'of the instrument'" in caplog.text


def test_instrument_without_a_method_is_refused():
    """It would be told nothing; adding one twice does nothing."""
    with pytest.raises(TypeError, match="Mine defines none of request_started, "):
        add_instrument(type("Mine", (Instrument,), {})())
    instrument = Calls()
    with added(instrument, instrument):
        assert registry._all == [instrument]


@pytest.mark.slow
async def test_events_of_connections_that_were_missed_are_logged(caplog):
    """While an instrument blocks the thread, so many events wait, and the rest is counted."""
    may_go_on = threading.Event()

    class Slow(Instrument):
        def connection_opened(self, pipe):
            may_go_on.wait(60)

    async with trionng.Bus0(listen=new_url()) as bus:
        with added(Slow()):
            for _ in range(MISSED // 4 + 20):
                async with trionng.Bus0() as peer:
                    await peer.dial(bus.listeners[0].url, block=True)
            may_go_on.set()
            wait_until(lambda: caplog.records)

    assert "events of connections: there were too many" in caplog.text

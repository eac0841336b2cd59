"""FaultyProxy against nng's own recovery: what breaks, and that the dialer comes back."""

from __future__ import annotations

import itertools
import logging
import time

import pytest
import trio
import trio.testing

import trionng
from tests.support.sp import PAIR0, raw_peer
from trionng.testing import NngClock, new_url, open_proxy

SCHEMES = ("tcp", "ipc")
HANDSHAKE = 8
# The handshake, the length of a message, its body of 4 bytes; one byte of ipc's own before it.
ONE_MESSAGE = {"tcp": HANDSHAKE + 8 + 4, "ipc": HANDSHAKE + 9 + 4}


@pytest.fixture(autouse=True)
def _unlogged():
    """What trionng logs of connections that fail is no news here."""
    logging.getLogger("trionng").addHandler(logging.NullHandler())


class Link:
    """A Pair0 that dials a Pair0 through a proxy."""

    def __init__(self, proxy, dialing, listening):
        self.proxy = proxy
        self.dialing, self.listening = dialing, listening


@pytest.fixture(params=SCHEMES)
async def link(request, nursery):
    """The proxy, and the two sockets; the connection is made."""
    with trio.fail_after(60):
        async with (
            trionng.Pair0(listen=new_url(request.param)) as listening,
            trionng.Pair0(reconnect_time_min=1, reconnect_time_max=5) as dialing,
            await open_proxy(nursery, listening.listeners[0].url) as proxy,
        ):
            await dialing.dial(proxy.url, block=True)
            yield Link(proxy, dialing, listening)


class Counter:
    """Sends numbers for ever, and receives them: nng sees the end of what it reads from only."""

    def __init__(self, nursery, sender, receiver):
        self._sender, self._receiver = sender, receiver
        self._sent = self._received = 0
        self._receives = trio.Event()
        nursery.start_soon(self._send)
        nursery.start_soon(self._receive)

    async def _send(self):
        for self._sent in itertools.count():
            await self._sender.send(b"%04d" % self._sent)
            await trio.sleep(0.001)

    async def _receive(self):
        async for message in self._receiver:
            self._received = int(message)
            self._receives.set()
            self._receives = trio.Event()

    async def arrives(self):
        """Wait until a message arrives that is sent from now on."""
        begun = self._sent
        while self._received <= begun:
            await self._receives.wait()


@pytest.mark.parametrize("direction", ["to_listener", "to_dialer"])
@pytest.mark.parametrize("reset", [False, True], ids=["end", "reset"])
async def test_cut_at_each_byte_is_followed_by_a_message(link, nursery, direction, reset):
    """Each byte of the handshake and of a message: the dialer comes back, messages arrive."""
    way = getattr(link.proxy, direction)
    sender, receiver = link.dialing, link.listening
    if direction == "to_dialer":
        sender, receiver = receiver, sender
    counter = Counter(nursery, sender, receiver)
    scheme = link.proxy.url.partition(":")[0]
    for at in range(ONE_MESSAGE[scheme] + 2):
        accepted = link.proxy.accepted
        link.proxy.reset()
        cut = way.cut(at, reset=reset)
        await cut.wait()
        await counter.arrives()
        assert link.proxy.accepted >= accepted + 2, at
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("direction", ["to_listener", "to_dialer"])
async def test_lost_byte_of_the_handshake_ends_the_connection(link, nursery, direction):
    """nng gets no further without it; the next connection works."""
    counter = Counter(nursery, link.dialing, link.listening)
    for at in range(HANDSHAKE):
        link.proxy.reset()
        lost = getattr(link.proxy, direction).drop(at)
        await lost.wait()
        # With a byte too few nng may wait for more.
        link.proxy.reset()
        await counter.arrives()
    nursery.cancel_scope.cancel()


async def test_drop_loses_the_bytes_it_names():
    """The bytes before and after are there, whatever pieces they come in."""
    for split in (None, 1, 3):
        async with plain_link() as (proxy, dialer, listener):
            proxy.to_listener.split = split
            lost = proxy.to_listener.drop(2, 4)
            await dialer.send_all(b"0123456789")
            assert await read(listener, 6) == b"016789"
            assert lost.is_set()


async def test_split_passes_pieces(link):
    """Messages that come a byte at a time arrive whole, in both directions."""
    link.proxy.to_dialer.split = link.proxy.to_listener.split = 1
    async with link.dialing.pipe_events() as events:
        assert (await events.__anext__()).kind == "connected"
        link.proxy.reset()
        while (await events.__anext__()).kind != "connected":
            pass
    for size in (0, 1, 300):
        await link.dialing.send(b"x" * size)
        assert await link.listening.recv() == b"x" * size
        await link.listening.send(b"y" * size)
        assert await link.dialing.recv() == b"y" * size


async def test_stop_holds_bytes_and_resume_lets_them_pass(link):
    """Nothing arrives while the proxy stops, nothing is lost, and the connection stays."""
    link.proxy.stop()
    await link.dialing.send(b"late")
    await link.dialing.flush()
    with trio.move_on_after(0.05) as scope:
        await link.listening.recv()
    assert scope.cancelled_caught
    link.proxy.resume()
    assert await link.listening.recv() == b"late"
    assert link.proxy.accepted == 1


async def test_stop_at_a_byte_lets_no_more_pass():
    """Exactly so many bytes arrive before it stops; `resume` delivers the rest."""
    async with plain_link() as (proxy, dialer, listener):
        stopped = proxy.to_listener.stop(at=3)
        await dialer.send_all(b"abcdef")
        assert await read(listener, 3) == b"abc"
        await stopped.wait()
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert proxy.to_listener.stopped
        assert not proxy.to_dialer.stopped
        proxy.resume()
        assert await read(listener, 3) == b"def"


async def test_stopped_handshake_ends_when_the_dialer_gives_up(link):
    """A dial through a proxy that stops waits, and a cancel ends it at once."""
    link.proxy.stop()
    async with trionng.Pair0() as other:
        with trio.move_on_after(0.05) as scope:
            await other.dial(link.proxy.url, block=True)
        assert scope.cancelled_caught
    link.proxy.resume()


async def test_reset_ends_all_connections_and_dialers_come_back(link):
    """Every connection of the moment ends, the dialer connects again, messages pass."""
    async with link.dialing.pipe_events() as events:
        assert (await events.__anext__()).kind == "connected"
        link.proxy.reset()
        assert (await events.__anext__()).kind == "disconnected"
        assert (await events.__anext__()).kind == "connected"
    await link.dialing.send(b"back")
    assert await link.listening.recv() == b"back"


async def test_reset_is_a_reset_on_tcp():
    """The peer's operating system sees RST, not an end of the stream."""
    async with plain_link() as (proxy, dialer, listener):
        await dialer.send_all(b"x")
        assert await read(listener, 1) == b"x"
        proxy.reset()
        with pytest.raises(trio.BrokenResourceError):
            await dialer.receive_some()


async def test_cut_is_an_end_of_the_stream():
    """Both ends read what had passed, then the end."""
    async with plain_link() as (proxy, dialer, listener):
        cut = proxy.to_listener.cut(2)
        await dialer.send_all(b"abc")
        assert await read(listener, 2) == b"ab"
        assert await listener.receive_some() == b""
        assert await dialer.receive_some() == b""
        await cut.wait()
        assert proxy.connections == 0


async def test_cut_where_a_connection_is_happens_at_once():
    """A cut at the byte where a connection is does not wait for the next one."""
    async with plain_link() as (proxy, dialer, listener):
        await dialer.send_all(b"abc")
        assert await read(listener, 3) == b"abc"
        with trio.fail_after(60):
            await proxy.to_listener.cut(3).wait()
        assert await listener.receive_some() == b""


async def test_cut_at_a_byte_that_has_passed_waits_for_the_next():
    """A connection that is beyond the byte is left alone; the next one is cut, once."""
    async with plain_link() as (proxy, dialer, listener):
        await dialer.send_all(b"abc")
        assert await read(listener, 3) == b"abc"
        cut = proxy.to_listener.cut(1)
        await dialer.send_all(b"d")
        assert await read(listener, 1) == b"d"
        assert not cut.is_set()
        other = await trio.open_tcp_stream(*address_of(proxy.url))
        async with other:
            await other.send_all(b"ef")
            await cut.wait()
            with trio.fail_after(60):
                assert await other.receive_some() == b""


def test_delay_is_on_the_clock_of_the_run():
    """A byte is under way for as long as it is told, and bytes do not wait for each other."""

    async def main():
        async with plain_link() as (proxy, dialer, listener):
            proxy.to_listener.delay = 100
            for number in range(3):
                await dialer.send_all(b"%d" % number)
                await trio.sleep(10)
            assert [await read(listener, 1), trio.current_time()] == [b"0", 100]
            assert [await read(listener, 1), trio.current_time()] == [b"1", 110]
            assert [await read(listener, 1), trio.current_time()] == [b"2", 120]

    begin = time.monotonic()
    trio.run(main, clock=NngClock())
    assert time.monotonic() - begin < 60


async def test_delayed_message_arrives_later(link):
    """nng waits for what is under way."""
    link.proxy.to_listener.delay = 0.05
    begin = trio.current_time()
    await link.dialing.send(b"slow")
    assert await link.listening.recv() == b"slow"
    assert trio.current_time() - begin >= 0.05


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_dead_target_closes_the_dialers_connection(scheme):
    """With no listener behind it the proxy says why; when there is one the dialer gets to it."""
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery, trionng.Pair0() as listening:
            listener = listening.listen(new_url(scheme))
            target = listener.url
            await listener.aclose()
            async with (
                await open_proxy(nursery, target) as proxy,
                trionng.Pair0(reconnect_time_min=1, reconnect_time_max=5) as dialing,
            ):
                with pytest.raises((trionng.ConnectionShutdown, trionng.ConnectionReset)):
                    await dialing.dial(proxy.url, block=True)
                assert isinstance(proxy.last_error, OSError)
                await dialing.dial(proxy.url, block=False)
                listening.listen(target)
                await dialing.wait_connected()
                await dialing.send(b"alive")
                assert await listening.recv() == b"alive"


@pytest.mark.parametrize("scheme", ["tcp", "tcp6", "ipc", "abstract", "ws"])
async def test_proxy_passes_on_every_transport_of_bytes(scheme, nursery):
    """Its URL has the transport of the target, and a new proxy changes nothing."""
    async with (
        trionng.Rep0(listen=new_url(scheme)) as rep,
        trionng.Req0() as req,
        await open_proxy(nursery, rep.listeners[0].url) as proxy,
    ):
        assert proxy.url.partition(":")[0] == scheme
        assert proxy.target == rep.listeners[0].url
        with trio.fail_after(60):
            await req.dial(proxy.url, block=True)
            await req.send(b"x" * 200_000)
            assert await rep.recv() == b"x" * 200_000


@pytest.mark.parametrize(
    ("target", "listen", "error"),
    [
        ("inproc://a", None, trionng.InvalidOperation),
        ("tcp://127.0.0.1:1", "ipc:///tmp/a", trionng.InvalidOperation),
        ("nonsense", None, trionng.AddressInvalid),
        ("ipc:///tmp/a", "ipc:///nowhere/at/all", OSError),
    ],
)
async def test_proxy_refuses_what_it_cannot_do(nursery, target, listen, error):
    """A URL without bytes, of another transport, of no form, of no directory."""
    with pytest.raises(error):
        await open_proxy(nursery, target, listen=listen)


async def test_proxy_listens_where_it_is_told(nursery, tmp_path):
    """The URL is the caller's; the file of an ipc URL is gone after the close."""
    path = tmp_path / "proxy"
    async with await open_proxy(nursery, "ipc:///tmp/none", listen=f"ipc://{path}") as proxy:
        assert proxy.url == f"ipc://{path}"
        assert path.exists()
    assert not path.exists()


async def test_close_ends_connections_and_may_be_repeated(link):
    """Connections end, the URL serves no more, a second close does nothing."""
    await link.proxy.aclose()
    await link.proxy.aclose()
    assert link.proxy.connections == 0
    assert "closed" in repr(link.proxy)
    async with trionng.Pair0() as other:
        with pytest.raises((trionng.ConnectionRefused, trionng.NoEntry)):
            await other.dial(link.proxy.url, block=True)


async def test_cancelled_close_closes_then_raises(nursery):
    """The proxy is closed, and the cancellation is raised."""
    proxy = await open_proxy(nursery, "tcp://127.0.0.1:1")
    with trio.CancelScope() as scope:
        scope.cancel()
        await proxy.aclose()
    assert scope.cancelled_caught
    assert "closed" in repr(proxy)


async def test_cancelled_nursery_ends_the_proxy():
    """The nursery owns the tasks; its cancel leaves no connection, and no ipc file."""
    async with trionng.Pair0(listen=new_url("ipc")) as a, trionng.Pair0() as b:
        async with trio.open_nursery() as nursery:
            proxy = await open_proxy(nursery, a.listeners[0].url)
            await b.dial(proxy.url, block=True)
            assert proxy.connections == 1
            nursery.cancel_scope.cancel()
        assert proxy.connections == 0
        assert not await trio.Path(proxy.url.removeprefix("ipc://")).exists()
        await proxy.aclose()


async def test_cancelled_open_leaves_nothing(tmp_path):
    """Cancelled before it began: no task, no file, no descriptor (ResourceWarning is an error)."""
    async with trio.open_nursery() as nursery:
        nursery.cancel_scope.cancel()
        await open_proxy(nursery, "ipc:///tmp/none", listen=f"ipc://{tmp_path}/proxy")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "call",
    [
        lambda way: setattr(way, "delay", -1),
        lambda way: setattr(way, "split", 0),
        lambda way: way.cut(-1),
        lambda way: way.cut("8"),
        lambda way: way.drop(0, -1),
        lambda way: way.stop(at=-1),
    ],
)
async def test_direction_refuses_wrong_numbers(nursery, call):
    """A delay, a size and a position are not negative."""
    async with await open_proxy(nursery, "tcp://127.0.0.1:1") as proxy:
        with pytest.raises(ValueError, match="number of"):
            call(proxy.to_listener)
        with pytest.raises(AttributeError, match="did you mean 'delay'"):
            proxy.to_listener.dellay = 1


async def test_proxy_shows_what_it_is(nursery):
    """The representations name the URLs, the connections, and what is set."""
    async with await open_proxy(nursery, "tcp://127.0.0.1:1") as proxy:
        assert repr(proxy) == f"<FaultyProxy {proxy.url} to tcp://127.0.0.1:1: 0 connections>"
        assert repr(proxy.to_dialer) == "<to_dialer: delay=0.0, split=None, stopped=False>"


async def test_stranger_through_the_proxy_is_seen_by_nng(link):
    """A peer that nng does not know gets through the proxy as it is."""
    async with link.listening.pipe_events() as events:
        await link.dialing.aclose()
        while (await events.__anext__()).kind != "disconnected":
            pass
    async with raw_peer(link.proxy.url) as peer:
        await peer.greet(PAIR0)
        await peer.send(b"raw")
        assert await link.listening.recv() == b"raw"


# Streams without nng, for what nng would hide.


class plain_link:
    """A proxy between two plain tcp streams, for the time of a block."""

    async def __aenter__(self):
        self._nursery = trio.open_nursery()
        nursery = await self._nursery.__aenter__()
        [self._listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = self._listener.socket.getsockname()[1]
        self._proxy = await open_proxy(nursery, f"tcp://127.0.0.1:{port}")
        self._dialer = await trio.open_tcp_stream(*address_of(self._proxy.url))
        self._accepted = await self._listener.accept()
        return self._proxy, self._dialer, self._accepted

    async def __aexit__(self, *exc):
        for each in (self._dialer, self._accepted, self._listener, self._proxy):
            await each.aclose()
        return await self._nursery.__aexit__(*exc)


def address_of(url):
    host, _, port = url.partition("://")[2].rpartition(":")
    return host, int(port)


async def read(stream, size):
    data = b""
    while len(data) < size:
        chunk = await stream.receive_some(size - len(data))
        assert chunk, data
        data += chunk
    return data

"""Dials that fail: a call that waits raises; otherwise the log has a line with URL and cause."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import re
import threading
import time
from typing import TYPE_CHECKING

import pytest
import trio

import trionng
from tests.support.certificates import client, identity, server
from tests.support.fixes import LINK
from tests.support.pauses import WITHIN
from tests.support.ports import reserved_port
from tests.support.sockets import dial_refused
from tests.support.sp import PULL0, greeting, raw_peer
from tests.support.subprocesses import run_in_subprocess, run_test_build
from trionng import Admission, blocking
from trionng._ffi import testing
from trionng._ffi.load import lib
from trionng.testing import new_url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

SECONDS = 60
NOBODY = Admission(addresses="10.0.0.0/8")
# How long nothing more may be logged while a dialer tries every few milliseconds.
QUIET = 0.3
linked_in = pytest.mark.skipif(LINK != "static", reason="libnng hides it where it is not linked in")


class Log:
    """The warnings of trionng, as they come, from whatever thread."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[logging.LogRecord](1000)

    def entry(self, token: trio.lowlevel.TrioToken) -> logging.Handler:
        handler = logging.Handler()
        handler.emit = lambda record: token.run_sync_soon(  # type: ignore[method-assign]
            self._send.send_nowait, record
        )
        return handler

    async def next(self) -> str:
        """Wait for the next line."""
        with trio.fail_after(SECONDS / 2):
            record = await self._receive.receive()
        assert record.name == "trionng"
        assert record.levelno == logging.WARNING
        assert record.exc_info is None
        text = record.getMessage()
        assert "\n" not in text
        return text

    async def is_quiet(self) -> bool:
        """Look for so long whether there is another line."""
        with trio.move_on_after(QUIET):
            pytest.fail((await self._receive.receive()).getMessage())
        return True


@contextlib.contextmanager
def logged() -> Iterator[Log]:
    """Collect what trionng logs in this block."""
    log, logger = Log(), logging.getLogger("trionng")
    handler = log.entry(trio.lowlevel.current_trio_token())
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield log
    finally:
        logger.removeHandler(handler)
        logger.propagate = True


def refusing(transport: str, directory: object) -> tuple[trionng.Socket, str]:
    """Open a listener that admits no peer."""
    rule = Admission(uids=os.getuid() + 1) if transport in ("ipc", "abstract") else NOBODY
    pull = trionng.Pull0()
    return pull, pull.listen(new_url(transport, str(directory)), accept=rule).url


@pytest.mark.parametrize("transport", ["tcp", "ipc", "abstract", "ws"])
async def test_dial_to_a_listener_that_refuses_raises(transport, tmp_path):
    """A dial that is waited for raises when a rule of the peer refuses it, and leaves nothing."""
    pull, url = refusing(transport, tmp_path)
    with trio.fail_after(SECONDS):
        async with pull, trionng.Push0() as push:
            with pytest.raises(trionng.ConnectionRefused, match="closes the connection") as caught:
                await dial_refused(push, url)
            assert caught.value.url == url
            assert url in str(caught.value)
            assert push.dialers == ()
            while push.pipes:  # nng may have dialled again just before
                await trio.sleep(0.001)


@pytest.mark.parametrize("kind", [trionng.Pair0, trionng.Pair1])
@pytest.mark.parametrize("transport", ["inproc", "tcp", "ipc", "ws"])
async def test_dial_to_a_pair_that_has_its_peer_raises(kind, transport, tmp_path):
    """The place of a pair is taken: the second that dials it is told, the first stays."""
    with trio.fail_after(SECONDS):
        async with kind() as listening, kind() as first, kind() as second:
            url = listening.listen(new_url(transport, tmp_path)).url
            await first.dial(url, block=True)
            with pytest.raises(trionng.ConnectionRefused):
                await dial_refused(second, url)
            await first.send(b"still here")
            assert await listening.recv() == b"still here"


async def test_pair_that_has_its_peer_and_dials_raises_busy():
    """A pair takes one peer, whichever side would make the second connection."""
    with trio.fail_after(SECONDS):
        async with trionng.Pair0() as pair, trionng.Pair0() as peer, trionng.Pair0() as other:
            await pair.dial(peer.listen("tcp://127.0.0.1:0").url, block=True)
            with pytest.raises(trionng.Busy, match="has a peer already"):
                await pair.dial(other.listen("tcp://127.0.0.1:0").url, block=True)


def test_blocking_dial_to_a_listener_that_refuses_raises():
    """The same holds for threads."""
    with blocking.Pull0() as pull, blocking.Push0() as push:
        url = pull.listen("tcp://127.0.0.1:0", accept=NOBODY).url

        def dial_often() -> None:  # as dial_refused does
            for _ in range(100):
                push.dial(url, block=True).close()

        with pytest.raises(trionng.ConnectionRefused):
            dial_often()
        assert push.dialers == ()


def test_blocking_constructor_that_is_refused_logs_once(caplog):
    """`dial=` logs there, as `dial(url)` does, that it is refused, and tries on."""

    def said() -> list[str]:
        # The listener logs too.
        return [each.message for each in caplog.records if each.message.startswith(("dial ", url))]

    def of_the_dialer() -> list[str]:
        return [text for text in said() if "was refused" not in text]

    with blocking.Pull0() as pull:
        url = pull.listen("tcp://127.0.0.1:0", accept=NOBODY).url
        with blocking.Push0(dial=url, reconnect_time_min=10) as push:
            end = time.monotonic() + SECONDS
            while not of_the_dialer() and time.monotonic() < end:
                time.sleep(0.01)
            time.sleep(0.1)  # it dials on, and says nothing more
            assert len(of_the_dialer()) == 1
            assert isinstance(push.dialers[0].last_error, trionng.ConnectionRefused)


async def test_dial_that_is_not_refused_lasts_moments_longer():
    """What tells a refusal apart costs milliseconds on this machine."""
    with trio.fail_after(SECONDS):
        async with trionng.Pull0(listen="tcp://127.0.0.1:0") as pull:
            took = math.inf
            while took >= 0.02:  # on a busy machine not the first one
                async with trionng.Push0() as push:
                    began = time.perf_counter()
                    await push.dial(pull.listeners[0].url, block=True)
                    took = time.perf_counter() - began


async def dial_in_a_way(way: str, url: str, **options) -> trionng.Socket:
    """Dial `url` in the background, in one of the ways there are."""
    if way == "constructor":
        return trionng.Push0(dial=url, reconnect_time_min=10, **options)
    push = trionng.Push0(reconnect_time_min=10, **options)
    await push.dial(url, block={"False": False, "None": None}[way])
    return push


@pytest.mark.parametrize("way", ["constructor", "False", "None"])
async def test_dial_in_the_background_that_is_refused_is_logged_once(way, tmp_path):
    """One line with URL and cause, however often it tries again; the dialer shows it too."""
    pull, url = refusing("tcp", tmp_path)
    with trio.fail_after(SECONDS), logged() as log:
        async with pull, await dial_in_a_way(way, url) as push:
            said = {await log.next(), await log.next()}
            (listener,) = [each for each in said if each.startswith(f"{url}: 127.0.0.1:")]
            (dialer,) = said - {listener}
            assert "does not admit" in listener
            # Where libnng is shared its counters may say so before the connection is there.
            assert dialer.startswith(f"dial {url}: the peer closes the connection") or (
                LINK == "shared" and dialer.startswith(f"dial {url}: the peer refused")
            )
            while pull.statistics().rejected < 5:
                await trio.sleep(0.01)
            assert await log.is_quiet()
            assert isinstance(push.dialers[0].last_error, trionng.ConnectionRefused)
            assert not push.dialers[0].connected


async def test_refusal_that_comes_late_is_not_logged_again():
    """A peer that refuses is refusing still when a busy machine takes longer for it."""
    connections = 0

    async def refuse(stream: trio.SocketStream) -> None:
        nonlocal connections
        connections += 1
        async with stream:
            await stream.send_all(greeting(PULL0))
            await stream.receive_some(8)
            await trio.sleep(0 if connections < 3 else 0.05)

    with trio.fail_after(SECONDS), logged() as log:
        async with trio.open_nursery() as nursery:
            (listener,) = await nursery.start(
                trio.serve_listeners, refuse, await trio.open_tcp_listeners(0, host="127.0.0.1")
            )
            url = f"tcp://127.0.0.1:{listener.socket.getsockname()[1]}"
            async with trionng.Push0(dial=url, reconnect_time_min=5):
                assert url in await log.next()
                while connections < 7:
                    await trio.sleep(0.01)
                assert await log.is_quiet()
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("way", ["constructor", "False", "None"])
@pytest.mark.parametrize("transport", ["tcp", "ipc", "inproc"])
async def test_background_dial_without_a_listener_is_logged_once(way, transport, tmp_path):
    """A wrong port, path or name."""
    with trio.fail_after(SECONDS), logged() as log, reserved_port() as port:
        url = f"tcp://127.0.0.1:{port}" if transport == "tcp" else new_url(transport, tmp_path)
        async with await dial_in_a_way(way, url) as push:
            assert (await log.next()).startswith(f"dial {url}: ")
            assert await log.is_quiet()
            error = push.dialers[0].last_error
            assert isinstance(error, trionng.ConnectionRefused)
            assert error.url == url
            assert not push.dialers[0].connected
            assert "(not connected: " in repr(push.dialers[0])


@pytest.mark.parametrize("way", ["constructor", "False", "None"])
async def test_background_dial_to_another_protocol_is_logged_by_both(way):
    """Each side says so once, and counts all of them."""
    with trio.fail_after(SECONDS), logged() as log:
        async with trionng.Rep0(listen="tcp://127.0.0.1:0") as rep, rep.pipe_events() as events:
            url = rep.listeners[0].url
            async with await dial_in_a_way(way, url) as push:
                said = sorted([await log.next(), await log.next()])
                assert said[0].startswith(
                    f"dial {url}: the peer refused the connection, or is no pull"
                )
                assert said[1].startswith(f"{url}: 127.0.0.1:")
                assert "another protocol" in said[1]
                event = await anext(events)
                assert (event.kind, event.reason) == ("rejected", "protocol")
                while rep.statistics().rejected < 5:
                    await trio.sleep(0.01)
                assert push.statistics().rejected > 1
                assert await log.is_quiet()
                assert isinstance(push.dialers[0].last_error, trionng.ProtocolError)


@linked_in
async def test_background_dial_to_an_unknown_host_is_logged_once():
    """A host name that does not resolve."""
    url = "tcp://nowhere.invalid:5555"
    with trio.fail_after(SECONDS), logged() as log:
        async with trionng.Push0(dial=url, reconnect_time_min=10) as push:
            text = await log.next()
            assert text.startswith(f"dial {url}: ")
            assert "nowhere.invalid' is not known" in text
            assert isinstance(push.dialers[0].last_error, trionng.AddressInvalid)
            assert await log.is_quiet()


@pytest.mark.parametrize("way", ["constructor", "False", "None"])
async def test_background_dial_with_a_bad_certificate_is_logged_once(way):
    """A name that the certificate has not."""
    with trio.fail_after(SECONDS), logged() as log:
        async with trionng.Pull0() as pull:
            pull.listen("tls+tcp://127.0.0.1:0", tls_config=server(identity("other.example")))
            url = pull.listeners[0].url
            config = client(server_name="localhost")
            async with await dial_in_a_way(way, url, tls_config=config) as push:
                said = await log.next()
                while not said.startswith("dial "):  # the listener has something to say as well
                    said = await log.next()
                assert url in said
                assert "certificate" in said
                assert push.dialers[0].last_error is not None


async def test_each_outage_is_logged_once():
    """After a connection that lasted, the first failure is news again."""
    with trio.fail_after(SECONDS), logged() as log, reserved_port() as port:
        url = f"tcp://127.0.0.1:{port}"
        async with trionng.Push0(dial=url, reconnect_time_min=10) as push:
            (dialer,) = push.dialers
            for _ in range(3):
                assert (await log.next()).startswith(f"dial {url}: ")
                assert dialer.last_error is not None
                async with trionng.Pull0(listen=url) as pull:
                    await push.wait_connected()
                    assert dialer.connected
                    assert dialer.last_error is None
                    assert repr(dialer) == f"<Dialer {url} (connected)>"
                    await push.send(b"news")
                    assert await pull.recv() == b"news"
                    await trio.sleep(0.03)  # it lasts: what ends at once is a refusal
                while dialer.connected:
                    await trio.sleep(0.001)
            assert (await log.next()).startswith(f"dial {url}: ")
            assert await log.is_quiet()
        assert not dialer.connected
        assert dialer.last_error is None


async def test_connection_that_is_made_logs_nothing():
    """Whichever side comes first, and whichever leaves first."""
    with trio.fail_after(SECONDS), logged() as log:
        async with trionng.Pull0(listen="tcp://127.0.0.1:0") as pull:
            async with trionng.Push0(dial=pull.listeners[0].url) as push:
                await push.wait_connected()
                await push.send(b"x")
                assert await pull.recv() == b"x"
            await trio.lowlevel.checkpoint()
        assert await log.is_quiet()


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
async def test_peer_that_receives_and_closes_is_not_called_refusing(transport, tmp_path):
    """Of a script that takes one message and ends, nothing is logged but that it has gone."""
    with trio.fail_after(SECONDS), logged() as log:
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(20):
                async with trionng.Pull0(listen=new_url(transport, tmp_path)) as pull:
                    url = pull.listeners[0].url
                    push = trionng.Push0(dial=url)
                    await stack.enter_async_context(push)
                    await push.send(b"x")
                    await pull.recv()
                while push.pipes:
                    await trio.sleep(0.001)
            with trio.move_on_after(QUIET):
                while True:
                    text = await log.next()
                    assert re.search("nothing listens|connection refused", text), text


@linked_in
@pytest.mark.parametrize("transport", ["tcp", "ipc"])
async def test_message_over_the_limit_is_counted_and_logged_by_both(transport, tmp_path):
    """It ends its connection; the receiver names its limit, the sender hears that it is refused."""
    with trio.fail_after(SECONDS), logged() as log:
        async with (
            trionng.Rep0(recv_max_size=1000, listen=new_url(transport, tmp_path)) as rep,
            rep.pipe_events() as events,
            trionng.Req0(reconnect_time_min=10) as req,
            trio.open_nursery() as nursery,
        ):
            url = rep.listeners[0].url
            await req.dial(url, block=True)
            assert (await anext(events)).kind == "connected"
            nursery.start_soon(req.request, b"x" * 2000)
            event = await anext(events)
            assert (event.kind, event.reason) == ("disconnected", "oversize")
            said = sorted([await log.next(), await log.next()])
            assert said[0].startswith(f"dial {url}: ")
            assert "recv_max_size" in said[0]
            assert said[1].startswith(f"{url}: ")
            assert "its recv_max_size of 1000 bytes" in said[1]
            while (rep.statistics().oversize or 0) < 5:
                await trio.sleep(0.01)
            assert await log.is_quiet()
            assert rep.statistics().rejected == 0
            nursery.cancel_scope.cancel()


@linked_in
async def test_sender_of_a_message_over_the_limit_is_slowed_down():
    """A request that ends its connection is not sent again and again as fast as that goes."""
    with trio.fail_after(SECONDS):
        async with (
            trionng.Rep0(recv_max_size=1000, listen="tcp://127.0.0.1:0") as rep,
            trionng.Req0(reconnect_time_min=5) as req,
        ):
            await req.dial(rep.listeners[0].url, block=True)
            began = time.perf_counter()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(req.request, b"x" * 2000)
                await trio.sleep(1.5)
                while (rep.statistics().oversize or 0) <= 2:
                    await trio.sleep(0.01)
                assert (rep.statistics().oversize or 0) < 40 * (time.perf_counter() - began)
                nursery.cancel_scope.cancel()


async def fail_in_the_handshake(
    url: str, events: AsyncIterator[trionng.PipeEvent]
) -> trionng.PipeEvent:
    """Send garbage, and again if no event comes.

    nng tells nothing of a peer that fails before its listener has asked for the next one, which
    can happen here: the event of the one before comes just before that.
    """
    while True:
        async with raw_peer(url) as peer:
            await peer.send_raw(b"GET / HTTP/1.1\r\n\r\n")
            with trio.move_on_after(0.3):
                return await anext(events)


@linked_in
async def test_stranger_failing_in_the_handshake_is_logged_once():
    """Garbage instead of a greeting: an event, a count, and one line however many come."""
    with trio.fail_after(SECONDS), logged() as log:
        async with trionng.Pull0(listen="tcp://127.0.0.1:0") as pull, pull.pipe_events() as events:
            url = pull.listeners[0].url
            for _ in range(3):
                event = await fail_in_the_handshake(url, events)
                assert (event.kind, event.reason) == ("rejected", "handshake")
                assert event.pipe.closed
                assert event.pipe.listener is pull.listeners[0]
            assert pull.statistics().rejected >= 3
            said = await log.next()
            assert said.startswith(f"{url}: a peer was refused: it did not get through")
            assert await log.is_quiet()


@linked_in
async def test_strangers_failing_in_the_handshake_cost_peers_nothing():
    """nng rests for 0.1 s after each; with so many of them that would be seconds."""
    with trio.fail_after(SECONDS):
        async with trionng.Pull0(listen="tcp://127.0.0.1:0") as pull, pull.pipe_events() as events:
            url = pull.listeners[0].url
            took = []
            for _ in range(30):
                began = time.perf_counter()
                await fail_in_the_handshake(url, events)
                took.append(time.perf_counter() - began)
            async with trionng.Push0() as push:
                await push.dial(url, block=True)
            # A listener that rests hears of none that fail meanwhile: each would take the 0.3 s of
            # a try that was for nothing. On a busy machine some take that long anyway.
            assert sorted(took)[10] < 0.3


@pytest.mark.parametrize("way", [True, None, False])
@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("nosuch://x", trionng.NotSupported),
        ("tcp://127.0.0.1", trionng.AddressInvalid),
        ("tcp://*:5555", trionng.AddressInvalid),
        ("tcp://127.0.0.1:99999", trionng.AddressInvalid),
    ],
)
async def test_dial_that_can_never_succeed_raises_at_once(url, error, way):
    """What no later attempt can heal is not retried in the background."""
    with trio.fail_after(SECONDS):
        async with trionng.Push0() as push:
            with pytest.raises(error):
                await push.dial(url, block=way)
            assert push.dialers == ()
        with pytest.raises(error):
            trionng.Push0(dial=url)


@pytest.mark.parametrize("way", [True, None, False])
def test_blocking_dial_that_can_never_succeed_raises_at_once(way):
    """The same holds for threads, and for the constructor, which waits there."""
    with blocking.Push0() as push, pytest.raises(trionng.NotSupported):
        push.dial("nosuch://x", block=way)
    with pytest.raises(trionng.AddressInvalid):
        blocking.Push0(dial="tcp://127.0.0.1")


def fail_and_leave(directory: str) -> None:
    for number in range(20):
        trionng.Push0(dial=f"ipc://{directory}/{number}")._abort()


def test_interpreter_ending_during_reports_ends_well(tmp_path):
    """Reports delay no call and no exit."""
    for _ in range(3):
        done = run_in_subprocess(fail_and_leave, str(tmp_path))
        assert done.clean, done


def fail_once(directory: str) -> None:
    logging.getLogger("trionng").handlers.clear()
    with blocking.Push0(reconnect_time_min=1) as push:
        push.dial(f"ipc://{directory}/nobody", block=False)
        while push.dialers[0].last_error is None:
            time.sleep(0.001)
        time.sleep(QUIET)


def test_failure_is_written_where_logging_is_not_set_up(tmp_path):
    """A program that never heard of logging sees the line on its standard error."""
    done = run_in_subprocess(fail_once, str(tmp_path))

    assert done.code == 0, done
    (line,) = done.errors.splitlines()
    assert line.startswith(f"dial ipc://{tmp_path}/nobody: ")


def open_while_the_socket_closes(what: str) -> None:
    """Close a socket between two steps of a dial, or a listen, of another thread."""
    socket = blocking.Pair0()
    testing.arm_pause("endpoint.made")
    url = "tcp://127.0.0.1:1" if what == "dial" else "tcp://127.0.0.1:0"
    failures: list[str] = []

    def run() -> None:
        try:
            socket.dial(url, block=False) if what == "dial" else socket.listen(url)
        except trionng.Closed as error:
            failures.append(type(error).__name__)

    thread = threading.Thread(target=run)
    thread.start()
    assert testing.pause_reached("endpoint.made", WITHIN)
    socket.close()
    testing.open_pause("endpoint.made")
    thread.join()
    print(failures, lib.tnng_endpoint_records())


@pytest.mark.parametrize("what", ["dial", "listen"])
def test_endpoint_made_while_its_socket_closes_leaves_no_record(what):
    """What the shim knows of dialers and listeners goes with their socket, also in a race."""
    done = run_test_build(open_while_the_socket_closes, what)
    assert (done.clean, done.output) == (True, "['Closed'] 0\n"), str(done)

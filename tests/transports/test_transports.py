"""Every transport of the foundation: sizes, limits, rude peers, addresses and errors."""

from __future__ import annotations

import contextlib
import signal
import socket as system_socket
from typing import TYPE_CHECKING

import pytest
import trio

import trionng
from tests.support.processes import PYTHON, other_process
from tests.support.sockets import dial_patiently
from tests.support.sp import PUSH0, REQ0, greeting, raw_peer
from trionng.testing import new_url

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from tests.support.sp import RawPeer

TRANSPORTS = ("inproc", "ipc", "abstract", "tcp4", "tcp6")
STREAMS = ("ipc", "abstract", "tcp4", "tcp6")
KIB = 1024
SIZES = (0, 1, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 64 * KIB * KIB)
HUGE_LENGTHS = (0xFFFFFFFFFFFFFFD8, 0xFFFFFFFFFFFFFFFF, 0x8000000000000000)
SECONDS = 60


@pytest.fixture(params=TRANSPORTS)
def any_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A URL to listen on, once for every transport."""
    return new_url(request.param, tmp_path)


@pytest.fixture(params=STREAMS)
def stream_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A URL to listen on, once for every transport whose bytes come from outside."""
    return new_url(request.param, tmp_path)


# Sizes and limits.


@pytest.mark.parametrize("size", SIZES)
async def test_message_of_any_size_there_and_back_is_unchanged(any_url: str, size: int) -> None:
    """From no byte at all to 64 MiB, a message arrives as it was sent."""
    pattern = bytes(range(251))
    data = (pattern * (size // len(pattern) + 1))[:size]
    with trio.fail_after(SECONDS):
        async with (
            trionng.Pair0(recv_max_size=0) as one,
            trionng.Pair0(recv_max_size=0) as other,
        ):
            await dial_patiently(other, one.listen(any_url).url)
            await one.send(data)
            there = await other.recv()
            await other.send(there)
            back = await one.recv()

    # Not `==` in the assertion itself: pytest would explain 64 MiB byte by byte.
    assert len(there) == len(back) == size
    assert (there == data, back == data) == (True, True)


async def test_recv_max_size_at_the_limit_passes(stream_url: str) -> None:
    """A message of exactly `recv_max_size` bytes is received."""
    with trio.fail_after(SECONDS):
        async with trionng.Pull0(recv_max_size=1000) as pull, trionng.Push0() as push:
            await dial_patiently(push, pull.listen(stream_url).url)
            await push.send(bytes(1000))

            assert await pull.recv() == bytes(1000)


async def test_recv_max_size_exceeded_drops_that_connection_only(stream_url: str) -> None:
    """A peer that sends too much is disconnected; another one keeps its connection."""
    with trio.fail_after(SECONDS):
        async with trionng.Pull0(recv_max_size=1000) as pull, trionng.Push0() as good:
            url = pull.listen(stream_url).url
            await dial_patiently(good, url)
            before = good.pipes
            async with raw_peer(url) as bad:
                await bad.greet(PUSH0)
                await bad.send(b"small")
                assert await pull.recv() == b"small"

                await bad.send(bytes(1001))
                await bad.wait_dropped()

            await good.send(b"still here")
            assert await pull.recv() == b"still here"
            assert [pipe.id for pipe in good.pipes] == [pipe.id for pipe in before]


async def test_recv_max_size_exceeded_by_a_peer_lets_it_come_back(
    stream_url: str,
) -> None:
    """A trionng peer that sent too much connects again, and its next messages arrive."""
    with trio.fail_after(SECONDS):
        async with (
            trionng.Pull0(recv_max_size=1000) as pull,
            trionng.Push0(reconnect_time_min=10) as push,
        ):
            await dial_patiently(push, pull.listen(stream_url).url)
            await push.send(bytes(1001))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send_again_and_again, push, b"small")
                received = await pull.recv()
                nursery.cancel_scope.cancel()

    assert received == b"small"


async def send_again_and_again(push: trionng.Push0, data: bytes) -> None:
    """Send what the connection that is being dropped may swallow."""
    while True:
        await push.send(data)


async def test_recv_max_size_default_is_one_mebibyte(stream_url: str) -> None:
    """Without an option a peer that sends more than 1 MiB is disconnected."""
    with trio.fail_after(SECONDS):
        async with trionng.Pull0() as pull:
            url = pull.listen(stream_url).url
            async with raw_peer(url) as peer:
                await peer.greet(PUSH0)
                await peer.send(bytes(KIB * KIB))
                received = await pull.recv()

                await peer.send(b"", length=KIB * KIB + 1)
                await peer.wait_dropped()

    assert received == bytes(KIB * KIB)


# Rude peers.

SERVER = """
import logging, os, sys, trio, trionng
logging.getLogger("trionng").addHandler(logging.NullHandler())

async def main():
    options = {} if sys.argv[1] == "default" else {"recv_max_size": int(sys.argv[1])}
    async with trionng.Rep0(**options) as rep:
        print(*[rep.listen(url).url for url in sys.argv[2:]], flush=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(echo, rep)
            await trio.to_thread.run_sync(os.read, 0, 1, abandon_on_cancel=True)
            nursery.cancel_scope.cancel()

async def echo(rep):
    async for request in rep:
        await rep.send(request)

trio.run(main)
"""


@pytest.mark.parametrize("limit", ["default", "0", "1000"])
async def test_peer_announcing_a_huge_length_disturbs_no_other(limit: str, tmp_path: Path) -> None:
    """Lengths that overflow nng's allocation drop their sender; the process serves on (S1)."""
    urls = [new_url(transport, tmp_path) for transport in STREAMS]
    with trio.fail_after(SECONDS):
        async with (
            other_process(*PYTHON, "-c", SERVER, limit, *urls) as server,
            trionng.Req0() as old,
        ):
            urls = (await server.line()).split()
            await dial_patiently(old, urls[0])
            await old.request(b"the other side knows us")
            for url in urls:
                for length in HUGE_LENGTHS:
                    async with raw_peer(url) as evil:
                        await evil.greet(REQ0)
                        await evil.send(b"\x80\0\0\1", length=length)
                        await evil.wait_dropped()
                async with trionng.Req0() as new:
                    await dial_patiently(new, url)

                    assert await old.request(b"old") == b"old"
                    assert await new.request(b"new") == b"new"
            await server.close_input()
            code, _, errors = await server.end()

    assert (code, errors) == (0, "")


@pytest.mark.skipif(
    tuple(map(int, trionng.nng_version.split(".")[:3])) >= (1, 12, 1),
    reason="this libnng looks at the length",
)
@pytest.mark.parametrize("limit", ["default", "0"])
@pytest.mark.parametrize("transport", STREAMS)
async def test_huge_length_of_a_peer_without_fix_ends_the_process(
    transport: str, limit: str, tmp_path: Path
) -> None:
    """Hazard S1 is real on this libnng: nng's own default lets one peer end the process."""
    command = (*PYTHON, "-c", SERVER, limit, new_url(transport, tmp_path))
    with trio.fail_after(SECONDS):
        async with other_process(*command, TRIONNG_NATIVE="testing", TNNG_WITHOUT="S1") as server:
            async with raw_peer(await server.line()) as evil:
                await evil.greet(REQ0)
                await evil.send(b"\x80\0\0\1", length=HUGE_LENGTHS[0])
                await evil.wait_dropped()
            code, _, errors = await server.end()

    # nng panics, unless another of its threads meets the damage first.
    assert code in (-signal.SIGABRT, -signal.SIGSEGV), errors
    assert code == -signal.SIGSEGV or "panic" in errors


async def _random_bytes(peer: RawPeer) -> None:
    await peer.send_raw(bytes((7 * number + 3) % 256 for number in range(4096)))
    await peer.wait_dropped()


async def _wrong_magic(peer: RawPeer) -> None:
    await peer.send_raw(b"\0SQ\0" + greeting(REQ0)[4:])
    await peer.wait_dropped()


async def _reserved_bytes(peer: RawPeer) -> None:
    await peer.send_raw(greeting(REQ0)[:6] + b"\xff\xff")
    await peer.wait_dropped()


async def _wrong_protocol(peer: RawPeer) -> None:
    await peer.greet(PUSH0)
    await peer.wait_dropped()


async def _half_a_greeting(peer: RawPeer) -> None:
    await peer.send_raw(greeting(REQ0)[:5])
    await peer.close()


async def _nothing(peer: RawPeer) -> None:
    await peer.close()


async def _nothing_and_reset(peer: RawPeer) -> None:
    await peer.close(reset=True)


async def _greeting_alone(peer: RawPeer) -> None:
    await peer.greet(REQ0)
    await peer.close()


async def _half_a_length(peer: RawPeer) -> None:
    await peer.greet(REQ0)
    await peer.send_raw(peer.frame(b"")[:5])
    await peer.close()


async def _half_a_message(peer: RawPeer) -> None:
    await peer.greet(REQ0)
    await peer.send(b"\x80\0\0\1half", length=500)
    await peer.close()


async def _half_a_message_and_reset(peer: RawPeer) -> None:
    await peer.greet(REQ0)
    await peer.send(b"\x80\0\0\1half", length=500)
    await peer.close(reset=True)


async def _request_without_id(peer: RawPeer) -> None:
    await peer.greet(REQ0)
    await peer.send(b"abc")
    await peer.wait_dropped()


async def _empty_request(peer: RawPeer) -> None:
    await peer.greet(REQ0)
    await peer.send(b"")
    await peer.wait_dropped()


async def _endless_route(peer: RawPeer) -> None:
    await peer.greet(REQ0)
    await peer.send(b"\0\0\0\1" * 100)
    await peer.close()


async def _request_and_gone(peer: RawPeer) -> None:
    await peer.greet(REQ0)
    await peer.send(b"\x80\0\0\1a question whose answer nobody waits for")
    await peer.close()


RUDE = (
    _random_bytes,
    _wrong_magic,
    _reserved_bytes,
    _wrong_protocol,
    _half_a_greeting,
    _nothing,
    _nothing_and_reset,
    _greeting_alone,
    _half_a_length,
    _half_a_message,
    _half_a_message_and_reset,
    _request_without_id,
    _empty_request,
    _endless_route,
    _request_and_gone,
)


@pytest.mark.parametrize("be_rude", RUDE, ids=lambda rude: rude.__name__.strip("_"))
async def test_peer_being_rude_disturbs_no_other(
    be_rude: Callable[[RawPeer], Awaitable[None]], tmp_path: Path
) -> None:
    """Garbage and early ends of a connection are no matter to other peers, old and new."""
    urls = [new_url(transport, tmp_path) for transport in STREAMS]
    with trio.fail_after(SECONDS):
        async with contextlib.AsyncExitStack() as stack:
            server = await stack.enter_async_context(
                other_process(*PYTHON, "-c", SERVER, "default", *urls)
            )
            for url in (await server.line()).split():
                old = await stack.enter_async_context(trionng.Req0())
                await dial_patiently(old, url)
                await old.request(b"the other side knows us")
                for _ in range(5):
                    async with raw_peer(url) as rude:
                        await be_rude(rude)

                assert await old.request(b"old") == b"old"
                async with trionng.Req0() as new:
                    await dial_patiently(new, url)
                    assert await new.request(b"new") == b"new"
            await server.close_input()
            code, _, errors = await server.end()

    assert (code, errors) == (0, "")


async def test_ipc_peer_with_a_wrong_message_type_disturbs_no_other(tmp_path: Path) -> None:
    """The byte before the length of an ipc message is checked."""
    with trio.fail_after(SECONDS):
        async with trionng.Pull0() as pull, trionng.Push0() as good:
            url = pull.listen(new_url("ipc", tmp_path)).url
            await dial_patiently(good, url)
            async with raw_peer(url) as bad:
                await bad.greet(PUSH0)
                await bad.send_raw(b"\2" + bytes(8))
                await bad.wait_dropped()

            await good.send(b"still here")
            assert await pull.recv() == b"still here"


# Addresses.


@pytest.mark.parametrize("transport", ["tcp", "tcp4", "tcp6"])
async def test_listener_url_of_port_0_has_the_real_port(transport: str, tmp_path: Path) -> None:
    """Port 0 is resolved: the listener's URL is one that can be dialled."""
    asked = new_url(transport, tmp_path)
    with trio.fail_after(SECONDS):
        async with trionng.Pull0() as pull, trionng.Push0() as push:
            listener = pull.listen(asked)
            await dial_patiently(push, listener.url)
            await push.send(b"found you")

            assert listener.url.startswith(asked.removesuffix("0"))
            assert not listener.url.endswith(":0")
            assert await pull.recv() == b"found you"


async def test_listen_on_several_transports_serves_all(tmp_path: Path) -> None:
    """One socket listens on every transport at once."""
    with trio.fail_after(SECONDS):
        async with trionng.Pull0(
            listen=[new_url(transport, tmp_path) for transport in TRANSPORTS]
        ) as pull:
            for listener in pull.listeners:
                async with trionng.Push0() as push:
                    await dial_patiently(push, listener.url)
                    await push.send(listener.url.encode())
                    assert await pull.recv() == listener.url.encode()
            assert len(pull.listeners) == len(TRANSPORTS)


# Errors. Each names what was attempted and the URL.


def assert_names(error: trionng.NNGException, operation: str, url: str) -> None:
    """Check that the text says what was attempted where, and `.url` where."""
    assert error.url == url
    assert operation in str(error)
    assert url in str(error)


@pytest.mark.parametrize("block", [True, False, None])
async def test_dial_of_an_unknown_transport_names_it(block: bool | None) -> None:
    """A transport that libnng lacks is refused at once, however one dials."""
    async with trionng.Push0() as push:
        with pytest.raises(trionng.NotSupported, match="quic") as caught:
            await push.dial("quic://127.0.0.1:1", block=block)

        assert_names(caught.value, "dial", "quic://127.0.0.1:1")
        assert push.dialers == ()


async def test_listen_on_an_unknown_transport_names_it() -> None:
    """A transport that libnng lacks is refused with its name."""
    async with trionng.Push0() as push:
        with pytest.raises(trionng.NotSupported, match="quic") as caught:
            push.listen("quic://127.0.0.1:1")

        assert_names(caught.value, "listen", "quic://127.0.0.1:1")
        assert push.listeners == ()


@pytest.mark.parametrize(
    ("keyword", "make"),
    [
        ("dial", lambda url: trionng.Pair0(dial=url)),
        ("listen", lambda url: trionng.Pair0(listen=url)),
    ],
    ids=["dial", "listen"],
)
def test_constructor_with_an_unknown_transport_names_it(
    keyword: str, make: Callable[[str], trionng.Pair0]
) -> None:
    """The constructor refuses such a URL and leaves no socket behind."""
    with pytest.raises(trionng.NotSupported, match="quic") as caught:
        make("quic://127.0.0.1:1")

    assert_names(caught.value, keyword, "quic://127.0.0.1:1")


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that is reserved, and has no listener."""
    with system_socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


async def test_dial_to_a_closed_port_is_refused(closed_port: int) -> None:
    """A dial without a listener raises ConnectionRefused, which is Python's too."""
    url = f"tcp://127.0.0.1:{closed_port}"
    with trio.fail_after(SECONDS):
        async with trionng.Push0() as push:
            with pytest.raises(ConnectionRefusedError) as caught:
                await dial_patiently(push, url)

            assert isinstance(caught.value, trionng.ConnectionRefused)
            assert_names(caught.value, "dial", url)
            assert push.dialers == ()


@pytest.mark.parametrize("transport", ["inproc", "ipc", "abstract"])
async def test_dial_to_a_name_without_a_listener_is_refused(transport: str, tmp_path: Path) -> None:
    """A dial without a listener raises ConnectionRefused on local transports too."""
    url = new_url(transport, tmp_path)
    with trio.fail_after(SECONDS):
        async with trionng.Push0() as push:
            with pytest.raises(trionng.ConnectionRefused) as caught:
                await dial_patiently(push, url)

            assert_names(caught.value, "dial", url)
            assert push.dialers == ()


@pytest.mark.parametrize("url", ["tcp://127.0.0.1", "tcp://127.0.0.1:port", "nothing"])
async def test_dial_of_a_malformed_url_is_refused(url: str) -> None:
    """A URL that is none is refused at once, with an error of trionng."""
    with trio.fail_after(SECONDS):
        async with trionng.Push0() as push:
            with pytest.raises((trionng.AddressInvalid, trionng.InvalidOperation)) as caught:
                await dial_patiently(push, url)

            assert_names(caught.value, "dial", url)
            assert push.dialers == ()


@pytest.mark.parametrize("transport", ["inproc", "abstract", "tcp"])
async def test_listen_twice_on_one_address_raises_address_in_use(
    transport: str, tmp_path: Path
) -> None:
    """The second listener is refused, the first goes on."""
    with trio.fail_after(SECONDS):
        async with trionng.Pull0() as pull, trionng.Pull0() as late, trionng.Push0() as push:
            url = pull.listen(new_url(transport, tmp_path)).url
            with pytest.raises(trionng.AddressInUse) as caught:
                late.listen(url)
            await dial_patiently(push, url)
            await push.send(b"to the first")

            assert_names(caught.value, "listen", url)
            assert late.listeners == ()
            assert await pull.recv() == b"to the first"


async def test_listen_on_an_ipc_path_without_its_directory_says_so(tmp_path: Path) -> None:
    """A directory that does not exist is an error that names the path."""
    url = f"ipc://{tmp_path}/missing/s"
    async with trionng.Pull0() as pull:
        with pytest.raises(trionng.NNGException) as caught:
            pull.listen(url)

        assert_names(caught.value, "listen", url)
        assert pull.listeners == ()


async def test_listen_on_an_address_of_another_machine_says_so() -> None:
    """An address that is not this machine's is an error that names it."""
    url = "tcp://192.0.2.1:0"
    async with trionng.Pull0() as pull:
        with pytest.raises(trionng.NNGException) as caught:
            pull.listen(url)

        assert_names(caught.value, "listen", url)
        assert pull.listeners == ()


async def test_receive_that_times_out_names_operation_and_url(any_url: str) -> None:
    """A receive's Timeout says what timed out and where the socket listens."""
    with trio.fail_after(SECONDS):
        async with trionng.Pull0(recv_timeout=10) as pull:
            url = pull.listen(any_url).url
            with pytest.raises(trionng.Timeout) as caught:
                await pull.recv()

    assert_names(caught.value, "rec", url)


async def test_send_that_times_out_names_operation_and_url(any_url: str) -> None:
    """A send's Timeout says what timed out and where the socket listens."""
    with trio.fail_after(SECONDS):
        async with trionng.Push0(send_timeout=10) as push:
            url = push.listen(any_url).url
            with pytest.raises(trionng.Timeout) as caught:
                await push.send(b"nobody is there")

    assert_names(caught.value, "send", url)

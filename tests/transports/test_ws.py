"""WebSocket: a client that is not nng, sizes, paths, and the warning on an old libnng."""

from __future__ import annotations

import ssl
import struct
from urllib.parse import urlsplit

import pytest
import trio

import trionng
from tests.support.certificates import TRUSTED, identity, server
from tests.support.processes import PYTHON, other_process
from tests.support.sockets import dial_patiently
from tests.support.websocket import Ended, Rejected, browser
from trionng import _ffi

SECONDS = 60
KIB = 1024
SCHEMES = ("ws", "ws4", "ws6")


def to_listen(scheme: str) -> str:
    """Return a URL to listen on; a ws server wants clients to use the host of its own URL."""
    host = "[::1]" if scheme.endswith("6") else "localhost"
    return f"{scheme}://{host}:0/path"


# Both sides trionng.


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_listener_url_has_the_real_port_and_the_path(scheme: str) -> None:
    """Port 0 is resolved on every ws transport."""
    with trio.fail_after(SECONDS):
        async with trionng.Pull0() as pull, trionng.Push0() as push:
            url = pull.listen(to_listen(scheme)).url
            await dial_patiently(push, url)
            await push.send(b"found you")

            assert urlsplit(url).port not in (0, None)
            assert urlsplit(url).path == "/path"
            assert await pull.recv() == b"found you"


@pytest.mark.parametrize(
    "size", [0, 1, 125, 126, 65535, 65536, 64 * KIB + 1, KIB * KIB + 1, 16 * KIB * KIB]
)
async def test_message_of_any_size_there_and_back_is_unchanged(size: int) -> None:
    """Every way WebSocket has to write a length, and messages of many frames."""
    data = bytes(range(251)) * (size // 251 + 1)
    data = data[:size]
    with trio.fail_after(SECONDS):
        async with (
            trionng.Pair0(recv_max_size=0) as one,
            trionng.Pair0(recv_max_size=0) as other,
        ):
            await dial_patiently(other, one.listen(to_listen("ws4")).url)
            await one.send(data)
            there = await other.recv()
            await other.send(there)
            back = await one.recv()

    # Not `==` in the assertion itself: pytest would explain megabytes byte by byte.
    assert len(there) == len(back) == size
    assert (there == data, back == data) == (True, True)


async def test_message_over_recv_max_size_drops_that_connection_only() -> None:
    """A peer that sends too much is disconnected; another one keeps its connection."""
    with trio.fail_after(SECONDS):
        async with trionng.Pull0(recv_max_size=1000) as pull, trionng.Push0() as good:
            url = pull.listen(to_listen("ws4")).url
            await dial_patiently(good, url)
            before = good.pipes
            async with browser(url, "pull.sp.nanomsg.org") as bad:
                await bad.send(bytes(1000))
                assert await pull.recv() == bytes(1000)
                await bad.send(bytes(1001))
                with pytest.raises(Ended):
                    await bad.receive()
            await good.send(b"still here")

            assert await pull.recv() == b"still here"
            assert good.pipes == before


async def test_two_sockets_on_one_port_have_a_path_each() -> None:
    """Several listeners share a port; one path has one listener."""
    with trio.fail_after(SECONDS):
        async with trionng.Pull0() as one, trionng.Pull0() as two, trionng.Push0() as push:
            first = one.listen(to_listen("ws4")).url
            second = two.listen(first.replace("path", "second")).url
            with pytest.raises(trionng.AddressInUse):
                two.listen(first)
            await dial_patiently(push, second)
            await push.send(b"to the second")

            assert await two.recv() == b"to the second"
            assert len(two.listeners) == 1


async def test_two_listeners_on_port_0_get_a_port_each() -> None:
    """Port 0 is a new port every time."""
    async with trionng.Pull0() as one, trionng.Pull0() as two:
        urls = {pull.listen(to_listen("ws4")).url for pull in (one, two)}

    assert len(urls) == 2


async def test_cancelled_receive_over_ws_loses_nothing() -> None:
    """Receives that come and go get every message once, in order."""
    count = 300
    received = []
    with trio.fail_after(SECONDS):
        async with trionng.Pull0() as pull, trionng.Push0() as push, trio.open_nursery() as nursery:
            await dial_patiently(push, pull.listen(to_listen("ws4")).url)

            async def send() -> None:
                for number in range(count):
                    await push.send(b"%d" % number)

            nursery.start_soon(send)
            while len(received) < count:
                with trio.move_on_after(0.0005):
                    received.append(int(await pull.recv()))

    assert received == list(range(count))


# A client that is not nng.


async def test_raw_client_subscribing_gets_what_is_published() -> None:
    """A subscriber asks for `pub` and reads one binary message for each."""
    with trio.fail_after(SECONDS):
        async with trionng.Pub0() as pub:
            url = pub.listen(to_listen("ws4")).url
            async with browser(url, "pub.sp.nanomsg.org") as page:
                await pub.wait_connected()
                for number in range(3):
                    await pub.send(b"news %d" % number)

                assert [await page.receive() for _ in range(3)] == [
                    b"news 0",
                    b"news 1",
                    b"news 2",
                ]
                assert page.subprotocol == "pub.sp.nanomsg.org"


async def test_raw_client_requesting_gets_its_reply_with_its_id() -> None:
    """A request has a 4-byte id with the high bit set, and the reply has the same."""
    with trio.fail_after(SECONDS):
        async with trionng.Rep0() as rep:
            url = rep.listen(to_listen("ws4")).url
            async with browser(url, "rep.sp.nanomsg.org") as page:
                for number in (1, 2):
                    header = struct.pack(">I", 0x80000000 | number)
                    await page.send(header + b"question")
                    assert await rep.recv() == b"question"
                    await rep.send(b"answer")

                    assert await page.receive() == header + b"answer"


async def test_raw_client_without_an_id_disturbs_no_peer() -> None:
    """Messages that are no requests end their connection and no other."""
    with trio.fail_after(SECONDS):
        async with trionng.Rep0() as rep, trionng.Req0() as good:
            url = rep.listen(to_listen("ws4")).url
            await dial_patiently(good, url)
            async with browser(url, "rep.sp.nanomsg.org") as page:
                await page.send(b"no")
                with pytest.raises(Ended):
                    await page.receive()
            await good.send(b"question")
            assert await rep.recv() == b"question"
            await rep.send(b"answer")

            assert await good.recv() == b"answer"


async def test_raw_client_sending_text_is_told_that_it_may_not() -> None:
    """Messages are binary: text ends the connection with WebSocket's own code for that."""
    with trio.fail_after(SECONDS):
        async with trionng.Pull0() as pull:
            url = pull.listen(to_listen("ws4")).url
            async with browser(url, "pull.sp.nanomsg.org") as page:
                await page.send("text")
                with pytest.raises(Ended) as caught:
                    await page.receive()

    assert caught.value.code == 1003


@pytest.mark.parametrize("limit", [4 * KIB * KIB, 0])
async def test_raw_client_sending_one_large_frame_is_received(limit: int) -> None:
    """A frame may be as long as `recv_max_size` allows: browsers do not split messages."""
    data = bytes(range(256)) * (12 * KIB)
    with trio.fail_after(SECONDS):
        async with trionng.Pull0(recv_max_size=limit) as pull:
            url = pull.listen(to_listen("ws4")).url
            async with browser(url, "pull.sp.nanomsg.org") as page:
                await page.send(data)
                received = await pull.recv()

    assert (len(received), received == data) == (len(data), True)


@pytest.mark.parametrize(
    ("protocol", "path"),
    [
        ("sub.sp.nanomsg.org", None),
        ("req.sp.nanomsg.org", None),
        ("chat", None),
        (None, None),
        ("pub.sp.nanomsg.org", "/elsewhere"),
    ],
)
async def test_raw_client_of_another_protocol_or_path_is_refused(
    protocol: str | None, path: str | None
) -> None:
    """A client that asks for another protocol, none, or another path is refused; others go on."""
    with trio.fail_after(SECONDS):
        async with trionng.Pub0() as pub:
            url = pub.listen(to_listen("ws4")).url
            wrong = url if path is None else url.replace("/path", path)
            async with browser(url, "pub.sp.nanomsg.org") as good:
                await pub.wait_connected()
                with pytest.raises(Rejected) as caught:
                    async with browser(wrong, protocol):
                        pass
                await pub.send(b"news")

                assert caught.value.status == (404 if path else 400)
                assert await good.receive() == b"news"
                assert len(pub.pipes) == 1


async def test_raw_client_over_wss_verifies_us() -> None:
    """A browser that trusts the authority can use wss."""
    trust = ssl.create_default_context(cadata=TRUSTED.decode())
    with trio.fail_after(SECONDS):
        async with trionng.Rep0() as rep:
            url = rep.listen(to_listen("wss4"), tls_config=server(identity())).url
            async with browser(url, "rep.sp.nanomsg.org", trust=trust) as page:
                await page.send(b"\x80\0\0\1question")
                assert await rep.recv() == b"question"
                await rep.send(b"answer")

                assert await page.receive() == b"\x80\0\0\1answer"


# Errors.


async def test_dial_of_another_path_or_host_says_what_it_can_be() -> None:
    """nng says "refused" when the listener does not know the path, or the name of its host."""
    with trio.fail_after(SECONDS):
        async with trionng.Pull0() as pull, trionng.Push0() as push:
            url = pull.listen(to_listen("ws4")).url
            for wrong in (url.replace("path", "else"), url.replace("localhost", "127.0.0.1")):
                with pytest.raises(trionng.ConnectionRefused, match="path or host name") as caught:
                    await dial_patiently(push, wrong)
                assert caught.value.url == wrong


async def test_dial_of_another_protocol_raises() -> None:
    """A Push0 that dials a Pub0 gets an error, not a connection."""
    with trio.fail_after(SECONDS):
        async with trionng.Pub0() as pub, trionng.Push0() as push:
            url = pub.listen(to_listen("ws4")).url
            with pytest.raises(trionng.ProtocolError, match="or is no pull"):
                await dial_patiently(push, url)

            assert push.pipes == pub.pipes == ()


# The warning.

LISTENS_TWICE = """
import warnings
import trionng

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    warnings.filterwarnings("ignore", "trionng uses libnng")  # of a shared build
    for url in ("tcp://localhost:0", "ws://localhost:0/", "ws://localhost:0/"):
        with_socket = trionng.Pull0()
        with_socket.listen(url)
        with_socket._abort()
for each in caught:
    print(each.category.__name__, each.filename, each.message)
"""


async def test_listen_on_ws_with_an_old_libnng_warns_once() -> None:
    """The first ws listener warns once: before nng 1.6 strangers can crash it (S3)."""
    with trio.fail_after(SECONDS):
        async with other_process(*PYTHON, "-c", LISTENS_TWICE) as process:
            code, said, errors = await process.end()

    assert (code, errors) == (0, "")
    if _ffi.ws_is_hardened:
        assert said == ""
    else:
        [line] = said.splitlines()
        assert line.startswith("RuntimeWarning <string> listen ws://localhost:0/")
        assert "before 1.6" in line

"""Strangers that connect and misbehave: newcomers are served, and connected peers never notice.

One process a transport goes through everything a stranger can do there. Before nng 1.6 a handshake
that could not be written ended a listener for good (S2, nng issue 1518); and nng's `listen` asks
whether an ipc path is taken by connecting, which did the same to listeners of other processes.
"""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import ssl
import struct
import sys
import tempfile
import uuid
import warnings
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import trio
import trio.testing

import trionng
from tests.support.certificates import CA, client, server
from tests.support.fixes import needs_fix
from tests.support.processes import PYTHON, other_process
from tests.support.sp import PUSH0, REQ0, greeting
from tests.support.subprocesses import run_in_subprocess
from trionng import _ffi
from trionng.testing import new_url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

SECONDS = 60
BURST = 100
GARBAGE = bytes((7 * number + 3) % 256 for number in range(4096))
# The most a newcomer may have to wait after the attack. nng pauses for 0.1 s after a
# handshake that failed.
SERVED_WITHIN = 40


# What strangers do, on a plain connection of the system.


def plain(url: str) -> socket.socket:
    """Connect to a listener without a word."""
    scheme, _, rest = url.partition("://")
    if scheme in ("ipc", "abstract"):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(f"\0{rest}" if scheme == "abstract" else rest)
        return connection
    parts = urlsplit(url)
    assert parts.port is not None
    return socket.create_connection((parts.hostname, parts.port), timeout=SECONDS)


def hang_up(connection: socket.socket, *, fin: bool = True, reset: bool = False) -> None:
    if reset:
        if fin:
            connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):  # a unix socket has no such option
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


Held = list[socket.socket]


def one_after_another(url: str, held: Held) -> None:
    for _ in range(BURST):
        hang_up(plain(url))


def at_once(url: str, held: Held) -> None:
    connections = [plain(url) for _ in range(BURST)]
    for each in connections:
        hang_up(each)


def fin_then_reset(url: str, held: Held) -> None:
    for _ in range(BURST):
        hang_up(plain(url), reset=True)


def reset_alone(url: str, held: Held) -> None:
    for _ in range(BURST):
        hang_up(plain(url), fin=False, reset=True)


def silence(url: str, held: Held) -> None:
    held += [plain(url) for _ in range(5)]


def half_a_greeting_then_silence(url: str, held: Held) -> None:
    for _ in range(5):
        held.append(plain(url))
        held[-1].sendall(greeting(REQ0)[:5])


def half_a_greeting_then_gone(url: str, held: Held) -> None:
    for _ in range(BURST):
        connection = plain(url)
        with contextlib.suppress(OSError):
            connection.sendall(greeting(REQ0)[:5])
        hang_up(connection, reset=True)


def garbage(url: str, held: Held) -> None:
    for _ in range(3):
        held.append(plain(url))
        held[-1].sendall(GARBAGE)


PLAIN = (
    one_after_another,
    at_once,
    fin_then_reset,
    reset_alone,
    silence,
    half_a_greeting_then_silence,
    half_a_greeting_then_gone,
)


# Further in: strangers that get through TLS first where there is TLS, and speak SP.


def through_tls(url: str) -> socket.socket:
    """Connect, and encrypt where the transport does."""
    connection = plain(url)
    if url.startswith("tls"):
        trust = ssl.create_default_context()
        CA.configure_trust(trust)
        return trust.wrap_socket(connection, server_hostname="localhost")
    return connection


def greeted(url: str, protocol: int) -> socket.socket:
    connection = through_tls(url)
    connection.sendall(greeting(protocol))
    received = b""
    while len(received) < 8:
        received += connection.recv(8 - len(received))
    return connection


def frame(url: str, length: int, body: bytes = b"") -> bytes:
    ipc = not url.startswith(("tcp", "tls"))
    return (b"\1" if ipc else b"") + struct.pack(">Q", length) + body


def encrypted_then_gone(url: str, held: Held) -> None:
    for number in range(20):
        hang_up(through_tls(url), fin=bool(number % 2), reset=bool(number % 3))


def garbage_inside(url: str, held: Held) -> None:
    held.append(through_tls(url))
    held[-1].sendall(GARBAGE)


def wrong_protocol(url: str, held: Held) -> None:
    held.append(greeted(url, PUSH0))


def huge_length(url: str, held: Held) -> None:
    for length in (0xFFFF_FFFF_FFFF_FFD8, 2**64 - 1, 2**63, 2**21):
        held.append(greeted(url, REQ0))
        held[-1].sendall(frame(url, length))


def half_a_message_then_gone(url: str, held: Held) -> None:
    for number in range(20):
        connection = greeted(url, REQ0)
        connection.sendall(frame(url, 500, b"\x80\0\0\1half"))
        hang_up(connection, fin=bool(number % 2), reset=True)


INSIDE = (
    garbage,
    encrypted_then_gone,
    garbage_inside,
    wrong_protocol,
    huge_length,
    half_a_message_then_gone,
)


# And over HTTP. An answer that says no is where old servers have their memory errors (S3).

UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: rep.sp.nanomsg.org\r\n\r\n"
)


def upgrade(url: str) -> bytes:
    parts = urlsplit(url)
    return UPGRADE.format(path=parts.path or "/", host=parts.netloc).encode()


def half_a_request(url: str, held: Held) -> None:
    for _ in range(5):
        held.append(plain(url))
        held[-1].sendall(upgrade(url)[:40])


def request_then_gone(url: str, held: Held) -> None:
    for number in range(20):
        connection = plain(url)
        connection.sendall(upgrade(url))
        hang_up(connection, fin=bool(number % 2), reset=bool(number % 3))


def huge_frame(url: str, held: Held) -> None:
    held.append(plain(url))
    held[-1].sendall(upgrade(url))
    assert b"101" in held[-1].recv(100)
    held[-1].sendall(b"\x82\xff" + struct.pack(">Q", 2**63 - 1) + bytes(64))


HTTP = (half_a_request, request_then_gone, huge_frame)

ATTACKS = {
    "ipc": PLAIN + INSIDE,
    "abstract": PLAIN + INSIDE,
    "tcp": PLAIN + INSIDE,
    "tls+tcp": PLAIN + INSIDE,
    "ws": PLAIN + HTTP + ((garbage,) if _ffi.ws_is_hardened else ()),
}


# The one they attack.


@contextlib.contextmanager
def url_to_listen(transport: str) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="tng-") as directory:
        if transport in ("tls+tcp", "ws"):
            yield f"{transport}://localhost:0" + ("/sp" if transport == "ws" else "")
        else:
            yield new_url(transport, directory)


async def echo(rep: trionng.Rep0) -> None:
    async for request in rep:
        await rep.send(request)


@contextlib.asynccontextmanager
async def serving(transport: str) -> AsyncIterator[tuple[trionng.Rep0, str]]:
    """Answer every request for the time of a block."""
    warnings.simplefilter("ignore", RuntimeWarning)
    with url_to_listen(transport) as url:
        async with (
            trionng.Rep0(tls_config=server()) if transport.startswith("tls") else trionng.Rep0()
        ) as rep:
            listening = rep.listen(url).url
            async with trio.open_nursery() as nursery:
                nursery.start_soon(echo, rep)
                yield rep, listening
                nursery.cancel_scope.cancel()


def asking(url: str) -> trionng.Req0:
    return trionng.Req0(tls_config=client()) if url.startswith("tls") else trionng.Req0()


async def is_served(url: str, within: float = SERVED_WITHIN) -> bool:
    """Say whether a newcomer gets an answer."""
    with trio.move_on_after(within):
        async with asking(url) as new:
            await new.dial(url, block=True)
            return await new.request(b"new") == b"new"
    return False


async def attack_everything(transport: str) -> None:
    """Let strangers do all they can; each time ask as one there before, and as a new one."""
    async with serving(transport) as (rep, url), asking(url) as old:
        await old.dial(url, block=True)
        await rep.wait_connected()
        [pipe] = rep.pipes
        for attack in ATTACKS[transport]:
            held: Held = []
            await trio.to_thread.run_sync(attack, url, held)
            assert await old.request(b"old") == b"old", attack
            assert await is_served(url), attack
            assert await old.request(b"old") == b"old", attack
            for each in held:
                each.close()
            print(attack.__name__)
        # The peer that was there before never lost its connection.
        assert pipe in rep.pipes
        assert not pipe.closed


@needs_fix("S2")
@pytest.mark.parametrize("transport", ATTACKS)
def test_strangers_that_misbehave_disturb_no_peer(transport: str) -> None:
    """Whatever a stranger does: a newcomer is served, and a connection made before stays."""
    done = run_in_subprocess(attack_everything, transport, seconds=120)

    assert done.output.split() == [attack.__name__ for attack in ATTACKS[transport]], str(done)
    assert done.clean, str(done)


async def leave_after_encrypting(rounds: str) -> None:
    """Strangers get through TLS, say nothing and go; after each, a new client asks."""
    async with serving("tls+tcp") as (_, url):
        assert await is_served(url)
        before, _ = resources()
        for number in range(int(rounds)):
            await trio.to_thread.run_sync(encrypted_then_gone, url, [])
            assert await is_served(url), number
        with trio.fail_after(60):  # none of them has left its descriptor behind
            while resources()[0] > before + 2:
                await trio.sleep(0.1)
    print("served")


@needs_fix("H1")
def test_listener_left_by_its_tls_peers_serves_newcomers() -> None:
    """H1: a step of a handshake that nng stops does not tell the listener that it was closed."""
    done = run_in_subprocess(leave_after_encrypting, "3", seconds=120)

    assert (done.clean, done.output) == (True, "served\n"), str(done)


# A long attack.


def resources() -> tuple[int, int]:
    """Count this process's descriptors, and its resident memory in bytes."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return len(os.listdir("/proc/self/fd")), pages * os.sysconf("SC_PAGE_SIZE")


async def hang_up_for_long(transport: str) -> None:
    """Connect and close a thousand times, twice: the first time fills what is kept for reuse."""
    async with serving(transport) as (_, url):
        seen = []
        for _ in range(2):
            for number in range(10):
                # Not more at once than the system keeps waiting: it would make us wait instead.
                attack = fin_then_reset if number % 2 else one_after_another
                await trio.to_thread.run_sync(attack, url, [])
                assert await is_served(url)
            seen.append(resources())
        print(seen[1][0] - seen[0][0], (seen[1][1] - seen[0][1]) // 1024)


@needs_fix("S2")
@pytest.mark.skipif(sys.platform != "linux", reason="counts in /proc")
@pytest.mark.parametrize("transport", ["ipc", "tcp"])
def test_thousand_hangups_leave_memory_and_descriptors_flat(transport: str) -> None:
    """A loop of connect-and-close costs nothing that stays, and ends no listener."""
    done = run_in_subprocess(hang_up_for_long, transport, MALLOC_ARENA_MAX="1")

    assert done.clean, str(done)
    descriptors, kibibytes = map(int, done.output.split())
    assert descriptors < 20, str(done)
    assert kibibytes < 768, str(done)


@needs_fix("S2")
def test_hangups_leave_a_mock_clock_alone() -> None:
    """Nothing that keeps a listener alive runs on Trio's clock."""
    done = run_in_subprocess(hang_up_under_a_mock_clock)

    assert done.clean, str(done)
    assert done.output == "0.0\n"


def hang_up_under_a_mock_clock() -> None:
    async def main() -> None:
        began = trio.current_time()
        async with serving("ipc") as (_, url), trionng.Req0() as new:
            one_after_another(url, [])
            await new.dial(url, block=True)
            assert await new.request(b"new") == b"new"
        print(trio.current_time() - began)

    trio.run(main, clock=trio.testing.MockClock())


# The other way round: servers that hang up.


def hang_up_on_callers(path: str, times: int) -> None:
    """Listen on a path, and close every connection unseen."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(times)
        for _ in range(times):
            listening.accept()[0].close()
    os.unlink(path)


async def dial_one_who_hangs_up(seconds: str) -> None:
    """Dial in the background a server that hangs up; later a real one listens there."""
    warnings.simplefilter("ignore", RuntimeWarning)
    with tempfile.TemporaryDirectory(prefix="tng-") as directory:
        path = f"{directory}/s"
        url = f"ipc://{path}"
        with trio.move_on_after(float(seconds)) as patience:
            async with trionng.Req0(reconnect_time_min=1, reconnect_time_max=1) as req:
                await req.dial(url, block=False)
                await trio.to_thread.run_sync(hang_up_on_callers, path, 50, abandon_on_cancel=True)
                async with trionng.Rep0(listen=url) as rep, trio.open_nursery() as nursery:
                    nursery.start_soon(echo, rep)
                    assert await req.request(b"question") == b"question"
                    nursery.cancel_scope.cancel()
        print("in vain" if patience.cancelled_caught else "served at last")


@needs_fix("S2")
def test_dialer_hung_up_on_tries_on() -> None:
    """A dialer in the background goes on until a server answers, whatever it met before."""
    done = run_in_subprocess(dial_one_who_hangs_up, "20")

    assert (done.clean, done.output) == (True, "served at last\n"), str(done)


# Listening on an address in use.

SERVES = """
import sys, trio, trionng

async def main():
    async with trionng.Rep0(listen=sys.argv[1]) as rep:
        print("serving", flush=True)
        async for request in rep:
            await rep.send(request)

trio.run(main)
"""


@pytest.mark.parametrize("transport", ["ipc", "abstract"])
async def test_listen_where_another_process_serves_is_refused(
    transport: str, tmp_path: Path
) -> None:
    """The other process goes on serving whom it knows and whom it does not."""
    url = new_url(transport, tmp_path)
    with trio.fail_after(SECONDS):
        async with other_process(*PYTHON, "-c", SERVES, url) as there, trionng.Req0() as old:
            assert await there.line() == "serving"
            await old.dial(url, block=True)
            for _ in range(20):
                async with trionng.Rep0() as late:
                    with pytest.raises(trionng.AddressInUse, match="listen"):
                        late.listen(url)

            assert await old.request(b"old") == b"old"
            assert await is_served(url)


@pytest.mark.parametrize("transport", ["ipc", "abstract"])
def test_listen_where_nngcat_serves_is_refused_and_harms_it_not(
    transport: str, tmp_path: Path
) -> None:
    """A plain program on the same libnng is left unharmed, whatever its version."""
    done = run_in_subprocess(listen_beside_nngcat, new_url(transport, tmp_path))

    assert (done.clean, done.output) == (True, "refused, and it answers\n"), str(done)


async def listen_beside_nngcat(url: str, times: str = "50") -> None:
    """Listen again and again where nngcat does; then ask it something."""
    warnings.simplefilter("ignore", RuntimeWarning)
    async with other_process("nngcat", "--rep", "--listen", url, "--data", "meow"):
        async with trionng.Req0() as first:
            await first.dial(url, block=False)
            assert await first.request(b"there?") == b"meow"
        refused = 0
        for _ in range(int(times)):
            async with trionng.Rep0() as late:
                try:
                    late.listen(url)
                except trionng.AddressInUse:
                    refused += 1
        assert refused == int(times)
        async with trionng.Req0() as new:
            with trio.move_on_after(2) as patience:
                await new.dial(url, block=True)
                assert await new.request(b"still there?") == b"meow"
        print("refused, and it", "is deaf" if patience.cancelled_caught else "answers")


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET])
async def test_listen_where_another_server_is_never_connects_to_it(
    kind: socket.SocketKind, tmp_path: Path
) -> None:
    """A server of any kind, silent or not yet listening, never hears of it."""
    path = f"{tmp_path}/{uuid.uuid4().hex[:8]}"
    with socket.socket(socket.AF_UNIX, kind) as other:
        other.bind(path)
        async with trionng.Rep0() as late:
            with pytest.raises(trionng.AddressInUse):
                late.listen(f"ipc://{path}")
            if kind != socket.SOCK_DGRAM:
                other.listen()
                with pytest.raises(trionng.AddressInUse):
                    late.listen(f"ipc://{path}")

        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.recv(1) if kind == socket.SOCK_DGRAM else other.accept()
    assert await trio.Path(path).is_socket()


async def test_listen_on_the_path_of_a_dead_socket_replaces_its_file(tmp_path: Path) -> None:
    """The file that a killed server leaves behind is replaced."""
    path = f"{tmp_path}/stale"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(path)
        left.listen()
    with trio.fail_after(SECONDS):
        async with trionng.Rep0(listen=f"ipc://{path}") as rep, trio.open_nursery() as nursery:
            nursery.start_soon(echo, rep)

            assert await is_served(f"ipc://{path}")
            nursery.cancel_scope.cancel()


async def test_listen_on_a_path_of_an_ordinary_file_leaves_it_alone(tmp_path: Path) -> None:
    """nng deletes such a file; we say that the path is taken."""
    path = tmp_path / "notes"
    path.write_text("precious", encoding="ascii")
    async with trionng.Rep0() as rep:
        with pytest.raises(trionng.AddressInUse, match="not a socket"):
            rep.listen(f"ipc://{path}")

    assert path.read_text(encoding="ascii") == "precious"

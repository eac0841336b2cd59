"""Connections that never become a peer's, and peers that have gone, hold nothing for good.

S4: strangers that say nothing stay on tls+tcp, ws and wss. S5: a ws listener without descriptors
spins. L5: ws connections stay when their peer has gone while a message was unread.
"""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import time
from subprocess import PIPE
from urllib.parse import urlsplit

import pytest
import trio

import trionng
from tests.support.certificates import client, tls_of
from tests.support.fixes import has_error, needs_fix
from tests.support.sockets import dial_patiently
from tests.support.subprocesses import run_in_subprocess, run_test_build
from tests.transports.test_hostile_peers import plain

URLS = {
    "tcp": "tcp://127.0.0.1:0",
    "tls+tcp": "tls+tcp://127.0.0.1:0",
    "ws": "ws://127.0.0.1:0/path",
    "wss": "wss://127.0.0.1:0/path",
}
SHORT = "400"  # milliseconds, instead of nng's ten seconds
MESSAGES = 3


def is_dropped(stranger: socket.socket, seconds: float) -> bool:
    """Say whether the other side has ended the connection within that time."""
    stranger.settimeout(seconds)
    try:
        while stranger.recv(64):  # tcp says who it is
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


async def count_dropped(transport: str, seconds: str) -> None:
    """Print how many strangers are dropped, and whether a peer that came before is still there."""
    with_tls, trusting = tls_of(transport)
    async with trionng.Rep0() as rep, trionng.Req0() as req:
        url = rep.listen(URLS[transport], tls_config=with_tls).url
        # On a busy machine an attempt can be too slow for the handshake's short time.
        await req.dial(url, block=False, tls_config=trusting)
        await req.wait_connected()
        strangers = [plain(url.removeprefix("tls+")) for _ in range(4)]
        strangers[0].send(b"G")  # of a request
        strangers[1].send(b"\x16")  # of a TLS handshake
        dropped = 0
        for each in strangers:
            dropped += await trio.to_thread.run_sync(is_dropped, each, float(seconds))
            each.close()
        await req.send(b"still there?")
        await rep.recv()
        await rep.send(b"yes")
        print(dropped, (await req.recv()).decode(), len(rep.pipes))


@needs_fix("S4")
@pytest.mark.parametrize("transport", URLS)
def test_strangers_that_say_nothing_are_dropped(transport: str) -> None:
    """A stranger that is no peer within ten seconds is disconnected; a peer never notices."""
    finished = run_test_build(count_dropped, transport, "10", seconds=90, TNNG_HANDSHAKE_MS=SHORT)

    assert (finished.clean, finished.output) == (True, "4 yes 1\n"), finished


@has_error("S4")
def test_strangers_that_say_nothing_stay_without_the_fix() -> None:
    """S4: nng never drops them."""
    finished = run_test_build(
        count_dropped,
        "ws",
        "0.3",
        TNNG_HANDSHAKE_MS="100",
        without="S4",
    )

    assert finished.clean, finished
    assert int(finished.output.split()[0]) < 4


async def dial_a_silent_server() -> None:
    """Dial a TLS server that accepts and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with trionng.Req0() as req:
            url = f"tls+tcp://127.0.0.1:{silent.getsockname()[1]}"
            try:
                await req.dial(url, block=True, tls_config=client(server_name="localhost"))
            except (trionng.NNGException, OSError):
                print("given up")


@needs_fix("S4")
def test_dial_of_a_silent_tls_server_ends() -> None:
    """A server that says nothing is given up, and a background dial tries the next time."""
    finished = run_test_build(dial_a_silent_server, TNNG_HANDSHAKE_MS=SHORT)

    assert (finished.clean, finished.output) == (True, "given up\n"), finished


CLIENTS = """
import socket, sys
connections = [socket.create_connection((sys.argv[1], int(sys.argv[2]))) for _ in range(60)]
print("there", flush=True)
sys.stdin.read()
"""


def clients_of(url: str) -> subprocess.Popen[bytes]:
    """Start a process that connects many times, says so, and stays until its input ends."""
    parts = urlsplit(url)
    command = [sys.executable, "-c", CLIENTS, str(parts.hostname), str(parts.port)]
    return subprocess.Popen(command, stdin=PIPE, stdout=PIPE)


async def connect_among_strangers(transport: str) -> None:
    """Connect where strangers have all the descriptors that there are."""
    with_tls, trusting = tls_of(transport)
    async with trionng.Rep0() as rep, trionng.Req0() as req:
        url = rep.listen(URLS[transport], tls_config=with_tls).url
        with clients_of(url) as process:
            _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            limit = max(map(int, os.listdir("/proc/self/fd"))) + 20
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
            assert await trio.to_thread.run_sync(process.stdout.readline) == b"there\n"  # type: ignore[union-attr]
            await req.dial(url, block=False, tls_config=trusting)
            with trio.fail_after(60):
                await req.wait_connected()
            print("connected")
            process.stdin.close()  # type: ignore[union-attr]


@needs_fix("S4")
@pytest.mark.parametrize("transport", ["ws", "tls+tcp"])
def test_strangers_cannot_starve_a_listener(transport: str) -> None:
    """Strangers that hold all descriptors keep newcomers out for a while, not for good."""
    finished = run_test_build(
        connect_among_strangers, transport, seconds=90, TNNG_HANDSHAKE_MS="1500"
    )

    assert (finished.clean, finished.output) == (True, "connected\n"), finished


async def listen_without_descriptors() -> None:
    """Print what a listener takes of a processor that cannot accept, and that it recovers."""
    async with trionng.Rep0() as rep, trionng.Req0() as req:
        url = rep.listen(URLS["ws"]).url
        parts = urlsplit(url)
        with plain(url), socket.socket() as stranger:
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (stranger.fileno() + 1, hard))
            stranger.connect((parts.hostname, parts.port))
            before = time.process_time()
            await trio.sleep(1)
            print("idle" if time.process_time() - before < 0.2 else "busy")
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            await req.dial(url, block=True)


@needs_fix("S5")
def test_ws_listener_without_descriptors_waits_for_some() -> None:
    """A listener that cannot accept does not spin, and goes on as soon as it can."""
    finished = run_in_subprocess(listen_without_descriptors)

    assert (finished.clean, finished.output) == (True, "idle\n"), finished


async def send_and_go(transport: str, protocol: str) -> None:
    """Print what stays of peers that sent some messages and went before the first receive."""
    with_tls, trusting = tls_of(transport)
    push, pull = {
        "push": (trionng.Push0, trionng.Pull0),
        "pair": (trionng.Pair1, trionng.Pair1),
    }[protocol]
    async with pull() as listening:
        url = listening.listen(URLS[transport], tls_config=with_tls).url
        peers = 1 if protocol == "pair" else 10
        for _ in range(2):
            for _ in range(peers):
                async with push() as sending:
                    await dial_patiently(sending, url, tls_config=trusting)
                    for number in range(MESSAGES):
                        await sending.send(b"%d" % number)
                    await sending.flush()
            received = 0
            with trio.move_on_after(25):
                while listening.pipes or not received:
                    with trio.move_on_after(0.05):
                        while True:
                            await listening.recv()
                            received += 1
        print(len(listening.pipes))


@needs_fix("L5")
@pytest.mark.parametrize(
    ("transport", "protocol"), [("ws", "push"), ("ws", "pair"), ("wss", "pair")]
)
def test_ws_connections_end_when_their_peer_has_gone(transport: str, protocol: str) -> None:
    """Once what it sent has been received, a peer that has gone holds no place."""
    finished = run_in_subprocess(send_and_go, transport, protocol, seconds=120)

    assert (finished.clean, finished.output) == (True, "0\n"), finished

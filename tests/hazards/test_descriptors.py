"""Whatever moment a socket, a dialer or a listener is closed in: its descriptors come back.

C11: a connection that has just shaken hands when its endpoint closes is forgotten by nng, with its
descriptor and all of the endpoint. Each scenario closes many of them at moments of all kinds.
"""

from __future__ import annotations

import ssl
import tempfile
import time
from typing import TYPE_CHECKING

import pytest
import trio

import trionng
from tests.support.certificates import TRUSTED, tls_of
from tests.support.fixes import has_error, needs_fix
from tests.support.pauses import WITHIN
from tests.support.resources import descriptors
from tests.support.sp import REQ0, greeting
from tests.support.subprocesses import run_in_subprocess, run_test_build
from tests.support.waiting import spin
from tests.transports.test_hostile_peers import plain
from trionng import blocking
from trionng._ffi import testing
from trionng.testing import new_url

if TYPE_CHECKING:
    import socket


TRANSPORTS = ("tcp", "ipc", "abstract", "tls+tcp")
CLIENTS = 6
pytestmark = needs_fix("C11")

# What nng and Python may open on first use, whenever that is.
SLACK = 3
# A pause in a test is no event: on a busy machine nng may not have got so far in the first try.
TRIES = 5


async def print_what_is_left(before: int, seconds: float = 40) -> None:
    """Print how many descriptors there are more than before, once they are back, or do not come."""
    with trio.move_on_after(seconds):
        while descriptors() > before + SLACK:
            await trio.sleep(0.05)
    print(max(0, descriptors() - before - SLACK))


def listening_url(transport: str, directory: str) -> str:
    if transport == "tls+tcp":
        return "tls+tcp://127.0.0.1:0"
    return new_url(transport, directory)


async def close_dialers(transport: str, rounds: str) -> None:
    """Close sockets that have just begun to connect."""
    with_tls, trusting = tls_of(transport)
    with tempfile.TemporaryDirectory(prefix="tng-") as directory:
        async with trionng.Rep0() as rep:
            url = rep.listen(listening_url(transport, directory), tls_config=with_tls).url

            async def once() -> None:
                async with trionng.Req0(dial=url, tls_config=trusting):
                    spin(0.0012)

            await once()
            before = descriptors()
            for _ in range(int(rounds)):
                await once()
            await print_what_is_left(before)


def close_blocking_dialers(rounds: str) -> None:
    """Close blocking sockets that have just begun to connect."""
    with tempfile.TemporaryDirectory(prefix="tng-") as directory, blocking.Rep0() as rep:
        url = rep.listen(new_url("ipc", directory)).url

        def once() -> None:
            with blocking.Req0() as req:
                req.dial(url, block=False)
                spin(0.0012)

        once()
        before = descriptors()
        for _ in range(int(rounds)):
            once()
        until = time.monotonic() + 40
        while descriptors() > before + SLACK and time.monotonic() < until:
            time.sleep(0.05)
        print(max(0, descriptors() - before - SLACK))


async def close_listeners(transport: str, what: str, rounds: str) -> None:
    """Close listeners, or their sockets, that have just been dialled."""
    with_tls, trusting = tls_of(transport)
    with tempfile.TemporaryDirectory(prefix="tng-") as directory:

        async def once() -> None:
            rep = trionng.Rep0()
            listener = rep.listen(listening_url(transport, directory), tls_config=with_tls)
            clients = [trionng.Req0(dial=listener.url, tls_config=trusting) for _ in range(CLIENTS)]
            spin(0.0025)
            if what == "listener":
                await listener.aclose()
            await rep.aclose()
            for each in clients:
                await each.aclose()

        await once()
        before = descriptors()
        for _ in range(int(rounds)):
            await once()
        await print_what_is_left(before)


def shake_hands(url: str, transport: str) -> socket.socket:
    """Connect to a Rep0, and exchange greetings."""
    peer = plain(url.removeprefix("tls+"))
    if transport == "tls+tcp":
        context = ssl.create_default_context(cadata=TRUSTED.decode())
        peer = context.wrap_socket(peer, server_hostname="localhost")
    peer.sendall(greeting(REQ0))
    heard = b""
    while len(heard) < 8:
        heard += peer.recv(8 - len(heard))
    return peer


async def close_with_connections_that_wait(transport: str, seconds: str = "40") -> None:
    """Close a listener while connections that have shaken hands wait behind another one."""
    with_tls, _ = tls_of(transport)
    with tempfile.TemporaryDirectory(prefix="tng-") as directory:

        async def once() -> None:
            async with trionng.Rep0() as rep:
                listener = rep.listen(listening_url(transport, directory), tls_config=with_tls)
                testing.arm_pause("pipe.added")
                peers = [shake_hands(listener.url, transport)]
                assert await trio.to_thread.run_sync(testing.pause_reached, "pipe.added", WITHIN)
                peers += [shake_hands(listener.url, transport) for _ in range(CLIENTS)]
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(listener.aclose)
                    await trio.sleep(0.2)  # nng's threads are at the end of each handshake
                    testing.open_pause("pipe.added")
            for each in peers:
                each.close()

        await once()  # with all that is opened on first use
        before = descriptors()
        await once()
        await print_what_is_left(before, float(seconds))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_descriptors_of_sockets_closed_connecting_return(transport: str) -> None:
    """A socket that is closed while it connects leaves nothing open."""
    finished = run_in_subprocess(close_dialers, transport, "150")

    assert (finished.clean, finished.output) == (True, "0\n"), finished


def test_descriptors_of_sync_sockets_closed_connecting_return() -> None:
    """A blocking socket that is closed while it connects leaves nothing open."""
    finished = run_in_subprocess(close_blocking_dialers, "150")

    assert (finished.clean, finished.output) == (True, "0\n"), finished


@pytest.mark.parametrize(
    ("transport", "what"), [("tcp", "listener"), ("ipc", "socket"), ("tls+tcp", "listener")]
)
def test_descriptors_of_listeners_closed_while_dialled_return(transport: str, what: str) -> None:
    """A listener that is closed while clients connect leaves neither them nor itself open."""
    finished = run_in_subprocess(close_listeners, transport, what, "25")

    assert (finished.clean, finished.output) == (True, "0\n"), finished


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_descriptors_of_connections_that_wait_return(transport: str) -> None:
    """Connections that were not accepted when their listener closes are closed with it."""
    finished = run_test_build(close_with_connections_that_wait, transport)

    assert (finished.clean, finished.output) == (True, "0\n"), finished


@has_error("C11")
def test_descriptors_of_waiting_connections_without_fix_are_lost() -> None:
    """C11: nng forgets connections that have shaken hands when their endpoint closes."""
    tries = (
        run_test_build(close_with_connections_that_wait, "tcp", "1", without="C11")
        for _ in range(TRIES)
    )

    assert any(finished.clean and int(finished.output) > 0 for finished in tries)

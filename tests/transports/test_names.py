"""Names of ipc and abstract listeners are free when a close has returned, and others' are safe.

L4: nng deletes whatever is at the path of an ipc listener, and frees an abstract name later. M6: it
lets 128 clients wait, and a unix socket refuses the next ones. M7: it dials only the first address
of a name.
"""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import tempfile
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

import trionng
from tests.support.certificates import client, server
from tests.support.fixes import has_error, needs_fix
from tests.support.ports import reserved_port
from tests.support.subprocesses import Finished, run_in_subprocess, run_test_build
from trionng import blocking
from trionng.testing import new_url

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def folder() -> Iterator[str]:
    """Return a folder whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="tng-") as directory:
        yield directory


@needs_fix("L4")
async def test_abstract_name_is_free_when_the_socket_is_closed(tmp_path: Path) -> None:
    """When aclose has returned the next socket can listen on the name."""
    url = new_url("abstract", tmp_path)
    for _ in range(60):
        async with trionng.Rep0(listen=url), trionng.Req0() as req:
            await req.dial(url, block=True)


@needs_fix("L4")
async def test_abstract_name_is_free_when_the_listener_is_closed(tmp_path: Path) -> None:
    """When the aclose of a listener has returned its name can be listened on again."""
    url = new_url("abstract", tmp_path)
    async with trionng.Rep0() as rep:
        for _ in range(60):
            async with trionng.Req0() as req:
                listener = rep.listen(url)
                await req.dial(url, block=True)
                await listener.aclose()


@needs_fix("L4")
def test_abstract_name_is_free_when_blocking_ones_are_closed(tmp_path: Path) -> None:
    """The same holds for blocking sockets and their listeners."""
    url = new_url("abstract", tmp_path)
    for _ in range(30):
        with blocking.Rep0(listen=url) as rep:
            rep.listeners[0].close()
            rep.listen(url)


async def close_after_it_was_replaced(folder: str, by: str) -> bool:
    """Close a listener whose path is another's by now; return whether that is still there."""
    path = os.path.join(folder, "name")
    async with contextlib.AsyncExitStack() as others:
        async with trionng.Rep0() as rep:
            listener = rep.listen(f"ipc://{path}")
            os.unlink(path)
            if by == "file":
                await trio.Path(path).touch()
            elif by == "socket":
                others.enter_context(socket.socket(socket.AF_UNIX)).bind(path)
            else:
                await others.enter_async_context(trionng.Rep0(listen=f"ipc://{path}"))
            await listener.aclose()
        kept = await trio.Path(path).exists()
        if kept and by == "listener":
            async with trionng.Req0() as req:
                await req.dial(f"ipc://{path}", block=True)
    return kept


@needs_fix("L4")
@pytest.mark.parametrize("by", ["file", "socket", "listener"])
async def test_close_of_an_ipc_listener_leaves_what_is_not_its_own(folder: str, by: str) -> None:
    """A file that another process put at the path stays there, and works."""
    assert await close_after_it_was_replaced(folder, by)


@needs_fix("L4")
async def test_close_of_ipc_listener_in_another_folder_finds_its_file(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path is what it was when the socket began to listen."""
    monkeypatch.chdir(folder)
    async with trionng.Rep0(listen="ipc://here"):
        assert os.listdir(folder) == ["here"]
        monkeypatch.chdir("/")

    assert os.listdir(folder) == []


async def test_close_of_an_ipc_listener_leaves_nothing_behind(folder: str) -> None:
    """The file of a listener goes with it."""
    async with trionng.Rep0() as rep:
        listener = rep.listen(f"ipc://{folder}/one")
        rep.listen(f"ipc://{folder}/two")
        await listener.aclose()
        assert os.listdir(folder) == ["two"]

    assert os.listdir(folder) == []


async def print_whether_it_stays() -> None:
    with tempfile.TemporaryDirectory(prefix="tng-") as directory:
        print(await close_after_it_was_replaced(directory, "file"))


@has_error("L4")
def test_close_of_an_ipc_listener_without_fix_deletes_any_file() -> None:
    """L4: nng deletes what is at the path."""
    finished = run_test_build(print_whether_it_stays, without="L4")

    assert (finished.clean, finished.output) == (True, "False\n"), finished


# A crowd at the door


async def dial_with_a_full_backlog(transport: str) -> None:
    """Dial a listener that lets one connection wait, and accepts the others late."""
    with tempfile.TemporaryDirectory(prefix="tng-") as directory:
        url = new_url(transport, directory)
        name = url.partition("://")[2]
        async with trionng.Req0() as req, trionng.Req0() as other:
            with socket.socket(socket.AF_UNIX) as server:
                server.bind("\0" + name if transport == "abstract" else name)
                server.listen(0)
                waiting = socket.socket(socket.AF_UNIX)
                waiting.connect(server.getsockname())
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(lambda: req.dial(url, block=True))
                    nursery.start_soon(lambda: other.dial(url))
                    await trio.testing.wait_all_tasks_blocked(0.1)
                    peers = [server.accept()[0] for _ in range(3)]
                    for each in peers:
                        each.sendall(b"\0SP\0\0\x31\0\0")
                for each in (*peers, waiting):
                    each.close()
    print("made")


@pytest.mark.parametrize("transport", ["ipc", "abstract"])
def test_dial_waits_while_the_backlog_of_its_listener_is_full(transport: str) -> None:
    """A listener that cannot take another connection yet is no failure."""
    finished = run_in_subprocess(dial_with_a_full_backlog, transport)

    assert (finished.clean, finished.output) == (True, "made\n"), finished


def knock_at_a_listener_that_cannot_accept(transport: str) -> None:
    """Connect to a listener that has no descriptor left; print how many connections can wait."""
    knocking = 300
    with tempfile.TemporaryDirectory(prefix="tng-") as directory, blocking.Rep0() as rep:
        name = rep.listen(new_url(transport, directory)).url.partition("://")[2]
        address = "\0" + name if transport == "abstract" else name
        peers = [socket.socket(socket.AF_UNIX) for _ in range(knocking)]
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (peers[-1].fileno() + 1, hard))
        for peer in peers:
            peer.setblocking(False)
        waiting = 0
        with contextlib.suppress(BlockingIOError):
            for peer in peers:
                peer.connect(address)
                waiting += 1
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for peer in peers:
            peer.close()
        print(waiting)


@needs_fix("M6")
@pytest.mark.parametrize("transport", ["ipc", "abstract"])
def test_hundreds_wait_for_a_listener_that_cannot_accept(transport: str) -> None:
    """M6: a listener has room for more than the 128 connections that nng asks the kernel for."""
    finished = run_test_build(knock_at_a_listener_that_cannot_accept, transport)

    assert (finished.clean, finished.output) == (True, "300\n"), finished


@pytest.mark.parametrize("transport", ["ipc", "abstract"])
async def test_dial_of_hundreds_at_once_succeeds(transport: str, folder: str) -> None:
    """Every client that dials gets a connection."""
    dialing = 300
    async with trionng.Rep0(listen=new_url(transport, folder)) as rep:
        url = rep.listeners[0].url
        requests = [trionng.Req0() for _ in range(dialing)]
        async with trio.open_nursery() as nursery:
            for each in requests:
                nursery.start_soon(lambda req=each: req.dial(url, block=True))
        await rep.wait_connected(dialing)
        for each in requests:
            await each.aclose()


# Names with several addresses


async def dial_by_name(transport: str, block: str) -> None:
    """Dial a name whose first address refuses; say whether it was reached, and again later."""
    with_tls, trusting = None, None
    if transport in ("tls+tcp", "wss"):
        with_tls, trusting = server(), client()
    path = "/path" if transport.startswith("ws") else ""
    async with trionng.Rep0() as rep, trionng.Req0(reconnect_time_min=10) as req:
        url = rep.listen(f"{transport}://localhost:0{path}", tls_config=with_tls).url
        how = {"yes": True, "no": False, "first": None}[block]
        try:
            await req.dial(url, block=how, tls_config=trusting)
        except trionng.ConnectionRefused:
            print("refused")
            return
        with trio.fail_after(60):
            await req.wait_connected()
            await rep.listeners[0].aclose()
            rep.listen(url, tls_config=with_tls)
            await req.send(b"again")
            print((await rep.recv()).decode())


def by_name(transport: str, block: str, without: str = "") -> Finished:
    return run_test_build(
        dial_by_name,
        transport,
        block,
        simulate="TWO_ADDRESSES",
        without=without,
    )


@needs_fix("M7")
@pytest.mark.parametrize(
    ("transport", "block"),
    [
        ("tcp", "yes"),
        ("tcp", "first"),
        ("tcp", "no"),
        ("tls+tcp", "yes"),
        ("ws", "yes"),
        ("ws", "no"),
        ("wss", "yes"),
    ],
)
def test_every_address_of_a_name_is_dialled(transport: str, block: str) -> None:
    """A listener is reached that is not at the first address, at once and after an outage."""
    finished = by_name(transport, block)

    assert (finished.clean, finished.output) == (True, "again\n"), finished


@has_error("M7")
@needs_fix("M7")  # one of its wrappers finds the addresses
def test_only_the_first_address_is_dialled_without_the_fix() -> None:
    """M7: a listener at another address is never reached."""
    finished = by_name("tcp", "yes", without="M7")

    assert (finished.clean, finished.output) == (True, "refused\n"), finished


def test_dial_of_a_name_without_a_listener_fails() -> None:
    """When no address answers, the dial that is waited for says so."""
    with reserved_port() as port, blocking.Req0() as req:
        with pytest.raises(trionng.ConnectionRefused):
            req.dial(f"tcp://localhost:{port}", block=True)

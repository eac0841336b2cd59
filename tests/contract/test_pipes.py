"""Pipes: what they tell, also when they have gone, and what they keep alive."""

from __future__ import annotations

import gc
import os
import weakref
from typing import Any

import pytest
import trio
import trio.lowlevel

import trionng
from tests.support.certificates import client, server
from tests.support.resources import resident
from tests.support.subprocesses import run_in_subprocess
from trionng.testing import connected, new_url

SECONDS = 60
FACTS = [
    *("id", "url", "local_address", "remote_address", "protocol", "protocol_name", "peer"),
    *("peer_name", "tls_verified", "dialer", "listener"),
]


def facts_of(pipe: trionng.Pipe) -> dict[str, object]:
    return {name: getattr(pipe, name) for name in FACTS}


@pytest.mark.parametrize("transport", ["inproc", "ipc", "tcp"])
async def test_facts_of_a_pipe_stay_when_it_has_gone(transport):
    """Addresses, protocols, endpoint and url read the same before and after the connection went."""
    with trio.fail_after(SECONDS):
        async with connected(trionng.Rep0(), trionng.Req0(), transport) as (rep, req):
            pipe, dialled = rep.pipes[0], req.pipes[0]
            before = facts_of(pipe), facts_of(dialled)
            assert (pipe.listener, pipe.dialer) == (rep.listeners[0], None)
            assert (dialled.listener, dialled.dialer) == (None, req.dialers[0])
            assert (pipe.protocol_name, pipe.peer_name) == ("rep", "req")
            assert (pipe.protocol, pipe.peer) == (rep.protocol, rep.peer)
            assert pipe.socket is rep

    assert pipe.closed
    assert (facts_of(pipe), facts_of(dialled)) == before


async def test_tcp_options_of_a_pipe_are_those_of_its_endpoint():
    """`tcp_nodelay` and `tcp_keepalive` are what the endpoint was given; inproc has neither."""
    with trio.fail_after(SECONDS):
        async with trionng.Rep0() as rep, trionng.Req0() as req:
            listener = rep.listen("tcp://127.0.0.1:0", tcp_nodelay=False, tcp_keepalive=True)
            await req.dial(listener.url, block=True)
            await rep.wait_connected()
            pipe = rep.pipes[0]
        assert (pipe.tcp_nodelay, pipe.tcp_keepalive) == (False, True)
        async with connected(trionng.Rep0(), trionng.Req0(), "inproc") as (rep, _):
            with pytest.raises(trionng.NotSupported, match="tcp_nodelay"):
                _ = rep.pipes[0].tcp_nodelay


async def test_peer_of_an_ipc_pipe_is_known():
    """On ipc the peer's user, group and process can be read, also later; elsewhere not."""
    with trio.fail_after(SECONDS):
        async with connected(trionng.Rep0(), trionng.Req0(), "ipc") as (rep, _):
            pipe = rep.pipes[0]
        assert (pipe.uid, pipe.gid, pipe.pid) == (os.getuid(), os.getgid(), os.getpid())
        async with connected(trionng.Rep0(), trionng.Req0(), "tcp") as (rep, _):
            for name in ("uid", "gid", "pid"):
                with pytest.raises(trionng.NotSupported, match=name):
                    getattr(rep.pipes[0], name)


async def test_tls_verified_is_true_only_for_a_checked_certificate():
    """The client has verified the server; a server that asks for no certificate has not."""
    with trio.fail_after(SECONDS):
        async with trionng.Pair0() as one, trionng.Pair0() as other:
            url = one.listen("tls+tcp://127.0.0.1:0", tls_config=server()).url
            config = client(server_name="localhost")
            await other.dial(url, block=True, tls_config=config)
            await one.wait_connected()
            assert other.pipes[0].tls_verified
            assert not one.pipes[0].tls_verified
        async with connected(trionng.Pair0(), trionng.Pair0(), "tcp") as (one, _):
            assert not one.pipes[0].tls_verified


async def test_pipe_of_polyamorous_pair_sends_to_its_own_peer():
    """`pipe.send` and `pipe.send_msg` reach the peer of that pipe, and no other."""
    with trio.fail_after(SECONDS):
        async with (
            trionng.Pair1(polyamorous=True) as hub,
            trionng.Pair1() as one,
            trionng.Pair1() as other,
        ):
            url = hub.listen("tcp://127.0.0.1:0").url
            pipes: list[Any] = []
            for peer in (one, other):
                await peer.dial(url, block=True)
                await peer.send(b"hello")
                pipes.append((await hub.recv_msg()).pipe)
            await pipes[1].send(b"to the other")
            await pipes[0].send_msg(trionng.Message(b"to the one", pipes[1]))
            assert await one.recv() == b"to the one"
            assert await other.recv() == b"to the other"
            async with hub.pipe_events() as events:
                await other.aclose()
                while (await anext(events)).kind != "disconnected":
                    pass
            with pytest.raises(trionng.ConnectionReset, match="has gone"):
                await pipes[1].send(b"too late")
        with pytest.raises(trionng.Closed):
            await pipes[0].send(b"closed")


async def test_pipe_of_another_protocol_cannot_send():
    """Where nng chooses the peer, `pipe.send` says so."""
    with trio.fail_after(SECONDS):
        async with connected(trionng.Pair1(), trionng.Pair1(), "inproc") as (one, _):
            with pytest.raises(trionng.NotSupported, match="polyamorous"):
                await one.pipes[0].send(b"data")
            with pytest.raises(TypeError, match="encode"):
                await one.pipes[0].send("text")  # type: ignore[arg-type]


async def test_message_of_a_connection_that_went_names_a_closed_pipe():
    """A message read after its sender has gone names the sender, whose pipe is closed."""
    with trio.fail_after(SECONDS):
        async with trionng.Pull0() as pull, pull.pipe_events() as events:
            url = pull.listen("tcp://127.0.0.1:0").url
            pull.recv_buffer_size = 4
            async with trionng.Push0(linger=60) as push:
                await push.dial(url, block=True)
                connect = await anext(events)
                address = str(push.pipes[0].local_address)
                await push.send(b"last words")
            assert (await anext(events)).kind == "disconnected"
            message = await pull.recv_msg()

            assert message.pipe is connect.pipe
            assert str(message.pipe.remote_address) == address
            assert message.pipe.closed
            assert pull.pipes == ()


async def test_pipe_object_without_references_is_freed():
    """The socket keeps no object of a connection; while one is held, it is the only one."""
    with trio.fail_after(SECONDS):
        async with connected(trionng.Rep0(), trionng.Req0(), "inproc") as (rep, _):
            pipe = rep.pipes[0]
            assert rep.pipes[0] is pipe
            gone = weakref.ref(pipe)
            del pipe
            gc.collect()
            assert gone() is None


def churn(rounds: str) -> None:
    """Connect and disconnect many times; print by how many KiB the process has grown."""

    async def main() -> None:
        async with trionng.Pull0() as pull, pull.pipe_events() as events:
            url = pull.listen(new_url()).url
            sizes = []
            for _ in range(2):
                for _ in range(int(rounds)):
                    async with trionng.Push0() as push:
                        await push.dial(url, block=True)
                        await push.send(b"hello")
                        assert (await pull.recv_msg()).pipe is not None
                    await anext(events)
                    await anext(events)
                gc.collect()
                sizes.append(resident() // 1024)
            print(sizes[1] - sizes[0], len(pull._pipes))

    trio.run(main)


def test_connections_that_come_and_go_leave_memory_flat():
    """After many connects and disconnects the process is as large as after the first of them."""
    # One arena: how many the allocator makes depends on which threads meet in it.
    finished = run_in_subprocess(churn, "500", seconds=120, MALLOC_ARENA_MAX="1")

    assert finished.clean, finished
    grown, kept = map(int, finished.output.split())
    assert grown < 512, f"{grown} KiB"
    assert kept == 0


async def test_pipe_of_a_closed_endpoint_still_says_where_it_came_from():
    """A message read when its listener has closed still names the URL its connection came by."""
    with trio.fail_after(SECONDS):
        async with trionng.Pull0(recv_buffer_size=2) as pull, trionng.Push0() as push:
            async with pull.listen("tcp://127.0.0.1:0") as listener:
                url = listener.url
                await push.dial(url, block=True)
                await push.send(b"late")
                while not pull._ctx.prefetched():
                    await trio.lowlevel.checkpoint()
            del listener
            gc.collect()
            while pull.pipes:
                await trio.lowlevel.checkpoint()
            message = await pull.recv_msg()
            assert message.bytes == b"late"
            assert message.pipe is not None
            assert message.pipe.url == url
            assert message.pipe.closed

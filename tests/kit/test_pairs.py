"""Connected sockets of the kit: every protocol, every transport, and every way to leave a block."""

from __future__ import annotations

import re

import pytest
import trio
import trio.testing

import trionng
from trionng.testing import connected, new_url, open_pair

# Each kind with its classes; the first one listens.
KINDS = {
    "pair0": (trionng.Pair0, trionng.Pair0),
    "pair1": (trionng.Pair1, trionng.Pair1),
    "pair1_polyamorous": (trionng.Pair1, trionng.Pair1),
    "reqrep": (trionng.Req0, trionng.Rep0),
    "pubsub": (trionng.Pub0, trionng.Sub0),
    "pushpull": (trionng.Push0, trionng.Pull0),
    "survey": (trionng.Surveyor0, trionng.Respondent0),
    "bus": (trionng.Bus0, trionng.Bus0),
}


def test_kinds_are_all_protocols():
    """There is a pair for each of the eleven protocols."""
    protocols = {
        value
        for value in vars(trionng).values()
        if isinstance(value, type)
        and issubclass(value, trionng.Socket)
        and value is not trionng.Socket
    }
    assert len(protocols) == 11
    assert {each for pair in KINDS.values() for each in pair} == protocols


@pytest.mark.parametrize("kind", KINDS)
async def test_pair_is_connected_and_passes_a_message(kind):
    """Both ends know their peer when the block begins; afterwards both are closed."""
    with trio.fail_after(60):
        async with open_pair(kind) as (first, second):
            assert (type(first), type(second)) == KINDS[kind]
            assert (len(first.pipes), len(second.pipes)) == (1, 1)
            await first.send(b"hello")
            assert await second.recv() == b"hello"
    for each in (first, second):
        with pytest.raises(trionng.Closed):
            await each.flush()


@pytest.mark.parametrize("transport", ["inproc", "ipc", "abstract", "tcp", "tcp4", "tcp6", "ws"])
async def test_pair_on_another_transport(transport):
    """A pair is to be had on each transport that needs no certificate."""
    with trio.fail_after(60):
        async with open_pair("pair0", transport=transport) as (a, b):
            assert a.listeners[0].url.startswith(f"{transport}://")
            await b.send(b"hello")
            assert await a.recv() == b"hello"


@pytest.mark.parametrize("call", [open_pair, lambda word: open_pair("bus", transport=word)])
def test_pair_refuses_an_unknown_word(call):
    """An unknown kind or transport is refused before there is a socket."""
    with pytest.raises(trionng.InvalidOperation, match="'pushpul'"):
        call("pushpul")


def test_unknown_kind_names_the_one_that_was_meant():
    """The refusal has the list, and the nearest word."""
    with pytest.raises(trionng.InvalidOperation, match=r"pubsub.*did you mean 'pushpull'"):
        open_pair("pushpul")


@pytest.mark.parametrize(
    ("transport", "instead"), [("tls+tcp", "tls+tcp://localhost:0"), ("wss", "wss://localhost:0/")]
)
def test_url_of_a_transport_with_tls_is_named_instead(transport, instead):
    """A certificate is for a name, so there is no new URL; the error says what to listen on."""
    with pytest.raises(trionng.InvalidOperation, match=f"listen on {re.escape(instead)}$"):
        new_url(transport)


async def test_pair_that_is_never_entered_leaves_nothing():
    """The sockets are made when the block begins: no ResourceWarning otherwise."""
    open_pair("bus")


async def test_pair_closes_when_the_body_raises():
    """The body's exception leaves as it is, and both sockets are closed."""
    with pytest.raises(ZeroDivisionError):
        async with open_pair("reqrep") as (req, rep):
            _ = 1 // 0
    with pytest.raises(trionng.Closed):
        await rep.recv()
    assert req.statistics().pipes == 0


async def test_pair_closes_when_the_body_is_cancelled():
    """A cancelled body waits no longer, and both sockets are closed."""
    with trio.CancelScope() as scope:
        async with open_pair("pushpull") as (push, pull):
            scope.cancel()
            await pull.recv()
    assert scope.cancelled_caught
    for each in (push, pull):
        with pytest.raises(trionng.Closed):
            await each.flush()


@pytest.mark.parametrize("transport", ["inproc", "ipc", "tcp"])
async def test_pair_that_is_cancelled_while_it_opens_raises(transport):
    """Cancelled before the block begins: no body, no socket left (ResourceWarning is an error)."""
    with trio.CancelScope() as scope:
        scope.cancel()
        async with open_pair("pair0", transport=transport):
            pytest.fail("the block began")
    assert scope.cancelled_caught


async def test_pair_that_was_closed_in_the_body_is_left_in_peace():
    """Closing one, or both, in the body is fine."""
    async with open_pair("pair1") as (a, b):
        await a.aclose()
        await a.aclose()
        with pytest.raises(trionng.Closed):
            await a.recv()
        await b.aclose()


async def test_task_of_the_body_that_waits_gets_closed():
    """A task that outlives the block is told so."""

    async def receive(pair):
        with pytest.raises(trionng.Closed):
            await pair.recv()
        told.set()

    told = trio.Event()
    async with trio.open_nursery() as nursery:
        async with open_pair("pair0") as (a, _):
            nursery.start_soon(receive, a)
            await trio.testing.wait_all_tasks_blocked()
        await told.wait()


async def test_pairs_in_each_other_do_not_meet():
    """Each block has a URL of its own."""
    async with open_pair("bus") as (a, b), open_pair("bus") as (c, d):
        await a.send(b"for b")
        await c.send(b"for d")
        assert (await b.recv(), await d.recv()) == (b"for b", b"for d")


async def test_connected_takes_sockets_with_options():
    """The caller's own sockets, of different classes, are connected and closed."""
    async with connected(trionng.Pull0(recv_buffer_size=4), trionng.Push0(), "ipc") as (pull, push):
        await push.send(b"job")
        assert await pull.recv() == b"job"
        assert pull.recv_buffer_size == 4
    with pytest.raises(trionng.Closed):
        await push.send(b"job")


async def test_connected_refuses_sockets_that_do_not_talk():
    """Two protocols that are no peers are refused, and closed."""
    pub, pull = trionng.Pub0(), trionng.Pull0()
    with pytest.raises(trionng.ProtocolError):
        async with connected(pub, pull):
            pytest.fail("the block began")
    with pytest.raises(trionng.Closed):
        await pub.send(b"x")


@pytest.mark.parametrize("transport", ["inproc", "ipc", "abstract"])
def test_new_url_is_new(transport):
    """No two are the same."""
    assert len({new_url(transport) for _ in range(100)}) == 100


def test_new_url_takes_a_directory(tmp_path):
    """The file of an ipc URL is where the caller wants it."""
    assert new_url("ipc", tmp_path).startswith(f"ipc://{tmp_path}/trionng-")

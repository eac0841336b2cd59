"""What a beginner does wrong, and what trionng answers: in the user's words, with the way out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

import trionng
from trionng import Admission, Message, blocking
from trionng.testing import new_url

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 60


async def echo(request):
    return request


# What is done to a new socket; the class; what is raised; what is said.
WITH_A_SOCKET: dict[str, tuple[str, Callable, type[Exception], str]] = {
    "send a str": ("Pair0", lambda s: s.send("x"), TypeError, r"data\.encode\(\)"),
    "send an int": ("Pair0", lambda s: s.send(5), TypeError, "bytes or another buffer, not int"),
    "send None": ("Req0", lambda s: s.request(None), TypeError, "not NoneType"),
    "send a list": ("Push0", lambda s: s.send([b"x"]), TypeError, "not list"),
    "send_msg of bytes": ("Pair0", lambda s: s.send_msg(b"x"), TypeError, "takes a Message"),
    "send_nowait of a str": ("Pub0", lambda s: s.send_nowait("x"), TypeError, "encode"),
    "send on Sub0": ("Sub0", lambda s: s.send(b"x"), trionng.NotSupported, "only receives"),
    "receive on Push0": ("Push0", lambda s: s.recv(), trionng.NotSupported, "only sends"),
    "subscribe to an int": ("Sub0", lambda s: s.subscribe(5), TypeError, "str or bytes, not int"),
    "subscribe to no text": (
        "Sub0", lambda s: s.subscribe("\udcff"), trionng.InvalidOperation, "give bytes",
    ),
    "unsubscribe from nothing": (
        "Sub0", lambda s: s.unsubscribe("x"), trionng.NoEntry, "b'x': there is no such subscr",
    ),
    "a context of Pair0": (
        "Pair0", lambda s: s.new_context(), trionng.NotSupported, "Req0, Rep0, Surveyor0",
    ),
    "no peer, by option": (
        "Pair0", lambda s: (setattr(s, "recv_timeout", 10), s.recv()), trionng.Timeout,
        "10 ms are over, and no peer is connected",
    ),
    "no peer, by argument": (
        "Req0", lambda s: s.request(b"x", timeout=0.01), trionng.Timeout,
        r"0\.01 s are over, and no peer is connected",
    ),
    "wait for a str": ("Pair0", lambda s: s.wait_connected("2"), TypeError, "wait_connected"),
    "a str for timeout": ("Pair0", lambda s: s.recv(timeout="2"), TypeError, "seconds are needed"),
    "seconds for block": ("Pair0", lambda s: s.recv(5), TypeError, "for seconds write timeout="),
    "recv_many of nothing": (
        "Pair0", lambda s: s.recv_many(0), trionng.InvalidOperation, r"Pair0\.recv_many: 0",
    ),
    "recv_many of a str": ("Pair0", lambda s: s.recv_many("5"), TypeError, "an int is needed"),
    "an unknown word to listen": (
        "Pair0", lambda s: s.listen("inproc://x", recv_max_sise=5), TypeError,
        r"Pair0\.listen has no argument 'recv_max_sise'; did you mean 'recv_max_size'",
    ),
    "an unknown word to dial": (
        "Pair0", lambda s: s.dial("inproc://x", blok=True), TypeError,
        r"Pair0\.dial has no argument 'blok'; did you mean 'block'",
    ),
    "an unknown word to recv": (
        "Pair0", lambda s: s.recv(timout=5), TypeError, r"Socket\.recv\(\) .*'timout'",
    ),
    "block that is a word": (
        "Pair0", lambda s: s.dial("inproc://x", block="yes"), TypeError, "block: True or False",
    ),
    "closed before": (
        "Pair0", lambda s: (s.close(), s.send(b"x")), trionng.Closed, "the socket is closed",
    ),
    "accept a str": (
        "Pair0", lambda s: s.listen("tcp://127.0.0.1:0", accept="127.0.0.1"), TypeError,
        r"Admission\(addresses=",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WITH_A_SOCKET)
def test_mistake_with_a_socket_is_answered_in_words(case):
    """The error says what was attempted and what to do instead, and names no private class."""
    name, do, error, words = WITH_A_SOCKET[case]
    with getattr(blocking, name)() as socket:
        with pytest.raises(error, match=words) as caught:
            do(socket)
    assert "Base" not in str(caught.value)
    assert "AsyncIO" not in str(caught.value)


UNDER_TRIO: dict[str, tuple[str, Callable, type[Exception], str]] = {
    "send a str": ("Pair0", lambda s: s.send("x"), TypeError, r"data\.encode\(\)"),
    "send an int": ("Pair0", lambda s: s.send(5), TypeError, "bytes or another buffer, not int"),
    "request a dict": ("Req0", lambda s: s.request({}), TypeError, "not dict"),
    "send many of int": ("Push0", lambda s: s.send_many([b"a", 5]), TypeError, "not int"),
    "send_msg of bytes": ("Pair0", lambda s: s.send_msg(b"x"), TypeError, "takes a Message"),
    "a timeout": ("Pair0", lambda s: s.recv(timeout=5), TypeError, r"Socket\.recv\(\) .*timeout"),
    "wait for a str": ("Pair0", lambda s: s.wait_connected("2"), TypeError, "wait_connected"),
    "recv_many of nothing": (
        "Pair0", lambda s: s.recv_many(0), trionng.InvalidOperation, r"Pair0\.recv_many: 0",
    ),
    "an unknown word to dial": (
        "Pair0", lambda s: s.dial("inproc://x", blok=True), TypeError,
        r"Pair0\.dial has no argument 'blok'; did you mean 'block'",
    ),
    "block that is a word": (
        "Pair0", lambda s: s.dial("inproc://x", block="yes"), TypeError, "block: True or False",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", UNDER_TRIO)
async def test_mistake_under_trio_is_answered_in_words(case):
    """The same, awaited."""
    name, do, error, words = UNDER_TRIO[case]
    with trio.fail_after(SECONDS):
        async with getattr(trionng, name)() as socket:
            with pytest.raises(error, match=words):
                await do(socket)


WITHOUT_A_SOCKET: dict[str, tuple[Callable, type[Exception], str]] = {
    "Message of a str": (lambda: Message("x"), TypeError, "encode"),
    "Message of an int": (lambda: Message(5), TypeError, "not int"),
    "raw=1": (lambda: blocking.Pair0(raw=1), TypeError, "Pair0: raw: True or False"),
    "polyamorous": (lambda: blocking.Pair1(polyamorous="yes"), TypeError, "polyamorous: True"),
    "topics": (lambda: blocking.Sub0(topics=5), TypeError, "str or bytes, not int"),
    "subscribe": (lambda: blocking.Sub0(subscribe="x"), TypeError, "topics="),
    "serve nowhere": (lambda: blocking.serve_rep(len), TypeError, "listen=, dial= or socket="),
    "serve nothing": (
        lambda: blocking.serve_rep(None, listen="inproc://x"), TypeError, "must be a function",
    ),
    "serve async": (
        lambda: blocking.serve_rep(echo, listen="inproc://x"), TypeError, r"trionng\.serve_rep",
    ),
    "serve with a word": (
        lambda: blocking.serve_rep(len, listen="inproc://x", workers="3"), TypeError, "workers",
    ),
    "an argument without a name": (
        lambda: blocking.Pair0(5), TypeError, r"given by name, as in Pair0\(listen=url\)",
    ),
    "serve a coroutine in threads": (
        lambda: blocking.serve_rep(echo(b""), listen="inproc://x"), TypeError,
        "the handler must be a function, not coroutine",
    ),
    "context by hand": (lambda: blocking.Context(), TypeError, r"Context\.__init__"),
    "address": (lambda: Admission(addresses="300.1.1.1"), ValueError, "300.1.1.1"),
}  # fmt: skip


@pytest.mark.parametrize("case", WITHOUT_A_SOCKET)
def test_mistake_without_a_socket_is_answered_in_words(case):
    """What is made wrongly says so where it is made."""
    do, error, words = WITHOUT_A_SOCKET[case]
    with pytest.raises(error, match=words) as caught:
        do()
    assert "Base" not in str(caught.value)


def test_message_given_to_send_is_refused_naming_send_msg():
    """Before Python 3.12 a Message is no buffer; later `send` takes its bytes."""
    with blocking.Pair0(send_buffer_size=1) as pair:
        try:
            pair.send(Message(b"x"))
        except TypeError as error:
            said = str(error)
        else:
            return
    assert "send_msg" in said


async def test_blocking_socket_in_a_task_names_the_call_that_blocks():
    """Leaving the block says nothing of its own: the first error is the one to read."""
    with pytest.raises(RuntimeError, match=r"blocking\.Pair0\.recv .*await trionng\.Pair0\.recv"):
        with blocking.Pair0() as pair:
            pair.recv()


async def test_coroutine_never_awaited_has_the_public_class_name():
    """Python's warning names Socket.send."""
    async with trionng.Pair0() as pair:
        coroutine = pair.send(b"x")
        assert coroutine.__qualname__ == "Socket.send"  # type: ignore[attr-defined]
        coroutine.close()


async def test_service_on_a_socket_of_the_other_api_names_it():
    """Two classes of one name are told apart."""
    with blocking.Rep0() as rep:
        async with trio.open_nursery() as nursery:
            with pytest.raises(TypeError, match=r"not Rep0 of trionng\.blocking"):
                await trionng.serve_rep(nursery, echo, socket=rep)
        rep._abort()


@pytest.mark.parametrize("transport", ["tcp", "ipc", "inproc", "abstract"])
def test_address_in_use_says_by_what(transport, tmp_path):
    """A second listener reads that there is a first."""
    with blocking.Pair0() as one, blocking.Pair0() as other:
        url = one.listen(new_url(transport, tmp_path)).url
        with pytest.raises(trionng.AddressInUse, match=f"^listen {url}: "):
            other.listen(url)


async def test_on_error_that_is_called_already_is_refused():
    """A coroutine in the place of a function is named, and Python warns of nothing."""
    async with trio.open_nursery() as nursery:
        with pytest.raises(TypeError, match="on_error must be a function, not coroutine"):
            await trionng.serve_rep(nursery, echo, listen="inproc://x", on_error=echo(b""))


@pytest.mark.parametrize("serve", ["serve_rep", "serve_pull", "serve_sub", "serve_respondent"])
async def test_service_without_a_nursery_says_what_comes_first(serve):
    """A URL or a handler in the nursery's place is answered with what belongs there."""
    for wrong in ("tcp://127.0.0.1:0", echo):
        with pytest.raises(TypeError, match=f"{serve}: the first argument is the nursery"):
            await getattr(trionng, serve)(wrong, echo, listen="inproc://x")
    with pytest.raises(TypeError, match="serve_pipes: the first argument is the nursery"):
        await trionng.serve_pipes("x", None, echo)


async def test_peer_of_another_protocol_is_named_in_the_error():
    """A pair that dials a rep reads which protocol it talks to."""
    with trio.fail_after(SECONDS):
        async with trionng.Rep0(listen="tcp://127.0.0.1:0") as rep, trionng.Push0() as push:
            with pytest.raises(trionng.ProtocolError, match="no pull: a push talks to no other"):
                await push.dial(rep.listeners[0].url, block=True)


async def test_raw_socket_says_that_it_has_no_contexts():
    """A protocol that has contexts has none when it is raw."""
    async with trionng.Req0(raw=True) as req:
        with pytest.raises(trionng.NotSupported, match="a raw socket has no contexts"):
            req.new_context()

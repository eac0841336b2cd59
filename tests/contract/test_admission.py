"""Admission: a refused peer has exchanged nothing, is reported once, and disturbs no other peer."""

from __future__ import annotations

import ipaddress
import os
import struct
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
import trio
from wsproto.utilities import LocalProtocolError

import trionng
from tests.support.certificates import TRUSTED, client, identity, server
from tests.support.fixes import needs_fix
from tests.support.sockets import dial_patiently, dial_refused
from tests.support.sp import PUSH0, greeting
from tests.support.websocket import Ended, browser
from trionng import Admission, blocking
from trionng.testing import new_url

SECONDS = 60
PULL = "pull.sp.nanomsg.org"
EVERYBODY, NOBODY = "127.0.0.0/8", "10.0.0.0/8"


@asynccontextmanager
async def pulling(url, rule, **options):
    """Open a listener with a rule and, beside it, one that admits every peer."""
    async with trionng.Pull0() as pull, pull.pipe_events() as events:
        listener = pull.listen(url, accept=rule, **options)
        yield pull, listener.url, events


async def talk_at_once(url, source, body):
    """Send greeting and message in one piece, and wait until the other side has closed."""
    parts = urlsplit(url)
    stream = await trio.open_tcp_stream(parts.hostname, parts.port, local_address=source)
    async with stream:
        await stream.send_all(greeting(PUSH0) + struct.pack(">Q", len(body)) + body)
        try:
            while await stream.receive_some():
                pass
        except trio.BrokenResourceError:
            pass


async def check_refused(events, pull):
    event = await anext(events)
    assert event.kind == "rejected"
    assert event.pipe.closed
    assert event.pipe not in pull.pipes
    return event


@pytest.mark.parametrize(
    "addresses",
    [
        EVERYBODY,
        "127.0.0.1",
        ["::1", "127.0.0.0/31"],
        ipaddress.ip_address("127.0.0.1"),
        [ipaddress.ip_network("127.0.0.1/32")],
        ipaddress.ip_network("127.0.0.0/30"),
        "::ffff:127.0.0.1",
    ],
)
async def test_peer_with_an_address_that_is_listed_is_admitted(addresses):
    """Networks and hosts, as text or as objects, admit the peers in them."""
    with trio.fail_after(SECONDS):
        rule = Admission(addresses=addresses)
        async with pulling("tcp://127.0.0.1:0", rule) as (pull, url, _), trionng.Push0() as push:
            await dial_patiently(push, url)
            await push.send(b"welcome")
            assert await pull.recv() == b"welcome"


@pytest.mark.parametrize("addresses", [NOBODY, "127.0.0.2", "127.0.0.2/31", ["::1", "128.0.0.0/1"]])
async def test_peer_with_another_address_is_refused_and_reported_once(addresses):
    """A peer that is not listed is refused, however early it speaks, and counted once."""
    with trio.fail_after(SECONDS):
        rule = Admission(addresses=addresses)
        async with pulling("tcp://127.0.0.1:0", rule) as (pull, url, events):
            await talk_at_once(url, None, b"too early")
            event = await check_refused(events, pull)
            assert str(event.pipe.remote_address).startswith("127.0.0.1:")
            with trio.move_on_after(0.05) as scope:
                await anext(events)
            assert scope.cancelled_caught
            assert pull.statistics().rejected == 1
            with pytest.raises(trionng.TryAgain):
                pull.recv_nowait()


async def test_peer_that_is_refused_disturbs_no_other():
    """Refusals in a row leave the connection of an admitted peer alone, and no message of theirs
    arrives."""
    with trio.fail_after(SECONDS):
        rule = Admission(addresses="127.0.0.1")
        async with (
            pulling("tcp://127.0.0.1:0", rule) as (pull, url, events),
            trionng.Push0() as push,
        ):
            await dial_patiently(push, url)
            assert (await anext(events)).kind == "connected"
            pipe = pull.pipes[0]
            for number in range(20):
                await talk_at_once(url, "127.0.0.2", b"stranger")
                await check_refused(events, pull)
                await push.send(b"%d" % number)
                assert await pull.recv() == b"%d" % number
            assert pull.pipes == (pipe,)
            assert not pipe.closed


async def test_rule_of_constructor_holds_for_listens_without_one():
    """`accept=` of a socket is what its listeners have that get none of their own."""
    with trio.fail_after(SECONDS):
        async with (
            trionng.Pull0(accept=Admission(addresses=NOBODY)) as pull,
            pull.pipe_events() as events,
            trionng.Push0() as push,
        ):
            strict = pull.listen("tcp://127.0.0.1:0")
            await talk_at_once(strict.url, None, b"no")
            await check_refused(events, pull)
            kind = pull.listen("tcp://127.0.0.1:0", accept=Admission(addresses=EVERYBODY))
            await dial_patiently(push, kind.url)
            await push.send(b"yes")
            assert await pull.recv() == b"yes"


async def test_dial_to_a_listener_that_refuses_raises():
    """A dial that is awaited learns that it was refused."""
    with trio.fail_after(SECONDS):
        rule = Admission(addresses=NOBODY)
        async with (
            pulling("tcp://127.0.0.1:0", rule) as (pull, url, events),
            trionng.Push0() as push,
        ):
            with pytest.raises(trionng.ConnectionRefused, match="`accept` refuses us"):
                await dial_refused(push, url)
            event = await check_refused(events, pull)
            assert event.reason == "admission"
            assert pull.pipes == push.dialers == ()


@pytest.mark.parametrize("transport", ["ipc", "abstract"])
async def test_peer_of_a_listed_user_is_admitted_another_refused(transport, tmp_path):
    """On local transports the system says which user the peer is."""
    with trio.fail_after(SECONDS):
        mine, other = Admission(uids=[os.getuid()]), Admission(uids=os.getuid() + 1)
        async with pulling(new_url(transport, tmp_path), mine) as (pull, url, _):
            async with trionng.Push0() as push:
                await dial_patiently(push, url)
                await push.send(b"mine")
                assert await pull.recv() == b"mine"
        async with pulling(new_url(transport, tmp_path), other) as (pull, url, events):
            async with trionng.Push0(dial=url):
                event = await check_refused(events, pull)
                assert event.pipe.uid == os.getuid()


@needs_fix("S2")  # the dialer that is refused may be closed while it tries again
@pytest.mark.parametrize("scheme", ["tls+tcp", "wss"])
async def test_peer_without_certificate_under_verified_rule_is_refused(scheme):
    """A listener that only asks for a certificate admits under `tls_verified` a peer with one."""
    with trio.fail_after(SECONDS):
        config = server(trust=TRUSTED)
        config.set_auth_mode(config.AUTH_MODE_OPTIONAL)
        rule = Admission(tls_verified=True)
        host = "127.0.0.1" if scheme == "tls+tcp" else "localhost"
        url = f"{scheme}://{host}:0" + ("/path" if scheme == "wss" else "")
        async with pulling(url, rule, tls_config=config) as (pull, url, events):
            async with trionng.Push0(tls_config=client(server_name="localhost"), dial=url):
                await check_refused(events, pull)
            me = client(identity("me"), server_name="localhost")
            async with trionng.Push0(tls_config=me) as push:
                await dial_patiently(push, url)
                await push.send(b"verified")
                assert await pull.recv() == b"verified"
                assert pull.pipes[0].tls_verified


async def test_tls_config_without_auth_under_the_rule_is_refused():
    """What a rule depends on cannot be taken away from its listener."""
    async with trionng.Pull0() as pull:
        rule = Admission(tls_verified=True)
        with pytest.raises(trionng.InvalidOperation, match=r"tls\+tcp.*certificate"):
            pull.listen("tls+tcp://127.0.0.1:0", tls_config=server(), accept=rule)
        asks = server(trust=TRUSTED)
        listener = pull.listen("tls+tcp://127.0.0.1:0", tls_config=asks, accept=rule)
        with pytest.raises(trionng.InvalidOperation, match="demands a certificate"):
            listener.tls_config = server()


async def stays(url, headers, *, seconds):
    """Connect as a browser does and send; return whether the connection stays for so long."""
    async with browser(url, PULL, headers=headers) as peer:
        try:
            await peer.send(b"from a page")
            with trio.move_on_after(seconds):
                await peer.receive()
        except (Ended, LocalProtocolError):  # the latter: the end came with the handshake
            return False
    return True


@pytest.mark.parametrize(
    ("headers", "allow_missing", "admitted"),
    [
        ({"Origin": "https://example.org"}, False, True),
        ({"Origin": "https://example.org:8443"}, False, True),
        ({"Origin": "https://evil.example"}, False, False),
        ({"Origin": "https://evil.example"}, True, False),
        ({"Origin": "https://example.org.evil.example"}, False, False),
        ({"Origin": "http://example.org"}, False, False),
        ({"Origin": ""}, True, False),
        ({}, False, False),
        ({}, True, True),
    ],
)
async def test_page_of_a_foreign_origin_is_refused(headers, allow_missing, admitted):
    """A page is admitted by the origin it comes from; a message of another never arrives."""
    with trio.fail_after(SECONDS):
        rule = Admission(
            origins=["https://Example.org:443", "https://example.org:8443"],
            allow_missing_origin=allow_missing,
        )
        async with pulling("ws://127.0.0.1:0/feed", rule) as (pull, url, events):
            seconds = 0.2 if admitted else SECONDS
            assert await stays(url, headers, seconds=seconds) is admitted
            event = await anext(events)
            assert event.kind == ("connected" if admitted else "rejected")
            if admitted:
                assert await pull.recv() == b"from a page"
            else:
                with pytest.raises(trionng.TryAgain):
                    pull.recv_nowait()


async def test_demands_of_one_rule_must_all_hold():
    """The kinds of a rule are ANDed."""
    with trio.fail_after(SECONDS):
        page = {"Origin": "https://example.org"}
        for addresses, admitted in ((EVERYBODY, True), (NOBODY, False)):
            rule = Admission(addresses=addresses, origins="https://example.org")
            async with pulling("ws://127.0.0.1:0/feed", rule) as (_, url, _events):
                seconds = 0.2 if admitted else SECONDS
                assert await stays(url, page, seconds=seconds) is admitted


@pytest.mark.parametrize(
    ("url", "demands", "word"),
    [
        ("inproc://rule", {"addresses": EVERYBODY}, "addresses"),
        ("ipc:///tmp/rule", {"addresses": EVERYBODY}, "addresses"),
        ("ipc:///tmp/rule", {"origins": "https://example.org"}, "origins"),
        ("ipc:///tmp/rule", {"tls_verified": True}, "tls_verified"),
        ("ws://127.0.0.1:0/x", {"tls_names": "client"}, "tls_names"),
        ("tcp://127.0.0.1:0", {"uids": 0}, "uids"),
        ("tcp://127.0.0.1:0", {"tls_verified": True}, "tls_verified"),
        ("tcp://127.0.0.1:0", {"origins": "https://example.org"}, "origins"),
        ("tcp://127.0.0.1:0", {"addresses": "::1"}, "IPv4"),
        ("tcp4://0.0.0.0:0", {"addresses": "::1"}, "IPv4"),
        ("tcp6://[::1]:0", {"addresses": "127.0.0.1"}, "IPv6"),
        ("tcp6://*:0", {"addresses": "127.0.0.1"}, "IPv6"),
        ("tcp6://[::ffff:127.0.0.1]:0", {"addresses": "::1"}, "IPv4"),
        ("ws://127.0.0.1:0/x", {"uids": 0}, "uids"),
    ],
)
@pytest.mark.parametrize("api", [trionng, blocking], ids=["trio", "blocking"])
def test_listen_with_a_rule_no_peer_can_meet_raises(api, url, demands, word):
    """A rule that can never match its URL is a mistake, and is said at once."""
    with pytest.raises(trionng.InvalidOperation, match=word) as caught:
        api.Rep0(listen=url, accept=Admission(**demands))

    assert url in str(caught.value)
    assert caught.value.url == url


@pytest.mark.parametrize(
    ("demands", "error", "word"),
    [
        ({"addresses": "10.0.0.1/8"}, ValueError, "host bits"),
        ({"addresses": "example.org"}, ValueError, "example.org"),
        ({"addresses": ["127.0.0.1", 5]}, TypeError, "5"),
        ({"addresses": []}, ValueError, "empty"),
        ({"uids": "root"}, TypeError, "root"),
        ({"uids": True}, TypeError, "True"),
        ({"uids": -1}, ValueError, "-1"),
        ({"uids": [2**32]}, ValueError, "not between"),
        ({"uids": []}, ValueError, "empty"),
        ({"origins": "example.org"}, ValueError, "https://"),
        ({"origins": "https://example.org/path"}, ValueError, "path"),
        ({"origins": "https://example.org:port"}, ValueError, "port"),
        ({"origins": [b"https://example.org"]}, TypeError, "str"),
        ({"origins": []}, ValueError, "empty"),
        ({"tls_verified": 1}, TypeError, "bool"),
        ({"tls_names": [b"client"]}, TypeError, "str"),
        ({"tls_names": ["client", ""]}, ValueError, "no name"),
        ({"tls_names": "client\0.example"}, ValueError, "no name"),
        ({"tls_names": ()}, ValueError, "empty"),
        ({"allow_missing_origin": True}, ValueError, "without origins"),
    ],
)
def test_rule_that_cannot_be_read_raises_when_it_is_made(demands, error, word):
    """Bad input never gets as far as a listener."""
    with pytest.raises(error, match=word):
        Admission(**demands)


def test_rule_with_the_origin_null_keeps_it_as_it_is():
    """Pages without an origin of their own, such as files, send the word null."""
    rule = Admission(origins=["null", "https://Example.org:443"])

    assert rule.origins == ("null", "https://example.org")


def test_accept_that_is_no_rule_raises_type_error():
    """What is not an Admission is refused with its type."""
    with pytest.raises(TypeError, match="dict"):
        trionng.Rep0(listen="inproc://no-rule", accept={"addresses": EVERYBODY})


def test_rule_is_frozen_and_compares_by_what_it_demands():
    """A rule can be shared: it never changes."""
    rule = Admission(addresses="127.0.0.1")
    assert rule == Admission(addresses=["127.0.0.1/32"])
    with pytest.raises(AttributeError):
        rule.addresses = None


async def test_rules_of_listeners_that_have_closed_are_forgotten():
    """A listener's rule goes with it, and holds until then."""
    with trio.fail_after(SECONDS):
        async with trionng.Pull0() as pull, pull.pipe_events() as events:
            for _ in range(50):
                rule = Admission(addresses=[NOBODY] * 100)
                async with pull.listen("tcp://127.0.0.1:0", accept=rule) as listener:
                    await talk_at_once(listener.url, None, b"no")
                    await check_refused(events, pull)

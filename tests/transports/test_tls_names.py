"""Whom the certificate of a peer names: `tls_peer_cn`, `tls_peer_alt_names`, and a rule of names.

libnng tells it from 1.6 on. Before, each of them raises, which is what the tests see there.
"""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
import trio

import trionng
import trionng.testing
from tests.support.certificates import STRANGER, TRUSTED, client, identity, server
from tests.support.sockets import dial_patiently
from trionng import Admission, _ffi, blocking

SECONDS = 60
KNOWN = _ffi.tells_tls_names
TOO_OLD = "needs libnng 1.6 or later"


def asking(mode="REQUIRED"):
    """Return the configuration of a server that wants certificates."""
    config = server(trust=TRUSTED)
    config.set_auth_mode(getattr(config, f"AUTH_MODE_{mode}"))
    return config


def url_of(scheme):
    return {"tls+tcp": "tls+tcp://127.0.0.1:0", "wss": "wss://localhost:0/names"}[scheme]


@asynccontextmanager
async def accepted(who, mode="REQUIRED", scheme="tls+tcp"):
    """Connect a client with this certificate, and yield the pipes of both sides."""
    with trio.fail_after(SECONDS):
        async with trionng.Pair0() as one, trionng.Pair0() as other:
            url = one.listen(url_of(scheme), tls_config=asking(mode)).url
            config = client(who, server_name="localhost")
            await dial_patiently(other, url, tls_config=config)
            await one.wait_connected()
            yield one.pipes[0], other.pipes[0]


def check_names(pipe, common_name, alt_names=()):
    """Look at the names; libnng that cannot tell them says so."""
    if KNOWN:
        assert (pipe.tls_peer_cn, pipe.tls_peer_alt_names) == (common_name, alt_names)
        return
    for each in ("tls_peer_cn", "tls_peer_alt_names"):
        with pytest.raises(trionng.NotSupported, match=f"{each}.*{TOO_OLD}"):
            getattr(pipe, each)


@pytest.mark.parametrize(
    ("name", "common_name", "alt_names"),
    [
        ("client.example", None, ("client.example",)),
        ("client.example", "worker 7", ("client.example",)),
        ("", "worker 7", ()),
        ("", 'a, b+c = \\d "e" #f', ()),
        ("", "k\xe4fer", ()),
        ("", "O=x, CN=root", ()),
        ("127.0.0.1", None, ()),
    ],
)
async def test_names_in_the_certificate_of_a_peer_are_told(name, common_name, alt_names):
    """Each side reads the names of the other, also when the connection has gone."""
    who = identity(name, common_name=common_name)
    async with accepted(who) as (accepting, dialling):
        check_names(accepting, common_name, alt_names)

    check_names(accepting, common_name, alt_names)
    check_names(dialling, None, ("localhost",))


async def test_names_of_a_peer_over_wss_are_told():
    """WebSocket hands them on."""
    async with accepted(identity("client.example", common_name="me"), scheme="wss") as pipes:
        check_names(pipes[0], "me", ("client.example",))
        check_names(pipes[1], None, ("localhost",))


async def test_peer_that_has_shown_no_certificate_has_no_name():
    """There is no name to rely on: not of a peer without a certificate, not without TLS."""
    async with accepted(None, "OPTIONAL") as pipes:
        check_names(pipes[0], None)
    with trio.fail_after(SECONDS):
        async with trionng.testing.connected(trionng.Pair0(), trionng.Pair0(), "tcp") as (one, _):
            check_names(one.pipes[0], None)


async def test_peer_whose_certificate_is_not_checked_has_no_name():
    """A client that checks nothing knows no name of its server."""
    with trio.fail_after(SECONDS):
        async with trionng.Pair0() as one, trionng.Pair0() as other:
            url = one.listen(url_of("tls+tcp"), tls_config=server(identity(of=STRANGER))).url
            config = client(server_name="localhost")
            config.set_auth_mode(config.AUTH_MODE_NONE)
            await dial_patiently(other, url, tls_config=config)
            check_names(other.pipes[0], None)


NAMES = ("client.example", "worker 7")


@pytest.mark.parametrize("scheme", ["tls+tcp", "wss"])
@pytest.mark.parametrize(
    ("name", "common_name", "admitted"),
    [
        ("client.example", None, True),
        ("", "worker 7", True),
        ("client.example", "a stranger", True),
        ("other.example", "worker 7", False),
        ("CLIENT.example.evil", None, False),
        ("", "worker 77", False),
        ("", "CN=worker 7", False),
        ("", "worker 7\0.evil", False),
        ("", "worker 7, O=trionng", False),
        (None, None, False),
    ],
)
async def test_peer_with_a_listed_name_is_admitted_another_refused(
    scheme, name, common_name, admitted
):
    """Alternative names decide, the common name where there are none; no certificate, no name."""
    rule = Admission(tls_names=NAMES)
    with trio.fail_after(SECONDS):
        async with trionng.Pull0() as pull, pull.pipe_events() as events, trionng.Push0() as push:
            if not KNOWN:
                with pytest.raises(trionng.NotSupported, match=TOO_OLD):
                    pull.listen(url_of(scheme), accept=rule, tls_config=asking("OPTIONAL"))
                return
            url = pull.listen(url_of(scheme), accept=rule, tls_config=asking("OPTIONAL")).url
            who = None if name is None else identity(name, common_name=common_name)
            await push.dial(url, tls_config=client(who, server_name="localhost"))
            event = await anext(events)
            assert event.kind == ("connected" if admitted else "rejected")
            if admitted:
                await push.send(b"welcome")
                assert await pull.recv() == b"welcome"
            else:
                assert event.reason == "admission"


@pytest.mark.parametrize("api", [trionng, blocking], ids=["trio", "blocking"])
def test_rule_of_names_without_certificates_raises(api):
    """A listener that asks for no certificate can learn no name."""
    with pytest.raises(trionng.InvalidOperation, match="tls_names needs a tls_config"):
        api.Rep0(
            listen="tls+tcp://127.0.0.1:0", tls_config=server(), accept=Admission(tls_names="a")
        )

"""TLS: which peers may connect, which may not, and what the errors say."""

from __future__ import annotations

import contextlib
import datetime
import logging
import ssl
import struct
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import trio
import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

import trionng
from tests.support.certificates import CA, STRANGER, TRUSTED, client, identity, server
from tests.support.fixes import needs_fix
from tests.support.processes import PYTHON, other_process
from tests.support.sockets import dial_patiently
from tests.support.sp import REQ0, greeting
from trionng import TLSConfig, _ffi

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

SECONDS = 60
SCHEMES = ("tls+tcp4", "wss4")
ALL_SCHEMES = (*SCHEMES, "tls+tcp", "tls+tcp6", "wss", "wss6")
LONG_AGO = datetime.datetime(2001, 1, 1, tzinfo=datetime.timezone.utc)
LONG_AGO_TOO = datetime.datetime(2002, 1, 1, tzinfo=datetime.timezone.utc)
FAR_AHEAD = datetime.datetime(2099, 1, 1, tzinfo=datetime.timezone.utc)
FAR_AHEAD_TOO = datetime.datetime(2100, 1, 1, tzinfo=datetime.timezone.utc)


def to_listen(scheme: str) -> str:
    """Return a URL to listen on; a ws server wants clients to use the host of its own URL."""
    path = "/path" if scheme.startswith("wss") else ""
    host = "[::1]" if scheme.endswith("6") else "localhost"
    return f"{scheme}://{host}:0{path}"


def with_host(url: str, host: str) -> str:
    """Return the same URL with another host."""
    port = urlsplit(url).port
    return urlsplit(url)._replace(netloc=f"{host}:{port}").geturl()


def verified(pipe: trionng.Pipe) -> bool:
    """Say whether the peer's certificate was verified."""
    code, answer = _ffi.get_number(_ffi.ON_PIPE, pipe.id, "bool", "tls-verified")
    assert code == 0
    return bool(answer)


@pytest.fixture(params=SCHEMES)
def scheme(request: pytest.FixtureRequest) -> str:
    """An encrypted transport."""
    return request.param


class Echo:
    """A Rep0 that listens and answers, and a client that was there before all others."""

    def __init__(self, url: str, old: trionng.Req0) -> None:
        self.url = url
        self._old = old

    async def still_serves(self, config: TLSConfig) -> None:
        """Check that an old peer and a new one get their answers."""
        before = self._old.pipes
        assert await self._old.request(b"old") == b"old"
        assert self._old.pipes == before
        async with trionng.Req0(tls_config=config) as new:
            await dial_patiently(new, self.url)
            assert await new.request(b"new") == b"new"


@contextlib.asynccontextmanager
async def echo_server(url: str, config: TLSConfig, old_config: TLSConfig) -> AsyncIterator[Echo]:
    """Serve for the time of a block."""

    async def serve() -> None:
        async for request in rep:
            await rep.send(request)

    async with (
        trionng.Rep0(tls_config=config, listen=url) as rep,
        trionng.Req0(tls_config=old_config) as old,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(serve)
        await dial_patiently(old, rep.listeners[0].url)
        assert await old.request(b"hello") == b"hello"
        yield Echo(rep.listeners[0].url, old)
        nursery.cancel_scope.cancel()


# Who may connect.


@pytest.mark.parametrize("scheme", ALL_SCHEMES)
@pytest.mark.parametrize("size", [0, 1, 70_000])
async def test_message_over_tls_there_and_back_is_unchanged(scheme: str, size: int) -> None:
    """Every encrypted transport carries messages, and port 0 becomes the real one."""
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    with trio.fail_after(SECONDS):
        async with trionng.Pair0() as one, trionng.Pair0() as other:
            listener = one.listen(to_listen(scheme), tls_config=server())
            await dial_patiently(other, listener.url, tls_config=client(server_name="localhost"))
            await one.send(data)
            there = await other.recv()
            await other.send(there)

            assert await one.recv() == there == data
            assert urlsplit(listener.url).port not in (0, None)
            assert urlsplit(listener.url).scheme == scheme


async def test_dial_with_mutual_tls_verifies_both_sides(scheme: str) -> None:
    """A client whose certificate the server trusts is let in, and both know it."""
    with trio.fail_after(SECONDS):
        async with trionng.Pair0() as one, trionng.Pair0() as other:
            url = one.listen(to_listen(scheme), tls_config=server(trust=TRUSTED)).url
            await dial_patiently(other, url, tls_config=client(identity("me")))
            await one.wait_connected()

            assert verified(other.pipes[0])
            assert verified(one.pipes[0])


async def test_dial_without_a_client_certificate_is_not_verified(
    scheme: str,
) -> None:
    """A server that asks for no certificate does not call its client verified."""
    with trio.fail_after(SECONDS):
        async with trionng.Pair0() as one, trionng.Pair0() as other:
            url = one.listen(to_listen(scheme), tls_config=server()).url
            await dial_patiently(other, url, tls_config=client())
            await one.wait_connected()

            assert verified(other.pipes[0])
            assert not verified(one.pipes[0])


async def test_dial_with_the_right_server_name_by_address_is_accepted() -> None:
    """`server_name` is what is checked when the URL has an address."""
    with trio.fail_after(SECONDS):
        async with trionng.Pair0() as one, trionng.Pair0() as other:
            url = with_host(one.listen(to_listen("tls+tcp4"), tls_config=server()).url, "127.0.0.1")
            await dial_patiently(other, url, tls_config=client(server_name="localhost"))

            assert verified(other.pipes[0])


@needs_fix("T1")
async def test_dial_with_check_hostname_off_accepts_any_name() -> None:
    """`check_hostname=False` trusts the authority, whatever the name."""
    with trio.fail_after(SECONDS):
        async with trionng.Pair0() as one, trionng.Pair0() as other:
            url = one.listen(to_listen("tls+tcp4"), tls_config=server(identity("else"))).url
            await other.dial(
                with_host(url, "127.0.0.1"),
                tls_config=client(check_hostname=False),
                block=True,
            )

            assert verified(other.pipes[0])


async def test_dial_with_check_hostname_off_still_refuses_a_stranger() -> None:
    """`check_hostname=False` does not switch verification off."""
    with trio.fail_after(SECONDS):
        async with trionng.Pair0() as one, trionng.Pair0() as other:
            url = one.listen(to_listen("tls+tcp4"), tls_config=server(identity(of=STRANGER))).url
            with pytest.raises(trionng.CryptoError):
                await dial_patiently(other, url, tls_config=client(check_hostname=False))


@pytest.mark.parametrize("mode", [TLSConfig.AUTH_MODE_NONE, TLSConfig.AUTH_MODE_OPTIONAL])
async def test_dial_with_weaker_auth_mode_connects_to_a_stranger(mode: int) -> None:
    """A client that does not insist may talk to any server, and no peer is called verified."""
    config = TLSConfig(
        TLSConfig.MODE_CLIENT, auth_mode=mode, ca_string=TRUSTED, server_name="localhost"
    )
    with trio.fail_after(SECONDS):
        async with trionng.Pair0() as one, trionng.Pair0() as other:
            url = one.listen(to_listen("tls+tcp4"), tls_config=server(identity(of=STRANGER))).url
            dialer = await dial_patiently(other, url, tls_config=config)

            # nng says "verified" when nothing was checked.
            assert not (dialer._verifies and verified(other.pipes[0]))
            assert dialer._verifies == (mode == TLSConfig.AUTH_MODE_OPTIONAL)


# Who may not.

REFUSALS = {
    "wrong authority": (lambda: server(identity(of=STRANGER)), client),
    "wrong host name": (lambda: server(identity("elsewhere")), client),
    "wrong server_name": (server, lambda: client(server_name="elsewhere")),
    "expired": (
        lambda: server(identity(not_before=LONG_AGO, not_after=LONG_AGO_TOO)),
        client,
    ),
    "not yet valid": (
        lambda: server(identity(not_before=FAR_AHEAD, not_after=FAR_AHEAD_TOO)),
        client,
    ),
    "client without certificate": (lambda: server(trust=TRUSTED), client),
    "client of a wrong authority": (
        lambda: server(trust=TRUSTED),
        lambda: client(identity("me", of=STRANGER)),
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_dial_of_an_untrusted_peer_raises_with_the_causes(case: str, scheme: str) -> None:
    """Where one side does not trust the other there is no connection, and the text helps."""
    make_server, make_client = REFUSALS[case]
    with trio.fail_after(SECONDS):
        async with trionng.Pair0() as one, trionng.Pair0() as other:
            url = one.listen(to_listen(scheme), tls_config=make_server()).url
            with pytest.raises(trionng.NNGException) as caught:
                await dial_patiently(other, url, tls_config=make_client())

            text = str(caught.value)
            assert isinstance(caught.value, (trionng.CryptoError, trionng.ConnectionShutdown))
            assert caught.value.url == url
            assert text.startswith(f"dial {url}: the TLS handshake failed")
            assert "not signed by an authority" in text
            assert "expired" in text
            name = "elsewhere" if case == "wrong server_name" else "localhost"
            assert f"not for the name '{name}'" in text
            assert "certificate of ours" in text or "does not trust our certificate" in text
            assert "does not speak TLS" in text
            assert one.pipes == other.pipes == ()
            assert other.dialers == ()


@pytest.mark.parametrize(
    "case", ["client without certificate", "client of a wrong authority", "wrong server_name"]
)
async def test_peer_that_is_refused_disturbs_no_other(case: str, scheme: str) -> None:
    """Others keep their connection, and new ones are accepted."""
    _, make_client = REFUSALS[case]
    good = client(identity("me"))
    with trio.fail_after(SECONDS):
        async with echo_server(to_listen(scheme), server(trust=TRUSTED), good) as echo:
            for _ in range(3):
                async with trionng.Req0() as bad:
                    with pytest.raises(trionng.NNGException):
                        await dial_patiently(bad, echo.url, tls_config=make_client())
            await echo.still_serves(good)


SERVER = """
import sys, trio, trionng

async def main():
    config = trionng.TLSConfig.server(cert_key_file=sys.argv[1])
    async with trionng.Rep0(recv_max_size=int(sys.argv[2]), tls_config=config) as rep:
        print(rep.listen("tls+tcp4://localhost:0").url, flush=True)
        async for request in rep:
            await rep.send(request)

trio.run(main)
"""


@pytest.mark.parametrize("limit", [1000, 0])
async def test_peer_announcing_a_huge_length_disturbs_no_other(
    limit: int, files: dict[str, Path]
) -> None:
    """A length that overflows nng's allocation drops its sender; the process serves on (S1)."""
    trust = ssl.create_default_context(cadata=TRUSTED.decode())
    with trio.fail_after(SECONDS):
        async with other_process(*PYTHON, "-c", SERVER, files["own"], str(limit)) as process:
            url = (await process.line()).strip()
            async with trionng.Req0(tls_config=client()) as old:
                await dial_patiently(old, url)
                for length in (0xFFFFFFFFFFFFFFD8, 0xFFFFFFFFFFFFFFFF, 1 << 63):
                    plain = await trio.open_tcp_stream("127.0.0.1", urlsplit(url).port)
                    bad = trio.SSLStream(
                        plain, trust, server_hostname="localhost", https_compatible=True
                    )
                    async with bad:
                        await bad.send_all(greeting(REQ0) + length.to_bytes(8, "big"))
                        with contextlib.suppress(trio.BrokenResourceError):
                            while await bad.receive_some():
                                pass
                assert await old.request(b"old") == b"old"
                async with trionng.Req0(tls_config=client()) as new:
                    await dial_patiently(new, url)
                    assert await new.request(b"new") == b"new"


PLAIN_BYTES = {
    "nothing": b"",
    "a greeting": b"\0SP\0\0\x30\0\0",
    "garbage": bytes(range(256)) * 8,
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "half a hello": b"\x16\x03\x01\x02\x00",
    "end and reset": b"\x16\x03",
}


@pytest.mark.parametrize("case", PLAIN_BYTES)
async def test_raw_client_on_a_tls_port_disturbs_no_peer(case: str, scheme: str) -> None:
    """Bytes that are no TLS end their connection and no other."""
    with trio.fail_after(SECONDS):
        async with echo_server(to_listen(scheme), server(), client()) as echo:
            for _ in range(3):
                stream = await trio.open_tcp_stream("127.0.0.1", urlsplit(echo.url).port)
                async with stream:
                    await stream.send_all(PLAIN_BYTES[case])
                    if case == "end and reset":
                        await stream.send_eof()
                        linger = struct.pack("ii", 1, 0)
                        stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, linger)
                    if case in ("a greeting", "garbage", "http"):
                        with contextlib.suppress(trio.BrokenResourceError):
                            while await stream.receive_some():
                                pass
            await echo.still_serves(client())


async def test_plain_client_on_a_tls_port_is_refused(scheme: str) -> None:
    """A dialer of the transport without TLS gets an error, and others their answers."""
    with trio.fail_after(SECONDS):
        async with (
            echo_server(to_listen(scheme), server(), client()) as echo,
            trionng.Req0() as plain,
        ):
            url = echo.url.replace("tls+", "").replace("wss", "ws")
            with pytest.raises(trionng.NNGException):
                await dial_patiently(plain, url)

            assert plain.pipes == ()
            await echo.still_serves(client())


async def test_dial_to_a_port_without_tls_raises(scheme: str) -> None:
    """A peer that does not speak TLS is one of the things the text lists."""
    with trio.fail_after(SECONDS):
        async with trionng.Rep0() as rep, trionng.Req0() as req:
            port = urlsplit(rep.listen("tcp4://localhost:0").url).port
            with pytest.raises(trionng.CryptoError, match="does not speak TLS"):
                await dial_patiently(req, f"{scheme}://localhost:{port}", tls_config=client())


async def test_background_dial_that_fails_is_logged_with_the_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """`block=None` logs one line that lists what it can mean."""
    with trio.fail_after(SECONDS), caplog.at_level(logging.WARNING, "trionng"):
        async with trionng.Pair0() as one, trionng.Pair0() as other:
            url = one.listen(to_listen("tls+tcp4"), tls_config=server(identity("else"))).url
            await other.dial(url, tls_config=client())

    [record] = [each for each in caplog.records if each.getMessage().startswith("dial")]
    assert "not for the name 'localhost'" in record.getMessage()
    assert record.exc_info is None


# What is refused before a handshake.


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
@pytest.mark.parametrize("block", [True, False, None])
async def test_dial_of_an_address_without_server_name_raises(
    host: str, block: bool | None, scheme: str
) -> None:
    """There is a name to check, or `check_hostname=False`: nothing is left unchecked silently."""
    async with trionng.Pair0() as pair:
        with pytest.raises(trionng.InvalidOperation, match="server_name") as caught:
            await pair.dial(f"{scheme[:-1]}://{host}:1", tls_config=client(), block=block)

        assert "check_hostname=False" in str(caught.value)
        assert pair.dialers == ()


async def test_dial_of_an_overlong_host_raises() -> None:
    """A name too long for the TLS library is refused: it would be left unchecked."""
    async with trionng.Pair0() as pair:
        with pytest.raises(trionng.InvalidOperation, match="255"):
            await dial_patiently(pair, f"tls+tcp://{'a' * 256}:1", tls_config=client())


@pytest.mark.parametrize("url", ["tls+tcp4://localhost:1", "wss://localhost:1/"])
async def test_endpoint_without_a_tls_config_says_what_it_takes(url: str) -> None:
    """An encrypted transport without a configuration is refused at once."""
    async with trionng.Pair0() as pair:
        with pytest.raises(trionng.NoArgument, match=r"TLSConfig\.client"):
            await pair.dial(url)
        with pytest.raises(trionng.NoArgument, match=r"TLSConfig\.server"):
            pair.listen(url)
        assert pair.dialers == pair.listeners == ()


async def test_endpoint_with_the_other_sides_config_raises() -> None:
    """A server's configuration is not dialled with, nor a client's listened with."""
    async with trionng.Pair0() as pair:
        with pytest.raises(trionng.InvalidOperation, match="for listening"):
            await pair.dial("tls+tcp://localhost:1", tls_config=server())
        with pytest.raises(trionng.InvalidOperation, match="for dialling"):
            pair.listen("tls+tcp://localhost:0", tls_config=client())


async def test_endpoint_without_tls_given_a_config_raises() -> None:
    """A configuration of an endpoint asks for encryption; the socket's is for other endpoints."""
    async with trionng.Pair0(tls_config=server()) as one, trionng.Pair0() as other:
        with pytest.raises(trionng.InvalidOperation, match="has no TLS"):
            one.listen("tcp://127.0.0.1:0", tls_config=server())
        with pytest.raises(trionng.InvalidOperation, match="has no TLS"):
            await other.dial("ws://127.0.0.1:1", tls_config=client())
        assert one.listen("tcp://127.0.0.1:0").url


async def test_listen_without_a_certificate_raises() -> None:
    """A server without a certificate could shake no hands."""
    async with trionng.Pair0() as pair:
        with pytest.raises(trionng.InvalidOperation, match="own_cert_string"):
            pair.listen("tls+tcp://localhost:0", tls_config=TLSConfig(TLSConfig.MODE_SERVER))


async def test_endpoint_that_trusts_no_authority_raises() -> None:
    """An endpoint that verifies its peer needs an authority."""
    cert, key = identity()
    required = TLSConfig(
        TLSConfig.MODE_SERVER,
        own_cert_string=cert,
        own_key_string=key,
        auth_mode=TLSConfig.AUTH_MODE_REQUIRED,
    )
    async with trionng.Pair0() as pair:
        with pytest.raises(trionng.InvalidOperation, match="trusts no authority"):
            pair.listen("tls+tcp://localhost:0", tls_config=required)
        with pytest.raises(trionng.InvalidOperation, match="trusts no authority"):
            await pair.dial("tls+tcp://localhost:1", tls_config=TLSConfig(TLSConfig.MODE_CLIENT))


# Where it is set.


async def test_tls_config_of_the_socket_is_for_endpoints_without_one() -> None:
    """The constructor's configuration serves `listen=`, `dial=` and later endpoints."""
    with trio.fail_after(SECONDS):
        async with trionng.Pull0(tls_config=server(), listen=to_listen("tls+tcp4")) as pull:
            url = pull.listeners[0].url
            async with trionng.Push0(tls_config=client(), dial=url) as push:
                await push.send(b"constructor")
                assert await pull.recv() == b"constructor"
            async with trionng.Push0() as push:
                push.tls_config = client(trust=STRANGER.cert_pem.bytes())
                with pytest.raises(trionng.CryptoError):
                    await dial_patiently(push, url)
                await dial_patiently(push, url, tls_config=client())
                await push.send(b"endpoint")
                assert await pull.recv() == b"endpoint"


async def test_tls_config_is_write_only_everywhere() -> None:
    """Socket, dialer and listener take a configuration and do not give it back."""
    with trio.fail_after(SECONDS):
        async with trionng.Pair0() as one, trionng.Pair0() as other:
            listener = one.listen(to_listen("tls+tcp4"), tls_config=server())
            dialer = await dial_patiently(other, listener.url, tls_config=client())
            for thing in (one, listener, dialer):
                with pytest.raises(trionng.WriteOnly):
                    _ = thing.tls_config
                with pytest.raises(TypeError, match="TLSConfig"):
                    thing.tls_config = "secret"  # type: ignore[assignment]


@needs_fix("T1")
async def test_tls_config_of_a_listener_changed_is_for_new_connections() -> None:
    """A certificate can be renewed without closing: old connections stay."""
    with trio.fail_after(SECONDS):
        async with trionng.Pull0() as pull, trionng.Push0() as old, trionng.Push0() as new:
            listener = pull.listen(to_listen("tls+tcp4"), tls_config=server())
            await dial_patiently(old, listener.url, tls_config=client())
            listener.tls_config = server(identity("renewed"))
            # The connection nng waits for already has the certificate of before.
            async with trionng.Push0() as next_one:
                await next_one.dial(
                    listener.url, tls_config=client(check_hostname=False), block=True
                )
            await dial_patiently(new, listener.url, tls_config=client(server_name="renewed"))
            await old.send(b"old")
            assert await pull.recv() == b"old"
            await new.send(b"new")
            assert await pull.recv() == b"new"


async def test_tls_config_of_a_dialer_applies_to_its_next_connection() -> None:
    """A dialer that retries goes on with what it was given."""
    with trio.fail_after(SECONDS):
        async with trionng.Pull0() as pull, trionng.Push0(reconnect_time_min=10) as push:
            url = pull.listen(to_listen("tls+tcp4"), tls_config=server()).url
            dialer = await push.dial(url, tls_config=client(server_name="else"), block=False)
            dialer.tls_config = client()
            await push.wait_connected()
            await push.send(b"at last")
            assert await pull.recv() == b"at last"


async def test_tls_config_of_an_endpoint_without_tls_cannot_be_set() -> None:
    """A TLS configuration for a plain transport is refused."""
    async with trionng.Pair0() as pair:
        listener = pair.listen("tcp://127.0.0.1:0")
        with pytest.raises(trionng.InvalidOperation, match="has no TLS"):
            listener.tls_config = server()


async def test_config_in_use_may_be_changed_for_those_made_later() -> None:
    """A recipe is not locked by the connections made with it, as nng's configurations are."""
    config = client(server_name="else")
    with trio.fail_after(SECONDS):
        async with trionng.Pair0() as one, trionng.Pair0() as other:
            url = one.listen(to_listen("tls+tcp4"), tls_config=server(identity("else"))).url
            await dial_patiently(other, url, tls_config=config)
            config.set_server_name("localhost")
            config.set_ca_chain(STRANGER.cert_pem.bytes())
            async with trionng.Pair0() as third:
                with pytest.raises(trionng.CryptoError):
                    await dial_patiently(third, url, tls_config=config)
            await other.send(b"still connected")
            assert await one.recv() == b"still connected"


async def test_wss_listeners_on_one_port_share_one_config() -> None:
    """A second listener cannot weaken the first: it brings the same configuration or none."""
    strict = server(trust=TRUSTED)
    with trio.fail_after(SECONDS):
        async with trionng.Pair0() as one, trionng.Pair0() as two, trionng.Pair0() as other:
            url = one.listen(to_listen("wss4"), tls_config=strict).url
            second = url.replace("/path", "/second")
            with pytest.raises(trionng.AddressInUse, match="tls_config"):
                two.listen(second, tls_config=server())
            assert two.listeners == ()
            two.listen(second, tls_config=strict)
            with pytest.raises(trionng.BadState, match="share"):
                two.listeners[0].tls_config = server()
            with pytest.raises(trionng.NNGException):
                await dial_patiently(other, second, tls_config=client())
            await dial_patiently(other, second, tls_config=client(identity("me")))
            await other.send(b"hello")
            assert await two.recv() == b"hello"


async def test_wss_listener_on_the_port_of_a_ws_listener_is_refused() -> None:
    """nng would serve it unencrypted."""
    async with trionng.Pair0() as one, trionng.Pair0() as two:
        url = one.listen("ws4://localhost:0/path").url
        with pytest.raises(trionng.NNGException):
            two.listen(url.replace("ws4", "wss4").replace("path", "other"), tls_config=server())
        assert two.listeners == ()


# The recipe.


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """An authority's certificate and own certificates in files, one with a password."""
    cert, key = identity()
    private = serialization.load_pem_private_key(key, None)
    locked = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.BestAvailableEncryption(b"open sesame"),
    )
    contents = {
        "ca": TRUSTED,
        "other": STRANGER.cert_pem.bytes(),
        "own": cert + key,
        "locked": cert + locked,
    }
    paths = {name: tmp_path / f"{name}.pem" for name in contents}
    for name, content in contents.items():
        paths[name].write_bytes(content)
    return paths


MAKE_FROM_FILES: dict[str, Callable[[dict[str, Path]], tuple[TLSConfig, TLSConfig]]] = {
    "constructor": lambda files: (
        TLSConfig(TLSConfig.MODE_SERVER, cert_key_file=str(files["own"])),
        TLSConfig(TLSConfig.MODE_CLIENT, ca_files=str(files["ca"])),
    ),
    "factories": lambda files: (
        TLSConfig.server(cert_key_file=files["own"]),
        TLSConfig.client(ca_files=[files["other"], files["ca"]]),
    ),
    "password": lambda files: (
        TLSConfig.server(cert_key_file=files["locked"], passwd="open sesame"),
        TLSConfig.client(ca_files=files["ca"]),
    ),
}


def by_setters(files: dict[str, Path]) -> tuple[TLSConfig, TLSConfig]:
    """Make both as pynng's users may."""
    listening = TLSConfig(TLSConfig.MODE_SERVER)
    listening.set_cert_key_file(files["locked"], b"open sesame")
    listening.set_auth_mode(TLSConfig.AUTH_MODE_NONE)
    dialing = TLSConfig(TLSConfig.MODE_CLIENT)
    dialing.add_ca_file(files["ca"])
    dialing.set_server_name("localhost")
    return listening, dialing


def by_string_setters(_: dict[str, Path]) -> tuple[TLSConfig, TLSConfig]:
    """Make both of str, not bytes, with a name for every argument."""
    cert, key = identity()
    listening = TLSConfig(mode=TLSConfig.MODE_SERVER)
    listening.set_own_cert(cert=cert.decode(), key=key.decode(), passwd=None)
    dialing = TLSConfig(mode=TLSConfig.MODE_CLIENT, ca_string=TRUSTED.decode())
    dialing.set_ca_chain(chain=STRANGER.cert_pem.bytes().decode(), crl=None)
    return listening, dialing


@pytest.mark.parametrize(
    "make", [*MAKE_FROM_FILES.values(), by_setters, by_string_setters],
    ids=[*MAKE_FROM_FILES, "setters", "strings"],
)  # fmt: skip
async def test_config_made_in_any_way_works(
    files: dict[str, Path],
    make: Callable[[dict[str, Path]], tuple[TLSConfig, TLSConfig]],
) -> None:
    """Constructor, factories and setters all make what connects; files are read at once."""
    listening, dialing = make(files)
    for path in files.values():
        path.unlink()
    with trio.fail_after(SECONDS):
        async with trionng.Pair0() as one, trionng.Pair0() as other:
            url = one.listen(to_listen("tls+tcp4"), tls_config=listening).url
            await dial_patiently(other, url, tls_config=dialing)
            await other.send(b"hello")
            assert await one.recv() == b"hello"


def test_server_config_with_an_authority_asks_for_certificates() -> None:
    """A server made by the factory with an authority refuses every other peer."""
    assert "auth required" in repr(server(trust=TRUSTED))
    assert "auth none" in repr(server())


CERT, KEY = identity()
BAD_CONFIGS: dict[str, tuple[type[Exception], str, Callable[[], object]]] = {
    "mode": (trionng.InvalidOperation, "MODE_CLIENT", lambda: TLSConfig(7)),
    "both authorities": (
        trionng.InvalidOperation, "not both",
        lambda: TLSConfig(0, ca_string=TRUSTED, ca_files="x"),
    ),
    "both own": (
        trionng.InvalidOperation, "not both",
        lambda: TLSConfig(1, own_cert_string=CERT, own_key_string=KEY, cert_key_file="x"),
    ),
    "half own": (
        trionng.InvalidOperation, "go together", lambda: TLSConfig(1, own_cert_string=CERT),
    ),
    "client without trust": (trionng.InvalidOperation, "whom to trust", TLSConfig.client),
    "server without certificate": (
        trionng.InvalidOperation, "cert_key_file", TLSConfig.server,
    ),
    "auth mode": (trionng.InvalidOperation, "AUTH_MODE", lambda: TLSConfig(0, auth_mode=3)),
    "no PEM": (trionng.CryptoError, "PEM", lambda: TLSConfig(0, ca_string="nonsense")),
    "no key": (
        trionng.CryptoError, "PEM",
        lambda: TLSConfig(1, own_cert_string=CERT, own_key_string=CERT),
    ),
    "no revocation list": (
        trionng.CryptoError, "PEM", lambda: TLSConfig(0).set_ca_chain(TRUSTED, "nonsense"),
    ),
    "empty": (trionng.InvalidOperation, "empty", lambda: TLSConfig(0, ca_string="")),
    "zero byte": (
        trionng.InvalidOperation, "zero", lambda: client(server_name="good\0.evil"),
    ),
    "zero byte in PEM": (
        trionng.InvalidOperation, "zero", lambda: TLSConfig(0, ca_string=TRUSTED + b"\0"),
    ),
    "type": (TypeError, "str or bytes", lambda: TLSConfig(0, ca_string=7)),
    "name type": (TypeError, "server_name", lambda: client(server_name=b"x")),
    "empty name": (trionng.InvalidOperation, "255", lambda: client(server_name="")),
    "long name": (trionng.InvalidOperation, "255", lambda: client(server_name="a" * 256)),
    "passwd alone": (
        trionng.InvalidOperation, "passwd is for", lambda: TLSConfig(0, passwd="x"),
    ),
    "name of a URL": (
        trionng.InvalidOperation, "no name of a host", lambda: client(server_name="https://x"),
    ),
    "bool for mode": (trionng.InvalidOperation, "not True", lambda: TLSConfig(True)),
    "bool for auth mode": (
        trionng.InvalidOperation, "AUTH_MODE", lambda: TLSConfig(0, auth_mode=True),
    ),
    "no files": (trionng.InvalidOperation, "no file", lambda: TLSConfig(0, ca_files=[])),
    "int for files": (TypeError, "ca_files: a path", lambda: TLSConfig(0, ca_files=5)),
    "path in a string": (
        trionng.CryptoError, "ca_string: .*ca_files", lambda: TLSConfig(0, ca_string="ca.pem"),
    ),
    "authority is a key": (
        trionng.CryptoError, "but a private key", lambda: TLSConfig(0, ca_string=KEY),
    ),
    "swapped": (
        trionng.CryptoError, "own_cert_string.*changed places",
        lambda: TLSConfig(1, own_cert_string=KEY, own_key_string=CERT),
    ),
    "name unchecked": (
        trionng.InvalidOperation, "check_hostname",
        lambda: client(server_name="x", check_hostname=False),
    ),
    "no text": (
        trionng.InvalidOperation, "UTF-8 has not", lambda: TLSConfig(0, ca_string="\ud800"),
    ),
    "broken certificate": (
        trionng.CryptoError, "cannot be read",
        lambda: TLSConfig(
            0, ca_string="-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        ),
    ),
    "trusted certificate": (
        trionng.CryptoError, "openssl x509",
        lambda: TLSConfig(0, ca_string=TRUSTED.replace(b" CERT", b" TRUSTED CERT")),
    ),
    "other words": (
        trionng.CryptoError, "no PEM certificate in it$", lambda: TLSConfig(0, ca_string="a\nb"),
    ),
    "own certificate that is none": (
        trionng.CryptoError, "no PEM certificate",
        lambda: TLSConfig(1, own_cert_string="a\nb", own_key_string=KEY),
    ),
    "no such file": (FileNotFoundError, "nowhere", lambda: TLSConfig(0, ca_files="/nowhere")),
    "no such own file": (
        trionng.NoEntry, "cert_key_file /nowhere: there is no",
        lambda: TLSConfig(1, cert_key_file="/nowhere"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_CONFIGS)
def test_config_that_cannot_work_raises_at_once(case: str) -> None:
    """What is wrong in a recipe is said where it is written."""
    error, text, make = BAD_CONFIGS[case]
    with pytest.raises(error, match=text):
        make()


@pytest.mark.parametrize("password", [None, "wrong"])
def test_config_with_a_wrong_password_says_so(files: dict[str, Path], password: str | None) -> None:
    """A locked key and the wrong password are told from a connection that fails."""
    with pytest.raises(trionng.CryptoError, match="passwd"):
        TLSConfig.server(cert_key_file=files["locked"], passwd=password)


def as_formats(key: bytes, password: bytes) -> dict[str, bytes]:
    """Return a key in the formats that programs write, most of them encrypted."""
    private = serialization.load_pem_private_key(key, None)
    locked = serialization.BestAvailableEncryption(password)
    pem, der = serialization.Encoding.PEM, serialization.Encoding.DER
    formats = serialization.PrivateFormat
    return {
        "plain pkcs8": private.private_bytes(pem, formats.PKCS8, serialization.NoEncryption()),
        "traditional": private.private_bytes(pem, formats.TraditionalOpenSSL, locked),
        "pkcs8": private.private_bytes(pem, formats.PKCS8, locked),
        "openssh": private.private_bytes(pem, formats.OpenSSH, serialization.NoEncryption()),
        "der": private.private_bytes(der, formats.PKCS8, serialization.NoEncryption()),
        "public": private.public_key().public_bytes(
            pem, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
    }


ED25519 = ed25519.Ed25519PrivateKey.generate().private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
)
# How the key is kept, the password that is given, and what is said: None is nothing.
KEYS = {
    "plain": ("plain pkcs8", None, None),
    "plain with a password": ("plain pkcs8", "x", None),
    "traditional": ("traditional", "open sesame", None),
    "traditional, wrong": ("traditional", "wrong", "passwd does not fit"),
    "traditional, none": ("traditional", None, "encrypted: give its passwd"),
    "pkcs8, wrong": ("pkcs8", "wrong", "passwd does not fit"),
    "pkcs8, none": ("pkcs8", None, "encrypted: give its passwd"),
    "openssh": ("openssh", None, "ssh-keygen -p -m PEM"),
    "der": ("der", None, "DER, and PEM is needed"),
    "public": ("public", None, "but a public key"),
    "ed25519": ("ed25519", None, "not Ed25519"),
}


@pytest.mark.parametrize("case", KEYS)
def test_config_with_a_key_of_any_format_works_or_says_why(case: str) -> None:
    """Formats that Mbed TLS does not read are told from wrong passwords, and from each other."""
    form, password, words = KEYS[case]
    key = {**as_formats(KEY, b"open sesame"), "ed25519": ED25519}[form]

    def make() -> TLSConfig:
        return TLSConfig.server(own_cert_string=CERT, own_key_string=key, passwd=password)

    if words is None:
        assert "1 own" in repr(make())
        return
    with pytest.raises((trionng.CryptoError, trionng.InvalidOperation), match=words) as caught:
        make()
    assert "own_key_string" in str(caught.value)
    assert "open sesame" not in str(caught.value)


def test_config_with_an_aes_key_in_pkcs8_works_or_says_why() -> None:
    """Mbed TLS 2 knows no AES there: the right password is not said to be wrong."""
    key = as_formats(KEY, b"open sesame")["pkcs8"]
    try:
        TLSConfig.server(own_cert_string=CERT, own_key_string=key, passwd="open sesame")
    except trionng.CryptoError as error:
        said = str(error)
    else:
        return  # a later Mbed TLS

    assert "openssl rsa -aes256 -traditional" in said
    assert "does not fit" not in said


ALIENS = {
    "another": lambda: identity("another")[1],
    "another kind": lambda: trustme.CA().issue_cert(
        "x", key_type=trustme.KeyType.RSA
    ).private_key_pem.bytes(),
    "encrypted": lambda: as_formats(identity("another")[1], b"x")["traditional"],
}  # fmt: skip


@pytest.mark.parametrize("case", ALIENS)
@pytest.mark.parametrize("way", ["strings", "file", "setter", "setter of a file"])
def test_config_with_the_key_of_another_certificate_is_refused(
    case: str, way: str, tmp_path: Path
) -> None:
    """A key that does not belong to the certificate is found before any handshake."""
    key = ALIENS[case]()
    path = tmp_path / "own.pem"
    path.write_bytes(CERT + key)
    config = server()
    before = repr(config)
    ways: dict[str, Callable[[], object]] = {
        "strings": lambda: TLSConfig.server(own_cert_string=CERT, own_key_string=key, passwd="x"),
        "file": lambda: TLSConfig(1, cert_key_file=path, passwd="x"),
        "setter": lambda: config.set_own_cert(CERT, key, "x"),
        "setter of a file": lambda: config.set_cert_key_file(path, "x"),
    }

    with pytest.raises(trionng.CryptoError, match="does not belong to the certificate"):
        ways[way]()
    assert repr(config) == before


@pytest.mark.parametrize("kind", ["RSA", "ECDSA"])
def test_config_with_a_chain_and_text_around_it_is_taken(kind: str) -> None:
    """Bundles as authorities hand them out pass: the first certificate is the one of the key."""
    issued = CA.issue_cert("localhost", key_type=trustme.KeyType[kind])
    chain = b"".join(each.bytes() for each in issued.cert_chain_pems)
    text = b"subject=CN = localhost\n\n" + chain + CA.cert_pem.bytes() + b"\n# the end\n"

    config = TLSConfig.server(own_cert_string=text, own_key_string=issued.private_key_pem.bytes())

    assert "1 own" in repr(config)


def test_config_without_a_file_to_ask_openssl_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where OpenSSL cannot be asked nothing is refused that may be right."""

    def fail(*_: object) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("os.memfd_create", fail)

    assert "1 own" in repr(server())


FILES: dict[str, tuple[type[Exception], str]] = {
    "directory": (trionng.InvalidOperation, "it is a directory"),
    "missing": (FileNotFoundError, "there is no such file"),
    "empty": (trionng.InvalidOperation, "it is empty"),
    "der": (trionng.InvalidOperation, "openssl x509 -inform der"),
    "no directory": (trionng.InvalidOperation, "Not a directory"),
    "zero\0byte": (trionng.InvalidOperation, "null byte"),
    "\udcff": (FileNotFoundError, r"\\udcff: there is no such file"),
}


@pytest.mark.parametrize("case", FILES)
@pytest.mark.parametrize(
    "option", ["ca_files", "cert_key_file", "add_ca_file", "set_cert_key_file"]
)
def test_config_with_an_unusable_file_names_option_and_file(
    case: str, option: str, tmp_path: Path
) -> None:
    """What is wrong with a file is an error of trionng with the option in it."""
    path = str(tmp_path / case)
    if case == "directory":
        (tmp_path / case).mkdir()
    elif case == "empty":
        (tmp_path / case).touch()
    elif case == "der":
        (tmp_path / case).write_bytes(ssl.PEM_cert_to_DER_cert(TRUSTED.decode()))
    elif case == "no directory":
        (tmp_path / "file").touch()
        path = str(tmp_path / "file" / "x")
    error, words = FILES[case]
    config = TLSConfig(TLSConfig.MODE_SERVER)
    use = getattr(config, option, lambda path: TLSConfig(TLSConfig.MODE_SERVER, **{option: path}))

    with pytest.raises(error, match=words) as caught:
        use(path)

    assert isinstance(caught.value, trionng.NNGException)
    assert option in str(caught.value)
    assert str(caught.value).isprintable()


async def test_server_name_none_is_the_host_of_the_url_again() -> None:
    """`set_server_name(None)` takes a name back."""
    config = client(server_name="elsewhere")
    config.set_server_name(None)

    assert "server_name" not in repr(config)
    with trio.fail_after(SECONDS):
        async with trionng.Pair0() as one, trionng.Pair0() as other:
            url = one.listen(to_listen("tls+tcp4"), tls_config=server()).url
            await dial_patiently(other, url, tls_config=config)


@pytest.mark.parametrize("wrong", [ssl.create_default_context(), "own.pem", 0])
async def test_tls_config_of_another_type_is_refused(wrong: object) -> None:
    """A context of Python's ssl, or a path, is answered with the class that is needed."""
    url, words = "tls+tcp://localhost:5", "tls_config is a TLSConfig, not"
    async with trionng.Pair0() as pair:
        with pytest.raises(TypeError, match=rf"listen tls\+tcp://localhost:5: {words}"):
            pair.listen(url, tls_config=wrong)
        with pytest.raises(TypeError, match=rf"dial tls\+tcp://localhost:5: {words}"):
            await pair.dial(url, tls_config=wrong)


# The name that is sent (SNI).


async def sent_name(host: str, config: TLSConfig, scheme: str = "tls+tcp4") -> object:
    """Return the name a client sends to a server of Python; None is no name."""
    seen, seen_one = [], trio.Event()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CA.issue_cert("localhost").configure_cert(context)

    def see(_: object, name: object, __: object) -> None:
        seen.append(name)
        seen_one.set()

    context.sni_callback = see

    async def serve(stream: trio.SocketStream) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            await trio.SSLStream(stream, context, server_side=True).do_handshake()

    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery, trionng.Pair0() as pair:
            listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
            port = listeners[0].socket.getsockname()[1]
            url = f"{scheme}://{host}:{port}{'/x' if scheme.startswith('wss') else ''}"
            await pair.dial(url, tls_config=config, block=False)
            await seen_one.wait()
            nursery.cancel_scope.cancel()
    return seen[0]


NO_AUTH_CLIENT = partial(TLSConfig, TLSConfig.MODE_CLIENT, auth_mode=TLSConfig.AUTH_MODE_NONE)
OPTIONAL = partial(
    TLSConfig, TLSConfig.MODE_CLIENT, auth_mode=TLSConfig.AUTH_MODE_OPTIONAL, ca_string=TRUSTED
)
SENT: dict[str, tuple[str, Callable[[], TLSConfig], object]] = {
    "checked host": ("localhost", client, "localhost"),
    "checked name": ("127.0.0.1", lambda: client(server_name="example.org"), "example.org"),
    "unchecked host": ("localhost", lambda: client(check_hostname=False), "localhost"),
    "unchecked address": ("127.0.0.1", lambda: client(check_hostname=False), None),
    "name without verification": (
        "127.0.0.1", lambda: NO_AUTH_CLIENT(server_name="example.org"), "example.org",
    ),
    "host without verification": ("localhost", NO_AUTH_CLIENT, "localhost"),
    "address without verification": ("127.0.0.1", NO_AUTH_CLIENT, None),
    "optional": ("localhost", lambda: OPTIONAL(server_name="example.org"), "example.org"),
    "optional, unchecked": ("localhost", lambda: OPTIONAL(check_hostname=False), "localhost"),
}  # fmt: skip


@pytest.mark.parametrize("case", SENT)
async def test_client_sends_the_name_whether_it_checks_it_or_not(case: str) -> None:
    """A server of many names learns which one is meant, in every mode."""
    host, make, name = SENT[case]
    if "unchecked" in case and not _ffi.can_send_unchecked_name():
        name = None  # a libnng that is a library of its own

    assert await sent_name(host, make()) == name


SEND_UNCHECKED = """
import logging, trio
logging.getLogger("trionng").addHandler(logging.NullHandler())
from tests.transports.test_tls import client, sent_name
print(trio.run(sent_name, "localhost", client(check_hostname=False)))
"""


@needs_fix("T1")
@pytest.mark.parametrize("without", ["", "T1"])
async def test_client_without_the_fix_can_send_no_name_unchecked(without: str) -> None:
    """Hazard T1 is real on this libnng: nng's own calls send a name only to have it checked."""
    with trio.fail_after(SECONDS):
        async with other_process(
            *PYTHON, "-c", SEND_UNCHECKED, TRIONNG_NATIVE="testing", TNNG_WITHOUT=without,
        ) as process:  # fmt: skip
            code, said, errors = await process.end()

    assert (code, errors) == (0, "")
    assert said.strip() == ("None" if without else "localhost")


@needs_fix("T1")
@pytest.mark.parametrize("who", ["else", "localhost"])
async def test_dial_with_check_hostname_off_by_name_accepts_any_name(who: str, scheme: str) -> None:
    """The name that is sent is not checked, and the certificate is."""
    with trio.fail_after(SECONDS):
        async with trionng.Pair0() as one, trionng.Pair0() as other, trionng.Pair0() as third:
            url = one.listen(to_listen(scheme), tls_config=server(identity(who))).url
            await dial_patiently(other, url, tls_config=client(check_hostname=False))
            await other.send(b"hello")

            assert await one.recv() == b"hello"
            assert other.pipes[0].tls_verified
            stranger = client(check_hostname=False, trust=STRANGER.cert_pem.bytes())
            with pytest.raises(trionng.CryptoError):
                await dial_patiently(third, url, tls_config=stranger)


def test_config_that_was_refused_a_change_is_as_before(files: dict[str, Path]) -> None:
    """A setter that raises changes nothing."""
    config = server()
    before = repr(config)
    with pytest.raises(trionng.CryptoError):
        config.set_ca_chain("nonsense")
    with pytest.raises(trionng.CryptoError):
        config.set_cert_key_file(files["locked"], "wrong")

    assert repr(config) == before


def test_config_shows_no_secret() -> None:
    """Neither key nor password is in the representation."""
    config = client(identity("me"), server_name="example.org")

    assert "BEGIN" not in repr(config)
    assert repr(config) == (
        "<TLSConfig client, auth required, 1 ca, 1 own, server_name 'example.org'>"
    )


WITHOUT_TLS = """
import trionng
try:
    trionng.TLSConfig(trionng.TLSConfig.MODE_CLIENT)
except trionng.NotSupported as error:
    print(error)
"""


async def test_config_with_a_libnng_without_tls_raises_not_supported() -> None:
    """The exception names what is missing."""
    with trio.fail_after(SECONDS):
        async with other_process(
            *PYTHON, "-c", WITHOUT_TLS, TRIONNG_NATIVE="testing", TNNG_SIMULATE="NOTLS"
        ) as process:
            code, said, errors = await process.end()

    assert (code, errors) == (0, "")
    assert "built without TLS" in said


# Other implementations.


async def test_nngcat_over_tls_both_ways(tmp_path: Path) -> None:
    """`nngcat` verifies our certificate, and we its own."""
    (tmp_path / "ca").write_bytes(TRUSTED)
    cert, key = identity("cat")
    (tmp_path / "cert").write_bytes(cert)
    (tmp_path / "key").write_bytes(key)
    words = f"--cacert {tmp_path}/ca --cert {tmp_path}/cert --key {tmp_path}/key".split()
    with trio.fail_after(SECONDS):
        async with trionng.Pair0(recv_timeout=10_000) as pair:
            url = pair.listen(to_listen("tls+tcp4"), tls_config=server(trust=TRUSTED)).url
            async with other_process(
                "stdbuf", "-oL", "nngcat", "--pair0", "--raw", "--data", "from the cat",
                *words, "--dial", url,
            ) as cat:  # fmt: skip
                assert await pair.recv() == b"from the cat"
                assert verified(pair.pipes[0])  # before the answer, after which it may go
                await pair.send(b"to the cat\n")
                assert await cat.line() == "to the cat"


PYNNG_ECHO = """
import sys
import pynng

ca, own, url = sys.argv[1:]
config = pynng.TLSConfig(
    pynng.TLSConfig.MODE_SERVER, cert_key_file=own, ca_files=ca,
    auth_mode=pynng.TLSConfig.AUTH_MODE_REQUIRED,
)
with pynng.Rep0(tls_config=config) as rep:
    print(rep.listen(url).url, flush=True)
    while True:
        rep.send(rep.recv())
"""


async def test_pynng_over_tls_both_ways(files: dict[str, Path]) -> None:
    """A pynng server that wants certificates takes ours, and refuses a client without one."""
    with trio.fail_after(SECONDS):
        async with other_process(
            *PYTHON, "-c", PYNNG_ECHO, files["ca"], files["own"], to_listen("tls+tcp4")
        ) as process:
            url = await process.line()
            async with trionng.Req0() as good, trionng.Req0() as bad:
                await dial_patiently(good, url, tls_config=client(identity("me")))
                with pytest.raises(trionng.NNGException, match="certificate of ours"):
                    await dial_patiently(bad, url, tls_config=client())

                assert await good.request(b"hello") == b"hello"


def test_repr_of_a_config_says_that_no_name_is_checked():
    """What makes a connection less safe is shown."""
    assert "check_hostname=False" in repr(client(check_hostname=False))

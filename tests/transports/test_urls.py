"""URLs: each that can be listened on is met by its own `.url`; others say what is wrong."""

from __future__ import annotations

import io
import logging
import os
import re
import uuid
from functools import partial
from pathlib import Path

import pytest
import trio

import trionng
from trionng import _ffi, blocking
from trionng.testing import new_url

SECONDS = 60
NAME = uuid.uuid4().hex[:12]

MEETING = {
    "escaped space": "ws://127.0.0.1:0/a%20b",
    "two escapes": "ws://127.0.0.1:0/a%20%20b/%7bc%7D.d",
    "space as it is": "ws://127.0.0.1:0/a b",
    "escaped slash": "ws://127.0.0.1:0/a%2Fb",
    "needless escape": "ws://127.0.0.1:0/%61b%63",
    "dots and slashes": "ws://127.0.0.1:0//a/../b/./c",
    "query": "ws://127.0.0.1:0/a%20b?c=d%20e",
    "no path": "ws://127.0.0.1:0",
    "a colon and a zero": "ws://127.0.0.1:0/x:0",
    "slash": "tcp://127.0.0.1:0/",
    "large letters": "TCP4://LOCALHOST:0",
    "any host": "tcp://*:0",
    "no host": "tcp4://:0",
    "any host of IPv6": "tcp6://*:0",
    "any host for ws": "ws://*:0/x",
    "zero byte in abstract": f"abstract://{NAME}%00%ff",
    "letters in abstract": f"abstract://{NAME}-é",
    "letters in inproc": f"inproc://{NAME}-é",
    "long inproc": f"inproc://{NAME}{'x' * 300}",
    "bytes": b"tcp://127.0.0.1:0",
    "bytes for inproc": f"inproc://{NAME}".encode() + b"\xff",
    "bytes for abstract": f"abstract://{NAME}".encode() + b"\xff",
}


@pytest.mark.parametrize("case", MEETING)
async def test_listener_of_any_spelling_is_met_by_its_own_url(case: str) -> None:
    """What `listener.url` shows can be dialled, and says where the listener really is."""
    with trio.fail_after(SECONDS):
        async with trionng.Pair0(listen=MEETING[case]) as one, trionng.Pair0() as other:
            url = one.listeners[0].url
            await other.dial(url, block=True)
            await other.send(b"hello")
            assert await one.recv() == b"hello"

    assert "*" not in url
    assert not re.search(r":0(/|$)", url.replace("x:0", ""))
    assert re.match(r"[a-z0-9+]+://", url)


@pytest.mark.parametrize("spelling", ["str", "bytes"])
@pytest.mark.parametrize("api", [trionng, blocking])
async def test_path_that_is_no_text_is_served_and_can_be_printed(
    api, spelling: str, tmp_path: Path
) -> None:
    """An ipc path of any bytes works, and whatever shows it can be written as UTF-8."""
    raw = b"ipc://" + os.fsencode(tmp_path) + b"/\xff\xfe"
    url = os.fsdecode(raw) if spelling == "str" else raw

    def use() -> list[str]:
        with blocking.Pair0() as one, blocking.Pair0() as other:
            listener = one.listen(url)
            dialer = other.dial(listener.url, block=True)
            other.send(b"hello")
            message = one.recv_msg()
            assert message.bytes == b"hello"
            assert os.fsencode(listener.local_address.path) == raw[6:]  # type: ignore[attr-defined]
            with pytest.raises(trionng.AddressInUse) as taken:
                other.listen(url)
            return list(map(str, [listener.local_address, taken.value])) + list(
                map(repr, [one, listener, dialer, message.pipe, listener.local_address])
            )

    async def use_async() -> list[str]:
        async with trionng.Pair0() as one, trionng.Pair0() as other:
            listener = one.listen(url)
            dialer = await other.dial(listener.url, block=True)
            await other.send(b"hello")
            message = await one.recv_msg()
            assert os.fsencode(listener.local_address.path) == raw[6:]  # type: ignore[attr-defined]
            with pytest.raises(TypeError) as wrong:
                listener.recv_max_size = "no"  # type: ignore[assignment]
            return [str(wrong.value), repr(one), repr(listener), repr(dialer), repr(message.pipe)]

    with trio.fail_after(SECONDS):
        texts = await (trio.to_thread.run_sync(use) if api is blocking else use_async())

    assert all("\\udcff" in text for text in texts)
    for text in texts:
        text.encode()


async def test_dial_of_a_path_that_is_no_text_is_logged_as_text(
    tmp_path: Path,
) -> None:
    """A log in a file of UTF-8 gets its line."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger("trionng")
    logger.addHandler(handler)
    try:
        with trio.fail_after(SECONDS):
            async with trionng.Pair0() as pair:
                await pair.dial(b"ipc://" + os.fsencode(tmp_path) + b"/\xff")
    finally:
        logger.removeHandler(handler)

    assert "\\udcff" in stream.buffer.getvalue().decode()


# What cannot be, and what is said of it: URL, does it listen, error, words.
REFUSED: dict[str, tuple[object, str, type[Exception], str]] = {
    **{
        f"NUL in {transport}": (f"{new_url(transport, '/tmp')}\0x", "both", ValueError, "zero byte")
        for transport in ("inproc", "ipc", "abstract", "tcp", "ws")
    },
    "None": (None, "both", TypeError, "a URL is needed.*not None"),
    "int": (5, "both", TypeError, "not int"),
    "list": (["tcp://127.0.0.1:5"], "both", TypeError, "not list"),
    "path": (Path("/tmp/x"), "both", TypeError, "ipc://"),
    "empty": ("", "both", ValueError, "empty.*tcp://"),
    "no scheme": ("127.0.0.1:5555", "both", ValueError, "write tcp://127.0.0.1:5555"),
    "path alone": ("/tmp/x.sock", "both", ValueError, "write ipc:///tmp/x.sock"),
    "one word": ("hello", "both", ValueError, "names no transport"),
    "one slash": ("ipc:/x", "both", ValueError, "ipc:///x"),
    "no slash": ("tcp:127.0.0.1:5", "both", ValueError, "tcp://127.0.0.1:5"),
    "unknown": ("tpc://127.0.0.1:5", "both", trionng.NotSupported, "'tpc'; did you mean 'tcp'"),
    "http": ("http://127.0.0.1:5", "both", trionng.NotSupported, "did you mean 'ws'"),
    "swapped": ("tcp+tls://127.0.0.1:5", "both", trionng.NotSupported, "mean 'tls.tcp'"),
    "no port": ("tcp://127.0.0.1", "listen", ValueError, "no port.*:0 to let the system"),
    "no port, dialled": ("tcp://127.0.0.1", "dial", ValueError, "no port; write tcp://127"),
    "no port for TLS": ("tls+tcp4://localhost", "both", ValueError, "no port"),
    "no port, IPv6": ("tcp6://[::1]", "both", ValueError, "no port"),
    "colon alone": ("tcp://127.0.0.1:", "both", ValueError, "no port after it"),
    "large port": ("tcp://127.0.0.1:65536", "both", ValueError, "1 to 65535"),
    "negative port": ("ws://127.0.0.1:-5/x", "both", ValueError, "1 to 65535"),
    "port 0 dialled": ("tcp://127.0.0.1:0", "dial", ValueError, "listener.url"),
    "any host dialled": ("tcp://*:5555", "dial", ValueError, "for listening"),
    "no brackets": ("tcp://::1:5555", "both", ValueError, r"tcp://\[::1\]:5555"),
    "user": ("ws://me@127.0.0.1:5/x", "both", ValueError, "user name"),
    "path for tcp": ("tcp://127.0.0.1:5/x", "both", ValueError, "nothing follows"),
    "newline": ("tcp://127.0.0.1:5555\n", "both", ValueError, "white space"),
    "unknown host": ("tcp://host.invalid:5", "both", ValueError, "'host.invalid' is not known"),
    "other machine": ("tcp://192.0.2.1:5", "listen", ValueError, "no address 192.0.2.1"),
    "fragment": ("ws://127.0.0.1:5/a#b", "both", ValueError, "%23"),
    "letters for ws": ("ws://127.0.0.1:0/é", "listen", ValueError, "ASCII"),
    "broken escape": ("ws://127.0.0.1:5/%zz", "both", ValueError, "hexadecimal"),
    "percent served": ("ws://127.0.0.1:0/%25a", "listen", ValueError, "cannot serve"),
    "abstract escape": ("abstract://%zz", "both", ValueError, "hexadecimal"),
    "abstract dialled": ("abstract://", "dial", ValueError, "no name"),
    "long abstract": ("abstract://" + "x" * 108, "both", ValueError, "108 bytes.*107"),
    "no path": ("ipc://", "both", ValueError, "no path"),
    "long path": ("ipc:///" + "x" * 107, "both", ValueError, "108 bytes.*107"),
    "longer path": ("unix:///" + "x" * 500, "both", ValueError, "501 bytes"),
    "no folder": ("ipc:///no/such/x", "listen", FileNotFoundError, "no folder /no/such"),
    "no file": ("ipc:///no/such/x", "dial", ConnectionRefusedError, "no such file"),
    "no text": ("inproc://\ud800", "both", ValueError, "no encoding has"),
    "no text, abstract": ("abstract://\ud800", "both", ValueError, "no encoding has"),
    "no text, path": ("ipc:///\ud800", "both", ValueError, "no file name"),
    "letters of a host": ("tcp://b\u00fccher.example:5", "both", ValueError, "punycode"),
    "broken brackets": ("tcp://[::1:5", "both", ValueError, r"written as in tcp://\[::1\]"),
    "brackets, colon alone": ("tcp://[::1]:", "both", ValueError, "no port after it"),
    "nobody": ("inproc://nobody-here", "dial", ConnectionRefusedError, "in this process"),
}


@pytest.mark.skipif(_ffi.ws_is_hardened, reason="libnng 1.6 reads such a path rightly")
def test_ws_path_ending_with_an_escape_is_refused_by_old_libnng() -> None:
    """libnng before 1.6 would read past the end of such a path: `listen` raises instead."""
    with blocking.Pair0() as pair, pytest.raises(ValueError, match="ends with an escape"):
        pair.listen("ws://127.0.0.1:0/a%20")


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("api", [trionng, blocking])
async def test_url_that_cannot_be_used_is_refused_in_words(api, case: str) -> None:
    """The error names the operation and the URL, what is wrong with it, and how to write it."""
    url, when, kind, words = REFUSED[case]
    operations = ("listen", "dial") if when == "both" else (when,)

    def use(operation: str) -> None:
        with blocking.Pair0() as pair:
            pair.dial(url, block=True) if operation == "dial" else pair.listen(url)

    async def use_async(operation: str) -> None:
        async with trionng.Pair0() as pair:
            if operation == "dial":
                await pair.dial(url, block=True)
            else:
                pair.listen(url)

    for operation in operations:
        call = use_async if api is trionng else partial(trio.to_thread.run_sync, use)
        with trio.fail_after(SECONDS), pytest.raises(kind, match=words) as caught:
            await call(operation)
        text = str(caught.value)
        assert text.startswith(operation)
        assert text.isprintable()
        assert "Base" not in text
        if isinstance(url, str) and kind is not TypeError:
            assert caught.value.url is not None  # type: ignore[attr-defined]


async def test_service_of_a_url_that_cannot_be_used_says_the_same() -> None:
    """`serve_*` and constructors refuse what `listen` and `dial` refuse, and accept bytes."""

    async def handler(request: bytes) -> bytes:
        return request

    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_rep(nursery, handler, listen=b"tcp://127.0.0.1:0")
            async with trionng.Req0(dial=[service.url.encode()]) as req:
                assert await req.request(b"hello") == b"hello"
            for option in ("listen", "dial"):
                with pytest.raises(trionng.AddressInvalid, match=f"{option} 127.0.0.1:5"):
                    await trionng.serve_rep(nursery, handler, **{option: "127.0.0.1:5"})
                with pytest.raises(TypeError, match=f"serve_rep: {option}: .* not int"):
                    await trionng.serve_rep(nursery, handler, **{option: 5})
                with pytest.raises(TypeError, match=f"Req0: {option}: .* not None"):
                    trionng.Req0(**{option: [None]})
                with pytest.raises(trionng.AddressInvalid, match=f"{option} tcp://x: it has no"):
                    trionng.Req0(**{option: ["tcp://x"]})
            nursery.cancel_scope.cancel()


async def test_service_on_a_path_that_is_no_text_can_be_printed(tmp_path: Path) -> None:
    """Its representation and the note on a handler's exception are text."""

    async def handler(request: bytes) -> bytes:
        raise ValueError(request)

    url = b"ipc://" + os.fsencode(tmp_path) + b"/\xff"
    with trio.fail_after(SECONDS):
        try:
            async with trionng.Req0() as req, trio.open_nursery() as nursery:
                service = await trionng.serve_rep(nursery, handler, listen=url)
                shown = repr(service)
                await req.dial(url, block=True)
                await req.send(b"hello")
        except BaseException as error:
            raised = error
    while not isinstance(raised, ValueError):
        raised = raised.exceptions[0]  # type: ignore[attr-defined]

    for text in (shown, *raised.__notes__):  # type: ignore[attr-defined]
        assert "\\udcff" in text
        text.encode()

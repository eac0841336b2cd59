"""What strangers say on the wire: pieces of SP, HTTP and WebSocket, valid and not.

A case is a list of steps of one connection. Each step is a word and bytes; a case is made from a
seed, stands in a file as JSON, and can be made shorter without understanding it.
"""

from __future__ import annotations

import base64
import json
import ssl
import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from stress.common import Chances

T = TypeVar("T")

# The number of each protocol, and of its peer.
PROTOCOLS = {
    "pair0": (0x10, 0x10),
    "pair1": (0x11, 0x11),
    "pub0": (0x20, 0x21),
    "sub0": (0x21, 0x20),
    "req0": (0x30, 0x31),
    "rep0": (0x31, 0x30),
    "push0": (0x50, 0x51),
    "pull0": (0x51, 0x50),
    "surveyor0": (0x62, 0x63),
    "respondent0": (0x63, 0x62),
    "bus0": (0x70, 0x70),
}
# The words of a step: bytes go out; wait for some; wait for milliseconds; end with FIN or RST;
# begin TLS; answer the request of a WebSocket client as it must be answered.
SEND, READ, PAUSE, FIN, RESET, TLS, ACCEPT = (
    "send",
    "read",
    "pause",
    "fin",
    "reset",
    "tls",
    "accept",
)


class Step(NamedTuple):
    """One thing that a stranger does."""

    word: str
    data: bytes = b""


class Case(NamedTuple):
    """What one stranger does to one target."""

    target: str
    steps: tuple[Step, ...]

    def dump(self) -> str:
        """Return it as a line of JSON."""
        steps = [[word, data.hex()] for word, data in self.steps]
        return json.dumps({"target": self.target, "steps": steps})

    @classmethod
    def load(cls, line: str) -> Case:
        """Read a line of JSON."""
        given = json.loads(line)
        steps = tuple(Step(word, bytes.fromhex(data)) for word, data in given["steps"])
        return cls(given["target"], steps)


def make_case(target: str, chances: Chances) -> Case:
    """Make up a stranger for a target, whose name is protocol/api/transport/role."""
    protocol, _, transport, role = target.split("/")
    steps: list[Step] = []
    if transport in ("tls+tcp", "wss"):
        if chances.random() < 0.3:
            steps.append(Step(SEND, _mangle(_client_hello(), chances)))
        else:
            steps.append(Step(TLS))
    is_ws = transport in ("ws", "wss")
    steps += _http(protocol, role, chances) if is_ws else _greeting(protocol, chances)
    stream = b""
    for _ in range(chances.randrange(8)):
        body = _message(protocol, chances)
        framed = _ws_frame(body, role, chances) if is_ws else _sp_frame(body, transport, chances)
        stream += framed
    if chances.random() < 0.25:
        stream = _mangle(stream, chances)
    steps += _in_pieces(stream, chances)
    steps.append(_end(chances))
    return Case(target, tuple(steps))


def _greeting(protocol: str, chances: Chances) -> list[Step]:
    own, peer = PROTOCOLS[protocol]
    number = chances.choice((peer,) * 12 + (own, 0, 0xFFFF, chances.randrange(65536)))
    return _opening(struct.pack(">4sHH", b"\0SP\0", number, 0), bytes(8), chances)


def _opening(data: bytes, answer: bytes, chances: Chances) -> list[Step]:
    """Return what begins a connection, perhaps mangled, and perhaps a wait for the answer."""
    if chances.random() < 0.15:
        data = _mangle(data, chances)
    steps = _in_pieces(data, chances)
    if chances.random() < 0.8:
        steps.append(Step(READ, answer))
    return steps


def _message(protocol: str, chances: Chances) -> bytes:
    """Return a body with the header of a protocol, or what looks like one."""

    def word(*, top: bool = False) -> bytes:
        return struct.pack(">I", chances.getrandbits(31) | top << 31)

    text = chances.choice((b"", b"x", chances.randbytes(20), bytes(5000), bytes(70_000)))
    kind = chances.random()
    if kind < 0.1:
        return chances.randbytes(chances.randrange(12))
    if protocol in ("rep0", "req0", "respondent0", "surveyor0"):
        hops = chances.choice((0, 0, 0, 1, 7, 8, 15, 16, 200))
        return b"".join(word() for _ in range(hops)) + word(top=kind < 0.9) + text
    if protocol == "pair1":
        hops = chances.choice((0, 1, 1, 1, 2, 15, 16, 255, 256, 0x7FFFFFFF, 0xFFFFFFFF))
        return struct.pack(">I", hops) + text
    if protocol == "bus0" and kind < 0.3:
        return word() + text
    return text


def _sp_frame(body: bytes, transport: str, chances: Chances) -> bytes:
    length = len(body)
    if chances.random() < 0.1:
        length = chances.choice(
            (0, 1, length + 1, 2**20, 2**20 + 1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1)
        )
    data = struct.pack(">Q", length) + body
    if transport in ("ipc", "abstract"):
        data = chances.choice((b"\1",) * 12 + (b"\0", b"\2", b"\xff", b"")) + data
    return data


def _ws_frame(body: bytes, role: str, chances: Chances) -> bytes:
    """Return a frame of RFC 6455; a client masks, and nng takes binary frames only."""
    opcode = chances.choice((2,) * 10 + (0, 1, 3, 8, 9, 10, 11, 15))
    first = opcode | chances.choice((0x80,) * 8 + (0, 0, 0xC0, 0xF0))
    masks = (role == "listener") ^ (chances.random() < 0.05)
    length = len(body)
    if chances.random() < 0.08:
        length = chances.choice((0, 125, 126, 127, 65535, 65536, 2**20, 2**31, 2**63, 2**64 - 1))
    short = length < 126 and chances.random() < 0.95
    if short:
        head = bytes([first, length | masks << 7])
    elif length < 65536 and chances.random() < 0.9:
        head = bytes([first, 126 | masks << 7]) + struct.pack(">H", length)
    else:
        head = bytes([first, 127 | masks << 7]) + struct.pack(">Q", length)
    if masks:
        key = chances.randbytes(4)
        pad = (key * (len(body) // 4 + 1))[: len(body)]
        size = len(body)
        mixed = int.from_bytes(body, "big") ^ int.from_bytes(pad, "big")
        return head + key + mixed.to_bytes(size, "big")
    return head + body


NAMES = {
    **{"pair0": "pair", "pair1": "pair1", "pub0": "pub", "sub0": "sub", "req0": "req"},
    **{"rep0": "rep", "push0": "push", "pull0": "pull", "bus0": "bus"},
    **{"surveyor0": "surveyor", "respondent0": "respondent"},
}
# PATH is replaced by that of the target when the case is run.
PATH = b"/PATH-OF-TARGET"


def _http(protocol: str, role: str, chances: Chances) -> list[Step]:
    if role == "dialer":
        return _http_answer(chances)
    key = base64.b64encode(chances.randbytes(16))
    speaks = f"{NAMES[protocol]}.sp.nanomsg.org".encode()
    lines = [
        b"GET " + chances.choice((PATH,) * 12 + (b"/", b"*", b"/" + b"a" * 9000)) + b" HTTP/1.1",
        b"Host: localhost",
        b"Upgrade: " + chances.choice((b"websocket",) * 8 + (b"WebSocket", b"h2c", b"")),
        b"Connection: " + chances.choice((b"Upgrade",) * 8 + (b"keep-alive, Upgrade", b"close")),
        b"Sec-WebSocket-Key: " + chances.choice((key,) * 8 + (key[:5], b"", key * 40)),
        b"Sec-WebSocket-Version: " + chances.choice((b"13",) * 8 + (b"8", b"")),
        b"Sec-WebSocket-Protocol: " + chances.choice((speaks,) * 10 + (b"x", b"", speaks * 50)),
    ]
    return _http_lines(lines, chances)


def _http_lines(lines: list[bytes], chances: Chances) -> list[Step]:
    if chances.random() < 0.2:
        place = chances.randrange(1, len(lines) + 1)
        extra = chances.choice(
            (
                *(b"X: " + b"y" * 5000, b"Content-Length: 99999999999", b"Content-Length: -1"),
                *(b"Transfer-Encoding: chunked", b"NoColon", b" folded", b"Origin: \xff\0", b":"),
            )
        )
        lines.insert(place, extra)
    if chances.random() < 0.1:
        lines.pop(chances.randrange(len(lines)))
    ending = chances.choice((b"\r\n",) * 20 + (b"\n", b"\r"))
    return _opening(ending.join([*lines, b"", b""]), bytes(100), chances)


def _http_answer(chances: Chances) -> list[Step]:
    steps = [Step(READ, bytes(100))] if chances.random() < 0.9 else []
    if chances.random() < 0.6:
        return [*steps, Step(ACCEPT)]
    status = chances.choice((b"101 Switching Protocols", b"200 OK", b"404 No", b"301 Moved", b""))
    lines = [
        b"HTTP/1.1 " + status,
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: " + base64.b64encode(chances.randbytes(20)),
        b"Content-Length: " + chances.choice((b"0", b"5", b"-1", b"99999999999999999999")),
    ]
    return steps + _http_lines(lines, chances)


def _client_hello() -> bytes:
    context = ssl.create_default_context()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    try:
        connection.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def _mangle(data: bytes, chances: Chances) -> bytes:
    """Change, double, leave out, or put in some bytes."""
    changed = bytearray(data)
    for _ in range(chances.randint(1, 4)):
        at = chances.randrange(len(changed) + 1)
        size = chances.choice((1, 1, 2, 4, 8, 100))
        kind = chances.randrange(4)
        if kind == 0:
            changed[at : at + size] = chances.randbytes(min(size, len(changed) - at))
        elif kind == 1:
            del changed[at : at + size]
        elif kind == 2:
            changed[at:at] = changed[at : at + size]
        else:
            changed[at:at] = chances.choice((bytes(size), b"\xff" * size))
    return bytes(changed)


def _in_pieces(data: bytes, chances: Chances) -> list[Step]:
    if not data:
        return []
    if chances.random() < 0.6:
        return [Step(SEND, data)]
    cuts = sorted(chances.randrange(len(data)) for _ in range(chances.randint(1, 4)))
    steps: list[Step] = []
    for begin, end in zip((0, *cuts), (*cuts, len(data)), strict=True):
        if begin < end:
            steps.append(Step(SEND, data[begin:end]))
            if chances.random() < 0.4:
                steps.append(Step(PAUSE, bytes([chances.randrange(30)])))
    return steps


def _end(chances: Chances) -> Step:
    word = chances.choice((FIN, FIN, RESET, READ, PAUSE))
    return Step(word, bytes(200)[: chances.randint(1, 200)])


def ddmin(items: Sequence[T], fails: Callable[[tuple[T, ...]], bool]) -> tuple[T, ...]:
    """Leave out what is not needed for a failure: first halves, then smaller parts."""
    kept, parts = tuple(items), 2
    while len(kept) > 1:
        size = max(1, len(kept) // parts)
        for begin in range(0, len(kept), size):
            fewer = kept[:begin] + kept[begin + size :]
            if fewer and fails(fewer):
                kept, parts = fewer, max(parts - 1, 2)
                break
        else:
            if size == 1:
                break
            parts = min(parts * 2, len(kept))
    return kept

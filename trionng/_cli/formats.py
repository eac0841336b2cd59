"""How `trionng cat` prints a message, and where it takes its messages from."""

from __future__ import annotations

import base64
import datetime
import json
import os
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\", '"': '\\"'}
_PLAIN: Final = range(32, 127)
_ASCII: Final = bytes(byte if byte in _PLAIN else ord(".") for byte in range(256))
_HEX: Final = [f"\\x{byte:02x}" for byte in range(256)]
_QUOTED: Final = [
    _SHORT.get(chr(byte)) or (chr(byte) if byte in _PLAIN else _HEX[byte]) for byte in range(256)
]
_CHUNK: Final = 1 << 16


def _text(data: bytes) -> bytes:
    """Show UTF-8 as it is, and what a terminal would act on or cannot show as `\\xNN`."""
    text = data.decode("utf-8", "surrogateescape")
    if not text.isprintable():
        text = "".join(each if each.isprintable() else _escaped(each) for each in text)
    return text.encode() + b"\n"


def _escaped(character: str) -> str:
    if character in "\n\r\t":
        return _SHORT[character]
    return "".join(_HEX[byte] for byte in character.encode("utf-8", "surrogateescape"))


def _ascii(data: bytes) -> bytes:
    return data.translate(_ASCII)


def _quoted(data: bytes) -> bytes:
    return ('"' + "".join(_QUOTED[byte] for byte in data) + '"\n').encode()


def _hex(data: bytes) -> bytes:
    return ('"' + "".join(_HEX[byte] for byte in data) + '"\n').encode()


def _msgpack(data: bytes) -> bytes:
    length = len(data)
    if length < 1 << 8:
        return b"\xc4" + length.to_bytes(1, "big") + data
    if length < 1 << 16:
        return b"\xc5" + length.to_bytes(2, "big") + data
    return b"\xc6" + length.to_bytes(4, "big") + data


# nngcat's formats, and two more. Those in ENDLESS end no line by themselves.
FORMATS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "text": _text,
    "ascii": _ascii,
    "quoted": _quoted,
    "hex": _hex,
    "msgpack": _msgpack,
    "raw": bytes,
    "no": lambda _data: b"",
    "json": lambda _data: b"",
}
ENDLESS: Final = ("raw", "ascii")


def now() -> str:
    """Return the time of day with its date and zone."""
    return datetime.datetime.now().astimezone().isoformat(timespec="microseconds")


class Formatter:
    """Turns a message into what is printed.

    Args:
        name: of the format.
        newline: end each message of a format without lines with one.
        timestamp: put the time of arrival in front.
    """

    def __init__(self, name: str, *, newline: bool, timestamp: bool) -> None:
        self._name = name
        self._format = FORMATS[name]
        self._end = b"\n" if newline and name in ENDLESS else b""
        self._timestamp = timestamp

    def __call__(self, data: bytes, peer: str | None) -> bytes:
        """Return what is printed for a message of a peer."""
        if self._name == "no":
            return b""
        if self._name != "json":
            start = f"{now()} ".encode() if self._timestamp else b""
            return start + self._format(data) + self._end
        shown: dict[str, object] = {"time": now()} if self._timestamp else {}
        shown |= {"peer": peer, "size": len(data)}
        try:
            shown["data"] = data.decode()
        except UnicodeDecodeError:
            shown["base64"] = base64.b64encode(data).decode()
        return json.dumps(shown, ensure_ascii=False).encode() + b"\n"


class Lines:
    """The lines of stdin, read as they come, each without its end."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._rest: list[bytes] = []
        self._ended = False

    async def next(self) -> bytes | None:
        """Return the next line; None after the last one."""
        while not self._lines and not self._ended:
            chunk = await _read_some(0)
            if not chunk:
                self._ended = True
                self._lines = [b"".join(self._rest)] if self._rest else []
            elif b"\n" in chunk:
                first, *others = chunk.split(b"\n")
                lines = [b"".join([*self._rest, first]), *others]
                rest = lines.pop()
                self._rest = [rest] if rest else []
                self._lines = lines[::-1]
            else:
                self._rest.append(chunk)
        return self._lines.pop() if self._lines else None


class Same:
    """One message, any number of times."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def next(self) -> bytes | None:
        """Return the message."""
        return self._data


async def _read_some(descriptor: int) -> bytes:
    try:
        return await trio.to_thread.run_sync(os.read, descriptor, _CHUNK, abandon_on_cancel=True)
    except OSError as error:
        raise OSError(error.errno, error.strerror, "standard input") from None


async def read_file(path: str) -> bytes:
    """Read a whole file, or stdin for `-`; it may be a pipe that waits for its writer."""
    if path == "-":
        chunks = []
        while chunk := await _read_some(0):
            chunks.append(chunk)
        return b"".join(chunks)

    def read() -> bytes:
        with open(path, "rb") as file:
            return file.read()

    return await trio.to_thread.run_sync(read, abandon_on_cancel=True)

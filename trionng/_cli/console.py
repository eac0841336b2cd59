"""What a command shows: data on stdout, words on stderr, and a live line where that is a terminal.

* A write to stdout can be cancelled: when the reader does not read, a thread waits, not the loop.
* The live line is the last line of the terminal. It is drawn when work has taken a second, a few
  times a second, never wider than the terminal, and taken away before anything else is written.
"""

from __future__ import annotations

import errno
import math
import os
import select
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

# A pipe that has room has room for as much.
_AT_ONCE: Final = 4096
_REDRAW_SECONDS: Final = 0.2
# A terminal may wrap at its last column, and shows Ctrl-C as ^C.
_FREE_COLUMNS: Final = 3
_LIVE_AFTER_SECONDS: Final = 1.0
_COLORS: Final = {"red": "31", "green": "32", "yellow": "33", "dim": "2", "bold": "1"}


class OutputClosed(Exception):
    """The reader of stdout has closed it."""


class Console:
    """The three streams of a command.

    Args:
        name: stands in front of what is said.
        quiet: say nothing but errors.
    """

    def __init__(self, name: str, *, quiet: bool = False) -> None:
        self.name = name
        self.quiet = quiet
        self._out = 1
        self._err = 2
        self._shares_terminal = _is_terminal(1) and _is_terminal(2)
        self.is_live = _is_terminal(2) and not quiet and os.environ.get("TERM") != "dumb"
        self._live: Callable[[], str] | None = None
        self._drawn = 0
        self._draws = False

    # stdout

    async def write(self, data: bytes) -> None:
        """Write data to stdout, all of it."""
        if self._shares_terminal:
            self.clear()
        try:
            if len(data) <= _AT_ONCE and _has_room(self._out):
                data = data[os.write(self._out, data) :]
            if data:
                await trio.to_thread.run_sync(_write_all, self._out, data, abandon_on_cancel=True)
        except BrokenPipeError:
            raise OutputClosed from None
        except OSError as error:
            raise OSError(error.errno, error.strerror, "standard output") from None

    async def line(self, text: str) -> None:
        """Write a line to stdout."""
        await self.write(text.encode("utf-8", "surrogateescape") + b"\n")

    # stderr

    def say(self, text: str) -> None:
        """Say something on stderr, unless quiet."""
        if not self.quiet:
            self.complain(text)

    def complain(self, text: str) -> None:
        """Say what went wrong on stderr."""
        self.clear()
        _put(self._err, f"trionng {self.name}: {text}\n")

    def put(self, text: str) -> None:
        """Show a line on stderr as it is, unless quiet."""
        if not self.quiet:
            self.clear()
            _put(self._err, f"{text}\n")

    # The live line

    async def live(self, text: Callable[[], str], after: float = _LIVE_AFTER_SECONDS) -> None:
        """Draw a live line, again and again; run it as a task beside the work."""
        if not self.is_live:
            return
        try:
            await trio.sleep(after)
            while True:
                self._draw(text())
                await trio.sleep(_REDRAW_SECONDS)
        finally:
            self.clear()

    def _draw(self, text: str) -> None:
        columns = _columns(self._err)
        text = "".join(each if each.isprintable() else "?" for each in text)
        text = text[: max(columns - _FREE_COLUMNS, 1)]
        _put(self._err, self._taken_away(columns) + text)
        self._drawn = len(text)

    def clear(self) -> None:
        """Take the live line away."""
        if self._drawn:
            _put(self._err, self._taken_away(_columns(self._err)))
            self._drawn = 0

    def _taken_away(self, columns: int) -> str:
        """Return what erases the line, also when the terminal became narrower and wrapped it."""
        rows = max(math.ceil(self._drawn / columns), 1)
        up = f"\x1b[{rows - 1}A" if rows > 1 else ""
        return f"\r{up}\x1b[J" if self._drawn else "\r"


def paint(text: str, color: str, stream: int = 1) -> str:
    """Color a text where the stream is a terminal that wants colors (NO_COLOR)."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return text if plain or not _is_terminal(stream) else f"\x1b[{_COLORS[color]}m{text}\x1b[0m"


def _is_terminal(descriptor: int) -> bool:
    try:
        return os.isatty(descriptor)
    except OSError:
        return False


def _columns(descriptor: int) -> int:
    try:
        return os.get_terminal_size(descriptor).columns or 80
    except OSError:
        return 80


def _has_room(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(0))


def _put(descriptor: int, text: str) -> None:
    """Write to stderr; no reader, no words."""
    try:
        _write_all(descriptor, text.encode("utf-8", "backslashreplace"))
    except OSError:
        pass


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except OSError as error:
            if error.errno != errno.EAGAIN:  # the other end has made it non-blocking
                raise
            select.select([], [descriptor], [])

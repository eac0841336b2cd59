"""Values of the command line: durations, sizes and counts, as words and as text."""

from __future__ import annotations

import argparse
import difflib
import math
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_SECONDS: Final = {"": 1.0, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_DURATION: Final = re.compile(r"(\d+\.?\d*|\.\d+)(us|ms|s|m|h|d|)", re.ASCII)
_SIZE: Final = re.compile(r"(\d+)([kmg]?)(i?b)?", re.IGNORECASE | re.ASCII)
# What nng's options can hold.
_INT_MAX: Final = 2**31 - 1


def duration(text: str) -> float:
    """Read a duration: seconds, or a number with a unit, as in `0.5`, `500ms`, `2m`."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration, such as 0.5, 500ms, 10s or 2m")
    return float(found[1]) * _SECONDS[found[2]]


def size(text: str) -> int:
    """Read a number of bytes, as in `64`, `10k`, `1MiB`."""
    found = _SIZE.fullmatch(text)
    value = -1 if found is None else int(found[1]) * _BYTES[found[2].lower()]
    if not 0 <= value <= _INT_MAX:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no size of 0 to {_INT_MAX} bytes, such as 64, 10k or 1MiB"
        )
    return value


def count(text: str) -> int:
    """Read a number of messages or peers."""
    if not text.isascii() or not text.isdigit() or int(text) > _INT_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of 0 to {_INT_MAX}")
    return int(text)


def port(text: str) -> int:
    """Read the number of a TCP port."""
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port of 0 to 65535")
    return int(text)


class OneOf:
    """Reads one of several words, and suggests one for a word like it."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def __call__(self, text: str) -> str:
        """Return the word."""
        if text not in self.words:
            known = ", ".join(self.words)
            guess = meant(text, self.words)
            raise argparse.ArgumentTypeError(f"{text!r} is none of {known}{guess}")
        return text


def meant(word: str, words: Iterable[str]) -> str:
    """Return "; did you mean ...?" when a word is like one of those there are."""
    close = difflib.get_close_matches(word, list(words), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def show_seconds(seconds: float) -> str:
    """Show a time that was measured with three digits, as in `178 us`, `1.24 ms`, `3.5 s`."""
    if not math.isfinite(seconds):
        return "-"
    for unit, factor in (("us", 1e-6), ("ms", 1e-3)):
        if seconds < 1000 * factor * 0.9995:
            return f"{_three_digits(seconds / factor)} {unit}"
    return f"{_three_digits(seconds)} s" if seconds < 60 else show_clock(seconds)


def show_clock(seconds: float) -> str:
    """Show a time as a clock does: `0:07`, `2:05:00`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def show_bytes(number: float) -> str:
    """Show a number of bytes: `64 B`, `1.5 KiB`, `12 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024 or unit == "GiB":
            break
        number /= 1024
    return f"{number:.0f} B" if unit == "B" else f"{_three_digits(number)} {unit}"


def show_number(number: float) -> str:
    """Show a number with spaces between the thousands."""
    return f"{number:,.0f}".replace(",", " ")


def plural(number: int, one: str, many: str | None = None) -> str:
    """Show a number with its noun."""
    return f"{show_number(number)} {one if number == 1 else many or one + 's'}"


def _three_digits(value: float) -> str:
    return (
        f"{value:.0f}" if value >= 99.95 else f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"
    )

"""Checks of arguments, and small functions that every package may use."""

from __future__ import annotations

import difflib
import sys
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import trio
from sniffio import thread_local as _sniffio

from trionng._base.errors import InvalidOperation


def _in_trio_task() -> bool:
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return False
    return True


# Trio has a faster one from 0.29 on.
in_trio_task: Callable[[], bool] = getattr(trio.lowlevel, "in_trio_task", _in_trio_task)


def check_may_block(kind: type, call: str, async_call: str) -> None:
    """Refuse to block a Trio task, and with it the whole run; name the call to await instead."""
    # Trio sets sniffio's variable around each step of a task; reading it takes the least time.
    if _sniffio.name is not None and in_trio_task():
        name = kind.__name__
        raise RuntimeError(
            f"trionng.blocking.{name}.{call} would block the Trio loop: in a Trio task, await "
            f"trionng.{name}.{async_call}"
        )


def check_buffer(data: object) -> None:
    """Refuse what is no buffer, and say what to send instead."""
    if type(data) is bytes:
        return
    if isinstance(data, str):
        raise TypeError("a message is bytes, not str: encode it first, as in data.encode()")
    try:
        memoryview(data).release()  # type: ignore[arg-type]
    except TypeError:
        name = type(data).__name__
        if name == "Message":
            raise TypeError("a Message is sent by send_msg; send takes bytes") from None
        raise TypeError(f"a message is bytes or another buffer, not {name}") from None


def as_utf8(what: str, text: str) -> bytes:
    """Return a text as UTF-8; a part of a file name may be no text."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise InvalidOperation(
            f"{what}: {text!r} has characters that UTF-8 has not; give bytes"
        ) from None


def as_topic(topic: str | bytes) -> bytes:
    """Return a topic as the bytes that messages must start with; a str is encoded as UTF-8."""
    if isinstance(topic, str):
        return as_utf8("topic", topic)
    if isinstance(topic, bytes):
        return topic
    raise TypeError(f"a topic is str or bytes, not {type(topic).__name__}")


def check_bool(attempted: str, value: object) -> bool:
    """Return a bool; refuse every other value, also 0 and 1."""
    if not isinstance(value, bool):
        raise TypeError(f"{attempted}: True or False is needed, not {type(value).__name__}")
    return value


def as_topics(topics: str | bytes | Iterable[str | bytes] | None) -> list[bytes]:
    """Return one topic or several as a list."""
    if topics is None:
        return []
    if isinstance(topics, (str, bytes)) or not isinstance(topics, Iterable):
        return [as_topic(topics)]
    return [as_topic(topic) for topic in topics]


def meant(word: str, words: Iterable[str]) -> str:
    """Return "did you mean ...?" for a word that is close to a known one, else nothing."""
    close = difflib.get_close_matches(word, list(words), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


_asked: set[str] = set()


def warn_once(topic: str, find: Callable[[], str | None]) -> None:
    """Warn, once a process, of what `find` returns; the warning names the line of the program."""
    if topic in _asked:
        return
    _asked.add(topic)
    text = find()
    if text is not None:
        warnings.warn(text, RuntimeWarning, stacklevel=_level_outside())


def _level_outside() -> int:
    """Return the stacklevel of the first caller that is not of trionng, seen from our caller."""
    package = str(Path(__file__).parents[1])
    level = 1
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(package):
        frame = frame.f_back
        level += 1
    return level

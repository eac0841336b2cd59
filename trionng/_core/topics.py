"""The topics of a Sub0 socket or context.

nng filters what arrives. What had been taken before an unsubscribe is filtered here, so that no
message of that topic is delivered after it.

nng compares each new topic, and each message, with its topics one by one. Here a topic costs one
step however many there are, and a message one for each length that a topic has.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import Final

from trionng import _ffi
from trionng._base.errors import ENOENT, ENOTSUP, error_for
from trionng._base.util import as_topic

_RAW_SUB: Final = "a raw Sub0 receives every message"


class Topics:
    """The subscriptions of a socket or context; any thread may change them while others receive."""

    def __init__(self, on: int, number: int, *, raw: bool = False) -> None:
        self._on = on
        self._number = number
        self._raw = raw
        self._changing = threading.RLock()  # reentrant: a signal handler may subscribe
        self._topics: set[bytes] = set()
        self._count_of_length: Counter[int] = Counter()
        self._lengths: tuple[int, ...] = ()  # replaced, never changed: read without the lock
        self.has_unsubscribed = False

    def add(self, topic: str | bytes) -> None:
        wanted = as_topic(topic)
        if self._raw:  # nng would store it as an option of later endpoints, without effect
            raise error_for(ENOTSUP, f"subscribe {wanted!r}", None, _RAW_SUB)
        with self._changing:
            code = _ffi.set_bytes(self._on, self._number, "sub:subscribe", wanted)
            if code != 0:
                raise error_for(code, f"subscribe {wanted!r}")
            if wanted not in self._topics:
                self._topics.add(wanted)
                self._count(len(wanted), 1)

    def remove(self, topic: str | bytes) -> None:
        unwanted = as_topic(topic)
        with self._changing:
            code = _ffi.set_bytes(self._on, self._number, "sub:unsubscribe", unwanted)
            if code != 0:
                reason = "there is no such subscription" if code == ENOENT else None
                raise error_for(code, f"unsubscribe {unwanted!r}", None, reason)
            self.has_unsubscribed = True
            if unwanted in self._topics:
                self._topics.remove(unwanted)
                self._count(len(unwanted), -1)

    def _count(self, length: int, change: int) -> None:
        before = self._count_of_length[length]
        self._count_of_length[length] = before + change
        if (before == 0) != (before + change == 0):
            self._lengths = tuple(each for each, n in self._count_of_length.items() if n)

    def _match(self, data: bytes, lengths: tuple[int, ...]) -> bool:
        # Not `any` of a generator: Ctrl-C in a generator that is being freed is lost.
        for length in lengths:
            if data[:length] in self._topics:
                return True
        return False

    def filter(self, batch: list[bytes]) -> list[bytes]:
        """Return those messages, received earlier, that still match a topic."""
        if not self.has_unsubscribed:
            return batch
        lengths = self._lengths
        return [data for data in batch if self._match(data, lengths)]

    def want(self, msg: _ffi.Msg) -> bool:
        """Tell whether a message, received earlier, still matches a topic."""
        if not self.has_unsubscribed:
            return True
        lengths = self._lengths
        return self._match(_ffi.head_of(msg, max(lengths, default=0)), lengths)

"""Waits for what no event tells: the state of nng's threads, and moments within a handshake."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Block this thread until a condition holds that only threads of C bring about.

    Trio stands still meanwhile; fail the test after so many seconds.
    """
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.001)


def spin(longest: float) -> None:
    """Pass up to so many seconds without a sleep, so that no two rounds share a moment."""
    end = time.perf_counter() + random.random() * longest
    while time.perf_counter() < end:
        pass

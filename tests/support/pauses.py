"""Pause points of the test build: named places in C where a thread stops until the test opens them.

`nng/testing/pause.c` has the mechanism, `grep -rn TNNG_PAUSE nng` the points.
"""

from __future__ import annotations

from trionng._ffi import testing

WITHIN = 40_000  # milliseconds until a thread must have come


class Pause:
    """A pause point that is armed for the time of a block."""

    def __init__(self, point: str) -> None:
        self.point = point

    def __enter__(self) -> Pause:
        testing.arm_pause(self.point)
        return self

    def __exit__(self, *_exc: object) -> None:
        self.open()

    def reached(self) -> None:
        """Wait until a thread stands here; a test that misses its point fails."""
        assert testing.pause_reached(self.point, WITHIN), f"no thread came to {self.point}"

    def open(self) -> None:
        """Let the thread go on."""
        testing.open_pause(self.point)

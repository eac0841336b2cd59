"""`flush` and `linger`: when nng has written everything that a socket accepted.

nng has no such call. `FlushWatch` compares, again and again, what the pipes were given with what
nng's counters say they have written; where the counters cannot be exact, 0.1 s without progress
counts as flushed.
"""

from __future__ import annotations

import time

from trionng import _ffi
from trionng._base.errors import Closed
from trionng._core.abc import AnySocket

# Where the counters of nng cannot add up, this long without a move counts as flushed.
QUIET = 0.1


class FlushWatch:
    """Decides when nng has handed everything that a socket accepted to the operating system."""

    def __init__(self, socket: AnySocket) -> None:
        self._socket = socket
        self._seen = -1
        self._began = self._quiet_since = time.monotonic()
        self._pause = 0.0005

    def submit(self, cq: _ffi.CompletionQueue, tag: int) -> _ffi.SubmitResult:
        """Start reading nng's counters; `is_flushed` takes the code of this operation."""
        socket = self._socket
        if socket._closed:
            raise Closed(f"{type(socket).__name__}.flush: the socket is closed", url=socket._urls())
        self._began = time.monotonic()
        return socket._native.check_flush(cq, tag)

    def is_flushed(self, code: int) -> bool:
        """Decide by the counters that were read. Time is real time, as in nng's threads."""
        socket = self._socket
        if code != 0:
            raise socket._failed(code, "flush")
        now = time.monotonic()
        unsent, progress, exact = socket._native.unflushed()
        if progress != self._seen:
            self._seen, self._quiet_since = progress, now
        # Many pipes make this slow: then read less often.
        self._pause = max(self._pause, min(3 * (now - self._began), QUIET))
        return unsent == 0 or (not exact and now - self._quiet_since >= QUIET)

    def is_stuck(self, seconds: float) -> bool:
        """Tell whether nothing has been written for so many seconds, as far as was read."""
        return time.monotonic() - self._quiet_since >= seconds

    def pause(self) -> float:
        """Return how many seconds to wait before the counters are read again."""
        pause = self._pause
        self._pause = min(pause * 2, 0.01)
        return pause

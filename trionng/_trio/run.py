"""What the testing kit asks of a Trio run: its clock, its token, and a look at each pass."""

from __future__ import annotations

from trio.lowlevel import (
    Task as Task,
    TrioToken as TrioToken,
    add_instrument as add_instrument,
    current_clock as current_clock,
    current_trio_token as current_trio_token,
)

from trionng._trio.wait import real_waits as real_waits

"""What others ask of a Trio run: the testing kit its clock and each pass, the portal its start."""

from __future__ import annotations

from trio.lowlevel import (
    Task as Task,
    TrioToken as TrioToken,
    add_instrument as add_instrument,
    checkpoint_if_cancelled as checkpoint_if_cancelled,
    current_clock as current_clock,
    current_trio_token as current_trio_token,
    start_guest_run as start_guest_run,
)

from trionng._trio.wait import real_waits as real_waits

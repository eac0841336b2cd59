"""Waiting until nothing is on its way."""

from __future__ import annotations

from typing import Final

import trio.testing

from trionng._testing.idle import IdleWatch
from trionng._trio.wait import real_time_limit

# Real seconds between two looks at the threads, and until the wait gives up.
_LOOK_EVERY: Final = 0.002
_GIVE_UP_AFTER: Final = 30.0


async def wait_all_delivered() -> None:
    """Wait until no message is on its way in this process, and all other tasks are blocked.

    Then each message that was sent has arrived at a socket that can receive it at once, was taken
    by a task, was dropped by nng, or waits because its peer does not read. So `recv_nowait` gets
    what there is, and `TryAgain` from it means that nothing comes. It is for nng what
    `trio.testing.wait_all_tasks_blocked` is for Trio's tasks. It waits in real time, whatever the
    clock of the run is, and a clock that jumps does not jump meanwhile.

    Other processes are not seen: `Socket.flush` waits until messages to them are with the operating
    system.

    Cancellation: only the wait ends.

    Raises:
        trio.TooSlowError: some thread of this process still works after 30 s of real time; the
            text names it.

    Example:
        await pub.send(b"weather: rain")
        await wait_all_delivered()
        assert sub.recv_nowait() == b"weather: rain"
    """
    watch = IdleWatch()
    with real_time_limit(_GIVE_UP_AFTER) as scope:
        while not watch.is_quiet(_LOOK_EVERY):
            await trio.testing.wait_all_tasks_blocked(_LOOK_EVERY)
    if scope.cancelled_caught:
        raise trio.TooSlowError(
            f"wait_all_delivered: after {_GIVE_UP_AFTER} s something still works: "
            f"{watch.busy or 'threads run now and then'}"
        )

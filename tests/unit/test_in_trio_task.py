"""What stands in for `trio.lowlevel.in_trio_task` where Trio is older than it."""

from __future__ import annotations

import trio

from trionng._base.util import _in_trio_task, in_trio_task


async def test_task_is_in_trio_and_its_threads_are_not() -> None:
    """Both answers are those of Trio's own function."""
    assert _in_trio_task() is in_trio_task() is True
    assert await trio.to_thread.run_sync(_in_trio_task) is False


def test_plain_code_is_in_no_trio_task() -> None:
    """No run, no task."""
    assert _in_trio_task() is in_trio_task() is False

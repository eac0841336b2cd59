"""Tasks that Trio's own crash destroys while they wait: what they waited for is not lost."""

from __future__ import annotations

import gc

import pytest
import trio
import trio.testing

import trionng
from tests.support.subprocesses import run_in_subprocess
from trionng import blocking


async def crash_trio_while_two_tasks_receive(pull: trionng.Pull0) -> None:
    def abort(_raise_cancel: object) -> trio.lowlevel.Abort:
        raise ValueError("an abort function that raises ends the run")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pull.recv)
        nursery.start_soon(pull.recv)
        await trio.testing.wait_all_tasks_blocked()
        with trio.CancelScope() as scope:
            scope.cancel()
            await trio.lowlevel.wait_task_rescheduled(abort)


def receive_after_a_crash() -> None:
    pull = trionng.Pull0(listen="inproc://crash")
    with blocking.Push0(dial="inproc://crash") as push:
        with pytest.raises(trio.TrioInternalError):
            trio.run(crash_trio_while_two_tasks_receive, pull)
        gc.collect()  # the coroutines of the run's tasks are destroyed at the latest here
        for data in (b"first", b"second"):
            push.send(data, timeout=5)
        assert [trio.run(pull.recv), trio.run(pull.recv)] == [b"first", b"second"]
    trio.run(pull.aclose)


def test_message_for_a_destroyed_task_is_received_next_run() -> None:
    """When Trio crashes, the receives of its tasks go with them, and messages stay in order."""
    finished = run_in_subprocess(receive_after_a_crash)

    assert finished.code == 0, finished

"""`python -m trionng demo`, run as a user runs it."""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING

import pytest
import trio

from tests.support.processes import PYTHON, other_process

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.processes import OtherProcess

DEMO = (*PYTHON, "-m", "trionng", "demo")
PATIENT = (*DEMO, "--limit", "1m")  # other work on the machine makes it slower
PIDS = re.compile(r"this one is (\d+), it has started (\d+)")


async def pids(demo: OtherProcess) -> tuple[int, int]:
    """Read the first line, which names the two processes."""
    found = PIDS.search(await demo.line())
    assert found is not None
    return int(found[1]), int(found[2])


async def read_until(demo: OtherProcess, text: str) -> None:
    """Read lines up to the first that contains the text."""
    while text not in await demo.line():
        pass


def is_empty(directory: Path) -> bool:
    """Tell whether nothing was left behind."""
    return not list(directory.iterdir())


def files(directory: Path) -> list[Path]:
    """List what there is but directories, at any depth."""
    return [path for path in directory.rglob("*") if not path.is_dir()]


def is_alive(pid: int) -> bool:
    """Tell whether a process with this id exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_demo_undisturbed_shows_both_processes_and_exits_0(tmp_path: Path) -> None:
    """The demo answers from the other process on ipc and tcp, and cleans up."""
    with trio.fail_after(60):
        async with other_process(*PATIENT, TMPDIR=str(tmp_path)) as demo:
            own, other = await pids(demo)
            code, output, errors = await demo.end()

    assert (code, errors) == (0, "")
    assert own == demo.pid
    for transport in ("ipc", "tcp"):
        assert f"REQ/REP over {transport}://" in output
        assert re.search(rf"subscribed to '\w+\.' over {transport}://", output)
    assert output.count("squared?") == 10
    assert f"found: the cellar, in process {other}" in output
    assert f"found: the kitchen, in process {other}" in output
    assert output.count(f"says process {other}") == 16  # 10 answers, 4 + 2 news
    assert re.search(r"sport\. +subscriber: sport\.", output)
    assert re.search(r"weather\. +subscriber: weather\.", output)
    assert "market." not in output
    assert is_empty(tmp_path)
    assert not is_alive(other)


async def test_demo_questions_at_once_are_answered_concurrently() -> None:
    """Five questions of 0.3 s each take far less than 1.5 s, unless the machine is busy."""
    durations: list[float] = []
    with trio.fail_after(60):
        while not any(duration < 1.4 for duration in durations):
            async with other_process(*PATIENT) as demo:
                _, output, _ = await demo.end()
            durations += map(float, re.findall(r"all answered after ([\d.]+) s", output))

    assert len(durations) % 2 == 0
    assert min(durations) >= 0.3


@pytest.mark.parametrize("moment", ["it has started", "squared?", "subscriber:"])
async def test_demo_other_process_killed_exits_with_one_line(moment: str, tmp_path: Path) -> None:
    """Killing the other process, at any moment, ends the demo at once with exactly one line."""
    with trio.fail_after(60):
        async with other_process(*PATIENT, TMPDIR=str(tmp_path)) as demo:
            _, other = await pids(demo)
            if moment != "it has started":
                await read_until(demo, moment)

            os.kill(other, signal.SIGKILL)
            code, output, errors = await demo.end()

    assert code == 1
    how = f"the other process ({other}) was killed by SIGKILL before the demo was over"
    assert errors == f"trionng demo: {how}\n"
    assert "Traceback" not in output
    assert is_empty(tmp_path)


async def test_demo_other_process_stopped_gives_up_before_10_seconds(tmp_path: Path) -> None:
    """An other process that hangs cannot keep the demo from ending."""
    with trio.fail_after(60):
        async with other_process(*DEMO, TMPDIR=str(tmp_path)) as demo:
            _, other = await pids(demo)

            os.kill(other, signal.SIGSTOP)
            code, _, errors = await demo.end()

    assert code == 1
    assert errors == "trionng demo: not finished after 9 seconds, giving up\n"
    assert not is_alive(other)
    assert is_empty(tmp_path)


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_demo_interrupted_exits_quietly(
    number: signal.Signals, expected: int, tmp_path: Path
) -> None:
    """Ctrl-C and SIGTERM end both processes, without a word and without leftovers."""
    with trio.fail_after(60):
        async with other_process(*PATIENT, new_session=True, TMPDIR=str(tmp_path)) as demo:
            _, other = await pids(demo)
            await read_until(demo, "squared?")

            os.killpg(demo.pid, number)
            code, _, errors = await demo.end()

    assert (code, errors) == (expected, "")
    assert not is_alive(other)
    assert is_empty(tmp_path)


async def test_demo_killed_lets_the_other_process_leave(tmp_path: Path) -> None:
    """The other process never outlives the demo, and takes its ipc files with it."""
    with trio.fail_after(60):
        async with other_process(*PATIENT, TMPDIR=str(tmp_path)) as demo:
            await read_until(demo, "squared?")

            os.kill(demo.pid, signal.SIGKILL)
            await demo.end()  # both hold the standard error: it ends when both have ended

    assert files(tmp_path) == []


async def test_demo_unread_output_ends_without_traceback() -> None:
    """`trionng demo | head -1` ends with one line at most."""
    with trio.fail_after(60):
        async with other_process("sh", "-c", '"$@" | head -1', "sh", *PATIENT) as shell:
            code, output, errors = await shell.end()

    assert code == 0
    assert PIDS.search(output)
    assert errors.count("\n") <= 1
    assert "Traceback" not in errors


async def test_command_help_hides_the_other_process() -> None:
    """`trionng --help` lists what is meant for people."""
    with trio.fail_after(60):
        async with other_process(*PYTHON, "-m", "trionng", "--help") as command:
            code, output, errors = await command.end()

    assert (code, errors) == (0, "")
    assert "demo " in output
    assert "demo-peer" not in output

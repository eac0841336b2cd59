"""Other processes for tests: started, read line by line, always killed and reaped at the end."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import trio

import trionng

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROOT = Path(__file__).resolve().parents[2]
PYTHON = (sys.executable, "-X", "faulthandler")
# What a shared build says of itself: tests/environments/test_build.py is about that.
IGNORE_SHARED = "ignore:trionng uses libnng:RuntimeWarning"
# Python drops an option that PYTHONWARNINGS has too, and "error" would win: so this one differs.
STRICT = ("-W", "error", "-W", f"{IGNORE_SHARED}:")


def environment(**changes: str) -> dict[str, str]:
    """Return an environment in which Python finds these tests, and the trionng they test."""
    tested = str(Path(trionng.__file__).parents[1])
    paths = [tested, str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "PYTHONWARNINGS": IGNORE_SHARED,
        **changes,
    }


class OtherProcess:
    """A running process whose output is read as it comes."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._unread = b""
        self.pid = process.pid

    async def line(self) -> str:
        """Return the next line of its standard output; fail the test if it ended instead."""
        assert self._process.stdout is not None
        while b"\n" not in self._unread:
            chunk = await self._process.stdout.receive_some()
            if not chunk:
                code, _, errors = await self.end()
                raise AssertionError(f"process ended with {code} instead of a line: {errors}")
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()

    async def write(self, text: str) -> None:
        """Write to its standard input."""
        assert self._process.stdin is not None
        await self._process.stdin.send_all(text.encode())

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    async def close_input(self) -> None:
        """Let it read the end of its standard input."""
        assert self._process.stdin is not None
        await self._process.stdin.aclose()

    async def end(self) -> tuple[int, str, str]:
        """Wait until it has ended; return its exit code and what it wrote that was not read yet."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        output = self._unread + b"".join([chunk async for chunk in self._process.stdout])
        errors = b"".join([chunk async for chunk in self._process.stderr])
        return await self._process.wait(), output.decode(), errors.decode()


@contextlib.asynccontextmanager
async def other_process(
    *command: str | os.PathLike[str], new_session: bool = False, **changes: str
) -> AsyncIterator[OtherProcess]:
    """Run a command for the time of a block, with pipes on its three standard streams."""
    process = await trio.lowlevel.open_process(
        [os.fspath(word) for word in command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(**changes),
        start_new_session=new_session,
    )
    try:
        yield OtherProcess(process)
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    await stream.aclose()


async def check_program(source: str, expected: str, directory: Path) -> None:
    """Run a program from a file; it prints what is expected, and nothing on stderr."""
    program = directory / "example.py"
    program.write_text(source, "utf-8")

    with trio.fail_after(60):
        async with other_process(*PYTHON, *STRICT, program) as run:
            result = await run.end()

    assert result == (0, expected, "")

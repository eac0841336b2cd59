"""`trionng` command lines as processes, started by a fork server."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from typing import TYPE_CHECKING, NoReturn

import trio

from tests.support.fork_server import SECONDS, Task, accept_signals, open_fork_server
from tests.support.processes import PYTHON, environment
from trionng.__main__ import main
from trionng._cli import COMMANDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.support.fork_server import ForkServer


class Commands:
    """Starts command lines; see the fixture `commands`."""

    def __init__(self, server: ForkServer) -> None:
        self._server = server

    @contextlib.asynccontextmanager
    async def start(
        self,
        *words: str | Path,
        closed: tuple[int, ...] = (),
        folder: str = ".",
        **changes: str,
    ) -> AsyncIterator[Run]:
        """Run `trionng` with these words for the time of a block.

        Args:
            words: of the command line.
            closed: standard descriptors that the process does not have.
            folder: the current directory of the process.
            changes: of the environment.
        """
        ends = [os.pipe() for _ in range(4)]
        # Ours: write its stdin, read the others.
        theirs = [ends[0][0], *(write for _, write in ends[1:])]
        ours = [ends[0][1], *(read for read, _ in ends[1:])]
        task = Task(
            f"{run_command.__module__}:{run_command.__name__}",
            tuple(str(word) for word in words),
            changes,
            folder=folder,
            closed=closed,
        )
        self._server.start(task, theirs)
        for descriptor in theirs:
            os.close(descriptor)
        run = Run(*map(trio.lowlevel.FdStream, ours))
        try:
            await run.started()
            yield run
        finally:
            with trio.CancelScope(shield=True):
                await run.kill()

    async def run(
        self,
        *words: str | Path,
        stdin: bytes = b"",
        closed: tuple[int, ...] = (),
        folder: str = ".",
        **changes: str,
    ) -> tuple[int, str, str]:
        """Run `trionng` to its end; return its exit code, its output, and its errors."""
        with trio.fail_after(SECONDS):
            async with self.start(*words, closed=closed, folder=folder, **changes) as run:
                await run.write(stdin)
                await run.close_input()
                return await run.end()


class Run:
    """A running command line, whose output is read as it comes."""

    def __init__(
        self,
        stdin: trio.lowlevel.FdStream,
        stdout: trio.lowlevel.FdStream,
        stderr: trio.lowlevel.FdStream,
        status: trio.lowlevel.FdStream,
    ) -> None:
        self._stdin = stdin
        self._streams = {"stdout": stdout, "stderr": stderr, "status": status}
        self._unread = {"stdout": b"", "stderr": b"", "status": b""}
        self.pid = 0

    async def started(self) -> None:
        """Wait until the process is there."""
        self.pid = int(await self.line("status"))

    async def line(self, stream: str = "stdout") -> str:
        """Return the next line of its output; fail the test if there is none."""
        while b"\n" not in self._unread[stream]:
            chunk = await self._streams[stream].receive_some()
            if not chunk:
                raise AssertionError(f"no line on {stream}: {await self.end()}")
            self._unread[stream] += chunk
        line, _, self._unread[stream] = self._unread[stream].partition(b"\n")
        return line.decode("utf-8", "backslashreplace")

    async def url(self) -> str:
        """Return where it listens, which `--verbose` and most commands say."""
        others = []
        while True:
            try:
                line = await self.line("stderr")
            except AssertionError as error:
                raise AssertionError(others) from error
            found = re.search(r"(?i:listening) at:? (\S+)", line)
            if found is not None:
                return found[1]
            others.append(line)

    async def write(self, data: bytes) -> None:
        """Write to its standard input, if it still reads that."""
        with contextlib.suppress(trio.BrokenResourceError):
            await self._stdin.send_all(data)

    async def close_input(self) -> None:
        """Let it read the end of its standard input."""
        await self._stdin.aclose()

    async def close_output(self) -> None:
        """Stop reading its standard output."""
        await self._streams["stdout"].aclose()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    async def end(self) -> tuple[int, str, str]:
        """Wait until it has ended; return its exit code and what it wrote that was not read yet."""
        async with trio.open_nursery() as nursery:
            for stream in self._streams:
                nursery.start_soon(self._read_all, stream)
        code = int(self._unread["status"] or b"-999")
        output, errors = (
            self._unread[each].decode("utf-8", "backslashreplace") for each in ("stdout", "stderr")
        )
        return code, output, errors

    async def _read_all(self, stream: str) -> None:
        try:
            async for chunk in self._streams[stream]:
                self._unread[stream] += chunk
        except trio.ClosedResourceError:
            pass

    async def kill(self) -> None:
        """End it, if it has not ended, and wait until it has gone with all that it held."""
        if self.pid and not self._unread["status"]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            await self._read_all("status")
        for stream in (self._stdin, *self._streams.values()):
            await stream.aclose()


@contextlib.contextmanager
def open_commands() -> Iterator[Commands]:
    """Start the process that is forked, for the time of a block."""
    commands = [f"trionng._cli.{name.replace('-', '_')}" for name in COMMANDS]
    with open_fork_server(PYTHON, environment(), [__name__, *commands]) as server:
        yield Commands(server)


def run_command(*words: str) -> NoReturn:
    """Run a command line, in the process that was forked.

    Without the end of the interpreter, which takes longer than most commands.
    """
    code = 130
    with contextlib.suppress(KeyboardInterrupt):
        accept_signals()
        code = main(list(words))
    os._exit(code)

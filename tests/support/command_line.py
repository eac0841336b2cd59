"""`trionng` command lines as processes that start at once: forks of a process that has imported it.

Each is a process of its own, with its own descriptors, signals, environment and end. Only the start
of the interpreter and the imports are shared, which take longer than most commands.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import trio

from tests.support.processes import PYTHON, ROOT, environment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

SECONDS = 20
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Commands:
    """Starts command lines; see the fixture `commands`."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control

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
        request = {
            "words": [str(word) for word in words],
            "closed": closed,
            "environ": changes,
            "folder": folder,
        }
        socket.send_fds(self._control, [json.dumps(request).encode()], theirs)
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
        """End it, if it has not ended."""
        if self.pid and not self._unread["status"]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        for stream in (self._stdin, *self._streams.values()):
            await stream.aclose()


@contextlib.contextmanager
def open_commands() -> Iterator[Commands]:
    """Start the process that is forked, for the time of a block."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        server = subprocess.Popen(
            [*PYTHON, "-m", "tests.support.command_line", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        try:
            yield Commands(ours)
        finally:
            ours.close()
            server.wait(SECONDS)


# What runs in the process that is forked.


def serve(control: socket.socket) -> list[str] | None:
    """Fork for each request; return the words of the command line in the process of one."""
    from trionng._cli import COMMANDS, load

    for name in COMMANDS:
        load(name)
    while True:
        data, descriptors, _, _ = socket.recv_fds(control, 1 << 16, 4)
        if not data:
            return None
        if os.fork() == 0:
            control.close()
            words = supervise(json.loads(data), descriptors)
            if words is not None:
                return words
            os._exit(0)
        for descriptor in descriptors:
            os.close(descriptor)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def supervise(request: dict[str, Any], descriptors: list[int]) -> list[str] | None:
    """Fork the process of the command, and tell its number and how it ended."""
    *streams, status = descriptors
    # A signal waits until the command has begun.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    pid = os.fork()
    if pid == 0:
        os.close(status)
        for number, descriptor in enumerate(streams):
            os.dup2(descriptor, number)
            os.close(descriptor)
        for number in request["closed"]:
            os.close(number)
        os.environ.update(request["environ"])
        os.chdir(request["folder"])
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number, name in ((1, "stdout"), (2, "stderr")):
            stream = None if number in request["closed"] else open(number, "w", 1, closefd=False)
            setattr(sys, name, stream)
        words: list[str] = request["words"]
        return words
    for descriptor in streams:
        os.close(descriptor)
    # The test may be over before the process is.
    with contextlib.suppress(BrokenPipeError), open(status, "wb", buffering=0) as report:
        report.write(b"%d\n" % pid)
        report.write(b"%d" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    return None


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        request_words = serve(connection)
    # Without the end of the interpreter, which takes longer than most commands.
    if request_words is not None:
        from trionng.__main__ import main

        code = 130
        with contextlib.suppress(KeyboardInterrupt):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            code = main(request_words)
        os._exit(code)
    os._exit(0)

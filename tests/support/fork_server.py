"""Processes that start at once: forks of an interpreter that has imported what they need.

Each is a process of its own, with its own descriptors, signals, environment and end. Only the start
of the interpreter and the imports are shared, which take longer than most of what is run.
This module does not import trionng: what is forked may choose a build of it by its environment.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60
SIGNALS = (signal.SIGINT, signal.SIGTERM)


@attrs.define
class Task:
    """What a fork is to do.

    Attributes:
        function: its module and name, as "module:name"; what it returns is the exit code.
            SIGINT and SIGTERM wait until it calls `accept_signals`.
        arguments: what it is called with.
        environ: what is other in its environment than in the server's.
        folder: the current directory of the process.
        closed: standard descriptors that the process does not have.
    """

    function: str
    arguments: Sequence[str]
    environ: dict[str, str]
    folder: str = "."
    closed: tuple[int, ...] = ()


class ForkServer:
    """Starts processes; see `open_fork_server`."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control

    def start(self, task: Task, descriptors: Sequence[int]) -> None:
        """Start a process.

        Args:
            task: what it does.
            descriptors: become its standard streams; the fourth is told its number in a line, and
                then its exit code. They stay open here.
        """
        socket.send_fds(self._control, [json.dumps(attrs.asdict(task)).encode()], descriptors)


@contextlib.contextmanager
def open_fork_server(
    command: Sequence[str], environ: dict[str, str], preloaded: Sequence[str]
) -> Iterator[ForkServer]:
    """Start the process that is forked, for the time of a block.

    Args:
        command: the interpreter and its options.
        environ: its environment.
        preloaded: modules that it imports.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        server = subprocess.Popen(
            [*command, "-m", __name__, str(theirs.fileno()), *preloaded],
            pass_fds=[theirs.fileno()],
            cwd=ROOT,
            env=environ,
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        try:
            yield ForkServer(ours)
        finally:
            ours.close()
            server.wait(SECONDS)


# What runs in the process that is forked.


def serve(control: socket.socket) -> Task | None:
    """Fork for each request; return the task in the process of one."""
    while True:
        data, descriptors, _, _ = socket.recv_fds(control, 1 << 16, 4)
        if not data:
            return None
        if os.fork() == 0:
            control.close()
            task = supervise(Task(**json.loads(data)), descriptors)
            if task is not None:
                return task
            os._exit(0)
        for descriptor in descriptors:
            os.close(descriptor)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def supervise(task: Task, descriptors: list[int]) -> Task | None:
    """Fork the process of the task, and tell its number and how it ended."""
    *streams, status = descriptors
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    pid = os.fork()
    if pid == 0:
        os.close(status)
        take_over(task, streams)
        return task
    for descriptor in streams:
        os.close(descriptor)
    # The test may be over before the process is.
    with contextlib.suppress(BrokenPipeError), open(status, "wb", buffering=0) as report:
        report.write(b"%d\n" % pid)
        report.write(b"%d" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    return None


def take_over(task: Task, streams: list[int]) -> None:
    """Give this process what belongs to the task alone."""
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    for number in task.closed:
        os.close(number)
    os.environ.update(task.environ)
    os.chdir(task.folder)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream: Any = None if number in task.closed else open(number, "w", 1, closefd=False)
        setattr(sys, name, stream)


def accept_signals() -> None:
    """Let the signals in that came before the task had begun."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def main(control: str, *preloaded: str) -> int:
    """Serve; in each process that was forked, do its task."""
    for each in preloaded:
        importlib.import_module(each)
    with socket.socket(fileno=int(control)) as connection:
        task = serve(connection)
    if task is None:
        return 0
    module, _, name = task.function.partition(":")
    code: int | None = getattr(importlib.import_module(module), name)(*task.arguments)
    return code or 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

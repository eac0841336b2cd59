"""Functions of tests in processes of their own, for what could hang or crash in C.

The function runs under faulthandler's watchdog, which prints where every thread stands and exits.
The process is a fork of an interpreter that has imported little, or a new interpreter where a
variable or a command demands it.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import faulthandler
import functools
import importlib
import inspect
import logging
import os
import select
import signal
import subprocess
import sys
import tempfile
import warnings
from typing import TYPE_CHECKING, Any

import trio

from tests.support.fork_server import Task, accept_signals, open_fork_server
from tests.support.processes import PYTHON, STRICT, environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.fork_server import ForkServer

# What most test modules import. Not trionng, of which a process may choose a build.
PRELOADED = ("hypothesis", "pytest", "ssl", "trio", "trio.testing", "trustme")
# Variables that are read when a process starts: it gets an interpreter of its own.
AT_START = ("MALLOC_", "PYTHON", "LD_", "ASAN_", "TSAN_")


@dataclasses.dataclass
class Finished:
    """What a process came to."""

    code: int
    output: str
    errors: str

    def __str__(self) -> str:
        return f"exit code {self.code}\n--- output\n{self.output}\n--- errors\n{self.errors}"

    @property
    def clean(self) -> bool:
        """Whether it ended well and had nothing to complain about."""
        return (self.code, self.errors) == (0, "")


def run_in_subprocess(
    function: Callable[..., object],
    *arguments: str,
    seconds: float = 60,
    under: tuple[str, ...] = (),
    covered: bool = True,
    **environ: str,
) -> Finished:
    """Run a function of a test module, sync or async, in a process of its own.

    Args:
        function: found again by its name in its module.
        arguments: what it is called with.
        seconds: after so long faulthandler shows where every thread stands, and exits.
        under: a command that runs the interpreter, such as valgrind.
        covered: False leaves the process out of `make test-coverage`, which would change its memory
            and open a file in it.
        environ: variables of the process.
    """
    words = (str(seconds), function.__module__, function.__name__, *arguments)
    variables = environment(**environ)
    is_covered = covered and "COVERAGE_PROCESS_CONFIG" in variables
    if under or is_covered or any(each.startswith(AT_START) for each in environ):
        if not is_covered:
            variables.pop("COVERAGE_PROCESS_CONFIG", None)
        command = [*under, *PYTHON, *STRICT, "-m", __name__, *words]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds + 30, env=variables
        )
        return Finished(done.returncode, done.stdout, done.stderr)
    return _run_forked(Task(f"{__name__}:main", words, variables), seconds + 30)


@functools.cache
def _fork_server() -> ForkServer:
    """Start the one of this test process, which ends with it."""
    variables = environment()
    variables.pop("COVERAGE_PROCESS_CONFIG", None)
    server = contextlib.ExitStack()
    atexit.register(server.close)
    return server.enter_context(open_fork_server((*PYTHON, *STRICT), variables, PRELOADED))


def _run_forked(task: Task, seconds: float) -> Finished:
    """Run it to its end, which is an error when it takes longer."""
    output, errors = (tempfile.TemporaryFile() for _ in range(2))
    read, write = os.pipe()
    with output, errors, open(os.devnull, "rb") as nothing, open(read, "rb") as status:
        with open(write, "wb") as told:
            streams = [each.fileno() for each in (nothing, output, errors, told)]
            _fork_server().start(task, streams)
        pid = int(status.readline())
        if not select.select([status], [], [], seconds)[0]:
            os.kill(pid, signal.SIGKILL)
        code = int(status.read())
        for each in (output, errors):
            each.seek(0)
        return Finished(code, output.read().decode(), errors.read().decode())


def run_test_build(
    function: Callable[..., object],
    *arguments: str,
    without: str = "",
    simulate: str = "",
    seconds: float = 60,
    **more: Any,
) -> Finished:
    """Run a function in a process of its own on the test build, with fixes left out.

    Args:
        function: found again by its name in its module.
        arguments: what it is called with.
        without: the codes of the fixes that are left out, with commas.
        simulate: how the shim misbehaves, as another nng would.
        seconds: after so long the watchdog ends the process.
        more: what else `run_in_subprocess` takes.
    """
    given = {"TNNG_WITHOUT": without, "TNNG_SIMULATE": simulate}
    switches: dict[str, Any] = {name: value for name, value in given.items() if value}
    return run_in_subprocess(
        function, *arguments, seconds=seconds, TRIONNG_NATIVE="testing", **switches, **more
    )


def main(seconds: str, module: str, function: str, *arguments: str) -> None:
    """Call the function, in the process of its own."""
    accept_signals()
    faulthandler.dump_traceback_later(float(seconds), exit=True)
    # As in pyproject.toml: what a ws listener says once on an old libnng.
    warnings.filterwarnings("ignore", ".*libnng before 1.6", RuntimeWarning)
    # What is logged of peers that misbehave is no complaint of the process.
    logging.getLogger("trionng").addHandler(logging.NullHandler())
    called = getattr(importlib.import_module(module), function)
    if inspect.iscoroutinefunction(called):
        trio.run(called, *arguments)
    else:
        called(*arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])

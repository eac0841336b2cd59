"""Functions of tests in processes of their own, for what could hang or crash in C.

The function runs in a new interpreter under faulthandler's watchdog, which prints where every
thread stands and exits.
"""

from __future__ import annotations

import dataclasses
import faulthandler
import importlib
import inspect
import logging
import subprocess
import sys
import warnings
from typing import TYPE_CHECKING, Any

import trio

from tests.support.processes import PYTHON, STRICT, environment

if TYPE_CHECKING:
    from collections.abc import Callable


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
    seconds: float = 30,
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
    command = [
        *under,
        *PYTHON,
        *STRICT,
        *("-m", __name__, str(seconds), function.__module__, function.__name__),
        *arguments,
    ]
    variables = environment(**environ)
    if not covered:
        variables.pop("COVERAGE_PROCESS_CONFIG", None)
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds + 30, env=variables
    )
    return Finished(done.returncode, done.stdout, done.stderr)


def run_test_build(
    function: Callable[..., object],
    *arguments: str,
    without: str = "",
    simulate: str = "",
    seconds: float = 30,
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


def _main(seconds: str, module: str, function: str, *arguments: str) -> None:
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
    _main(*sys.argv[1:])

"""What several test files need: addresses, connected sockets, functions run in other processes.

`run_apart` is for whatever could hang or crash in C: the function runs in a new interpreter under
faulthandler's watchdog, which prints where every thread stands and exits.
"""

from __future__ import annotations

import contextlib
import dataclasses
import faulthandler
import importlib
import inspect
import logging
import subprocess
import sys
import tempfile
import uuid
import warnings
from typing import TYPE_CHECKING, TypeVar

import pytest
import trio

import trionng
from tests.support.processes import PYTHON, environment
from trionng import _ffi

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

A = TypeVar("A", bound=trionng.Socket)
B = TypeVar("B", bound=trionng.Socket)

TRANSPORTS = ("inproc", "ipc", "tcp")
ALL_TRANSPORTS = (*TRANSPORTS, "abstract", "ws")


# How libnng came into the module: "static" or "shared".
LINK = _ffi.read_build().link


def fix_state(code: str) -> _ffi.FixState:
    """Say what is done here about an error of libnng."""
    return next(state for state in _ffi.read_fixes() if state.code == code)


def needs_fix(*codes: str) -> pytest.MarkDecorator:
    """Skip a test whose promise does not hold without fixes that only linking libnng in gives."""
    missing = [state for state in map(fix_state, codes) if state.needed and not state.active]
    reason = ", ".join(f"{state.code}: {state.reason}" for state in missing)
    return pytest.mark.skipif(bool(missing), reason=reason or "never")


def has_error(code: str) -> pytest.MarkDecorator:
    """Skip a test that shows an error of libnng, where the libnng at hand has it no more."""
    return pytest.mark.skipif(not fix_state(code).needed, reason=f"this libnng is without {code}")


def url_of(transport: str, directory: str | Path) -> str:
    """Return a URL nobody else listens on; the directory is for ipc, and its path short."""
    name = uuid.uuid4().hex[:12]
    return {
        "inproc": f"inproc://{name}",
        "ipc": f"ipc://{directory}/{name}",
        "abstract": f"abstract://trionng-{name}",
        "tcp": "tcp://127.0.0.1:0",
        "tcp4": "tcp4://127.0.0.1:0",
        "tcp6": "tcp6://[::1]:0",
        "ws": f"ws://127.0.0.1:0/{name}",
    }[transport]


@contextlib.asynccontextmanager
async def connected(listening: A, dialing: B, transport: str) -> AsyncIterator[tuple[A, B]]:
    """Connect two sockets for the time of a block, and close both."""
    with tempfile.TemporaryDirectory(prefix="tng-") as directory:
        async with listening, dialing:
            url = listening.listen(url_of(transport, directory)).url
            await dialing.dial(url, block=True)
            await listening.wait_connected()
            yield listening, dialing


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


def run_apart(
    function: Callable[..., object],
    *arguments: str,
    seconds: float = 30,
    under: tuple[str, ...] = (),
    **environ: str,
) -> Finished:
    """Run a function of a test module, sync or async, in a process of its own.

    Args:
        function: found again by its name in its module.
        arguments: what it is called with.
        seconds: after so long faulthandler shows where every thread stands, and exits.
        under: a command that runs the interpreter, such as valgrind.
        environ: variables of the process.
    """
    command = [
        *under,
        *PYTHON,
        *("-W", "error", "-m", __name__, str(seconds), function.__module__, function.__name__),
        *arguments,
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds + 30, env=environment(**environ)
    )
    return Finished(done.returncode, done.stdout, done.stderr)


def _main(seconds: str, module: str, function: str, *arguments: str) -> None:
    faulthandler.dump_traceback_later(float(seconds), exit=True)
    # As in pyproject.toml: what a ws listener says once on an old libnng.
    warnings.filterwarnings("ignore", ".*libnng before 1.6", RuntimeWarning)
    # What tests/environments/test_build.py is about, in a shared build.
    warnings.filterwarnings("ignore", "trionng uses libnng", RuntimeWarning)
    # What is logged of peers that misbehave is no complaint of the process.
    logging.getLogger("trionng").addHandler(logging.NullHandler())
    called = getattr(importlib.import_module(module), function)
    if inspect.iscoroutinefunction(called):
        trio.run(called, *arguments)
    else:
        called(*arguments)


if __name__ == "__main__":
    _main(*sys.argv[1:])

"""How a command runs and ends: exit codes, signals, errors as one line, streams that are closed.

0: done. 1: it failed, and said why in one line on stderr. 2: wrong use. 3: a timeout, or too few
messages. 128 + N: signal N ended it (130 Ctrl-C, 143 SIGTERM, 141 when stdout was closed).
"""

from __future__ import annotations

import logging
import os
import platform
import signal
import sys
import warnings
from typing import TYPE_CHECKING, Final, TextIO

import trio

import trionng
from trionng._cli.console import OutputClosed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from trionng._cli.console import Console

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
TOO_FEW: Final = 3
_SIGNALED: Final = 128


class Failure(Exception):
    """Ends the command with a line on stderr.

    Args:
        text: the line; empty for none.
        code: the exit code.
    """

    def __init__(self, text: str, code: int = FAILED) -> None:
        super().__init__(text)
        self.code = code


class _LogLines(logging.Handler):
    """Shows what trionng logs as words of the command."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.say(record.getMessage())


def run(main: Callable[[], Awaitable[int]], console: Console) -> int:
    """Run the async part of a command; return the exit code.

    A first signal cancels it, so that it can clean up; a second one ends the process.
    """
    handler = _LogLines(console)
    log = logging.getLogger("trionng")
    log.addHandler(handler)
    received: list[int] = []
    code = OK
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _Warnings(console).show
            code = trio.run(_watched, main, received)
    except BaseException as error:
        code = _explain(error, console)
    finally:
        console.clear()
        log.removeHandler(handler)
    return _SIGNALED + received[0] if received else code


class _Warnings:
    """Shows a warning as words of the command, without a line of source."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def show(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        self._console.say(f"warning: {message}")


async def _watched(main: Callable[[], Awaitable[int]], received: list[int]) -> int:
    code = OK
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            scope = trio.CancelScope()
            nursery.start_soon(_watch, signals, scope, received)
            with scope:
                code = await main()
            nursery.cancel_scope.cancel()
    return code


async def _watch(signals: AsyncIterator[int], scope: trio.CancelScope, received: list[int]) -> None:
    async for number in signals:
        received.append(number)
        scope.cancel()
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_DFL)  # the next one ends the process at once


def _explain(error: BaseException, console: Console) -> int:
    """Say in one line what ended the command; raise what is an error of this program."""
    leaf = _first_leaf(error)
    if isinstance(leaf, Failure):
        if str(leaf):
            console.complain(str(leaf))
        return leaf.code
    if isinstance(leaf, OutputClosed):
        return _SIGNALED + signal.SIGPIPE
    if isinstance(leaf, KeyboardInterrupt):
        return _SIGNALED + signal.SIGINT
    if isinstance(leaf, (trionng.NNGException, OSError)):
        console.complain(explain(leaf))
        return TOO_FEW if isinstance(leaf, trionng.Timeout) else FAILED
    raise error


def explain(error: BaseException) -> str:
    """Return the text of an error that has its cause outside of this program."""
    if isinstance(error, OSError) and not isinstance(error, trionng.NNGException):
        name = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        return f"{name}{error.strerror or error}"
    return str(error)


def _first_leaf(error: BaseException) -> BaseException:
    """Return the first error in a group that is no Cancelled (Python 3.10 has no group type)."""
    inner: object = getattr(error, "exceptions", None)
    if not isinstance(inner, tuple):
        return error
    leaves = [_first_leaf(each) for each in inner if isinstance(each, BaseException)]
    return next((leaf for leaf in leaves if not isinstance(leaf, trio.Cancelled)), leaves[0])


def version() -> str:
    """Return the versions of what is at work."""
    python = platform.python_version()
    return (
        f"trionng {trionng.__version__} (libnng {trionng.nng_version}, Python {python}, "
        f"Trio {trio.__version__})"
    )


def open_streams() -> None:
    """Give the process the standard streams that it was started without.

    A descriptor of a socket of ours would take their place, and get what is written to them.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # Write-only for stdin and read-only for the others: each use of it fails, as it should.
            os.open(os.devnull, os.O_WRONLY if number == 0 else os.O_RDONLY)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")


def finish(code: int, error: OSError | None = None) -> int:
    """Write what is left of the output; return the exit code that results.

    Args:
        code: of the command.
        error: what came of an earlier write to stdout.
    """
    try:
        if error is None:
            sys.stdout.flush()
            return code
    except OSError as late:
        error = late
    _forget_output()
    if isinstance(error, BrokenPipeError):
        return _SIGNALED + signal.SIGPIPE
    print(f"trionng: standard output: {error.strerror or error}", file=sys.stderr)
    return FAILED


def _forget_output() -> None:
    """Let the interpreter's own flush at exit succeed."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

"""The commands of `python -m trionng`: a line in `COMMANDS` and a module each.

A module is named like its command and has `add_arguments` and `run`. It is imported only for its
own command.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol, cast

if TYPE_CHECKING:
    import argparse

# The help text of each command; None leaves the command out of the list.
COMMANDS: Final[dict[str, str | None]] = {
    "demo": "show REQ/REP and PUB/SUB between two processes, in a few seconds",
    "demo-peer": None,  # `demo` starts it
}


class Command(Protocol):
    """What the module of a command has."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments of the command."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Run the command; return its exit code."""


def load(name: str) -> Command:
    """Import the module of a command."""
    return cast("Command", import_module(f"{__name__}.{name.replace('-', '_')}"))

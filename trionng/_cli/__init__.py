"""The commands of `python -m trionng`: a line in `COMMANDS` and a module each.

A module is named like its command. It has `EXAMPLES`, `add_arguments` and `run`, and is imported
only for its own command. Commands use what `trionng` exports, as any program could.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol, cast

from trionng._cli.parser import Parser

if TYPE_CHECKING:
    import argparse

# The summary of each command. Those in HIDDEN are started by other commands.
COMMANDS: Final[dict[str, str]] = {
    "cat": "Send and receive messages with any protocol; takes all options of nngcat.",
    "ping": "Measure the round trips of requests to a Rep0.",
    "bench": "Measure latency and throughput between two processes on this machine.",
    "proxy": "Forward messages between two addresses, with counters.",
    "monitor": "Show what connects, leaves and is rejected, and why.",
    "info": "Show what libnng can do, how it is linked, and which of its errors are mended.",
    "cert": "Make a certificate authority and certificates for development.",
    "demo": "Show REQ/REP and PUB/SUB between two processes, in a few seconds.",
    "completion": "Print a script that completes commands and options in bash or zsh.",
    "bench-peer": "Be the other process of `trionng bench`.",
    "demo-peer": "Be the other process of `trionng demo`.",
}
HIDDEN: Final = ("bench-peer", "demo-peer")
SHOWN: Final = tuple(name for name in COMMANDS if name not in HIDDEN)


class Command(Protocol):
    """What the module of a command has."""

    EXAMPLES: str

    def add_arguments(self, parser: Parser) -> None:
        """Declare the arguments of the command."""

    def run(self, arguments: argparse.Namespace, parser: Parser) -> int:
        """Run the command; return its exit code."""


def load(name: str) -> tuple[Command, Parser]:
    """Import the module of a command; return it with its parser."""
    command = cast("Command", import_module(f"{__name__}.{name.replace('-', '_')}"))
    parser = Parser(name, COMMANDS[name], command.EXAMPLES)
    command.add_arguments(parser)
    if "--help" not in parser.option_names():
        parser.declare_help()
    return command, parser

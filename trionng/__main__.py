"""The command `python -m trionng` (script `trionng`)."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from trionng._cli import COMMANDS, load

if TYPE_CHECKING:
    from collections.abc import Sequence


class _Arguments(argparse.Namespace):
    command: str


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="trionng", description="nng (Scalability Protocols) for Trio programs."
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, text in COMMANDS.items():
        command = (
            commands.add_parser(name) if text is None else commands.add_parser(name, help=text)
        )
        if name in words:
            load(name).add_arguments(command)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the `trionng` command.

    Args:
        argv: The arguments after the program's name; None means those of this process.

    Returns:
        The exit code: 0 for success, 1 for a failure told in one line on stderr, 130 after Ctrl-C.
    """
    words = sys.argv[1:] if argv is None else argv
    arguments = _parser(words).parse_args(words, namespace=_Arguments())
    try:
        return load(arguments.command).run(arguments)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())

"""The command `python -m trionng` (script `trionng`).

Each subcommand lives in its own module of `_cli`, imported when it is asked for.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class _Arguments(argparse.Namespace):
    """What the command line may hold, with types."""

    command: str
    requests: str
    news: str


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="trionng", description="nng (Scalability Protocols) for Trio programs."
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands.add_parser(
        "demo", help="show REQ/REP and PUB/SUB between two processes, in a few seconds"
    )
    # Started by `demo` itself: without a help text it is not listed.
    peer = commands.add_parser("demo-peer")
    peer.add_argument("--requests", required=True, metavar="URL")
    peer.add_argument("--news", required=True, metavar="URL")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the `trionng` command.

    Args:
        argv: The arguments after the program's name; None means those of this process.

    Returns:
        The exit code: 0 for success, 1 for a failure told in one line on stderr, 130 after Ctrl-C.
    """
    arguments = _parser().parse_args(argv, namespace=_Arguments())
    try:
        if arguments.command == "demo-peer":
            from ._cli import demo_peer

            return demo_peer.run(arguments.requests, arguments.news)
        from ._cli import demo

        return demo.run()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())

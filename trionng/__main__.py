"""The command `python -m trionng` (script `trionng`)."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Final

from trionng._cli import COMMANDS, SHOWN, load
from trionng._cli.process import USAGE, finish, open_streams
from trionng._cli.values import meant

if TYPE_CHECKING:
    from collections.abc import Sequence

_EXAMPLES: Final = """\
Examples:
  trionng --sub --dial tcp://127.0.0.1:5555     # print what is published there
  trionng --req --dial ipc:///tmp/app -D hello  # ask once, print the reply
  trionng ping tcp://127.0.0.1:5555             # measure round trips
  trionng bench                                 # what this machine can do

Usage: trionng COMMAND ...
       trionng --PROTOCOL ...    the same as trionng cat --PROTOCOL ...
"""


def _help() -> str:
    lines = [f"  {name:11} {COMMANDS[name]}" for name in SHOWN]
    rest = "trionng COMMAND --help has the options of a command; trionng --version the versions."
    return "\n".join([_EXAMPLES, "Commands:", *lines, "", rest])


def _main(words: list[str]) -> int:
    if not words:
        print(_help(), file=sys.stderr)
        return USAGE
    first = words[0]
    if first in ("-h", "--help", "help"):
        if first != "help" or len(words) == 1:
            print(_help())
            return 0
        words = [words[1], "--help"]
    elif first.startswith("-"):
        words = ["cat", *words]
    name = words.pop(0)
    if name not in COMMANDS:
        print(f"trionng: there is no command {name}{meant(name, SHOWN)}", file=sys.stderr)
        print("Try `trionng --help`.", file=sys.stderr)
        return USAGE
    command, parser = load(name)
    arguments = argparse.Namespace()
    parser.read(words, arguments)
    return command.run(arguments, parser)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the `trionng` command.

    Args:
        argv: The arguments after the program's name; None means those of this process.

    Returns:
        The exit code: 0 for success, 1 for a failure told in one line on stderr, 2 for wrong use, 3
        for a timeout or too few messages, 130 after Ctrl-C.
    """
    code = 0
    try:
        open_streams()
        code = _main(list(sys.argv[1:] if argv is None else argv))
    except KeyboardInterrupt:
        code = 130
    except SystemExit as end:  # argparse: --help, and wrong use
        code = end.code if isinstance(end.code, int) else 1
    except OSError as error:  # of stdout
        return finish(code, error)
    return finish(code)


if __name__ == "__main__":
    sys.exit(main())

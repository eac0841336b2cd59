"""`trionng info`: what the native module is made of, for people and for reports of errors."""

from __future__ import annotations

import argparse
import json
import platform
from typing import TYPE_CHECKING

import attrs
import trio

import trionng
from trionng._cli.console import paint
from trionng._cli.process import OK, version

if TYPE_CHECKING:
    from trionng._cli.parser import Parser

EXAMPLES = """
trionng info                             # for people, and for reports of errors
trionng info --json | jq .transports     # for programs
"""


class Arguments(argparse.Namespace):
    """The options of the command."""

    json: bool


def add_arguments(parser: Parser) -> None:
    """Declare the only option."""
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(arguments: Arguments, _parser: Parser) -> int:
    """Print what `trionng.build_info()` says; return the exit code."""
    build = trionng.build_info()
    if arguments.json:
        known = {field.name: getattr(build, field.name) for field in attrs.fields(type(build))}
        fixes = {code: attrs.asdict(fix) for code, fix in build.fixes.items()}
        versions = {
            "trionng": trionng.__version__,
            "python": platform.python_version(),
            "trio": trio.__version__,
            "platform": platform.platform(),
        }
        print(json.dumps({**versions, **known, "fixes": fixes}, indent=2))
        return OK
    print(version())
    print(f"system: {platform.platform()}")
    for line in str(build).splitlines():
        off = " is off, " in line
        print(paint(line, "yellow") if off else line)
    return OK

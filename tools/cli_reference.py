"""Write docs/reference/cli.md from the options that the commands declare."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from trionng._cli import COMMANDS, SHOWN, load  # noqa: E402

PAGE = ROOT / "docs/reference/cli.md"
HEAD = """\
# Command line

`python -m trionng`, or the script `trionng`; [how to use it](../{guide}/command-line.md). Made by
`tools/cli_reference.py` from the commands themselves.

* **Data** is on stdout, everything else on stderr. Progress is shown on a terminal only, as its
  last line, by work that takes longer than a second. `NO_COLOR` turns colors off.
* **Exit codes**: 0 done; 1 failed, with the cause in one line; 2 wrong use; 3 a timeout, or too few
  messages; 130 Ctrl-C, 143 SIGTERM, 141 nothing reads stdout any more. A second Ctrl-C ends a
  command that is still cleaning up. Ctrl-C in the first moment, while Python imports trionng, shows
  a traceback of Python.
* **TIME** is in seconds, or has a unit: `0.5`, `500ms`, `10s`, `2m`, `1h`. **SIZE** is in bytes:
  `64`, `10k`, `1MiB`.
* **Options** may be cut short where that is not ambiguous (`--recv-t`). `--name VALUE`,
  `--name=VALUE` and `--name:VALUE` are the same; so are `-C5` and `-C 5`.
* Bare `trionng --PROTOCOL ...` is `trionng cat --PROTOCOL ...`, so `alias nngcat=trionng` works.
* `trionng --help` lists the commands; `trionng COMMAND --help` begins with examples.
"""


def cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\\x", "\\\\x")


def row(action: argparse.Action) -> str:
    value = "" if action.nargs == 0 else f" {action.metavar or action.dest.upper()}"
    names = [f"`{name}`" for name in action.option_strings] or [f"`{action.metavar}`"]
    if action.option_strings:
        names[-1] = f"{names[-1][:-1]}{value}`"
    return f"| {', '.join(names)} | {cell((action.help or '') % vars(action))} |"


def page() -> str:
    """Return the page."""
    parts = [HEAD.replace("{guide}", "guide")]
    for name in SHOWN:
        _, parser = load(name)
        parts.append(f"## {name}\n\n{COMMANDS[name]}\n\n```sh\n{parser.examples}\n```\n")
        for title, actions in parser.groups():
            shown = {"positional arguments": "arguments"}.get(title, title)
            parts.append(f"| {shown} | |\n| --- | --- |\n" + "\n".join(map(row, actions)) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), "utf-8")

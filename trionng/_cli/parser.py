"""The parser of a command: help that begins with examples, and errors that suggest the right word.

Options are resolved here before argparse reads them, in the same way for every Python: the
beginning of a name is enough when it can mean one option only, `--name value`, `--name=value` and
nngcat's `--name:value` are the same, and a value may begin with a dash.
"""

from __future__ import annotations

import argparse
import re
import sys
from typing import TYPE_CHECKING, Final, NoReturn

from trionng._cli.values import meant

if TYPE_CHECKING:
    from collections.abc import Sequence

USAGE: Final = 2
_LONG: Final = re.compile(r"(--[^=:]*)(?:[=:](.*))?", re.DOTALL)


class Parser(argparse.ArgumentParser):
    """An `argparse.ArgumentParser` with examples.

    Args:
        name: of the command.
        summary: one sentence.
        examples: lines of a shell, with comments.
    """

    def __init__(self, name: str, summary: str, examples: str) -> None:
        super().__init__(
            prog=f"trionng {name}",
            description=summary,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            add_help=False,
        )
        self.command = name
        self.summary = summary
        self.examples = examples.strip("\n")
        self._instead: dict[str, str] = {}
        setattr(self, "color", False)  # noqa: B010 - Python 3.14 has it

    def declare_help(self) -> None:
        """Declare `--help`, as the last option."""
        self.add_argument("-h", "--help", action="help", help="show this help and exit")

    def when_extra(self, text: str) -> None:
        """Say what a word that is no option was perhaps meant for."""
        self._instead["extra"] = text

    def option_names(self) -> list[str]:
        """Return the names of the options."""
        return list(self._option_string_actions)

    def options(self) -> list[argparse.Action]:
        """Return the options, in the order of their declaration."""
        return [action for action in self._actions if action.option_strings]

    def positionals(self) -> list[argparse.Action]:
        """Return the arguments that are no options."""
        return [action for action in self._actions if not action.option_strings]

    def groups(self) -> list[tuple[str, list[argparse.Action]]]:
        """Return the options that are shown, by their group in the help text."""
        found = []
        for group in self._action_groups:
            actions = [each for each in group._group_actions if each.help != argparse.SUPPRESS]
            if actions:
                found.append((group.title or "", actions))
        return found

    def format_help(self) -> str:
        """Return the help text: examples, then usage and options."""
        examples = "\n".join(f"  {line}".rstrip() for line in self.examples.splitlines())
        usage = super().format_help().replace("usage: ", "Usage: ", 1)
        return f"Examples:\n{examples}\n\n{usage}"

    def format_usage(self) -> str:
        """Return the usage, which is that of the help text."""
        return super().format_usage().replace("usage: ", "Usage: ", 1)

    def error(self, message: str) -> NoReturn:
        """End the process with what was wrong, and where the help is."""
        print(f"{self.prog}: {message}", file=sys.stderr)
        print(f"Try `{self.prog} --help`.", file=sys.stderr)
        sys.exit(USAGE)

    def read(self, words: Sequence[str], namespace: argparse.Namespace) -> None:
        """Parse the words of the command line into the namespace."""
        _, extra = self.parse_known_args(self._resolve(words), namespace)
        if extra:
            self.error(f"{extra[0]!r} is one argument too many{self._instead.get('extra', '')}")

    def _resolve(self, words: Sequence[str]) -> list[str]:
        """Write options in full, each with its value in one word."""
        resolved: list[str] = []
        ahead = list(words)
        while ahead:
            word = ahead.pop(0)
            if word == "--":
                return [*resolved, word, *ahead]
            if word.startswith("--"):
                found = _LONG.fullmatch(word)
                assert found is not None
                option, action = self._option(found[1])
                value: str | None = found[2]
            elif len(word) > 1 and word[0] == "-" and word[:2] in self._option_string_actions:
                option, value = word[:2], word[2:] or None
                action = self._option_string_actions[option]
                if action.nargs == 0 and value is not None:
                    ahead.insert(0, f"-{value}")  # a cluster of flags
                    value = None
                option = max(action.option_strings, key=len)
            elif len(word) > 1 and word[0] == "-":
                self.error(f"there is no option {word}")
            else:
                resolved.append(word)
                continue
            if action.nargs == 0:
                if value is not None:
                    self.error(f"option {option} takes no value")
                resolved.append(option)
                continue
            if value is None:
                if not ahead:
                    self.error(f"option {option} takes a value ({action.metavar or 'VALUE'})")
                value = ahead.pop(0)
            resolved.append(f"{option}={value}")
        return resolved

    def _option(self, text: str) -> tuple[str, argparse.Action]:
        """Find a long option by its name or by the beginning of it."""
        known = {
            name: action
            for name, action in self._option_string_actions.items()
            if name.startswith("--")
        }
        if text in known:
            return text, known[text]
        fitting = {name: action for name, action in known.items() if name.startswith(text)}
        if not fitting:
            self.error(f"there is no option {text}{meant(text, known)}")
        if len({id(action) for action in fitting.values()}) > 1:
            names = ", ".join(sorted(fitting))
            self.error(f"option {text} is ambiguous: {names}")
        return next(iter(fitting.items()))

"""The page of the reference, and what every command promises."""

from __future__ import annotations

import ast
import runpy
from typing import TYPE_CHECKING

import pytest

from tests.support.processes import ROOT
from tests.support.sources import code_lines, imports
from trionng._cli import COMMANDS, SHOWN, load

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command_line import Commands

MODULES = sorted((ROOT / "trionng/_cli").glob("*.py"))


def test_page_of_the_reference_is_up_to_date() -> None:
    """docs/reference/cli.md is what tools/cli_reference.py makes of the commands."""
    page = runpy.run_path(str(ROOT / "tools/cli_reference.py"))["page"]()

    assert (ROOT / "docs/reference/cli.md").read_text("utf-8") == page


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_module_is_short_and_uses_public_names_only(path: Path) -> None:
    """A module of a command has at most 200 lines of code, over what trionng exports."""
    source = path.read_text("utf-8")
    uses = {(module, name) for module, name in imports(path, ROOT) if module.startswith("trionng")}
    private = [
        node.attr
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.endswith("__")
        and isinstance(node.value, ast.Name)
        and node.value.id not in ("self", "cls", "group")
    ]

    assert code_lines(source) <= 200
    assert {module.split(".")[1] for module, _ in uses if "." in module} <= {"_cli"}
    assert {name for module, name in uses if module == "trionng"} <= {"", None, "__version__"}
    assert private == [] or path.stem == "parser"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_begins_with_examples_that_are_accepted(name: str) -> None:
    """The first word of a help text is "Examples", and their words are options there are."""
    _, parser = load(name)
    text = parser.format_help()

    assert text.startswith("Examples:\n  ")
    assert "\nUsage: trionng " in text
    for line in parser.examples.splitlines():
        for part in line.split("#")[0].translate({ord(each): "|" for each in "()<"}).split("|"):
            command, *words = part.split(">")[0].split() or [""]
            if command == "trionng" and words[0] in COMMANDS:
                load(words[0])[1].read(words[1:], type("Empty", (), {})())


def test_every_option_is_explained() -> None:
    """Each option and argument has a help text, which is a line of the reference."""
    for name in SHOWN:
        _, parser = load(name)
        for action in (*parser.options(), *parser.positionals()):
            assert action.help, (name, action.option_strings)


async def test_wrong_words_suggest_the_right_ones(commands: Commands) -> None:
    """A command, an option and a word that are almost right are named."""
    for words, guess in (
        ("pign x", "there is no command pign; did you mean ping?"),
        ("cat --lissen x", "there is no option --lissen; did you mean --listen?"),
        ("--sbu", "there is no option --sbu; did you mean --sub?"),
        ("cat --format quotde", "'quotde' is none of text, ascii"),
        ("bench inprog", "did you mean inproc?"),
        ("ping", "the following arguments are required: URL"),
        ("ping url --count -1", "'-1' is no number"),
        ("ping url --interval 1y", "'1y' is no duration, such as 0.5, 500ms, 10s or 2m"),
        ("cat -Z 3G", "'3G' is no size of 0 to 2147483647 bytes"),
        ("cat --data", "option --data takes a value"),
        ("cat --json=yes", "option --json takes no value"),
        ("cat -! x", "there is no option -!"),
        ("monitor url", "no protocol: say what this end is to speak"),
        ("completion fish", "'fish' is none of bash, zsh"),
    ):
        code, output, errors = await commands.run(*words.split())
        assert (code, output) == (2, ""), words
        assert guess in errors, words


async def test_nothing_at_all_shows_the_commands(commands: Commands) -> None:
    """`trionng` alone is wrong use, and shows what there is; `help` and --version are fine."""
    code, output, errors = await commands.run()
    assert (code, output) == (2, "")
    assert errors == (await commands.run("--help"))[1]
    assert all(f"\n  {name} " in errors for name in SHOWN)
    assert "peer" not in errors
    assert (await commands.run("help", "ping"))[1] == (await commands.run("ping", "--help"))[1]
    for words in ("--version", "-V", "cat --version", "--pub -V"):
        code, output, errors = await commands.run(*words.split())
        assert (code, errors) == (0, "")
        assert output.startswith("trionng 0.1.0 (libnng 1.")

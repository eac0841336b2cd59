"""What is said in this repository: pages fit the columns, and name only files that exist."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.processes import ROOT
from tests.support.sources import identifiers, read

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FOLDERS = (
    "trionng",
    "nng",
    "tests",
    "docs",
    "benchmarks",
    "examples",
    "tools",
    "stress",
    ".github",
)
TYPES = {".py", ".pyi", ".c", ".h", ".md", ".sh", ".yml"}
COLUMNS = 100
TEST_COLUMNS = 60
# A file named in a text. Those of libnng and Python, and those that a program makes, are not ours.
NAMED = re.compile(r"(?<![\w./<*{-])((?:[\w.-]+/)*[\w-]+\.(?:md|py|pyi|c|h|sh))\b(?![\w/(.])")
NOT_OURS = {
    "nng.h", "nng/nng.h", "include/nng/nng.h", "push.c", "Python.h",
    "example.py", "script.py", "nng/fixes/NAME.c", "trionng/_cli/NAME.py",
}  # fmt: skip
# A block of a page can be a file: its first line says so, and the page may name it.
SHOWN = re.compile(r"^```\w+\n(?:#|//|<!--) ([\w.-]+)", re.MULTILINE)
# Papers of the authors, which a reader does not have.
PAPERS = re.compile(r"\b(?:SPEC|STYLE|LAYOUT|DESIGN|NNG-FACTS)\b(?:\.md| [\dA-Z]| section)")

# Words that this project once had for things, and what nng, Trio or a stranger calls them.
RETIRED = {
    "lane": "context", "bell": "wakeup", "rung": "notified", "asker": "pipe", "box": "message_ref",
    "twin": "counterpart", "alarm": "notify", "debt": "deferred", "adopt": "ref",
    "desk": "pool", "seat": "slot", "inbox": "source", "onward": "target", "colourless": "shared",
    "cook": "build", "recipe": "settings", "narrowed": "unsubscribed", "flavour": "API",
    "house": "layout",
    "weather": "stress", "storm": "stress", "scene": "scenario", "soloist": "single",
    "crowd": "group", "blow": "run",
}  # fmt: skip
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def texts(root: Path) -> list[Path]:
    """Return every file with text for readers: sources and pages."""
    files = [path for folder in FOLDERS for path in (root / folder).rglob("*")]
    return sorted(path for path in (*files, *root.iterdir()) if path.suffix in TYPES)


def wide_lines(root: Path) -> list[str]:
    return [
        f"{path}:{number}"
        for path in texts(root)
        if path.suffix in {".md", ".c", ".h"}
        for number, line in enumerate(read(path).splitlines(), start=1)
        # A row of a Markdown table cannot be broken.
        if len(line) > COLUMNS and not line.startswith("|")
    ]


def files_that_do_not_exist(root: Path) -> list[str]:
    existing = {path.relative_to(root).as_posix() for path in texts(root)}
    # The layout tests name files they make up.
    paths = [path for path in texts(root) if not path.name.startswith("test_layout")]
    ends = {name[match.end() :] for name in existing for match in re.finditer("^|/", name)}
    return [
        f"{path}: names {name}"
        for path in paths
        for name in NAMED.findall(read(path))
        if name not in ends.union(NOT_OURS, SHOWN.findall(read(path)))
        and not (path.parent / name).exists()
    ] + [f"{path}: names {paper}" for path in paths for paper in PAPERS.findall(read(path))]


def retired_words(root: Path) -> list[str]:
    sources = [path for folder in FOLDERS[:3] for path in (root / folder).rglob("*")]
    return [
        f"{path}: {name}: say {RETIRED[word]}"
        for path in sources
        if path.suffix in {".py", ".pyi", ".c", ".h"}
        for name in sorted(identifiers(path))
        for word in dict.fromkeys(map(str.lower, WORD.findall(name)))
        for word in [word.removesuffix("s")]
        if word in RETIRED
    ]


def test_line_of_a_page_or_c_file_fits_100_columns() -> None:
    """Markdown and C have lines of at most 100 columns, as ruff sees to for Python."""
    assert wide_lines(ROOT) == []


def long_test_names(root: Path) -> list[str]:
    return [
        f"{path}: {name}"
        for path in sorted((root / "tests").rglob("test_*.py"))
        for name in re.findall(r"^ *(?:async )?def (test_\w+)", read(path), re.MULTILINE)
        if len(name) > TEST_COLUMNS
    ]


def test_name_of_a_test_has_at_most_60_columns() -> None:
    """A name fits a line of a report; the rest of the promise is in the docstring."""
    assert long_test_names(ROOT) == []


def test_file_that_a_text_names_exists() -> None:
    """Comments and pages point to files of this repository, and to no paper outside it."""
    assert files_that_do_not_exist(ROOT) == []


def test_identifier_has_no_retired_word() -> None:
    """Names are those of nng and Trio; a word that was given up does not come back."""
    assert retired_words(ROOT) == []


@pytest.mark.parametrize("name", ["desk_of", "_CROWD", "TrioFlavours", "tnng_seat_open"])
def test_retired_word_in_an_identifier_is_found(tmp_path: Path, name: str) -> None:
    """A word is found in any spelling, and not in a comment."""
    file = tmp_path / "nng" / "core" / "a.c"
    file.parent.mkdir(parents=True)
    file.write_text(f"int {name}; /* no scene */\n", encoding="utf-8")

    [found] = retired_words(tmp_path)

    assert found.startswith(f"{file}: {name}: ")


def test_long_name_of_a_test_is_found(tmp_path: Path) -> None:
    """One column more than 60 is too long."""
    file = tmp_path / "tests" / "unit" / "test_a.py"
    file.parent.mkdir(parents=True)
    file.write_text(f"def test_{'a' * 56}():\n    pass\n", encoding="utf-8")

    assert long_test_names(tmp_path) == [f"{file}: test_{'a' * 56}"]


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (wide_lines, "a " * 51),
        (files_that_do_not_exist, "docs/gone.md has more."),
        (files_that_do_not_exist, "As nothing.py does."),
        (files_that_do_not_exist, "As SPEC 7 wants."),
    ],
)
def test_rule_that_a_page_breaks_names_it(
    tmp_path: Path, rule: Callable[[Path], list[str]], text: str
) -> None:
    """Each rule finds what it forbids."""
    page = tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    page.write_text(f"See page.md.\n{text}\n", encoding="utf-8")

    [found] = rule(tmp_path)

    assert found.startswith(f"{page}:")

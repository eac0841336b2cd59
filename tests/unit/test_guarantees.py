"""docs/guarantees.md: each guarantee names tests, and each test that it names exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "guarantees.md"
TEST = re.compile(r"`([\w/]+\.py)::(test_\w+)`")
GUARANTEE = re.compile(r"^### (\d+)\. .*?(?=^##|\Z)", re.DOTALL | re.MULTILINE)


def guarantees(text: str) -> dict[int, list[tuple[str, str]]]:
    """Return the number of each guarantee, and the file and name of each of its tests."""
    return {int(each[1]): TEST.findall(each[0]) for each in GUARANTEE.finditer(text)}


def names_in(path: Path) -> set[str]:
    """Return the names of the tests in a file; none if there is no such file."""
    tree = ast.parse(path.read_text("utf-8") if path.exists() else "")
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {each.name for each in tree.body if isinstance(each, functions)}


def missing(text: str) -> list[str]:
    """List what is wrong: guarantees without a test, and tests that do not exist."""
    found = guarantees(text)
    wrong = [f"{number}: no test" for number, tests in found.items() if not tests]
    named = {test for tests in found.values() for test in tests}
    return wrong + [
        f"{file}::{name}" for file, name in named if name not in names_in(ROOT / "tests" / file)
    ]


def test_guarantee_names_tests_that_exist() -> None:
    """A reader finds the tests of each guarantee, and guarantees are numbered from 1 on."""
    text = PAGE.read_text("utf-8")

    assert missing(text) == []
    assert list(guarantees(text)) == list(range(1, 17))
    assert len(TEST.findall(text)) == sum(map(len, guarantees(text).values()))


@pytest.mark.parametrize(
    "line",
    [
        "",
        "* `unit/test_guarantees.py::test_of_nothing`",
        "* `unit/test_{}.py::test_guarantee_names_tests_that_exist`".format("gone"),
    ],
)
def test_guarantee_without_a_test_is_found(line: str) -> None:
    """A guarantee without tests is found, and one whose test or file has gone."""
    good = "* `unit/test_guarantees.py::test_guarantee_names_tests_that_exist`"

    assert len(missing(f"### 1. First\n\n{line}\n\n### 2. Second\n\n{good}\n")) == 1

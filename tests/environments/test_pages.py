"""README.md and the pages of docs/: what they show works, and prints what they say."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.support.pages import PAGES, blocks
from tests.support.processes import ROOT
from tests.support.terminal import PARSERS, go_through

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text("utf-8") for page in PAGES}
SHOWING = {name: text for name, text in TEXTS.items() if blocks(text)}
LESSONS = [name for name in TEXTS if name.startswith(("docs/tutorial/", "docs/guide/"))]

# How many blocks of a page are marked "not run".
NOT_RUN = {"docs/guarantees.md": 1, "docs/guide/browsers.md": 1, "docs/guide/pyzmq.md": 1}
# Lessons that still lack a program. The list may only become shorter.
WITHOUT_A_PROGRAM: set[str] = set()


@pytest.mark.parametrize("name", SHOWING)
async def test_page_shows_what_works_when_a_reader_does_it(name: str, tmp_path: Path) -> None:
    """Each program and command of a page, in order, prints what the page says, and no warning."""
    assert await go_through(TEXTS[name], tmp_path) == []


@pytest.mark.parametrize("name", LESSONS)
def test_lesson_has_a_program_that_runs(name: str) -> None:
    """Each page of the tutorial and of the guide shows something that a reader can try."""
    has_one = any(block.is_program or block.commands for block in blocks(TEXTS[name]))

    assert has_one != (name in WITHOUT_A_PROGRAM)


def test_block_that_no_test_runs_is_counted_here() -> None:
    """What a page marks as not run has a reason, and is in the list above."""
    marked = {
        name: sum(bool(each.not_run) for each in blocks(text)) for name, text in TEXTS.items()
    }

    assert {name: count for name, count in marked.items() if count} == NOT_RUN


@pytest.mark.parametrize("name", SHOWING)
def test_file_of_a_page_is_used_by_a_later_block(name: str) -> None:
    """A program that a page only shows as a file is run, or imported, further down."""
    shown = blocks(TEXTS[name])
    for number, block in enumerate(shown):
        if block.language == "python" and not block.is_program and not block.not_run:
            assert block.file_name is not None
            module = block.file_name.removesuffix(".py")
            later = [each for each in shown[number + 1 :] if each.language in ("python", "console")]
            assert any(re.search(rf"\b{module}\b", each.text) for each in later), block.file_name


SAYS = {
    "a program": "```python\nprint('a', 1)\n```\n\n```text\na ...\n```\n",
    "some lines": "```python\nprint('a\\nb\\nc')\n```\n```text\na\n...\nc\n```\n",
    "a file": "```python\n# script.py\nONE = 1\n```\n```python\nfrom script import ONE\n```\n",
    "a command": "```console\n$ echo a\na\n$ pip install trionng\n$ false\n$ echo $?\n1\n```\n",
    "Ctrl-C": "```console\n$ echo go; exec sleep 99\ngo\n^C\n```\n",
    "a server": "% keeps running\n\n```console\n$ echo up; exec sleep 99\nup\n```\n",
    "not run": "% not run: it is wrong\n\n```python\nraise SystemExit(1)\n```\n",
    "a unit": "```ini\n[Service]\nExecStart=a\nExecStart=b %n\n```\n",
    "an image": "```dockerfile\nFROM debian\nRUN a \\\n  b\n```\n",
}
WRONG = {
    "another output": (
        "```python\nprint('b')\n```\n```text\na\n```\n",
        "must print\na\nbut printed",
    ),
    "more output": ("```python\nprint('b')\n```\n", "but printed\nb"),
    "a warning": ("```python\nimport warnings\nwarnings.warn('no')\n```\n", "UserWarning: no"),
    "a failure": ("```console\n$ false\n```\n", "$ false\nended with 1"),
    "an output of a command": ("```console\n$ echo a\nb\n```\n", "but printed\na"),
    "a program that stops": ("% keeps running\n\n```console\n$ echo a\nb\n```\n", "printed\na"),
    "a bad unit": ("```ini\nExecStart=a\n```\n", "ini cannot be read"),
    "a bad image": ("```dockerfile\nFORM debian\n```\n", "not all instructions"),
    "a bad script": ("```js\nlet = = 1\n```\n", "js cannot be read"),
    "an unknown language": ("```py\n1\n```\n", "KeyError"),
}


@pytest.mark.parametrize("page", SAYS.values(), ids=SAYS)
async def test_page_that_is_right_passes(page: str, tmp_path: Path) -> None:
    """The conventions of CONTRIBUTING.md do what it says."""
    assert await go_through(page, tmp_path) == []


@pytest.mark.parametrize(("page", "said"), WRONG.values(), ids=WRONG)
async def test_page_that_is_wrong_is_found(page: str, said: str, tmp_path: Path) -> None:
    """And what breaks them is said with its line."""
    [wrong] = await go_through(page, tmp_path)

    assert wrong.startswith("line ")
    assert said in wrong


def test_language_of_each_block_is_known() -> None:
    """A page names a language that a test runs or reads."""
    used = Counter(block.language for text in TEXTS.values() for block in blocks(text))

    assert used.keys() <= PARSERS.keys()

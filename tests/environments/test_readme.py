"""The examples of README.md and of pages of docs/, run exactly as printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.fixes import LINK
from tests.support.processes import check_program

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
GUIDE = ROOT / "docs" / "guide"
EXAMPLES = re.findall(
    r"^```python\n(.*?)^```$", README.read_text("utf-8"), re.DOTALL | re.MULTILINE
)
OUTPUTS = (
    "asked: b'What is your name?'\nanswered: b'Arthur, King of the Britons'\n",
    "answered: b'IS ANYBODY THERE?'\n",
    "got: b'news.paris: sunny, 21 degrees'\n",
    "answered: b'Arthur, King of the Britons'\nanswered: b\"I don't know that\"\n",
)

# There an example is followed by what it prints. (Those of docs/guide/pynng.md: test_pynng_names.)
PAGES = [
    pytest.param(example, output, id=f"{page}_{number}")
    for page in ("connections", "requests")
    for number, (example, output) in enumerate(
        re.findall(
            r"^```python\n(.*?)^```\n(?:\n^```text\n(.*?)^```$)?",
            (GUIDE / f"{page}.md").read_text("utf-8"),
            re.DOTALL | re.MULTILINE,
        )
    )
]


def test_readme_examples_are_the_ones_tested_here() -> None:
    """There is an expected output for each example, and none is longer than a screen."""
    assert len(EXAMPLES) == len(OUTPUTS)
    assert [example.count("\n") for example in EXAMPLES] == [12, 15, 12, 12]


@pytest.mark.parametrize(
    ("example", "expected"),
    list(zip(EXAMPLES, OUTPUTS, strict=True)),
    ids=["req_rep", "serve", "pub_sub", "blocking"],
)
async def test_readme_example_run_as_printed_shows_its_output(
    example: str, expected: str, tmp_path: Path
) -> None:
    """A reader who copies the example into a file sees it work, without a warning."""
    await check_program(example, expected, tmp_path)


@pytest.mark.parametrize(("example", "expected"), PAGES)
async def test_example_of_a_page_shows_the_output_that_follows_it(
    example: str, expected: str, tmp_path: Path
) -> None:
    """What the pages of docs/ print as a program runs, and prints what they say."""
    if LINK != "static" and "oversize" in example:
        pytest.skip("libnng hides it where it is not linked in")
    await check_program(example, expected, tmp_path)

"""The links between the pages of this repository: files and headings that they name exist."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt

from tests.support.processes import ROOT

SKIPPED = {"build", "dist", "node_modules"}
PAGES = [
    path
    for path in sorted(ROOT.rglob("*.md"))
    if not any(
        part in SKIPPED or part.startswith(".venv") for part in path.parts[len(ROOT.parts) :]
    )
]
ELSEWHERE = re.compile(r"[a-z][a-z+.-]*:")
DEPTH = 3  # `myst_heading_anchors` of docs/conf.py


def slug(heading: str) -> str:
    """Return the anchor that MyST, and forges, give a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of a page."""
    tokens = MarkdownIt("commonmark").parse(page.read_text("utf-8"))
    found: list[str] = []
    for opening, inline in itertools.pairwise(tokens):
        if opening.type == "heading_open" and int(opening.tag[1]) <= DEPTH:
            text = "".join(child.content for child in inline.children or ())
            same = found.count(slug(text))
            found.append(slug(text) + (f"-{same}" if same else ""))
    return set(found)


def links(page: Path) -> list[str]:
    """Return where the links and pictures of a page lead."""
    tokens = MarkdownIt("commonmark").enable("table").parse(page.read_text("utf-8"))
    inline = [child for token in tokens for child in token.children or ()]
    found = [str(each.attrs.get("href", each.attrs.get("src", ""))) for each in inline]
    return [link for link in found if link and not ELSEWHERE.match(link)]


def broken(page: Path) -> list[str]:
    """Return the links of a page that lead nowhere."""
    wrong = []
    for link in links(page):
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists():
            wrong.append(link)
        elif anchor and (target.suffix != ".md" or anchor not in anchors(target)):
            wrong.append(link)
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_link_of_a_page_leads_somewhere(page: Path) -> None:
    """A file that is linked exists, and has the heading."""
    assert broken(page) == []


def test_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    """A missing file, a missing heading, a missing picture; not a link to elsewhere."""
    (tmp_path / "there.md").write_text("# A `name`, and more\n\n## Twice\n\n## Twice\n", "utf-8")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](there.md#a-name-and-more) [b](there.md#twice-1) [c](https://trionng.example/#x)\n"
        "[d](gone.md) [e](there.md#gone) ![f](gone.svg)\n\n| [g](#gone) |\n| --- |\n",
        "utf-8",
    )

    assert broken(page) == ["gone.md", "there.md#gone", "gone.svg", "#gone"]

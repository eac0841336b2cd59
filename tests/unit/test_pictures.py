"""docs/pictures: what is committed is what the programs draw."""

from __future__ import annotations

import runpy
import sys
import xml.etree.ElementTree as ET

import pytest

from tests.support.processes import ROOT

PICTURES = ROOT / "docs" / "pictures"


def drawn() -> dict[str, str]:
    """Run the programs."""
    before = [*sys.path]
    try:
        return runpy.run_path(str(PICTURES / "__main__.py"))["pictures"]()
    finally:
        sys.path[:] = before


DRAWN = drawn()


@pytest.mark.parametrize("name", DRAWN)
def test_committed_picture_is_what_its_program_draws(name):
    """If not, run `make pictures`."""
    assert (PICTURES / name).read_text("utf-8") == DRAWN[name]


def test_each_committed_picture_has_a_program():
    """No picture is left behind."""
    assert {path.name for path in PICTURES.glob("*.svg")} == DRAWN.keys()


@pytest.mark.parametrize("name", DRAWN)
def test_picture_has_a_title_and_stays_on_its_canvas(name):
    """A screen reader says what it shows, and no shape begins outside."""
    space = "{http://www.w3.org/2000/svg}"
    root = ET.fromstring(DRAWN[name])
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    assert root.findtext(f"{space}title")
    for shape in root.iter():
        if "x" in shape.attrib:
            right = float(shape.attrib["x"]) + float(shape.attrib.get("width", 0))
            lower = float(shape.attrib["y"]) + float(shape.attrib.get("height", 0))
            assert 0 <= float(shape.attrib["x"]) <= right <= width
            assert 0 <= float(shape.attrib["y"]) <= lower <= height

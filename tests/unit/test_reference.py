"""docs/reference: each public name has its place, and the tables say what the classes say."""

from __future__ import annotations

import inspect
import re
import runpy
from collections import Counter

import pytest

import trionng
from tests.support.processes import ROOT
from trionng import blocking, browser, guest, instrument, testing

REFERENCE = ROOT / "docs" / "reference"
DESCRIBED = re.compile(r"^\.\. (?:auto\w+|py:\w+):: ([\w.]+)", re.MULTILINE)
PLACES = Counter(
    name for page in sorted(REFERENCE.glob("*.md")) for name in DESCRIBED.findall(page.read_text())
)


def names_of(face):
    """Return what a module exports, which it computes."""
    return vars(face)["__all__"]


SAME = {  # the same objects in both APIs, described once
    name for name in names_of(blocking) if vars(blocking)[name] is vars(trionng).get(name)
}
PUBLIC = [
    *(f"trionng.{name}" for name in names_of(trionng) if name != "exceptions"),
    *(f"trionng.blocking.{name}" for name in names_of(blocking) if name not in SAME),
    *(f"trionng.testing.{name}" for name in names_of(testing)),
    *(f"trionng.guest.{name}" for name in names_of(guest)),
    *(f"trionng.browser.{name}" for name in names_of(browser)),
    *(f"trionng.instrument.{name}" for name in names_of(instrument)),
]


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_stands_on_one_page_of_the_reference(name):
    """A name that is new, or that is described twice, is found here."""
    assert PLACES[name] == 1


def test_reference_describes_only_what_is_public():
    """A name that was removed leaves the reference."""
    modules = ("blocking", "testing", "guest", "browser", "instrument")
    faces = ("trionng.", *(f"trionng.{name}." for name in modules))
    ours = {name for name in PLACES if name.rpartition(".")[0] + "." in faces}

    assert ours - {*PUBLIC, *(f"trionng.{name}" for name in modules)} == set()


TABLES = runpy.run_path(str(REFERENCE / "tables.py"))["pages"]()


@pytest.mark.parametrize("page", TABLES, ids=lambda page: page.name)
def test_table_of_the_reference_is_what_the_classes_say(page):
    """If not, run `python docs/reference/tables.py`."""
    assert page.read_text("utf-8") == TABLES[page]


OPTIONS = [
    (face, kind, name, thing)
    for face in (trionng, blocking)
    for kind in vars(face).values()
    if inspect.isclass(kind) and kind.__module__ == face.__name__
    for name in dir(kind)
    for thing in [inspect.getattr_static(kind, name)]
    if name[0] != "_" and type(thing).__module__.startswith("trionng._core")
]


def test_option_of_every_class_says_its_unit_in_help():
    """`help(Req0.recv_timeout)` and the reference have a text; a number has its unit in it."""
    units = re.compile(r"[Mm]illiseconds|[Ss]econds|bytes|[Mm]essages|descriptor|number|devices")
    assert len(OPTIONS) > 300
    for face, kind, name, thing in OPTIONS:
        text = inspect.getdoc(thing) or ""
        assert text.endswith("."), (face, kind, name)
        if name.endswith(("time", "_min", "_max", "timeout", "size", "_fd", "linger")):
            assert units.search(text), (face, kind, name)

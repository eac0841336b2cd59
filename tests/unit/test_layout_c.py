"""The rules of ARCHITECTURE.md for nng/: folders, circles of calls, and the table of fixes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.processes import ROOT
from tests.support.sources import c_files, calls, circles, modules, read
from trionng import _ffi

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# From the lowest up. A file includes headers of its own folder and of earlier lines.
FOLDERS = ({"api"}, {"testing"}, {"core"}, {"fixes"}, {"perf"}, {"conn"}, {"sock"})
FOLDER_OF = {name: number for number, names in enumerate(FOLDERS) for name in names}
TABLE = "nng/fixes/README.md"
TOOL = "tools/hazards.py"
HAZARDS = "<!-- table: made by `make hazards` -->"  # the table after the first one
CODE = re.compile(r"\b([CFHLMNST]\d{1,2})\b(?!-)")
# Files that call each other, with the reason. The list only shrinks.
STATED_CIRCLES: dict[frozenset[str], str] = {}


def includes_that_point_up(root: Path) -> list[str]:
    found = []
    for path in c_files(root):
        own = path.relative_to(root / "nng").parts[0]
        for header in re.findall(r'^#include "([^"]+)"', read(path), re.MULTILINE):
            folder = header.partition("/")[0]
            if folder != own and FOLDER_OF.get(folder, 99) >= FOLDER_OF.get(own, -1):
                found.append(f"{path}: includes {header}")
    return found


def uses_of_python(root: Path) -> list[str]:
    return [f"{path}: includes Python.h" for path in c_files(root) if "Python.h" in read(path)]


def codes_without_one_row(root: Path) -> list[str]:
    table = read(root / TABLE).partition(HAZARDS)[0]
    rows = re.findall(r"^\| ([A-Z]\d+) \|", table, re.MULTILINE)
    files = [*c_files(root), *modules(root), *root.glob("*.py"), *root.glob("*.md")]
    for folder in ("tests", "docs", "benchmarks", "tools"):
        files += [*(root / folder).rglob("*.py"), *(root / folder).rglob("*.md")]
    codes = {code for path in files for code in CODE.findall(read(path))}
    wrong = codes ^ set(rows) | {row for row in rows if rows.count(row) > 1}
    return [f"{root / TABLE}: {code}: a row, and a use, and one row" for code in sorted(wrong)]


def names_without_a_file(root: Path) -> list[str]:
    named = set(re.findall(r"`(\w+\.(?:c|h|py))`", read(root / TABLE)))
    tests = (root / "tests").rglob("*.py")
    existing = {path.name for path in (*c_files(root), *modules(root), *tests)}
    fixes = {path.name for path in c_files(root) if path.parent.name == "fixes"}
    wrong = named - existing | fixes - named
    return [f"{root / TABLE}: {name}: a file, and named" for name in sorted(wrong)]


def switched_codes(root: Path) -> set[str]:
    code = "".join(read(path) for path in c_files(root))
    return set(re.findall(r'(?:IS_ON\(|WITHOUT\(")([A-Z]\d+)', code))


def switches_without_a_hazard(root: Path) -> list[str]:
    asked = re.findall(r'^    "([A-Z]\d+)": \(', read(root / TOOL), re.MULTILINE)
    rows = re.findall(r"^\| ([A-Z]\d+) \|", read(root / TABLE).partition(HAZARDS)[2], re.MULTILINE)
    wrong = switched_codes(root) ^ set(asked) | switched_codes(root) ^ set(rows)
    return [f"{root / TOOL}: {code}: a switch, its test, and a row" for code in sorted(wrong)]


def rows_without_a_switch_or_a_test(root: Path) -> list[str]:
    rows, _, reasons = read(root / TABLE).partition("\nRows without a switch")
    switched = switched_codes(root)
    explained = set(CODE.findall(reasons.partition("\n## ")[0].partition("\nRules")[0]))
    tests = dict(re.findall(r"^\| ([A-Z]\d+) \|.*\| ([^|]+) \|$", rows, re.MULTILINE))
    wrong = set(tests) ^ (switched | explained) | switched & explained
    wrong |= {row for row, cell in tests.items() if "test_" not in cell and "none" not in cell}
    return [f"{root / TABLE}: {row}: a switch or a reason, and a test" for row in sorted(wrong)]


def test_c_file_includes_headers_of_its_folder_and_below() -> None:
    """The folders of nng/ have an order, and includes point down."""
    assert includes_that_point_up(ROOT) == []


def test_c_files_call_each_other_in_no_circle_but_the_stated() -> None:
    """Of two C files one is above the other; a circle that opens leaves the list."""
    assert circles(calls(ROOT)) == set(STATED_CIRCLES)


def test_c_file_knows_nothing_of_python() -> None:
    """The native side is C alone: Python comes in through cffi."""
    assert uses_of_python(ROOT) == []


def test_codes_of_errors_stand_in_the_table_of_fixes() -> None:
    """Each code in sources, tests and pages has one row in nng/fixes/README.md."""
    assert codes_without_one_row(ROOT) == []
    text = read(ROOT / TABLE)
    assert [state.code for state in _ffi.read_fixes() if f"\n| {state.code} |" not in text] == []


def test_files_and_tests_in_the_table_of_fixes_exist() -> None:
    """A row that names a file or a test that has gone is out of date; each fix has a row."""
    assert names_without_a_file(ROOT) == []


def test_row_in_the_table_of_fixes_has_a_switch_and_a_test() -> None:
    """A test switches each fix off to see that it is needed, or the table says why none can."""
    assert rows_without_a_switch_or_a_test(ROOT) == []


def test_fix_with_a_switch_is_left_out_by_make_hazards() -> None:
    """What each libnng does without a fix is tried for all of them, and stands in the table."""
    assert switches_without_a_hazard(ROOT) == []


@pytest.mark.parametrize(
    ("bodies", "circle"),
    [
        (("tnng_b();", "tnng_c();", "tnng_a();"), {"core/a.c", "core/b.c", "core/c.c"}),
        (("tnng_b();", "tnng_a();", ""), {"core/a.c", "core/b.c"}),
        (("tnng_b();", "tnng_c();", ""), None),
        (("tnng_b(); /* tnng_c() */", '"tnng_a()";', "tnng_a();"), None),
    ],
)
def test_circle_of_calls_is_found(
    tmp_path: Path, bodies: tuple[str, str, str], circle: set[str] | None
) -> None:
    """A circle is found whatever its length; comments and strings call nothing."""
    folder = tmp_path / "nng" / "core"
    folder.mkdir(parents=True)
    for name, body in zip("abc", bodies, strict=True):
        text = f"void tnng_{name}(void);\nvoid tnng_{name}(void) {{ {body} }}\n"
        (folder / f"{name}.c").write_text(text, encoding="utf-8")

    assert circles(calls(tmp_path)) == ({frozenset(circle)} if circle else set())


@pytest.mark.parametrize(("header", "allowed"), [("conn/a.h", False), ("api/a.h", True)])
def test_include_that_points_up_is_found(tmp_path: Path, header: str, allowed: bool) -> None:
    """core/ may include api/, and not conn/."""
    file = tmp_path / "nng" / "core" / "a.c"
    file.parent.mkdir(parents=True)
    file.write_text(f'#include "{header}"\n', encoding="utf-8")

    assert includes_that_point_up(tmp_path) == ([] if allowed else [f"{file}: includes {header}"])


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        (uses_of_python, "nng/core/a.c", "#include <Python.h>\n"),
        (codes_without_one_row, "nng/core/a.c", "/* C7 */\n"),
        (codes_without_one_row, TABLE, "| C1 | all | `a.c` | `test_a.py` |\n" * 2),
        (codes_without_one_row, "docs/a.md", "C1 and C2.\n"),
        (names_without_a_file, TABLE, "| C1 | all | `gone.c` | `test_a.py` |\n"),
        (names_without_a_file, TABLE, "| C1 | all | `a.c` | `test_gone.py` |\n"),
        (names_without_a_file, "nng/fixes/b.c", ""),
        (rows_without_a_switch_or_a_test, TABLE, "| C1 | all | `a.c` | one day |\n"),
        (rows_without_a_switch_or_a_test, "nng/fixes/a.c", ""),
        (rows_without_a_switch_or_a_test, "nng/fixes/b.c", "TNNG_FIX_IS_ON(C2)"),
        (switches_without_a_hazard, "nng/fixes/b.c", "TNNG_FIX_IS_ON(C2)"),
        (switches_without_a_hazard, TOOL, '    "C1": (\n    "C2": (\n'),
        (switches_without_a_hazard, TABLE, f"{HAZARDS}\n| C2 | off |\n"),
    ],
)
def test_rule_of_c_or_fixes_that_is_broken_names_the_file(
    tmp_path: Path, rule: Callable[[Path], list[str]], path: str, text: str
) -> None:
    """Each rule holds for a small tree, and finds the one thing that is then wrong in it."""
    tree = {
        TABLE: "| C1 | all | `a.c` | `test_a.py` |\n\nRows without a switch\n\n## B\n"
        f"{HAZARDS}\n| C1 | crash |\n",
        TOOL: '    "C1": (\n',
        "nng/fixes/a.c": "TNNG_FIX_IS_ON(C1)\n",
        "tests/test_a.py": "",
        "trionng/a.py": "",
    }
    for name, content in tree.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    assert rule(tmp_path) == []
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text(text, encoding="utf-8")

    assert rule(tmp_path) != []

"""The house of ARCHITECTURE.md: imports point down, doors are few, files are short."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "trionng"

# From the lowest up. A package imports only packages of earlier lines; those of one line, which are
# the two APIs, never meet.
LAYERS = (
    {"_base"},
    {"_ffi"},
    {"_core"},
    {"_trio", "_sync"},
    {"_sockets"},
    {"_services"},
    {"_nursery"},
    {"exceptions"},
    {"_exports"},
    {""},
    {"blocking"},
    {"_cli"},
    {"__main__"},
)
LAYER_OF = {name: number for number, names in enumerate(LAYERS) for name in names}
CEILING = 400
COLUMNS = 100

PYTHON = [*sorted(PACKAGE.rglob("*.py")), *sorted(ROOT.glob("*.py"))]
MODULES = sorted(PACKAGE.rglob("*.py")) + sorted(PACKAGE.rglob("*.pyi"))
C_FILES = sorted(ROOT.glob("nng/**/*.[ch]"))


def each(paths):
    return pytest.mark.parametrize("path", paths, ids=[str(p.relative_to(ROOT)) for p in paths])


def part_of(path):
    """Name the part of the house a file belongs to: "" for __init__.py, "_ffi" for all of _ffi/."""
    first = path.relative_to(PACKAGE).parts[0]
    stem = Path(first).stem
    return "" if stem == "__init__" else stem


def imported_parts(path, tree):
    """Yield the parts of trionng that a module imports, and the names it takes from them."""
    package = ("trionng", *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets = [(alias.name.split("."), []) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            base += node.module.split(".") if node.module else []
            names = [alias.name for alias in node.names]
            if base == ["trionng"]:
                targets = [([*base, name], []) for name in names]
            else:
                targets = [(base, names)]
        else:
            continue
        for target, names in targets:
            if target[0] == "trionng":
                known = len(target) > 1 and (target[1] in LAYER_OF or target[1].startswith("_"))
                yield (target[1] if known else ""), names


def code_lines(source):
    """Count the lines that hold code: no blank lines, comments or docstrings."""
    tree = ast.parse(source)
    docstrings = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            for statement in body:
                if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                    docstrings.update(range(statement.lineno, statement.end_lineno + 1))
    nothing = {
        tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
        tokenize.ENDMARKER,
    }  # fmt: skip
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in nothing:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - docstrings)


def c_code_lines(source):
    without_comments = re.sub(r"/\*.*?\*/|//[^\n]*", "", source, flags=re.DOTALL)
    return sum(1 for line in without_comments.splitlines() if line.strip())


@each(MODULES)
def test_module_imports_only_packages_below_its_own(path):
    """Every module has a layer, and imports only from lower ones, for a type checker too."""
    own = part_of(path)

    wrong = {
        part
        for part, _ in imported_parts(path, ast.parse(path.read_text(encoding="utf-8")))
        if part != own and LAYER_OF.get(part, len(LAYERS)) >= LAYER_OF[own]
    }

    assert not wrong


@each(MODULES)
def test_door_to_c_is_in_ffi_alone(path):
    """Outside _ffi nobody imports cffi, a native module, or the names ffi and lib."""
    if part_of(path) == "_ffi":
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))

    for _, names in imported_parts(path, tree):
        assert not {"ffi", "lib", "_native", "_native_testing"} & set(names)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            assert node.attr not in {"ffi", "lib"}
            assert not re.search(r"\b_ffi\._native", ast.unparse(node))
        if isinstance(node, ast.Name):
            assert node.id not in {"ffi", "lib"}
        if isinstance(node, ast.Import):
            assert not {alias.name.split(".")[0] for alias in node.names} & {
                "cffi",
                "_cffi_backend",
            }
        if isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] not in {"cffi", "_cffi_backend"}


@each(MODULES)
def test_trio_lowlevel_is_in_the_async_api_alone(path):
    """Only _trio uses trio.lowlevel, but for in_trio_task and its stand-in in _base/util.py."""
    tree = ast.parse(path.read_text(encoding="utf-8"))

    uses = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "lowlevel":
            uses.append("")
        if isinstance(node, ast.Import):
            uses += [alias.name for alias in node.names if alias.name.startswith("trio.lowlevel")]
        if isinstance(node, ast.ImportFrom) and not node.level:
            names = [alias.name for alias in node.names]
            if node.module == "trio.lowlevel" or (node.module == "trio" and "lowlevel" in names):
                uses += names

    if path == PACKAGE / "_base" / "util.py":
        source = path.read_text(encoding="utf-8")
        assert len(uses) <= 2
        assert len(re.findall(r"\blowlevel\.(?!(?:in_trio_task|current_task)\b)", source)) == 0
        assert not set(uses) - {"", "in_trio_task", "current_task"}
    elif part_of(path) != "_trio":
        assert not uses


@each(MODULES)
def test_private_parts_of_trio_are_left_alone(path):
    """Nobody reaches for trio._anything."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and re.match(r"trio\b", ast.unparse(node)):
            assert not re.search(r"^trio(\.\w+)*\._[a-z]", ast.unparse(node))
        if isinstance(node, ast.Import):
            assert not any(re.match(r"trio\b.*\._", alias.name) for alias in node.names)
        if isinstance(node, ast.ImportFrom) and not node.level and node.module:
            if node.module.split(".")[0] == "trio":
                assert "._" not in f".{node.module}"
                assert not any(alias.name.startswith("_") for alias in node.names)


@each(PYTHON)
def test_python_file_stays_under_the_ceiling(path):
    """A Python file has at most 400 lines of code."""
    assert code_lines(path.read_text(encoding="utf-8")) <= CEILING


@each(C_FILES)
def test_c_file_stays_under_the_ceiling(path):
    """A C file has at most 400 lines of code."""
    assert c_code_lines(path.read_text(encoding="utf-8")) <= CEILING


@each(sorted({*PYTHON, *MODULES, *C_FILES}))
def test_line_of_a_file_fits_the_columns(path):
    """No line is longer than 100 columns."""
    lines = enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)

    assert [number for number, line in lines if len(line) > COLUMNS] == []


def test_architecture_names_every_folder_there_is_and_no_other():
    """ARCHITECTURE.md names each package of trionng/ and each folder of nng/."""
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    _, packages, folders, *_ = page.split("\n## ")

    assert set(re.findall(r"`(_\w+)[/`]", packages)) - {"__init__"} == {
        part_of(path) for path in MODULES
    } - {"", "blocking", "exceptions", "__main__"}
    assert set(re.findall(r"^\| `(\w+)/`", folders, re.MULTILINE)) == {
        path.relative_to(ROOT / "nng").parts[0] for path in C_FILES if path.parent.name != "nng"
    }


def test_every_file_of_a_fix_stands_in_the_table_of_fixes():
    """nng/fixes/README.md names each file of its folder."""
    table = (ROOT / "nng" / "fixes" / "README.md").read_text(encoding="utf-8")

    assert set(re.findall(r"`(\w+\.[ch])`", table)) >= {
        path.name for path in C_FILES if path.parent.name == "fixes"
    }


@each([path for path in C_FILES if path.suffix == ".c"])
def test_c_file_knows_nothing_of_python(path):
    """The native side is C alone: Python comes in through cffi."""
    assert "Python.h" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ('"""Doc.\n\nMore."""\n\n# comment\nx = 1  # why\n', 1),
        ('def f():\n    """Doc."""\n    return """a\nb"""\n', 3),
        ("x = [\n    1,\n\n    # comment\n    2,\n]\n", 4),
    ],
)
def test_code_lines_leave_out_words(source, lines):
    """The counter behind the ceiling counts code and nothing else."""
    assert code_lines(source) == lines

"""The rules of ARCHITECTURE.md for trionng/: imports point down, boundaries hold, files are short.

A rule is a function that returns what breaks it, so that the last test can break each of them.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

from tests.support.processes import ROOT
from tests.support.sources import (
    c_code_lines,
    c_files,
    circles,
    code_lines,
    imports,
    modules,
    package_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

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
    {"_testing"},
    {"_guest"},
    {"_instrument"},
    {"exceptions"},
    {"_exports"},
    {""},
    {"blocking"},
    {"testing"},
    {"guest"},
    {"browser"},
    {"instrument"},
    {"_cli"},
    {"__main__"},
)
LAYER_OF = {name: number for number, names in enumerate(LAYERS) for name in names}
# Modules that import each other, with the reason. The list only shrinks.
STATED_CIRCLES = {
    frozenset(f"trionng.{api}.{name}" for name in ("io", "pipes", "socket")): (
        "in the public API `Socket.recv_msg` returns a Message of a Pipe, and `Pipe.socket` is "
        "that Socket: a type checker must see both. At run time pipes.py imports none of the others"
    )
    for api in ("_trio", "_sync")
}
CEILING = 400
NATIVE = {"ffi", "lib", "_native", "_native_testing"}
PRIVATE = re.compile(r"trio(\.\w+)*?\._[a-z]\w*")
CFFI = {"cffi", "_cffi_backend"}
# in_trio_task, which Trio has from 0.32 on, and what stands in for it before.
OF_LOWLEVEL_IN_BASE = {"in_trio_task", "current_task"}


def syntax(root: Path) -> Iterator[tuple[Path, list[ast.AST]]]:
    """Yield every module of the package with the nodes of its syntax tree."""
    for path in modules(root):
        yield path, list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def imports_that_point_up(root: Path) -> list[str]:
    found = []
    for path in modules(root):
        own = package_of(path, root)
        for module, name in imports(path, root):
            package, _, rest = module.partition(".")
            # `from trionng import _ffi` imports a package, `from trionng import Req0` the top.
            part = rest.partition(".")[0] or (name if name in LAYER_OF else "")
            if package != "trionng" or part == own:
                continue
            if LAYER_OF.get(part, len(LAYERS)) >= LAYER_OF.get(own, -1):
                found.append(f"{path}: imports {part or package}")
    return found


def circles_of_imports(root: Path) -> set[frozenset[str]]:
    """Return the groups of modules that import each other, also for a type checker alone."""
    files = {".".join(path.relative_to(root).with_suffix("").parts): path for path in modules(root)}
    arrows = {
        name: {
            each
            for module, imported in imports(path, root)
            for each in (module, f"{module}.{imported}")
            if each in files and each != name
        }
        for name, path in files.items()
    }
    return circles(arrows)


def ways_to_c(root: Path) -> list[str]:
    found = []
    for path, nodes in syntax(root):
        if package_of(path, root) == "_ffi":
            continue
        names = {node.id for node in nodes if isinstance(node, ast.Name)} & {"ffi", "lib"}
        for node in nodes:
            if isinstance(node, ast.Attribute):
                of_ffi = ast.unparse(node.value).endswith("_ffi")
                names |= {node.attr} & (NATIVE if of_ffi else {"ffi", "lib"})
        for module, name in imports(path, root):
            names |= {module.partition(".")[0]} & CFFI
            names |= {name, module.rpartition(".")[2]} if module.startswith("trionng") else set()
        found += [f"{path}: uses {name}" for name in sorted(names & (NATIVE | CFFI))]
    return found


def uses_of_lowlevel(root: Path) -> list[str]:
    found = []
    for path, nodes in syntax(root):
        uses = {
            node.attr
            for node in nodes
            if isinstance(node, ast.Attribute) and ast.unparse(node.value).endswith("lowlevel")
        }
        for module, name in imports(path, root):
            if module == "trio.lowlevel":
                uses.add(name or "trio.lowlevel")
            if (module, name) == ("trio", "lowlevel"):
                uses.add("lowlevel")
        if path == root / "trionng" / "_base" / "util.py":
            uses -= OF_LOWLEVEL_IN_BASE
        if package_of(path, root) != "_trio":
            found += [f"{path}: uses {use}" for use in sorted(uses)]
    return found


def private_parts_of_trio(root: Path) -> list[str]:
    found = []
    for path, nodes in syntax(root):
        used = [ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)]
        used += [f"{module}.{name}" for module, name in imports(path, root)]
        private = {match[0] for match in map(PRIVATE.match, used) if match}
        found += [f"{path}: uses {use}" for use in sorted(private)]
    return found


def long_files(root: Path) -> list[str]:
    lines = {path: c_code_lines(path.read_text(encoding="utf-8")) for path in c_files(root)}
    python = [path for path in (*modules(root), *root.glob("*.py")) if path.suffix == ".py"]
    lines |= {path: code_lines(path.read_text(encoding="utf-8")) for path in python}
    return [f"{path}: {count} lines" for path, count in lines.items() if count > CEILING]


def folders_that_the_page_misnames(root: Path) -> list[str]:
    file = root / "ARCHITECTURE.md"
    _, packages, folders, *_ = file.read_text(encoding="utf-8").split("\n## ")
    named = set(re.findall(r"`(_\w+)[/`]", packages)) - {"__init__"}
    named |= {f"nng/{name}" for name in re.findall(r"^\| `(\w+)/`", folders, re.MULTILINE)}
    existing = {package_of(path, root) for path in modules(root)}
    existing -= {"", "blocking", "exceptions", "testing", "guest", "browser", "instrument"}
    existing -= {"__main__"}
    existing |= {f"nng/{path.relative_to(root / 'nng').parts[0]}" for path in c_files(root)}
    return [f"{file}: names {name}, or ought to" for name in sorted(named ^ existing)]


def test_package_imports_only_packages_below_it() -> None:
    """Every module belongs to a layer, and imports from lower ones, for a type checker too."""
    assert {package_of(path, ROOT) for path in modules(ROOT)} == set(LAYER_OF)
    assert imports_that_point_up(ROOT) == []


def test_modules_import_each_other_one_way_but_for_the_stated() -> None:
    """No other circle of imports; _core/abc.py opens that of _core. One that opens is struck."""
    assert circles_of_imports(ROOT) == set(STATED_CIRCLES)


def test_way_to_c_is_in_ffi_alone() -> None:
    """Outside _ffi no module uses cffi, a native module, or the names ffi and lib."""
    assert ways_to_c(ROOT) == []


def test_trio_lowlevel_is_in_the_async_api_alone() -> None:
    """Only _trio uses trio.lowlevel, but for in_trio_task and its stand-in in _base/util.py."""
    assert uses_of_lowlevel(ROOT) == []


def test_private_parts_of_trio_are_left_alone() -> None:
    """No module uses trio._anything."""
    assert private_parts_of_trio(ROOT) == []


def test_file_has_at_most_400_lines_of_code() -> None:
    """The limit holds for Python and C; comments and docstrings are free."""
    assert long_files(ROOT) == []


def test_architecture_names_every_folder_there_is_and_no_other() -> None:
    """ARCHITECTURE.md names each package of trionng/ and each folder of nng/."""
    assert folders_that_the_page_misnames(ROOT) == []


@pytest.mark.parametrize(
    ("rule", "path", "source"),
    [
        (imports_that_point_up, "trionng/_core/a.py", "from trionng._trio.wait import b"),
        (imports_that_point_up, "trionng/_core/a.py", "import trionng"),
        (
            imports_that_point_up,
            "trionng/_core/a.py",
            "if TYPE_CHECKING:\n    from .._sockets import b",
        ),
        (imports_that_point_up, "trionng/_trio/a.py", "from trionng import _sync"),
        (imports_that_point_up, "trionng/_base/a.py", "def b():\n    from trionng import Req0"),
        (imports_that_point_up, "trionng/_new/a.py", "from trionng._base import b"),
        (ways_to_c, "trionng/_core/a.py", "from trionng._ffi.load import lib"),
        (ways_to_c, "trionng/_core/a.py", "from cffi import FFI"),
        (ways_to_c, "trionng/_core/a.py", "_ffi.lib.nng_close()"),
        (ways_to_c, "trionng/_core/a.py", "a = _ffi._native"),
        (uses_of_lowlevel, "trionng/_sync/a.py", "trio.lowlevel.checkpoint()"),
        (uses_of_lowlevel, "trionng/_sync/a.py", "from trio.lowlevel import checkpoint"),
        (uses_of_lowlevel, "trionng/_base/util.py", "trio.lowlevel.current_trio_token()"),
        (private_parts_of_trio, "trionng/_trio/a.py", "from trio._core import b"),
        (private_parts_of_trio, "trionng/_trio/a.py", "trio.lowlevel._run.b()"),
        (long_files, "trionng/_trio/a.py", "a = 1\n" * 401),
        (long_files, "nng/core/a.c", "int a;\n" * 401),
        (folders_that_the_page_misnames, "ARCHITECTURE.md", "\n## a\n`_gone/`\n## nng/\n"),
        (folders_that_the_page_misnames, "ARCHITECTURE.md", "\n## a\n## nng/\n| `gone/` |\n"),
    ],
)
def test_rule_that_one_file_breaks_names_it(
    tmp_path: Path, rule: Callable[[Path], list[str]], path: str, source: str
) -> None:
    """Each rule finds what it forbids."""
    file = tmp_path / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(source, encoding="utf-8")

    [found] = rule(tmp_path)

    assert found.startswith(f"{file}: ")


@pytest.mark.parametrize("source", ["from trionng._core.a import b", "from trionng._core import a"])
def test_circle_of_imports_is_found(tmp_path: Path, source: str) -> None:
    """Modules that import each other are found, whichever way they import."""
    folder = tmp_path / "trionng" / "_core"
    folder.mkdir(parents=True)
    (folder / "a.py").write_text("def f():\n    from trionng._core import b", encoding="utf-8")
    (folder / "b.py").write_text(f"if TYPE_CHECKING:\n    {source}", encoding="utf-8")

    assert circles_of_imports(tmp_path) == {frozenset({"trionng._core.a", "trionng._core.b"})}


@pytest.mark.parametrize("path", ["trionng/_new/a.py", "nng/new/a.c"])
def test_folder_that_architecture_does_not_name_is_found(tmp_path: Path, path: str) -> None:
    """A new folder needs a line in ARCHITECTURE.md."""
    page, file = tmp_path / "ARCHITECTURE.md", tmp_path / path
    page.write_text("\n## trionng/\n## nng/\n", encoding="utf-8")
    file.parent.mkdir(parents=True)
    file.touch()

    [found] = folders_that_the_page_misnames(tmp_path)

    assert found.startswith(f"{page}: ")


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ('"""Doc.\n\nMore."""\n\n# comment\nx = 1  # why\n', 1),
        ('def f():\n    """Doc."""\n    return """a\nb"""\n', 3),
        ("x = [\n    1,\n\n    # comment\n    2,\n]\n", 4),
    ],
)
def test_code_lines_leave_out_words(source: str, lines: int) -> None:
    """The counter behind the limit counts code and nothing else."""
    assert code_lines(source) == lines

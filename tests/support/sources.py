"""The sources of this repository as the layout tests read them: imports, C calls, lines of code."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOT_CODE = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
    tokenize.ENDMARKER,
}  # fmt: skip
# A C function or table that other files can use; in a header an inline function too.
DEFINITION = (
    r"^(?!{0}|extern)[A-Za-z_][\w \t*]*?\b(tnng_\w+)(?:\([^;{{}}]*\)\s*|(?:\[\w*\])*\s*=\s*)\{{"
)


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def modules(root: Path) -> list[Path]:
    """Return the modules of the package, with their stubs."""
    return sorted([*(root / "trionng").rglob("*.py"), *(root / "trionng").rglob("*.pyi")])


def c_files(root: Path) -> list[Path]:
    """Return the C files and headers of the shim."""
    return sorted((root / "nng").rglob("*.[ch]"))


def package_of(path: Path, root: Path) -> str:
    """Return the part of trionng a module is in: "_core" for all of _core/, "" for __init__.py."""
    first = path.relative_to(root / "trionng").parts[0].partition(".")[0]
    return "" if first == "__init__" else first


def imports(path: Path, root: Path) -> Iterator[tuple[str, str]]:
    """Yield each module that a module imports, and each name it takes from it ("" for none)."""
    package = ("trionng", *path.relative_to(root / "trionng").parent.parts)
    for node in ast.walk(ast.parse(read(path))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *filter(None, [node.module])))
            yield from ((module, alias.name) for alias in node.names)


def code_lines(source: str) -> int:
    """Count the lines of Python that hold code: no blank lines, comments or docstrings."""
    docstrings: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else []:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                docstrings.update(range(statement.lineno, (statement.end_lineno or 0) + 1))
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in NOT_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - docstrings)


def c_code(source: str) -> str:
    """Return C without comments and strings."""
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', "", source, flags=re.DOTALL)


def c_code_lines(source: str) -> int:
    """Count the lines of C that hold code."""
    without_comments = re.sub(r"/\*.*?\*/|//[^\n]*", "", source, flags=re.DOTALL)
    return sum(1 for line in without_comments.splitlines() if line.strip())


def within_braces(code: str) -> str:
    """Return what stands between braces: bodies and tables, no declarations."""
    depth, inside = 0, []
    for piece in re.split(r"([{}])", code):
        depth += {"{": 1, "}": -1}.get(piece, 0)
        inside.append(piece if depth else "\n")
    return "".join(inside)


def calls(root: Path) -> dict[str, set[str]]:
    """Return for each C file the other files whose `tnng_` functions it uses."""
    code = {path.relative_to(root / "nng").as_posix(): c_code(read(path)) for path in c_files(root)}
    home = {
        name: file
        for file, text in code.items()
        for name in re.findall(
            DEFINITION.format("typedef" if file.endswith(".h") else "static"), text, re.MULTILINE
        )
    }
    return {
        file: {
            home[name] for name in re.findall(r"\btnng_\w+", within_braces(text)) if name in home
        }
        - {file}
        for file, text in code.items()
    }


def circles(arrows: dict[str, set[str]]) -> set[frozenset[str]]:
    """Return the strongly connected components that have several members."""
    reach: dict[str, set[str]] = {}
    for start in arrows:
        seen: set[str] = set()
        todo = [start]
        while todo:
            new = arrows[todo.pop()] - seen
            seen |= new
            todo.extend(new)
        reach[start] = seen
    return {
        frozenset(each for each in reach[start] if start in reach[each])
        for start in arrows
        if start in reach[start]
    }


def identifiers(path: Path) -> set[str]:
    """Return the names that code uses: no words of comments and strings."""
    if path.suffix in {".c", ".h"}:
        return set(re.findall(r"[A-Za-z_]\w*", c_code(read(path))))
    tokens = tokenize.generate_tokens(io.StringIO(read(path)).readline)
    return {token.string for token in tokens if token.type == tokenize.NAME}

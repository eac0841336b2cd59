"""Write python.txt and trio.txt: the names of Python and Trio that pages can link to.

    python docs/inventories/collect.py OBJECTS_INV TRIO_DOCS

OBJECTS_INV is the inventory of Python's documentation (Debian's python3-doc has it), TRIO_DOCS the
folder docs/source of Trio's sources; trio must be installed. A line is what Sphinx puts into an
inventory: name, role, priority, page and anchor, title.
"""

from __future__ import annotations

import inspect
import re
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
MODULES = (
    "asyncio", "collections.abc", "contextlib", "contextvars", "logging", "math", "multiprocessing",
    "os", "pathlib", "select", "signal", "ssl", "sys", "threading", "time", "types", "typing",
    "warnings", "concurrent.futures", "ipaddress",
)  # fmt: skip
DIRECTIVE = re.compile(
    r"^\s*\.\. (?:(?:current)?(module)|(?:auto|py:)?"
    r"(function|class|exception|method|attribute|data|interface|abstractclass)):: ([\w.]+)"
)
# Sphinx says "py:class" of an abstract class too.
ROLES = {"interface": "class", "abstractclass": "class"}


def python_names(inventory: Path) -> Iterator[str]:
    """Yield the builtins, and the names of some modules."""
    yield "collections.abc.Buffer py:class 1 library/collections.abc.html#$ -"  # since Python 3.12
    packed = inventory.read_bytes().split(b"\n", 4)[4]
    for line in zlib.decompress(packed).decode().splitlines():
        name, role, _ = line.split(" ", 2)
        module = name.rpartition(".")[0]
        builtin = "." not in name and role in ("py:class", "py:exception", "py:function", "py:data")
        listed = module in MODULES or name in MODULES
        constant = role == "py:data" and module not in ("", "typing")
        if (builtin or listed) and role.startswith("py:") and not constant:
            yield line


def trio_names(folder: Path) -> Iterator[str]:
    """Yield the names that the reference pages of Trio describe, with the members of classes."""
    for page in sorted(folder.glob("reference-*.rst")):
        module = "trio"
        for line in page.read_text("utf-8").splitlines():
            found = DIRECTIVE.match(line)
            if found is None:
                continue
            if found[1]:
                module = found[3]
                continue
            role, name = ROLES.get(found[2], found[2]), found[3]
            full = name if name.startswith("trio.") else f"{module}.{name}"
            uri = f"{page.stem}.html#$"
            yield f"{full} py:{role} 1 {uri} -"
            thing = resolve(full)
            if inspect.isclass(thing):
                for member in sorted(vars(thing)):
                    if member[0] != "_":
                        kind = "method" if callable(getattr(thing, member)) else "attribute"
                        yield f"{full}.{member} py:{kind} 1 {uri} -"


def resolve(name: str) -> object:
    """Return what a name stands for, or None."""
    found: object = trio
    for part in name.split(".")[1:]:
        found = getattr(found, part, None)
    return found


def main(inventory: str, folder: str) -> None:
    """Write both files."""
    for name, lines in (
        ("python", python_names(Path(inventory))),
        ("trio", trio_names(Path(folder))),
    ):
        unique = {line.rsplit(" ", 3)[0]: line for line in lines}
        text = "".join(f"{line}\n" for line in sorted(unique.values()))
        (HERE / f"{name}.txt").write_text(text, "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])

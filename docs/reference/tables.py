"""Write the tables of options.md and exceptions.md: `python docs/reference/tables.py`.

Both come from the classes, so a test can compare what is committed with what this returns.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import trionng
from trionng import exceptions

HERE = Path(__file__).parent
SOCKETS = [
    getattr(trionng, name)
    for name in (
        "Req0", "Rep0", "Pub0", "Sub0", "Push0", "Pull0", "Pair0", "Pair1", "Surveyor0",
        "Respondent0", "Bus0",
    )
]  # fmt: skip
OTHERS = [trionng.Context, trionng.ReqContext, trionng.SubContext, trionng.SurveyorContext]
OTHERS += [trionng.Dialer, trionng.Listener]

OPTIONS = """# Options

Each option of nng is an attribute, and most are also arguments of the constructor. Times that
belong to nng are integer milliseconds, -1 for ever; `timeout=` and `linger=` are seconds. A value
of the wrong type raises `TypeError`, one out of range `InvalidOperation`.

A program writes this page: `python docs/reference/tables.py`.

"""
EXCEPTIONS = """# Exceptions

Each is also the class that Trio or Python programs already catch: `except TimeoutError` and
`except trio.ClosedResourceError` work. `str()` of one says what was attempted, where, and why.

A program writes this page: `python docs/reference/tables.py`.

"""


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"


def sentence(text: str, start: str) -> str:
    """Return what a text says after a word, up to the end of the sentence."""
    found = re.search(rf"\b{start}:? ((?:[^.]|\.(?=\S))*)\.", " ".join(text.split()))
    return found[1] if found else ""


def owners(name: str) -> str:
    """Say which classes have an option, and link to it."""
    sockets = [each for each in SOCKETS if hasattr(each, name)]
    names = ["every socket"] if sockets == SOCKETS else [f"`{each.__name__}`" for each in sockets]
    others = [each for each in OTHERS if name in dir(each)]
    if others[:1] == OTHERS[:1]:
        others = [each for each in others if not issubclass(each, trionng.Context)]
        names.append("every context")
    return ", ".join(names + [f"`{each.__name__}`" for each in others])


def options() -> str:
    """Return the page of the options."""
    found: dict[str, str] = {}
    for each in SOCKETS:
        for name in dir(each):
            thing = inspect.getattr_static(each, name)
            if name[0] != "_" and hasattr(type(thing), "__set__"):
                if not isinstance(thing, property) or thing.fset is not None:
                    found.setdefault(name, "")
    table = row("option", "of", "what it is", "default") + row(*["---"] * 4)
    for name in sorted(found):
        texts: dict[str, list[str]] = {}
        for each in [*SOCKETS, *OTHERS]:
            thing = inspect.getattr_static(each, name, None)
            text = inspect.getdoc(thing) if thing is not None else None
            if text:
                texts.setdefault(text, []).append(each.__name__)
        several = len(texts) > 1
        for number, (text, classes) in enumerate(texts.items()):
            first = " ".join(text.partition("\n\n")[0].split())
            of = ", ".join(f"`{each}`" for each in classes) if several else owners(name)
            target = f"trionng.{classes[0]}.{name}" if several else link(name)
            shown = f"{{any}}`{name} <{target}>`"
            table += row(
                shown if number == 0 or several else "", of, first, sentence(text, "Default")
            )
    return OPTIONS + table


def link(name: str) -> str:
    if hasattr(trionng.Socket, name):
        return f"trionng.Socket.{name}"
    return next(f"trionng.{each.__name__}.{name}" for each in SOCKETS if hasattr(each, name))


def errors() -> str:
    """Return the page of the exceptions."""
    table = row("exception", "says", "NNG_...", "is also") + row(*["---"] * 4)
    descriptions = ""
    classes = [getattr(exceptions, name) for name in exceptions.__all__]
    for each in sorted(classes, key=lambda each: (each is not trionng.NNGException, each.__name__)):
        said = " ".join((inspect.getdoc(each) or "").partition("\n\n")[0].split())
        code = re.search(r" \(NNG_(\w+)\)", said)
        said = said.replace(code[0], "") if code else said
        said = re.sub("^Report (?:that )?", "", said)
        bases = [base for base in each.__bases__ if base not in (Exception, trionng.NNGException)]
        also = ", ".join(f"{{any}}`{public(base)}`" for base in bases)
        table += row(
            f"{{any}}`{each.__name__} <trionng.{each.__name__}>`",
            said,
            code[1] if code else "",
            also,
        )
        descriptions += f".. autoexception:: trionng.{each.__name__}\n   :no-inherited-members:\n\n"
    return (
        f"{EXCEPTIONS}{table}\n## Each exception\n\n```{{eval-rst}}\n{descriptions.rstrip()}\n```\n"
    )


def public(kind: type) -> str:
    module = kind.__module__.partition("._")[0]
    return kind.__name__ if module == "builtins" else f"{module}.{kind.__name__}"


def pages() -> dict[Path, str]:
    """Return what the pages have to be."""
    return {HERE / "options.md": options(), HERE / "exceptions.md": errors()}


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, "utf-8")

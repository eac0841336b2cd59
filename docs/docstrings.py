"""How the docstrings of trionng become pages: their sections, their links, what is left out.

The docstrings have Google's sections, which napoleon reads, and lines such as `Cancellation: ...`.
A name in single backquotes is a link if there is such a name, and else it is code.
"""

from __future__ import annotations

import builtins
import inspect
import re
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.addnodes import pending_xref

import trionng
from trionng import blocking

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

LINES = re.compile(r"^((?:Cancellation|Concurrency|Raises)(?:, \w+)*): (?=\S)")
SEVERAL = re.compile(r"^    ((?:\w+, )+\w+): ")

# Objects that calls return: a program does not make them, so their arguments are not shown.
RETURNED = {
    "BuildInfo", "Context", "Dialer", "Direction", "FaultyProxy", "Fix", "Forwarder",
    "ForwardStatistics", "HandlerInfo", "Listener", "Pipe",
    "PipeChannel", "PipeEvent", "PipeEvents", "Portal", "Replies", "ReqContext", "RequestInfo",
    "Service", "ServiceStatistics", "SocketStatistics", "SubContext", "SurveyorContext",
}  # fmt: skip
# Names in annotations, and what a reader has to know of them.
ANNOTATIONS = {
    "L": "Listener", "D": "Dialer", "P": "Pipe", "Q": "Pipe", "AnyMessage": "Message",
    "AnyPipe": "Pipe", "AnySocket": "Socket", "DialerBase": "Dialer", "ListenerBase": "Listener",
    "Buffer": "collections.abc.Buffer", "Self": "typing.Self", "NoReturn": "typing.NoReturn",
    "Any": "typing.Any", "Literal": "typing.Literal", "Capture": "Socket", "PipeEventKind": "str",
    "PipeEventReason": "str", "A": "trionng.Socket", "B": "trionng.Socket",
    **{
        name: f"collections.abc.{name}"
        for name in ("AsyncIterator", "Awaitable", "Callable", "Iterable", "Iterator", "Mapping")
    },
}  # fmt: skip
# The values of the descriptors that stand for options.
VALUES = {
    "IntOption": "int", "BufferSize": "int", "SizeLimit": "int", "TimeoutOption": "int",
    "RecvFd": "int", "SendFd": "int", "BoolOption": "bool", "TextOption": "str",
    "NameOption": "str", "LingerOption": "float", "TLSOption": "TLSConfig",
}  # fmt: skip


def show_values() -> None:
    """Let the annotation of an option say the type of its value."""
    for face in (trionng, blocking):
        for thing in vars(face).values():
            for kind in thing.__mro__ if isinstance(thing, type) else ():
                if kind.__module__.startswith("trionng"):
                    for name, annotation in vars(kind).get("__annotations__", {}).items():
                        known = getattr(annotation, "__name__", annotation)
                        kind.__annotations__[name] = VALUES.get(known, annotation)


def sections(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Turn what napoleon does not know into what it and docutils know."""
    found: list[str] = []
    for line in apart(lines):
        if LINES.match(line):
            found.append(LINES.sub(r":\1: ", line))
        elif line == "Example:":
            found += [".. code-block:: python", ""]
        else:
            found.append(line)
    lines[:] = found


def apart(lines: list[str]) -> list[str]:
    """Give each exception of `Raises:` an entry of its own, where several share one."""
    found: list[str] = []
    entry: list[str] = []  # the lines of the entry that is being read
    section = ""
    for line in [*lines, ""]:
        if line and not line.startswith(" "):
            section = line
        if section == "Raises:" and line.startswith("     ") and entry:
            entry.append(line)
            continue
        found += repeated(entry)
        entry = [line] if section == "Raises:" and line.startswith("    ") else []
        if not entry:
            found.append(line)
    return found[:-1]


def repeated(entry: list[str]) -> list[str]:
    several = SEVERAL.match(entry[0]) if entry else None
    if several is None:
        return entry
    text = entry[0][several.end() :]
    return [line for name in several[1].split(", ") for line in (f"    {name}: {text}", *entry[1:])]


def leave_out(
    app: Sphinx, what: str, name: str, obj: object, skip: bool, options: object
) -> bool | None:
    """Leave out the calls that a protocol does not have, and what only Python calls.

    And with `:inherited-members: Socket`, what is as in `trionng.blocking.Socket`.
    """
    for base in getattr(options, "inherited_members", None) or ():
        there = vars(blocking).get(base)
        if any(obj is each(there, name, None) for each in (getattr, inspect.getattr_static)):
            return True
    text = inspect.getdoc(obj) or ""
    return True if text.startswith("Raise NotSupported") or name.startswith("_") else None


def signature(
    app: Sphinx, what: str, name: str, obj: object, options: object,
    arguments: str | None, returns: str | None,
) -> tuple[str | None, str | None] | None:  # fmt: skip
    """Leave out the arguments of what a program does not make itself."""
    if what == "exception" or (what == "class" and name.rpartition(".")[2] in RETURNED):
        return "", None
    return None


def link_annotations(app: Sphinx, doctree: nodes.document) -> None:
    """Link the names in annotations to what they stand for."""
    for node in list(doctree.findall(pending_xref)):
        if node.get("refdomain") != "py":
            continue
        if node["reftarget"].startswith(("'", '"')):  # a string of a Literal
            node.replace_self(node.children)
            continue
        if node["reftype"] == "obj":
            node.attributes.pop("refspecific", None)  # `.pipe` is code
            continue
        short = node["reftarget"].rpartition(".")[2]
        if short in ANNOTATIONS and not hasattr(trionng, short):
            target = ANNOTATIONS[short]
            if "." not in target and hasattr(trionng, target):
                target = f"{node.get('py:module') or 'trionng'}.{target}"
            set_target(node, target)
        elif node["reftarget"].startswith("trionng._") and hasattr(trionng, short):
            set_target(node, f"trionng.{short}")
        if hasattr(builtins, node["reftarget"]):  # not the attribute of the same name
            node["py:class"] = node["py:module"] = None
            node.attributes.pop("refspecific", None)


def set_target(node: pending_xref, target: str) -> None:
    node["reftarget"] = target
    if target.startswith("typing."):
        node["reftype"] = "obj"  # some of them are data
    shown = nodes.Text(target.rpartition(".")[2])
    for text in list(node.findall(nodes.Text)):
        text.parent.replace(text, shown)


def show_as_code(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.Element
) -> nodes.Node | None:
    """Show a name in backquotes as code when there is no such name to link to."""
    return content.deepcopy() if node.get("reftype") == "obj" else None


def setup(app: Sphinx) -> dict[str, Any]:
    """Be an extension of Sphinx."""
    show_values()
    app.connect("autodoc-process-docstring", sections, priority=400)  # before napoleon
    app.connect("autodoc-skip-member", leave_out)
    app.connect("autodoc-process-signature", signature)
    app.connect("doctree-read", link_annotations)
    app.connect("missing-reference", show_as_code, priority=900)  # after intersphinx
    return {"parallel_read_safe": True, "parallel_write_safe": True}

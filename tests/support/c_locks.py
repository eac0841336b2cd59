"""What the shim does while it holds a lock: a reading of nng/, by names and braces alone.

A pointer to a function may point to each function that some table has under that field. A lock is
held from the line that takes it to the line that gives it back; a branch that gives it back and
leaves changes nothing for the lines behind.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import attrs

from tests.support.sources import c_code, read

if TYPE_CHECKING:
    from pathlib import Path

FUNCTION = re.compile(
    r"^(?!typedef|struct|enum|#|/)[A-Za-z_][^\n;={}]*?\b(\w+)\([^;{}]*\)\s*\{", re.MULTILINE
)
# The comment right before a function says which threads run it.
THREADS = re.compile(r"/\* (\[(?:(?!\*/).)*)\*/\s*$", re.DOTALL)
STEP = re.compile(
    r"\b(?P<take>pthread_mutex_lock|tnng_lock|tnng_pool_lock)\(&?(?P<taken>[\w>.()-]+?)\)"
    r"|\b(?P<give>pthread_mutex_unlock|tnng_pool_unlock)\(&?(?P<given>[\w>.()-]+?)\)"
    r"|(?P<field>->|\.)?\b(?P<name>[A-Za-z_]\w*)\("
)
LEAVES = re.compile(r"\s*;\s*(?:return|continue|break|goto)\b")


@attrs.define
class Function:
    """A function of the shim."""

    file: str
    name: str
    body: str
    threads: str  # of its comment: [caller] [nng] [job] [any]
    gives_up: set[str] = attrs.field(factory=set)  # locks of its caller
    calls: set[str] = attrs.field(factory=set)  # of nng
    uses: list[Function] = attrs.field(factory=list)  # of the shim
    reached: frozenset[str] | None = None  # calls of nng, by what it uses too


@attrs.define
class Lock:
    """A lock, and what is done with it."""

    takers: set[str] = attrs.field(factory=set)  # pthread_mutex_lock, tnng_lock
    functions: list[Function] = attrs.field(factory=list)  # that take it
    within: set[str] = attrs.field(factory=set)  # calls of nng while it is held


def name_of(expression: str, file: str) -> str:
    """Return one name for a lock, however a function came to it."""
    words = re.split(r"->|\.", expression)
    return f"{file}: {words[0]}" if len(words) == 1 else ".".join(words[-2:])


class Shim:
    """All functions of nng/, who calls whom, and the locks."""

    def __init__(self, root: Path) -> None:
        self.functions: list[Function] = []
        self._fields: dict[str, set[str]] = {}
        for path in sorted((root / "nng").rglob("*.c")):
            file = path.relative_to(root / "nng").as_posix()
            if not file.startswith("testing/"):
                self._read(file, read(path))
        self._names: dict[str, list[Function]] = {}
        for each in self.functions:
            self._names.setdefault(each.name, []).append(each)
        for each in self.functions:
            taken: set[str] = set()
            for step in STEP.finditer(each.body):
                self._add_call(each, step)
                if step["take"]:
                    taken.add(name_of(step["taken"], each.file))
                elif step["give"] and (lock := name_of(step["given"], each.file)) not in taken:
                    each.gives_up.add(lock)
        self.locks: dict[str, Lock] = {}
        for each in self.functions:
            self._find_locks(each)

    def _read(self, file: str, text: str) -> None:
        for match in FUNCTION.finditer(text):
            depth, at = 1, match.end()
            while depth and at < len(text):
                depth += {"{": 1, "}": -1}.get(text[at], 0)
                at += 1
            threads = THREADS.search(text[: match.start()])
            said = threads[1] if threads else ""
            if match[1].startswith("__wrap_"):
                said += "[nng]"
            body = c_code(text[match.end() : at])
            self.functions.append(Function(file, match[1], body, said))
        for field, function in re.findall(r"\.(\w+) = (\w+)\b", c_code(text)):
            self._fields.setdefault(field, set()).add(function)

    def _callees(self, file: str, step: re.Match[str]) -> list[Function]:
        names = self._fields.get(step["name"], set()) if step["field"] else {step["name"]}
        found = [function for name in names for function in self._names.get(name, ())]
        own = [each for each in found if each.file == file]
        return own if own and not step["field"] else found

    def _add_call(self, function: Function, step: re.Match[str]) -> None:
        if step["name"] is None:
            return
        callees = self._callees(function.file, step)
        function.uses += callees
        if not callees and re.match(r"nn[gi]_", step["name"]):
            function.calls.add(step["name"])

    def reachable(self, starts: list[Function]) -> list[Function]:
        """Return these functions and all that they may call."""
        seen = {id(each): each for each in starts}
        todo = list(starts)
        while todo:
            for each in todo.pop().uses:
                if id(each) not in seen:
                    seen[id(each)] = each
                    todo.append(each)
        return list(seen.values())

    def _reached(self, function: Function) -> frozenset[str]:
        if function.reached is None:
            used = self.reachable([function])
            function.reached = frozenset(name for each in used for name in each.calls)
        return function.reached

    def on_task_threads(self) -> list[Function]:
        """Return what nng's threads may run: what says so, and all that it calls."""
        starts = [each for each in self.functions if re.search(r"\[(nng|any)\]", each.threads)]
        return self.reachable(starts)

    def _find_locks(self, function: Function) -> None:
        held: set[str] = set()
        left: dict[str, int] = {}  # given back by a branch that leaves before this place
        for step in STEP.finditer(function.body):
            if step["take"]:
                lock = name_of(step["taken"], function.file)
                if step["take"] == "tnng_pool_lock":
                    lock = "ctx.lock"
                held.add(lock)
                record = self.locks.setdefault(lock, Lock())
                record.takers.add("tnng_lock" if "tnng" in step["take"] else step["take"])
                record.functions.append(function)
            elif step["give"]:
                lock = name_of(step["given"], function.file)
                lock = "ctx.lock" if step["give"] == "tnng_pool_unlock" else lock
                if leaves := LEAVES.match(function.body, step.end()):
                    left[lock] = function.body.index(";", leaves.end())
                else:
                    held.discard(lock)
            else:
                callees = self._callees(function.file, step)
                held -= {lock for each in callees for lock in each.gives_up}
                names = {name for each in callees for name in self._reached(each)}
                if not callees and re.match(r"nn[gi]_", step["name"]):
                    names.add(step["name"])
                for lock in {each for each in held if left.get(each, 0) < step.start()}:
                    self.locks[lock].within |= names

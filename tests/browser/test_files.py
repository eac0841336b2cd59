"""The files of trionng.browser: what a build copies, and what the types say of it."""

from __future__ import annotations

import re
import subprocess
import sys

import trionng
from tests.support.javascript import Node
from tests.support.processes import ROOT, environment
from trionng.browser import SP_D_TS, SP_JS

CLASS = re.compile(r"^(?:export|declare) class (\w+).*?\{(.*?)^\}", re.MULTILINE | re.DOTALL)
METHOD = re.compile(r"^  (?:async )?(?!constructor)([a-z]\w*)\(", re.MULTILINE)


def test_module_has_at_most_150_lines_and_needs_no_other():
    """One can read it before one serves it."""
    text = SP_JS.read_text("utf-8")

    assert len(text.splitlines()) <= 150
    assert "import" not in text


async def test_types_name_what_the_module_has():
    """sp.d.ts has each class of sp.js with its methods, and no other."""
    script = """
        const methods = (prototype) => {
            if (prototype === Uint8Array.prototype || prototype === Object.prototype) return [];
            const own = Object.getOwnPropertyNames(prototype);
            const inherited = methods(Object.getPrototypeOf(prototype));
            return [...own.filter((name) => /^(?!constructor)[a-z]/.test(name)), ...inherited];
        };
        const found = Object.entries(sp).map(([name, kind]) => [name, methods(kind.prototype)]);
        return Object.fromEntries(found);
    """
    declared = {
        name: METHOD.findall(body) for name, body in CLASS.findall(SP_D_TS.read_text("utf-8"))
    }
    shared = declared.pop("Socket")
    for name in declared.keys() - {"Message"}:
        declared[name] += shared

    assert await Node().run(script) == declared


def test_reference_describes_each_class_and_method():
    """docs/reference/browser.md names all that a page can call."""
    page = (ROOT / "docs/reference/browser.md").read_text("utf-8")
    described = {
        *re.findall(r"^\.\. js:class:: (\w+)", page, re.MULTILINE),
        *re.findall(r"\.\. js:(?:method|function):: (\w+)", page),
    }
    types = SP_D_TS.read_text("utf-8")
    declared = {name for name, _ in CLASS.findall(types)} | set(METHOD.findall(types))

    assert described == declared - {"Socket"}


def test_import_of_trionng_does_not_import_browser():
    """It is imported by name, and then imports no sockets."""
    code = "import sys, trionng; sys.exit('trionng.browser' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env=environment(), check=False)

    assert done.returncode == 0
    assert SP_JS.parent.parent.samefile(next(iter(trionng.__path__)))

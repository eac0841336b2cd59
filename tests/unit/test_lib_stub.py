"""trionng/_ffi/lib.pyi: type checkers see the functions and constants of C as they are."""

from __future__ import annotations

import ast
import inspect

from tools.lib_stub import STUB, stub
from trionng._ffi.load import ffi, lib

TREE = ast.parse(STUB.read_text(encoding="utf-8"))


def test_stub_is_what_the_native_module_has():
    """It was written from the module that is built; tools/lib_stub.py writes it again."""
    assert STUB.read_text(encoding="utf-8") == stub()


def test_stub_has_each_function_with_its_number_of_arguments():
    """A call with too few or too many arguments is an error of types."""
    functions = {
        node.name: len(node.args.posonlyargs)
        for node in TREE.body
        if isinstance(node, ast.FunctionDef)
    }

    assert len(functions) > 100
    assert functions == {
        name: len(ffi.typeof(getattr(lib, name)).args)
        for name in dir(lib)
        if inspect.isbuiltin(getattr(lib, name))
    }


def test_stub_has_each_constant():
    """So has a name that C does not have, which is an error of types too."""
    names = {node.target.id for node in TREE.body if isinstance(node, ast.AnnAssign)}  # type: ignore[union-attr]

    assert names == {name for name in dir(lib) if not inspect.isbuiltin(getattr(lib, name))}

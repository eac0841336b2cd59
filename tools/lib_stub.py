"""Writes trionng/_ffi/lib.pyi, the types of what Python calls in C, from the built module.

    .venv/bin/python tools/lib_stub.py

cffi says what each function takes and returns; the names of arguments are those of nng/api/*.h.
tests/unit/test_lib_stub.py fails when the file is not what this writes.
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Protocol

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from build_ffi import ROOT, declarations
from trionng._ffi.load import ffi, lib

STUB = ROOT / "trionng" / "_ffi" / "lib.pyi"
# The structs that modules outside _ffi read.
STRUCTS = (
    *("tnng_addr", "tnng_dialer_state", "tnng_pipe_info"),
    *("tnng_service_stats", "tnng_socket_stats"),
)
HEAD = '''"""What Python calls in C. tools/lib_stub.py writes this file from nng/api/*.h."""

from trionng._ffi.types import Chars, Pointer as P

'''
WIDTH = 100


class CType(Protocol):
    """A type of C, as cffi describes it."""

    kind: str
    cname: str
    item: CType
    args: tuple[CType, ...]
    result: CType


def arguments_of(cdef: str) -> dict[str, list[tuple[str, bool]]]:
    """Return the arguments of each function: name, and whether it is bytes that C only reads.

    An argument without a name has that of its type.
    """
    functions = {}
    for function, arguments in re.findall(r"\b(\w+)\(((?:[^();]|\([^()]*\))*)\);", cdef):
        found: dict[str, bool] = {}
        for text in [] if arguments == "void" else re.split(r",(?![^(]*\))", arguments):
            words = re.findall(r"\w+", re.sub(r"\)\(.*", "", text))
            name = words[-1].removeprefix("tnng_").removesuffix("_t")
            name = {"char": "data", "nng_msg": "msg", "nng_tls_config": "config"}.get(name, name)
            name = f"{name}_{len(found)}" if name in found else name
            found[name] = bool(re.search(r"const (char|void) \*(?!const)", text))
        functions[function] = list(found.items())
    return functions


def python_type(kind: CType) -> str:
    """Return what cffi makes of a C type."""
    if kind.kind == "primitive":
        return "bool" if kind.cname == "_Bool" else "int"
    struct = kind.item if kind.kind == "pointer" else kind
    return "None" if kind.kind == "void" else struct.cname if struct.cname in STRUCTS else "P"


def function_line(name: str, kind: CType, named: list[tuple[str, bool]]) -> str:
    arguments = [
        f"{argument}: {'Chars' if is_read else python_type(each)}"
        for (argument, is_read), each in zip(named, kind.args, strict=True)
    ]
    arguments += ["/"] if arguments else []
    end = f"-> {python_type(kind.result)}: ..."
    line = f"def {name}({', '.join(arguments)}) {end}"
    if len(line) <= WIDTH:
        return line
    inner = f"    {', '.join(arguments)}"
    if len(inner) > WIDTH:
        inner = ",\n".join(f"    {each}" for each in arguments) + ","
    return f"def {name}(\n{inner}\n) {end}"


def stub() -> str:
    """Return the text of the stub."""
    arguments = arguments_of(re.sub(r"/\*.*?\*/", "", declarations(), flags=re.DOTALL))
    constants, functions = [], []
    for name in sorted(dir(lib)):
        thing = getattr(lib, name)
        if isinstance(thing, int):
            constants.append(f"{name}: int")
        elif not inspect.isbuiltin(thing):
            constants.append(f"{name}: P  # calls a function of Python")
        else:
            functions.append(function_line(name, ffi.typeof(thing), arguments[name]))
    structs = [
        "\n".join(
            [
                f"class {name}:",
                *(f"    {field}: {python_type(each.type)}" for field, each in fields),
                "",
            ]
        )
        for name in STRUCTS
        for fields in [ffi.typeof(name).fields]
    ]
    return HEAD + "\n".join([*structs, *constants, "", *functions, ""])


if __name__ == "__main__":
    STUB.write_text(stub(), encoding="utf-8")

"""Names as users know them: errors, `help`, pickles and type hints show public names only.

Python takes "SocketBase.listen() got an unexpected keyword argument" and "coroutine 'AsyncIO.send'
was never awaited" from a function's qualified name. So a method that a public class inherits from a
private one gets the name of the public class here.
"""

from __future__ import annotations

import builtins
import collections.abc
import inspect
import sys
import types
import typing
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# A method that all sockets, or all contexts, share is named after their public base.
_BASES: Final = ("Socket", "Context")

# The names of the standard library in annotations, as far as this Python has them.
_TYPES: Final = (
    *("AsyncIterator", "Awaitable", "Buffer", "Callable", "Iterable", "Iterator", "Mapping"),
    *("Never", "NoReturn", "Self", "Unpack"),
)
_BUFFER: Final = bytes | bytearray | memoryview


def publish(module: str, names: dict[str, object]) -> None:
    """Make a module a public face: its `__all__`, and the names its objects show.

    Tracebacks, `help` and pickles then say `trionng.Timeout`, where a user finds it, and
    `typing.get_type_hints` can evaluate the annotations of whatever is public.
    """
    public = {name: thing for name, thing in names.items() if not name.startswith("_")}
    names["__all__"] = sorted(public)
    for thing in public.values():
        if getattr(thing, "__module__", "").startswith("trionng._"):
            thing.__module__ = module
    classes = {name: each for name, each in public.items() if isinstance(each, type)}
    ours = dict.fromkeys(
        each
        for kind in classes.values()
        for each in kind.__mro__
        if each.__module__.startswith("trionng")
    )
    for each in ours:
        if each not in classes.values():
            _rename_methods(each, classes)
    functions = [each for each in public.values() if inspect.isfunction(each)]
    functions += [each for kind in ours for each in _functions_of(kind)]
    _complete([inspect.unwrap(each).__globals__ for each in functions], public)


def _functions_of(kind: type) -> Iterator[types.FunctionType]:
    for each in vars(kind).values():
        for function in (each.fget, each.fset) if isinstance(each, property) else (each,):
            if isinstance(function, types.FunctionType):
                yield function


def _rename_methods(private: type, classes: Mapping[str, type]) -> None:
    users = [name for name, kind in classes.items() if issubclass(kind, private)]
    bases = [
        base for base in _BASES if any(issubclass(classes[user], classes[base]) for user in users)
    ]
    name = bases[0] if bases else users[0] if len(users) == 1 else private.__name__.strip("_")
    for function in _functions_of(private):
        if function.__qualname__.startswith(f"{private.__name__}."):
            function.__qualname__ = f"{name}.{function.__name__}"


def _complete(namespaces: Iterable[dict[str, object]], public: Mapping[str, object]) -> None:
    """Give modules the names that their annotations use, and that they import for checkers only."""
    known = {
        name: thing
        for path, module in sorted(sys.modules.items())
        if path.startswith("trionng.")
        for name, thing in vars(module).items()
        if isinstance(thing, (type, types.UnionType)) or hasattr(thing, "__origin__")
    }
    known |= {name: _find(name) for name in _TYPES} | dict(public)
    known |= {"builtins": builtins, "_ffi": sys.modules["trionng._ffi"]}
    for namespace in {id(each): each for each in namespaces}.values():
        for name, thing in known.items():
            namespace.setdefault(name, thing)


def _find(name: str) -> object:
    for module in (collections.abc, typing, sys.modules.get("typing_extensions")):
        if hasattr(module, name):
            return getattr(module, name)
    return _BUFFER if name == "Buffer" else typing.Any

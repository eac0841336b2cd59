"""Names as users know them (floor 1): Python's own errors are not to name private classes.

"SocketBase.listen() got an unexpected keyword argument" and "coroutine 'AsyncIO.send' was never
awaited" come from a function's qualified name. Methods that public classes inherit from private
ones get the name of the public one here.
"""

from __future__ import annotations

import itertools
import types
from typing import Final

# What all sockets, and all contexts, have is called by the name of their base.
_BASES: Final = ("Socket", "Context")


def publish(module: str, names: dict[str, object]) -> None:
    """Make a module a public face: its `__all__`, and the names its objects show.

    Tracebacks, `help` and pickles then say `trionng.Timeout`, where a user finds it.
    """
    public = {name: thing for name, thing in names.items() if not name.startswith("_")}
    names["__all__"] = sorted(public)
    for thing in public.values():
        if getattr(thing, "__module__", "").startswith("trionng._"):
            thing.__module__ = module
    classes = {name: each for name, each in public.items() if isinstance(each, type)}
    for each in dict.fromkeys(
        itertools.chain.from_iterable(each.__mro__ for each in classes.values())
    ):
        if each.__module__.startswith("trionng") and each not in classes.values():
            users = [name for name, kind in classes.items() if issubclass(kind, each)]
            bases = [
                base
                for base in _BASES
                if any(issubclass(classes[name], classes[base]) for name in users)
            ]
            _rename(
                each,
                bases[0] if bases else users[0] if len(users) == 1 else each.__name__.strip("_"),
            )


def _rename(private: type, name: str) -> None:
    for each in vars(private).values():
        functions = (each.fget, each.fset) if isinstance(each, property) else (each,)
        for function in functions:
            if isinstance(function, types.FunctionType) and function.__qualname__.startswith(
                f"{private.__name__}."
            ):
                function.__qualname__ = f"{name}.{function.__name__}"

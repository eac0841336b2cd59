"""Names as users know them: errors, `help` and pickles show public names only.

Python takes "SocketBase.listen() got an unexpected keyword argument" and "coroutine 'AsyncIO.send'
was never awaited" from a function's qualified name. So a method that a public class inherits from a
private one gets the name of the public class here.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator, Mapping
from typing import Final

# A method that all sockets, or all contexts, share is named after their public base.
_BASES: Final = ("Socket", "Context")


def publish(module: str, names: dict[str, object]) -> None:
    """Make a module a public face: its `__all__`, and the names its objects show.

    Tracebacks, `help` and pickles then say `trionng.Timeout`, where a user finds it.
    """
    # pytest adds names such as "@py_builtins" to the modules of a package that brings a plugin.
    public = {name: thing for name, thing in names.items() if name[0].isalpha()}
    names["__all__"] = sorted(public)
    for thing in public.values():
        _move(thing, module)
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
            _move(each, module)  # `help` lists it among the bases of a public class


def _move(thing: object, module: str) -> None:
    if getattr(thing, "__module__", "").startswith("trionng._"):
        if isinstance(thing, type):  # `typing.get_type_hints` reads names in that module
            found = inspect.get_annotations(thing, eval_str=True)
            thing.__annotations__ = {name: found[name] for name in found if name[0] != "_"}
            for function in _functions_of(thing):
                # From Python 3.13 on `help` says where it is from.
                function.__module__ = module
                if "<locals>" in function.__qualname__:  # attrs made it
                    function.__qualname__ = f"{thing.__qualname__}.{function.__name__}"
        thing.__module__ = module


def _functions_of(kind: type) -> Iterator[types.FunctionType]:
    for each in vars(kind).values():
        inside = getattr(each, "__func__", each)  # of a class method or a static one
        for function in (each.fget, each.fset) if isinstance(each, property) else (inside,):
            if isinstance(function, types.FunctionType):
                yield function


def _rename_methods(private: type, classes: Mapping[str, type]) -> None:
    users = [name for name, kind in classes.items() if issubclass(kind, private)]
    bases = [
        base
        for base in _BASES
        if base in classes and any(issubclass(classes[user], classes[base]) for user in users)
    ]
    name = bases[0] if bases else users[0] if len(users) == 1 else private.__name__.strip("_")
    for function in _functions_of(private):
        if function.__qualname__.startswith(f"{private.__name__}."):
            function.__qualname__ = f"{name}.{function.__name__}"
            # Before Trio 0.27 enable_ki_protection wraps, and the function inside makes messages.
            inspect.unwrap(function).__qualname__ = function.__qualname__

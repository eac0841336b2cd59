"""Arguments of the constructors of sockets: their signature, and refusals that say what to write.

Python's own errors would name private classes: "SocketBase.__init__() takes 1 positional
argument". A class that a user derives with an `__init__` of its own may take what it likes.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, TypeVar

from trionng._base.errors import shown
from trionng._base.util import meant

F = TypeVar("F")

_OF: Final = {
    "topics": "Sub0",
    "prefer_new": "Sub0",
    "resend_time": "Req0",
    "survey_time": "Surveyor0",
    "polyamorous": "Pair1",
}
_INSTEAD: Final = {
    "block_on_dial": "say it where it dials, as in dial(url, block=True)",
    "async_backend": "`trionng` is for Trio, and `trionng.blocking` for threads",
    "timeout": "there are recv_timeout and send_timeout, in milliseconds",
    "subscribe": "what it subscribes to is given as topics=",
    "url": "a URL is given as listen= or as dial=",
    "address": "a URL is given as listen= or as dial=",
    "bind": "a URL to accept connections on is given as listen=",
    "connect": "a URL to connect to is given as dial=",
}


def signature_of(kind: type) -> inspect.Signature:
    """Return what a socket's class takes, with the arguments of every socket written out."""
    parameters: dict[str, inspect.Parameter] = {}
    takes_more = False
    for each in kind.__mro__:
        if "__init__" not in vars(each):
            continue
        own = list(inspect.signature(vars(each)["__init__"]).parameters.values())[1:]
        takes_more = any(one.kind is one.VAR_KEYWORD for one in own)
        parameters |= {
            one.name: one
            for one in own
            if one.kind is not one.VAR_KEYWORD and one.name not in parameters
        }
        if not takes_more:
            break
    ordered = sorted(parameters.values(), key=lambda one: one.kind)
    return inspect.Signature(ordered)


def refuse_arguments(
    kind: type, misplaced: tuple[object, ...], options: Mapping[str, object]
) -> None:
    """Raise a TypeError that says how to make a socket, unless the class has its own `__init__`."""
    init = getattr(kind, "__init__", None)
    if getattr(init, "__module__", "").partition(".")[0] != "trionng":
        return
    name = kind.__name__
    if misplaced:
        first = misplaced[0]
        if isinstance(first, (str, bytes)):
            url = shown(repr(first))
            raise TypeError(
                f"{name}: say what the URL is for: {name}(listen={url}) accepts connections, "
                f"{name}(dial={url}) connects"
            )
        raise TypeError(f"{name}: arguments are given by name, as in {name}(listen=url)")
    known = signature_of(kind).parameters
    for option in options:
        if option not in known:
            other = _OF.get(option)
            why = f"; {other} has" if other else ""
            if option in _INSTEAD:
                why = f": {_INSTEAD[option]}"
            raise TypeError(f"{name} has no argument {option!r}{why or meant(option, known)}")


class TakesNames:
    """A class whose constructor takes arguments by name, and whose signature lists them."""

    if not TYPE_CHECKING:  # a checker knows by itself what `__init__` takes

        def __init_subclass__(cls, **options: object) -> None:
            super().__init_subclass__(**options)
            cls.__signature__ = signature_of(cls)
            cls._argument_names = frozenset(cls.__signature__.parameters)

        def __new__(cls, *misplaced: object, **options: object) -> TakesNames:
            if misplaced or not cls._argument_names.issuperset(options):
                refuse_arguments(cls, misplaced, options)
            return super().__new__(cls)


if TYPE_CHECKING:

    def suggests(method: F) -> F:
        """Add to the TypeError for an unknown option the name of the nearest one."""
        return method
else:

    def suggests(method: F) -> F:
        """Add to the TypeError for an unknown option the name of the nearest one."""
        known = inspect.signature(method).parameters

        def check(instance: object, options: Mapping[str, object]) -> None:
            for option in options.keys() - known.keys():
                name = f"{type(instance).__name__}.{method.__name__}"
                raise TypeError(f"{name} has no argument {option!r}{meant(option, known)}")

        @functools.wraps(method)
        def call(self: object, *arguments: object, **options: object) -> object:
            if options:
                check(self, options)
            return method(self, *arguments, **options)

        @functools.wraps(method)
        async def call_async(self: object, *arguments: object, **options: object) -> object:
            if options:
                check(self, options)
            return await method(self, *arguments, **options)

        return call_async if inspect.iscoroutinefunction(method) else call

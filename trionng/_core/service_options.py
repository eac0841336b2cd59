"""The options of `serve_*` and `run_*` in both APIs, each stated once, with its default.

A function takes its options as `**options`. A TypedDict beside the function tells type checkers
which options it has. `OptionSet` reads them and makes `help` and `inspect.signature` show each.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Final, TypedDict, TypeVar, get_type_hints

import attrs

from trionng._base.errors import InvalidOperation
from trionng._base.util import meant
from trionng._core.admission import Admission
from trionng._core.endpoints import DialerBase, ListenerBase
from trionng._core.pipes import PipeBase
from trionng._core.socket import SocketBase
from trionng._core.tls import TLSConfig

AnySocket = SocketBase[DialerBase, ListenerBase, PipeBase]
Urls = str | bytes | Iterable[str | bytes] | None
Topics = str | bytes | Iterable[str | bytes] | None

F = TypeVar("F")
S = TypeVar("S", bound=AnySocket)

# No more tasks or threads than this are worth having for the messages of one socket.
_MOST_WORKERS: Final = 65536
_MOST_UNREAD: Final = 65536


class ServeOptions(TypedDict, total=False):
    """The options that every `serve_*` and `run_*` has."""

    listen: Urls
    dial: Urls
    tls_config: TLSConfig | None
    accept: Admission | None
    recv_max_size: int | None
    workers: int


@attrs.frozen(kw_only=True)
class ServiceOptions:
    """Where a service is, and how it works."""

    listen: Urls = None
    dial: Urls = None
    socket: AnySocket | None = None
    tls_config: TLSConfig | None = None
    accept: Admission | None = None
    recv_max_size: int | None = None
    topics: Topics = None
    workers: int = 8
    messages: bool = False
    on_error: object = None
    max_unread: int = 64
    cancel_on_disconnect: bool = False

    def check(self, name: str, kind: type[S]) -> S | None:
        """Refuse what cannot be served, before anything is opened; return the socket to serve on.

        None: the service opens one.
        """
        for option, most in (("workers", _MOST_WORKERS), ("max_unread", _MOST_UNREAD)):
            number = getattr(self, option)
            if isinstance(number, bool) or not isinstance(number, int):
                raise TypeError(f"{name}: {option} is a number, not {type(number).__name__}")
            if not 1 <= number <= most:
                raise InvalidOperation(f"{name}: {option}={number} is not 1 to {most}")
        if self.socket is None:
            if self.listen is None and self.dial is None:
                raise TypeError(f"{name}: say where: listen=, dial= or socket=")
            if self.accept is not None and self.listen is None:
                raise TypeError(f"{name}: accept= is a rule for listeners: it needs listen=")
            return None
        for option in ("listen", "dial", "tls_config", "accept", "recv_max_size"):
            if getattr(self, option) is not None:
                raise TypeError(f"{name}: socket= has its own endpoints and options: no {option}=")
        if not isinstance(self.socket, kind):
            given = type(self.socket)
            other = f" of {given.__module__}" if given.__name__ == kind.__name__ else ""
            raise TypeError(f"{name}: socket is a {kind.__name__}, not {given.__name__}{other}")
        if self.socket.raw:
            raise InvalidOperation(f"{name}: a raw socket has no requests: use trionng.forward")
        return self.socket


class OptionSet:
    """The options of one kind of service."""

    def __init__(self, *options: type, **defaults: object) -> None:
        """Take the options of these TypedDicts; `defaults` are those that differ."""
        self._defaults = {each.name: each.default for each in attrs.fields(ServiceOptions)}
        self._defaults |= defaults
        self._types = {
            name: annotation.__forward_arg__
            for each in options
            for name, annotation in each.__annotations__.items()
        }
        self._hints = {
            name: kind for each in options for name, kind in get_type_hints(each).items()
        }

    def show(self, function: F) -> F:
        """Let `help` and `inspect.signature` show `**options` one by one, as those of a socket."""
        signature = inspect.signature(function)  # type: ignore[arg-type]
        own = [each for each in signature.parameters.values() if each.name != "options"]
        options = [
            inspect.Parameter(
                name, own[0].KEYWORD_ONLY, default=self._defaults[name], annotation=text
            )
            for name, text in self._types.items()
        ]
        vars(function)["__signature__"] = signature.replace(parameters=[*own, *options])
        del function.__annotations__["options"]
        function.__annotations__.update(self._hints)
        return function

    def read(self, function: str, given: Mapping[str, object]) -> ServiceOptions:
        """Return what was given, and defaults; an unknown option is refused in Python's words."""
        for option in given:
            if option not in self._types:
                raise TypeError(
                    f"{function}() got an unexpected keyword argument {option!r}"
                    f"{meant(option, self._types)}"
                )
        known = {name: self._defaults[name] for name in self._types}
        return ServiceOptions(**{**known, **given})  # type: ignore[arg-type]

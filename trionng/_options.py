"""Options as typed attributes (floor 3).

A descriptor is one option of nng: it checks type and range before nng sees the value, and turns
    nng's refusal into an exception that names the attribute and where it was set.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Protocol, overload

from trionng import _ffi
from trionng._errors import BadState, InvalidOperation, error_for

if TYPE_CHECKING:
    from typing_extensions import Self

INT_MAX: Final = 2**31 - 1
# "No limit" reaches nng as this: 0 would let a peer crash the process (NNG-FACTS S1, in nng up to
# 1.12).
NO_LIMIT: Final = 0xFFFFFFFF


class HasOptions(Protocol):
    """What an option is read from and written to."""

    def _option_target(self) -> tuple[int, int, str | None]:
        """Return what kind of nng object this is, its id, and its URL."""

    @property
    def _header_room(self) -> int:
        """Return how many bytes of protocol header messages have here."""


def check_int(name: str, value: object, low: int, high: int) -> int:
    """Return an int in a range, or raise what tells the caller how to say it."""
    if isinstance(value, float) and name.endswith(("timeout", "time", "min", "max")):
        raise TypeError(f"{name} is in integer milliseconds: {int(value * 1000)} for {value} s")
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is an int, not {type(value).__name__}")
    if not low <= value <= high:
        raise InvalidOperation(f"{name}: {value} is not between {low} and {high}")
    return value


class IntOption:
    """An int of nng, in a range. Times are in milliseconds, -1 is for ever."""

    def __init__(
        self, nng_name: str, kind: str, low: int = 0, high: int = INT_MAX, *, writable: bool = True
    ) -> None:
        self._nng_name = nng_name
        self._kind = kind
        self._low = low
        self._high = high
        self._writable = writable
        self._name = nng_name

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, obj: None, owner: type) -> Self: ...
    @overload
    def __get__(self, obj: HasOptions, owner: type) -> int: ...
    def __get__(self, obj: HasOptions | None, owner: type) -> Self | int:
        if obj is None:
            return self
        return self._read(obj)

    def _read(self, obj: HasOptions) -> int:
        on, number, url = obj._option_target()
        code, value = _ffi.get_number(on, number, self._kind, self._nng_name)
        if code != 0:
            raise error_for(code, f"get {self._name}", url)
        return value

    def __set__(self, obj: HasOptions, value: int) -> None:
        self._write(obj, self._check(value))

    def _check(self, value: object) -> int:
        if not self._writable:
            raise AttributeError(f"{self._name} can only be read")
        return check_int(self._name, value, self._low, self._high)

    def _write(self, obj: HasOptions, value: int) -> None:
        on, number, url = obj._option_target()
        code = _ffi.set_number(on, number, self._kind, self._nng_name, value)
        if code != 0:
            raise error_for(code, f"set {self._name}", url)


class BufferSize(IntOption):
    """How many messages a queue holds.

    C8: nng, up to 1.12 at least, reads past its array when a queue that holds messages is made
    smaller. On the sockets that have such queues the size is fixed by the first endpoint.
    """

    def _write(self, obj: HasOptions, value: int) -> None:
        if getattr(obj, "_buffers_are_fixed", False):
            raise BadState(f"set {self._name}: only before the first listen or dial")
        super()._write(obj, value)


class SizeLimit(IntOption):
    """The largest message a peer may send, in bytes; 0 is no limit.

    nng counts the protocol's header as well, so it gets a limit that has room for one. What came
    through devices has four bytes more for each of them, and they count.
    """

    def __init__(self) -> None:
        super().__init__("recv-size-max", "size", 0, NO_LIMIT)

    def _read(self, obj: HasOptions) -> int:
        on, number, url = obj._option_target()
        code, value = _ffi.get_max_message(on, number, obj._header_room)
        if code != 0:
            raise error_for(code, f"get {self._name}", url)
        return value

    def _write(self, obj: HasOptions, value: int) -> None:
        on, number, url = obj._option_target()
        code = _ffi.set_max_message(on, number, value, obj._header_room)
        if code != 0:
            raise error_for(code, f"set {self._name}", url)


class BoolOption:
    """A bool of nng."""

    def __init__(self, nng_name: str, *, writable: bool = True) -> None:
        self._nng_name = nng_name
        self._writable = writable
        self._name = nng_name

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, obj: None, owner: type) -> Self: ...
    @overload
    def __get__(self, obj: HasOptions, owner: type) -> bool: ...
    def __get__(self, obj: HasOptions | None, owner: type) -> Self | bool:
        if obj is None:
            return self
        on, number, url = obj._option_target()
        code, value = _ffi.get_number(on, number, "bool", self._nng_name)
        if code != 0:
            raise error_for(code, f"get {self._name}", url)
        return bool(value)

    def __set__(self, obj: HasOptions, value: bool) -> None:
        if not self._writable:
            raise AttributeError(f"{self._name} can only be read")
        if not isinstance(value, bool):
            raise TypeError(f"{self._name} is a bool, not {type(value).__name__}")
        on, number, url = obj._option_target()
        code = _ffi.set_number(on, number, "bool", self._nng_name, value)
        if code != 0:
            raise error_for(code, f"set {self._name}", url)


class TextOption:
    """A string of nng."""

    def __init__(self, nng_name: str, *, writable: bool = True) -> None:
        self._nng_name = nng_name
        self._writable = writable
        self._name = nng_name

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, obj: None, owner: type) -> Self: ...
    @overload
    def __get__(self, obj: HasOptions, owner: type) -> str: ...
    def __get__(self, obj: HasOptions | None, owner: type) -> Self | str:
        if obj is None:
            return self
        on, number, url = obj._option_target()
        code, value = _ffi.get_text(on, number, self._nng_name)
        if code != 0:
            raise error_for(code, f"get {self._name}", url)
        return value

    def __set__(self, obj: HasOptions, value: str) -> None:
        if not self._writable:
            raise AttributeError(f"{self._name} can only be read")
        if not isinstance(value, str):
            raise TypeError(f"{self._name} is a str, not {type(value).__name__}")
        on, number, url = obj._option_target()
        code = _ffi.set_text(on, number, self._nng_name, value)
        if code != 0:
            raise error_for(code, f"set {self._name}", url)


class TimeoutOption:
    """A timeout in milliseconds that trionng keeps itself: nng's clock can jump, Trio's cannot.

    -1 waits for ever, 0 polls.
    """

    def __init__(self, default: int = -1) -> None:
        self._default = default

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name
        self._slot = f"_{name}_ms"

    @overload
    def __get__(self, obj: None, owner: type) -> Self: ...
    @overload
    def __get__(self, obj: object, owner: type) -> int: ...
    def __get__(self, obj: object | None, owner: type) -> Self | int:
        if obj is None:
            return self
        # Not through `__dict__`: an instance whose dict was looked at is larger.
        value: int = getattr(obj, self._slot, self._default)
        return value

    def __set__(self, obj: object, value: int) -> None:
        setattr(obj, self._slot, check_int(self._name, value, -1, INT_MAX))


def seconds(milliseconds: int) -> float:
    """Return a timeout option in Trio's terms."""
    return math.inf if milliseconds < 0 else milliseconds / 1000

"""Options of nng as typed attributes (descriptors).

Each descriptor stands for one option. It checks type and range before nng gets the value, and turns
nng's refusal into an exception that names the attribute and the URL. Options of a closed object
raise Closed; values that trionng keeps itself can still be read.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar, overload

from trionng import _ffi
from trionng._base.errors import (
    EINVAL,
    ENOTSUP,
    EREADONLY,
    ESTATE,
    InvalidOperation,
    error_for,
    shown,
)
from trionng._base.types import Never, Self
from trionng._core.option_texts import text_of

H = TypeVar("H")
V = TypeVar("V")

INT_MAX: Final = 2**31 - 1
# "No limit" reaches nng as this: 0 would let a peer crash the process (S1).
NO_LIMIT: Final = 0xFFFFFFFF
_TEXT_MAX: Final = 63
# L1
_LEAKS: Final = (
    "libnng before 1.6 never closes this descriptor of a Pair0; use Pair1, or a later libnng"
)


class HasOptions(Protocol):
    """An object that has options."""

    def _option_target(self, attempted: str) -> tuple[int, int, str | None]:
        """Return what kind of nng object this is, its id, and its URL; or raise Closed."""


class HasSizeLimit(HasOptions, Protocol):
    """An object that has a size limit."""

    @property
    def _header_room(self) -> int:
        """Return how many bytes of protocol header messages have here."""


def check_int(
    attempted: str, value: object, low: int, high: int, *, ms: bool = False, url: str | None = None
) -> int:
    """Return an int in a range, or raise an exception that says how to write it."""
    where = shown(f"{attempted} {url}" if url else attempted)
    if isinstance(value, float) and ms:
        instead = f"{round(value * 1000)} for {value} s" if math.isfinite(value) else "-1 for ever"
        raise TypeError(f"{where}: a time is an int of milliseconds, {instead}")
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{where}: an int is needed, not {type(value).__name__}")
    if not low <= value <= high:
        raise InvalidOperation(f"{where}: {value} is not between {low} and {high}", url=url)
    return value


def set_int(
    obj: HasOptions, name: str, value: object, low: int, high: int, *, ms: bool = False
) -> int:
    """Check a value that trionng keeps itself, of an open object."""
    attempted = f"set {type(obj).__name__}.{name}"
    url = obj._option_target(attempted)[2]
    return check_int(attempted, value, low, high, ms=ms, url=url)


class Attribute(Generic[H, V]):
    """An attribute of objects of one kind, with values of one type."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name
        self.__doc__ = text_of(owner, name)

    @overload
    def __get__(self, obj: None, owner: type) -> Self: ...
    @overload
    def __get__(self, obj: H, owner: type) -> V: ...
    def __get__(self, obj: H | None, owner: type) -> Self | V:
        return self if obj is None else self._get(obj)

    def _get(self, obj: H) -> V:
        raise NotImplementedError


class _Option(Attribute[H, V]):
    """What the options of all types share: access through `_ffi`, and exceptions."""

    def __init__(self, nng_name: str, kind: str, *, writable: bool = True) -> None:
        self._nng_name = nng_name
        self._kind = kind
        self._writable = writable
        self._name = nng_name

    def _attempted(self, verb: str, obj: HasOptions) -> str:
        return f"{verb} {type(obj).__name__}.{self._name}"

    def _read(self, obj: HasOptions) -> int:
        attempted = self._attempted("get", obj)
        on, number, url = obj._option_target(attempted)
        code, value = _ffi.get_number(on, number, self._kind, self._nng_name)
        if code != 0:
            raise error_for(code, attempted, url)
        return value

    def _write(self, obj: HasOptions, value: int) -> None:
        attempted = self._attempted("set", obj)
        on, number, url = obj._option_target(attempted)
        code = _ffi.set_number(on, number, self._kind, self._nng_name, value)
        if code != 0:
            raise error_for(code, attempted, url)

    def _may_write(self, obj: HasOptions) -> tuple[str, str | None]:
        """Return what is attempted, and where."""
        attempted = self._attempted("set", obj)
        url = obj._option_target(attempted)[2]
        if not self._writable:
            raise error_for(EREADONLY, attempted, url, "it can only be read")
        return attempted, url

    def _check_type(self, obj: HasOptions, value: object, kind: type) -> None:
        attempted, url = self._may_write(obj)
        if not isinstance(value, kind):
            where = shown(f"{attempted} {url}" if url else attempted)
            raise TypeError(f"{where}: a {kind.__name__} is needed, not {type(value).__name__}")


class IntOption(_Option[HasOptions, int]):
    """An int of nng, in a range. Times are in milliseconds, -1 is for ever."""

    def __init__(
        self, nng_name: str, kind: str, low: int = 0, high: int = INT_MAX, *, writable: bool = True
    ) -> None:
        super().__init__(nng_name, kind, writable=writable)
        self._low = low
        self._high = high

    def _get(self, obj: HasOptions) -> int:
        return self._read(obj)

    def __set__(self, obj: HasOptions, value: int) -> None:
        attempted, url = self._may_write(obj)
        is_time = self._kind == "ms"
        self._write(obj, check_int(attempted, value, self._low, self._high, ms=is_time, url=url))


class BufferSize(IntOption):
    """How many messages a queue holds.

    C8: nng, up to 1.12 at least, reads past its array when a queue that holds messages is made
    smaller. On the sockets that have such queues the size is fixed by the first endpoint.

    `send_buffer_size` of a polyamorous Pair1, and of Bus0 before nng 1.6, makes loss worse: nng
    empties that queue at once into those of the connections, which hold 2 and 16 messages, and
    drops what they have no room for. Without it each send waits until nng has passed the one before
    it on, and that paces the sender.
    """

    def _write(self, obj: HasOptions, value: int) -> None:
        if getattr(obj, "_buffers_are_fixed", False):
            attempted, url = self._may_write(obj)
            raise error_for(ESTATE, attempted, url, "only before the first listen or dial")
        super()._write(obj, value)


class SizeLimit(_Option[HasSizeLimit, int]):
    """The largest message a peer may send, in bytes; 0 is no limit.

    nng counts the protocol's header as well, so it gets a limit that has room for one. What came
    through devices has four bytes more for each of them, and they count.
    """

    def __init__(self) -> None:
        super().__init__("recv-size-max", "size")

    def _get(self, obj: HasSizeLimit) -> int:
        attempted = self._attempted("get", obj)
        on, number, url = obj._option_target(attempted)
        code, value = _ffi.get_max_message(on, number, obj._header_room)
        if code != 0:
            raise error_for(code, attempted, url)
        return value

    def __set__(self, obj: HasSizeLimit, value: int) -> None:
        attempted, url = self._may_write(obj)
        check_int(attempted, value, 0, NO_LIMIT, url=url)
        on, number, _ = obj._option_target(attempted)
        code = _ffi.set_max_message(on, number, value, obj._header_room)
        if code != 0:
            raise error_for(code, attempted, url)


class BoolOption(_Option[HasOptions, bool]):
    """A bool of nng."""

    def __init__(self, nng_name: str, *, writable: bool = True) -> None:
        super().__init__(nng_name, "bool", writable=writable)

    def _get(self, obj: HasOptions) -> bool:
        return bool(self._read(obj))

    def __set__(self, obj: HasOptions, value: bool) -> None:
        self._check_type(obj, value, bool)
        self._write(obj, value)


class TextOption(_Option[HasOptions, str]):
    """A string of nng that can only be read."""

    def __init__(self, nng_name: str) -> None:
        super().__init__(nng_name, "text", writable=False)

    def _get(self, obj: HasOptions) -> str:
        return self._read_text(obj)

    def _read_text(self, obj: HasOptions) -> str:
        attempted = self._attempted("get", obj)
        on, number, url = obj._option_target(attempted)
        code, value = _ffi.get_text(on, number, self._nng_name)
        if code != 0:
            raise error_for(code, attempted, url)
        return value

    def __set__(self, obj: HasOptions, value: str) -> None:
        self._may_write(obj)


class NameOption(TextOption):
    """The name of a socket, UTF-8 of at most 63 bytes.

    nng, 1.5 at least, copies a name without its end, so that a shorter one keeps the rest of the
    one before. What was set is remembered here.
    """

    _slot = "_given_name"

    def __init__(self) -> None:
        super().__init__("socket-name")
        self._writable = True

    def _read_text(self, obj: HasOptions) -> str:
        in_nng = super()._read_text(obj)
        given: str = getattr(obj, self._slot, in_nng)
        return given

    def __set__(self, obj: HasOptions, value: str) -> None:
        self._check_type(obj, value, str)
        attempted = self._attempted("set", obj)
        on, number, url = obj._option_target(attempted)
        # nng would cut it short at a NUL, and refuse what is longer without saying why.
        size = len(value.encode(errors="surrogatepass"))
        if "\0" in value or size > _TEXT_MAX or any("\ud800" <= each <= "\udfff" for each in value):
            reason = f"it is UTF-8 of at most {_TEXT_MAX} bytes, none of them 0"
            raise error_for(EINVAL, attempted, url, reason)
        code = _ffi.set_text(on, number, self._nng_name, value)
        if code != 0:
            raise error_for(code, attempted, url)
        setattr(obj, self._slot, value)


class HasDescriptors(HasOptions, Protocol):
    """A socket that has descriptors for other event loops."""

    _native: _ffi.NativeSocket
    _ctx: _ffi.Context


class _Descriptor(_Option[HasDescriptors, int]):
    """A file descriptor, opened when it is first read."""

    def __init__(self, nng_name: str, open_fd: Callable[[HasDescriptors], tuple[int, int]]) -> None:
        super().__init__(nng_name, "int", writable=False)
        self._open_fd = open_fd

    def _get(self, obj: HasDescriptors) -> int:
        attempted = self._attempted("get", obj)
        url = obj._option_target(attempted)[2]
        code, descriptor = self._open_fd(obj)
        if code != 0:
            raise error_for(code, attempted, url, _LEAKS if code == ENOTSUP else None)
        return descriptor

    def __set__(self, obj: HasDescriptors, value: Never) -> None:
        self._may_write(obj)


class RecvFd(_Descriptor):
    """The descriptor that is readable while a receive may succeed. It counts what the shim has."""

    def __init__(self) -> None:
        super().__init__("recv-fd", lambda obj: obj._ctx.recv_fd())


class SendFd(_Descriptor):
    """The descriptor that is readable while a send may succeed.

    With nng 1.5 that of a Pair1 with a `send_buffer_size` that has lost its peer is not, though the
    buffer may have room.
    """

    def __init__(self) -> None:
        super().__init__("send-fd", lambda obj: obj._native.send_fd())


class TimeoutOption(Attribute[object, int]):
    """A timeout in milliseconds that trionng keeps itself: nng's clock can jump, Trio's cannot.

    -1 waits for ever, 0 polls. It can be read from what is closed, as it is only a number.
    """

    def __init__(self, default: int = -1) -> None:
        self._default = default

    def __set_name__(self, owner: type, name: str) -> None:
        super().__set_name__(owner, name)
        self._slot = f"_{name}_ms"

    def _get(self, obj: object) -> int:
        # Not through `__dict__`: reading that of an instance makes the instance larger.
        value: int = getattr(obj, self._slot, self._default)
        return value

    def __set__(self, obj: HasOptions, value: int) -> None:
        setattr(obj, self._slot, set_int(obj, self._name, value, -1, INT_MAX, ms=True))


class HasLinger(Protocol):
    """An object whose close can wait."""

    _linger: float


class LingerOption(Attribute[HasLinger, float]):
    """How many seconds a close may wait until accepted messages are written."""

    def _get(self, obj: HasLinger) -> float:
        return obj._linger

    def __set__(self, obj: HasLinger, value: float) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            attempted = f"set {type(obj).__name__}.linger"
            raise TypeError(f"{attempted}: seconds are needed, not {type(value).__name__}")
        if not value >= 0:
            attempted = f"set {type(obj).__name__}.linger"
            raise InvalidOperation(f"{attempted}: {value} s is not 0 or more")
        if value != obj._linger:
            obj._linger = value


def seconds(milliseconds: int) -> float:
    """Return a timeout option in seconds, -1 as infinity."""
    return math.inf if milliseconds < 0 else milliseconds / 1000

"""Options of nng as typed attributes (descriptors).

A descriptor is one option of nng: it checks type and range before nng sees the value, and turns
    nng's refusal into an exception that names the attribute and where it was set. What is closed
    has no options any more: Closed. Only what trionng keeps itself can still be read.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar, overload

from trionng import _ffi
from trionng._base.errors import InvalidOperation, error_for, shown

if TYPE_CHECKING:
    from typing_extensions import Never, Self

H = TypeVar("H")
V = TypeVar("V")

INT_MAX: Final = 2**31 - 1
# "No limit" reaches nng as this: 0 would let a peer crash the process (S1).
NO_LIMIT: Final = 0xFFFFFFFF
_TEXT_MAX: Final = 63
_EINVAL, _ENOTSUP, _ESTATE, _EREADONLY = 3, 9, 11, 24
# L1
_LEAKS: Final = (
    "libnng before 1.6 never closes this descriptor of a Pair0; use Pair1, or a later libnng"
)


class HasOptions(Protocol):
    """What an option is read from and written to."""

    def _option_target(self, attempted: str) -> tuple[int, int, str | None]:
        """Return what kind of nng object this is, its id, and its URL; or raise Closed."""


class HasSizeLimit(HasOptions, Protocol):
    """What knows how much of a limit the protocol takes."""

    @property
    def _header_room(self) -> int:
        """Return how many bytes of protocol header messages have here."""


def check_int(
    attempted: str, value: object, low: int, high: int, *, ms: bool = False, url: str | None = None
) -> int:
    """Return an int in a range, or raise what tells the caller how to say it."""
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
    """Check a value that trionng keeps itself; the object must be open."""
    attempted = f"set {type(obj).__name__}.{name}"
    url = obj._option_target(attempted)[2]
    return check_int(attempted, value, low, high, ms=ms, url=url)


class Attribute(Generic[H, V]):
    """An attribute of objects of one kind, with values of one type."""

    @overload
    def __get__(self, obj: None, owner: type) -> Self: ...
    @overload
    def __get__(self, obj: H, owner: type) -> V: ...
    def __get__(self, obj: H | None, owner: type) -> Self | V:
        return self if obj is None else self._get(obj)

    def _get(self, obj: H) -> V:
        raise NotImplementedError


class _Option(Attribute[H, V]):
    """What the options of all types share: where they are, and what they say of failures."""

    def __init__(self, nng_name: str, kind: str, *, writable: bool = True) -> None:
        self._nng_name = nng_name
        self._kind = kind
        self._writable = writable
        self._name = nng_name

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

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
            raise error_for(_EREADONLY, attempted, url, "it can only be read")
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
            raise error_for(_ESTATE, attempted, url, "only before the first listen or dial")
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
            raise error_for(_EINVAL, attempted, url, reason)
        code = _ffi.set_text(on, number, self._nng_name, value)
        if code != 0:
            raise error_for(code, attempted, url)
        setattr(obj, self._slot, value)


class HasDescriptors(HasOptions, Protocol):
    """A socket, as far as its descriptors are concerned."""

    _native: _ffi.NativeSocket
    _lane: _ffi.Lane


class RecvFd(_Option[HasDescriptors, int]):
    """A descriptor for loops of one's own: readable while `recv_nowait` has something to return.

    That of a closed socket is readable too, so that who waits for it wakes up and gets Closed. Do
    not read from it, and do not close it: it is the socket's. From the first use on one message is
    taken from nng before anybody asks, and is what the next receive returns; on Rep0 not before the
    last request has been answered. It stands for NNG_OPT_RECVFD, which does not know of messages
    that were taken.

    Raises:
        Closed: the socket is closed.
        OutOfFiles: the process has no descriptor left.
    """

    def __init__(self) -> None:
        super().__init__("recv-fd", "int", writable=False)

    def _get(self, obj: HasDescriptors) -> int:
        attempted = self._attempted("get", obj)
        url = obj._option_target(attempted)[2]
        code, descriptor = obj._lane.recv_fd()
        if code != 0:
            raise error_for(code, attempted, url)
        return descriptor

    def __set__(self, obj: HasDescriptors, value: Never) -> None:
        self._may_write(obj)


class SendFd(_Option[HasDescriptors, int]):
    """A descriptor for loops of one's own: readable while `send_nowait` may succeed.

    Readable, not writable: so nng has it (NNG_OPT_SENDFD). That of a closed socket is readable too.
    Do not read from it, and do not close it: it is the socket's. On Pub0 and Bus0, and on a
    polyamorous Pair1 with a peer, it always is. With nng 1.5 a Pair1 that has a `send_buffer_size`
    and has lost its peer is not readable, though its buffer may have room.

    Raises:
        NotSupported: Pair0 with libnng before 1.6, which would never close it.
        Closed: the socket is closed.
        OutOfFiles: the process has no descriptor left.
    """

    def __init__(self) -> None:
        super().__init__("send-fd", "int", writable=False)

    def _get(self, obj: HasDescriptors) -> int:
        attempted = self._attempted("get", obj)
        url = obj._option_target(attempted)[2]
        code, descriptor = obj._native.send_fd()
        if code != 0:
            raise error_for(code, attempted, url, _LEAKS if code == _ENOTSUP else None)
        return descriptor

    def __set__(self, obj: HasDescriptors, value: Never) -> None:
        self._may_write(obj)


class TimeoutOption(Attribute[object, int]):
    """A timeout in milliseconds that trionng keeps itself: nng's clock can jump, Trio's cannot.

    -1 waits for ever, 0 polls. It can be read from what is closed, as it is only a number.
    """

    def __init__(self, default: int = -1) -> None:
        self._default = default

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name
        self._slot = f"_{name}_ms"

    def _get(self, obj: object) -> int:
        # Not through `__dict__`: an instance whose dict was looked at is larger.
        value: int = getattr(obj, self._slot, self._default)
        return value

    def __set__(self, obj: HasOptions, value: int) -> None:
        setattr(obj, self._slot, set_int(obj, self._name, value, -1, INT_MAX, ms=True))


class HasLinger(Protocol):
    """What can wait when it closes."""

    _linger: float


class LingerOption(Attribute[HasLinger, float]):
    """How many seconds a close may wait until what was accepted is written."""

    def _get(self, obj: HasLinger) -> float:
        return obj._linger

    def __set__(self, obj: HasLinger, value: float) -> None:
        attempted = f"set {type(obj).__name__}.linger"
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError(f"{attempted}: seconds are needed, not {type(value).__name__}")
        if not value >= 0:
            raise InvalidOperation(f"{attempted}: {value} s is not 0 or more")
        obj._linger = value


def seconds(milliseconds: int) -> float:
    """Return a timeout option in Trio's terms."""
    return math.inf if milliseconds < 0 else milliseconds / 1000

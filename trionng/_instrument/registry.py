"""The instruments of this process, and how they are called.

For each method there is a tuple of the instruments that define it. `_core/hooks.py` has a function
only while one of them does, so what no instrument looks at costs nothing.
"""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import Final, cast

from trionng import _ffi
from trionng._base.types import Buffer
from trionng._core import hooks
from trionng._core.abc import AnyEndpoint, AnySocket
from trionng._core.pipes import REASONS
from trionng._instrument import protocol
from trionng._instrument.protocol import HandlerInfo, Instrument, RequestInfo
from trionng._sockets import Req0
from trionng._trio.pipes import Message

_log: Final = logging.getLogger("trionng")

METHODS: Final = tuple(name for name in vars(Instrument) if name[0] != "_")

# Under the lock: who is added or removed. The tuples are replaced as a whole, and read without it.
_lock: Final = threading.RLock()
_all: list[Instrument] = []
_having: dict[str, tuple[Instrument, ...]] = {}
# The connections that were told of and are open, by serial number: their sockets may be gone by
# the time they close. Only the thread of reports adds to it.
_open: dict[int, protocol.AnyPipe] = {}


def add_instrument(instrument: Instrument) -> None:
    """Begin to tell an instrument what happens in this process, in both APIs.

    Adding it again does nothing. Of connections it hears from now on: those that are open already
    are not told, but for their end.

    Args:
        instrument: has those methods of `Instrument` that it needs; best a subclass.

    Raises:
        TypeError: it has none of them.
    """
    if not any(_defines(instrument, name) for name in METHODS):
        raise TypeError(
            f"add_instrument: {type(instrument).__name__} defines none of {', '.join(METHODS)}"
        )
    with _lock:
        if not any(each is instrument for each in _all):
            _all.append(instrument)
            _install()


def remove_instrument(instrument: Instrument) -> None:
    """Tell an instrument nothing more.

    Raises:
        KeyError: it is not there: it was never added, or one of its methods has raised.
    """
    with _lock:
        if not _remove(instrument):
            raise KeyError(instrument)


def _remove(instrument: Instrument) -> bool:
    with _lock:
        kept = [each for each in _all if each is not instrument]
        was_there = len(kept) < len(_all)
        _all[:] = kept
        _install()
        return was_there


def _defines(instrument: object, name: str) -> bool:
    method = getattr(instrument, name, None)
    return callable(method) and getattr(method, "__func__", None) is not getattr(Instrument, name)


def _install() -> None:
    """Set the hooks for what the instruments define."""
    _having.clear()
    for name in METHODS:
        having = tuple(each for each in _all if _defines(each, name))
        if having:
            _having[name] = having

    def is_wanted(*names: str) -> bool:
        return not _having.keys().isdisjoint(names)

    hooks.request = _request if is_wanted("request_started", "request_finished") else None
    hooks.handler = _handler if is_wanted("handler_started", "handler_finished") else None
    hooks.drop = _drop if is_wanted("message_dropped") else None
    hooks.failure = _failure if is_wanted("connection_failed") else None
    kinds = ("connection_opened", "connection_closed", "connection_rejected")
    hooks.connection = _connection if is_wanted(*kinds) else None
    if not is_wanted("connection_closed"):
        _open.clear()
    _ffi.report_events(hooks.connection is not None or hooks.drop is not None)


def _call(name: str, *arguments: object) -> None:
    """Call a method of those that define it; one that raises is removed."""
    for instrument in _having.get(name, ()):
        try:
            getattr(instrument, name)(*arguments)
        except BaseException as error:
            _remove(instrument)
            _log.exception("%s of the instrument %r has raised; it is removed", name, instrument)
            if isinstance(error, KeyboardInterrupt):
                raise


def _request(socket: AnySocket, data: Buffer) -> hooks.Finish:
    info = RequestInfo(cast("Req0", socket), data)
    _call("request_started", info)
    return partial(_call, "request_finished", info)


def _handler(service: str, socket: AnySocket, pipe: int, message: object) -> hooks.Finish:
    info = HandlerInfo(
        service,
        cast("protocol.AnySocket", socket),
        cast("bytes | Message | None", message),
        cast("protocol.AnyPipe | None", socket._pipe(pipe) if pipe != 0 else None),
    )
    _call("handler_started", info)
    return partial(_call, "handler_finished", info)


def _drop(socket: AnySocket) -> None:
    _code, counts = socket._native.stats()
    _call("message_dropped", socket, counts.dropped)


def _failure(endpoint: AnyEndpoint, error: Exception) -> None:
    _call("connection_failed", endpoint, error)


def _connection(socket: AnySocket | None, event: int, reason: int, native: _ffi.NativePipe) -> None:
    serial = native.info.serial
    pipe = _open.pop(serial, None)
    lost = _ffi.reports_lost()
    if lost:
        _log.warning("instruments have missed %d events of connections: there were too many", lost)
        for number, other in list(_open.items()):
            if other.closed:  # its end may be among them
                _open.pop(number, None)
    if pipe is None and socket is not None:
        pipe = cast("protocol.AnyPipe", socket._known_pipe(native))
    if pipe is None:
        return
    if event == _ffi.CONNECTED:
        if "connection_closed" in _having:
            _open[serial] = pipe
        _call("connection_opened", pipe)
    elif event == _ffi.DISCONNECTED:
        _call("connection_closed", pipe, REASONS.get(reason))
    else:
        _call("connection_rejected", pipe, REASONS.get(reason))

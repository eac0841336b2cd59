"""Statistics of sockets and services.

The shim counts in C: a message costs two additions there, and nothing in Python.
"""

from __future__ import annotations

import logging
from typing import Final

import attrs

from trionng import _ffi
from trionng._base.errors import shown
from trionng._core.abc import AnySocket

_logger: Final = logging.getLogger("trionng")

# Protocols with back-pressure: a sender waits for a slow receiver, and nng drops nothing. Raw
# sockets of the first four run the same code in nng; other raw sockets have queues that drop when
# full.
_PUSH_BACK: Final = {*map(_ffi.protocol, ("pair0", "pair1", "push0", "pull0"))}
_PUSH_BACK_UNLESS_RAW: Final = {*map(_ffi.protocol, ("req0", "rep0"))}
_PUB0: Final = _ffi.protocol("pub0")
_SUB0: Final = _ffi.protocol("sub0")
_SURVEYOR0: Final = _ffi.protocol("surveyor0")


@attrs.frozen
class SocketStatistics:
    """Counters of a socket and its contexts.

    Messages and bytes are exact and never fall. They are read one after the other: while messages
    move, two of them may be a message apart.

    Attributes:
        messages_sent: taken by nng, which may not have written them yet: see `flush`.
        bytes_sent: of their bodies; protocol headers are not counted.
        messages_received: handed to a receiving call, a service, or `forward`. One that its call
            could not take after all, because Ctrl-C or the end of a `forward` came in that moment,
            is what the next receive returns, and is counted once. Of a Sub0, also what is thrown
            away because its topic was unsubscribed meanwhile.
        bytes_received: of their bodies.
        pipes: connections now.
        rejected: connections that never could be used: we refused them, or the peer spoke another
            protocol, or went away at once.
        oversize: connections that ended because the peer sent a message larger than
            `recv_max_size`. None where that is not known: where libnng is not linked in, see
            `trionng.build_info()`, and on ws and wss, whose connections are never counted here.
        tasks_waiting: tasks or threads that wait in a call on the socket or its contexts now.
        dropped: messages dropped because a receiver was too slow, where that is known. 0 where the
            sender waits instead: Pair0, Pair1 with one peer, Push0, Pull0, Req0, Rep0. Of a
            Respondent0, surveys that were not received while 1024 newer ones came (fewer when
            they are large). Of a Sub0, and of each of its contexts, messages that it did not
            receive before `recv_buffer_size` newer ones came. Of a Pub0, messages that a subscriber
            did not read before `send_buffer_size` newer ones were sent, counted for each such
            subscriber.
            Of a Surveyor0, surveys that a respondent had no room for, counted for each such
            respondent, and replies that found 128 unread ones of their survey.
            None where nng drops and does not count: Bus0, polyamorous Pair1, the raw sockets of
            Sub0, Req0, Rep0, Surveyor0 and Respondent0, a Sub0 that had `prefer_new=False`; and
            Pub0, Sub0 and Surveyor0 where libnng is not linked in. What goes down with a
            connection is not in it, nor what is sent while no peer is connected.
    """

    messages_sent: int
    bytes_sent: int
    messages_received: int
    bytes_received: int
    pipes: int
    rejected: int
    oversize: int | None
    tasks_waiting: int
    dropped: int | None


def statistics_of(socket: AnySocket) -> SocketStatistics:
    """Read the counters of a socket, open or closed."""
    code, counts = socket._native.stats()
    if code != 0:
        raise socket._failed(code, "statistics")
    return SocketStatistics(
        messages_sent=counts.sent,
        bytes_sent=counts.sent_bytes,
        messages_received=counts.received,
        bytes_received=counts.received_bytes,
        pipes=counts.pipes,
        rejected=counts.rejected,
        oversize=counts.oversize if _ffi.causes_are_known() else None,
        tasks_waiting=counts.waiting,
        dropped=counts.dropped if _knows_drops(socket) else None,
    )


def _knows_drops(socket: AnySocket) -> bool:
    protocol = socket._choose_protocol()
    if protocol == _PUB0 or (protocol in (_SUB0, _SURVEYOR0) and not socket._is_raw):
        return _ffi.drops_are_known() and not socket._drops_unknown
    if socket._is_raw:
        return protocol in _PUSH_BACK
    return protocol in _PUSH_BACK | _PUSH_BACK_UNLESS_RAW | {_ffi.protocol("respondent0")}


@attrs.frozen
class ServiceStatistics:
    """Counters of the messages of a service.

    Attributes:
        received: taken from nng.
        answered: replies nng accepted; of services without replies, messages that were handled.
        abandoned: taken and not answered: the worker was cancelled, or the client has gone.
        busy: being handled now, or about to be, or held back until their client has read replies.
        unread: replies that wait because their connection does not take them.
        slow: connections that were closed because they do not read: see `max_unread`.
    """

    received: int
    answered: int
    abandoned: int
    busy: int
    unread: int
    slow: int


def rep_statistics(service: _ffi.NativeService) -> ServiceStatistics:
    """Return what the shim has counted for a service."""
    counts = service.stats()
    return ServiceStatistics(
        received=counts.received,
        answered=counts.answered,
        abandoned=counts.abandoned,
        busy=counts.taken + counts.ready,
        unread=counts.replying,
        slow=counts.slow,
    )


def warn_of_slow(socket: AnySocket, service: str, pipes: list[int], max_unread: int) -> None:
    """Log the connections that a service has closed because they do not read."""
    for number in pipes:
        pipe = socket._pipe(number)
        _logger.warning(
            "%s %s: closed %s: slow: it does not read its replies, and asks for more than "
            "max_unread=%d",
            service,
            shown(socket._urls() or "without an endpoint"),
            "a connection" if pipe is None else repr(pipe),
            max_unread,
        )

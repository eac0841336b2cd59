"""Logging of failures that no call of the program waits for.

The shim reports the first failure of each outage of a dialer, and once a peer what was wrong with
it. A report becomes one line on the logger "trionng", with the URL and the cause. It is written by
a thread that exists for this moment alone: a program in which nothing fails has no such thread, and
none of nng's threads ever runs Python.
"""

from __future__ import annotations

import logging
from typing import Final

from trionng import _ffi
from trionng._base.errors import NNGException
from trionng._core import hooks
from trionng._core.addresses import from_native
from trionng._core.endpoints import Endpoint, endpoint_of

log: Final = logging.getLogger("trionng")

_REASONS: Final = {
    _ffi.REASON_ADMISSION: "its `accept` does not admit it",
    _ffi.REASON_PROTOCOL: "it speaks another protocol, or went away at once",
    _ffi.REASON_ALREADY_PAIRED: "there is a peer already, and this socket takes only one",
    _ffi.REASON_HANDSHAKE: "it did not get through the handshake",
}


# What is dropped; by the number of the protocol.
_DROPS: Final = {
    _ffi.protocol("sub0"): "this Sub0 is too slow, messages are",
    _ffi.protocol("pub0"): "a subscriber is too slow, messages for it are",
    _ffi.protocol(
        "surveyor0"
    ): "a respondent, or the task that reads replies, is too slow: some are",
}


def _warn_of_drops(endpoint: Endpoint) -> None:
    socket = endpoint.socket
    if socket is None:
        return
    what = _DROPS[socket._choose_protocol()]
    log.warning("%s: %s dropped; statistics().dropped counts them", endpoint.url, what)


def _limit_of(endpoint: Endpoint) -> str:
    try:
        return f"its recv_max_size of {endpoint.recv_max_size} bytes"
    except NNGException:  # the endpoint has been closed
        return "its recv_max_size"


def _tell_instruments(endpoint: Endpoint | None, report: _ffi.Report) -> None:
    socket = None if endpoint is None else endpoint.socket
    if report.reason == _ffi.REASON_DROPS:
        if hooks.drop is not None and socket is not None:
            hooks.drop(socket)
    elif report.event != 0:
        if hooks.connection is not None and report.pipe is not None:
            hooks.connection(socket, report.event, report.reason, report.pipe)
    elif report.code != 0 and not report.listener:
        if hooks.failure is not None and endpoint is not None:
            hooks.failure(endpoint, endpoint._start_error(report.code, "dial"))


def _take(report: _ffi.Report) -> None:
    endpoint = endpoint_of(listener=report.listener, number=report.endpoint)
    if endpoint is not None and report.event == 0:
        _log(endpoint, report)
    _tell_instruments(endpoint, report)


def _log(endpoint: Endpoint, report: _ffi.Report) -> None:
    peer = "a peer" if report.pipe is None else str(from_native(report.pipe.remote))
    if report.code != 0 and not report.listener:
        log.warning("%s; trying on in the background", endpoint._start_error(report.code, "dial"))
    elif report.reason == _ffi.REASON_DROPS:
        _warn_of_drops(endpoint)
    elif report.reason == _ffi.REASON_OVERSIZE:
        log.warning(
            "%s: %s sent a message larger than %s, so that connection was closed; logged once a "
            "peer, counted in statistics().oversize",
            endpoint.url,
            peer,
            _limit_of(endpoint),
        )
    elif report.reason in _REASONS:
        why = _REASONS[report.reason]
        if report.code != 0:
            cause = str(endpoint._start_error(report.code, "accept"))
            why = f"{why} ({cause.removeprefix(f'accept {endpoint.url}: ')})"
        log.warning("%s: %s was refused: %s; logged once a peer", endpoint.url, peer, why)


_ffi.set_report_handler(_take)

"""Every exception that trionng raises. This module imports nothing of trionng.

One class per nng error number. Each is also the class that Trio or Python users already catch, so
that `except trio.ClosedResourceError` and `except TimeoutError` work without knowing nng.

Rules of this file: numbers are literals, because a leaf may not ask C (a test compares them with
nng's header); a class holds its number, its words and nothing else; `error_for` is the only place
that turns a number into an exception, and it accepts every number.
"""

from __future__ import annotations

import errno as os_errno
import os
from typing import ClassVar, Final

import trio

# The one list of exceptions: `trionng`, `trionng.blocking` and `trionng.exceptions` have them all.
__all__ = [
    "AddressInUse",
    "AddressInvalid",
    "AlreadyExists",
    "Ambiguous",
    "AuthenticationError",
    "BadState",
    "BadType",
    "Busy",
    "Canceled",
    "Closed",
    "ConnectionAborted",
    "ConnectionRefused",
    "ConnectionReset",
    "ConnectionShutdown",
    "CryptoError",
    "DestinationUnreachable",
    "EventsLost",
    "Internal",
    "Interrupted",
    "InvalidOperation",
    "MessageStateError",
    "MessageTooLarge",
    "NNGException",
    "NoArgument",
    "NoEntry",
    "NoMemory",
    "NotSupported",
    "OutOfFiles",
    "OutOfSpace",
    "OutOfThreads",
    "PermissionDenied",
    "ProtocolError",
    "ReadOnly",
    "Superseded",
    "Timeout",
    "TryAgain",
    "UsedAfterFork",
    "WriteOnly",
]

# The error numbers of nng that other modules compare with or raise.
ENOMEM: Final = 2
EINVAL: Final = 3
EBUSY: Final = 4
ETIMEDOUT: Final = 5
ECONNREFUSED: Final = 6
ECLOSED: Final = 7
EAGAIN: Final = 8
ENOTSUP: Final = 9
EADDRINUSE: Final = 10
ESTATE: Final = 11
ENOENT: Final = 12
EPROTO: Final = 13
EUNREACHABLE: Final = 14
EADDRINVAL: Final = 15
ECONNABORTED: Final = 18
ECONNRESET: Final = 19
ECANCELED: Final = 20
ENOFILES: Final = 21
EREADONLY: Final = 24
EWRITEONLY: Final = 25
ECRYPTO: Final = 26
EPEERAUTH: Final = 27
EAMBIGUOUS: Final = 29
ECONNSHUT: Final = 31

# nng adds the operating system's number, or its transport's, to one of these.
SYSTEM_ERROR: Final = 0x10000000
TRANSPORT_ERROR: Final = 0x20000000


def shown(text: str) -> str:
    """Return a text that can be printed and logged anywhere, as `repr` would show it.

    A path of the file system may be no text at all, and a URL may have a zero byte in it.
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


class NNGException(Exception):
    """Report that nng, or trionng in its name, could not do what was asked.

    Attributes:
        code: nng's error number; None for the errors nng does not know.
        errno: the operating system's number on the OSError families, nng's elsewhere.
        url: the URL it happened on, when there is one.
    """

    code: int | None
    errno: int | None
    url: str | None

    _code: ClassVar[int | None] = None
    _os_errno: ClassVar[int | None] = None
    _reason: ClassVar[str] = "it failed"

    def __init__(
        self, text: str | None = None, *, code: int | None = None, url: str | None = None
    ) -> None:
        super().__init__(self._reason if text is None else shown(text))
        self.code = self._code if code is None else code
        self.errno = self.code if self._os_errno is None else self._os_errno
        self.url = url


class Interrupted(NNGException, InterruptedError):
    """Report that a signal interrupted the operation (NNG_EINTR)."""

    _code = 1
    _os_errno = os_errno.EINTR
    _reason = "interrupted"


class NoMemory(NNGException, MemoryError):
    """Report that nng could not allocate memory (NNG_ENOMEM)."""

    _code = 2
    _reason = "out of memory"


class OutOfThreads(NoMemory, OSError):
    """Report that the system lets this process make no more threads.

    Nothing has been done; the call can be repeated. What limits them is `ulimit -u`, or the `pids`
    controller of the process's control group.
    """

    _os_errno = os_errno.EAGAIN
    _reason = "a thread is needed and none can be made: see `ulimit -u`, and pids.max of the cgroup"


class InvalidOperation(NNGException, ValueError):
    """Report an argument nng cannot use (NNG_EINVAL)."""

    _code = 3
    _reason = "invalid argument"


class Busy(NNGException, trio.BusyResourceError):
    """Report that another task, or another Trio run, is using the same object (NNG_EBUSY)."""

    _code = 4
    _reason = "another task is using it"


class Timeout(NNGException, TimeoutError):
    """Report that a timeout option expired (NNG_ETIMEDOUT)."""

    _code = 5
    _os_errno = os_errno.ETIMEDOUT
    _reason = "timed out"


class ConnectionRefused(NNGException, ConnectionRefusedError):
    """Report that no peer listens there (NNG_ECONNREFUSED).

    No connection was lost, there never was one: this is not a `trio.BrokenResourceError`.
    """

    _code = 6
    _os_errno = os_errno.ECONNREFUSED
    _reason = "connection refused"


class Closed(NNGException, trio.ClosedResourceError):
    """Report that the socket, context or endpoint has been closed on this side (NNG_ECLOSED)."""

    _code = 7
    _reason = "already closed"


class TryAgain(NNGException, trio.WouldBlock):
    """Report that a call that must not wait would have to (NNG_EAGAIN)."""

    _code = 8
    _reason = "it would have to wait"


class NotSupported(NNGException, NotImplementedError):
    """Report something this protocol, transport or libnng does not have (NNG_ENOTSUP)."""

    _code = 9
    _reason = "not supported"


class AddressInUse(NNGException, OSError):
    """Report that the address to listen on is taken (NNG_EADDRINUSE)."""

    _code = 10
    _os_errno = os_errno.EADDRINUSE
    _reason = "address in use"


class BadState(NNGException):
    """Report the wrong order of calls, such as a reply without a request (NNG_ESTATE)."""

    _code = 11
    _reason = "not possible in this state"


class NoEntry(NNGException, FileNotFoundError):
    """Report that a file, or what was named, does not exist (NNG_ENOENT)."""

    _code = 12
    _os_errno = os_errno.ENOENT
    _reason = "no such entry"


class ProtocolError(NNGException):
    """Report a peer that does not keep to the protocol (NNG_EPROTO)."""

    _code = 13
    _reason = "protocol error"


class DestinationUnreachable(NNGException, OSError):
    """Report that there is no way to the peer (NNG_EUNREACHABLE)."""

    _code = 14
    _os_errno = os_errno.EHOSTUNREACH
    _reason = "destination unreachable"


class AddressInvalid(NNGException, ValueError):
    """Report a URL that nng cannot parse or resolve (NNG_EADDRINVAL)."""

    _code = 15
    _reason = "invalid address"


class PermissionDenied(NNGException, PermissionError):
    """Report that the operating system forbids it (NNG_EPERM)."""

    _code = 16
    _os_errno = os_errno.EPERM
    _reason = "permission denied"


class MessageTooLarge(NNGException):
    """Report a message over the size limit (NNG_EMSGSIZE)."""

    _code = 17
    _reason = "message too large"


class ConnectionAborted(NNGException, ConnectionAbortedError, trio.BrokenResourceError):
    """Report that this side dropped the connection (NNG_ECONNABORTED)."""

    _code = 18
    _os_errno = os_errno.ECONNABORTED
    _reason = "connection aborted"


class ConnectionReset(NNGException, ConnectionResetError, trio.BrokenResourceError):
    """Report that the peer is gone (NNG_ECONNRESET)."""

    _code = 19
    _os_errno = os_errno.ECONNRESET
    _reason = "connection reset by the peer"


class Canceled(NNGException):
    """Report that nng cancelled the operation (NNG_ECANCELED); users see `Superseded` instead."""

    _code = 20
    _reason = "canceled"


class Superseded(Canceled):
    """Report a receive that ended because a newer request or survey replaced its own."""

    _reason = "a newer request replaced this one"


class OutOfFiles(NNGException, OSError):
    """Report that the process has no descriptors left (NNG_ENOFILES)."""

    _code = 21
    _os_errno = os_errno.EMFILE
    _reason = "out of file descriptors"


class OutOfSpace(NNGException, OSError):
    """Report that a device is full (NNG_ENOSPC)."""

    _code = 22
    _os_errno = os_errno.ENOSPC
    _reason = "out of space"


class AlreadyExists(NNGException, FileExistsError):
    """Report that what should be made is there already (NNG_EEXIST)."""

    _code = 23
    _os_errno = os_errno.EEXIST
    _reason = "already exists"


class ReadOnly(NNGException, AttributeError):
    """Report an option that can only be read (NNG_EREADONLY)."""

    _code = 24
    _reason = "read only"


class WriteOnly(NNGException, AttributeError):
    """Report an option that can only be written (NNG_EWRITEONLY)."""

    _code = 25
    _reason = "write only"


class CryptoError(NNGException):
    """Report a failure of TLS (NNG_ECRYPTO)."""

    _code = 26
    _reason = "cryptographic error"


class AuthenticationError(NNGException):
    """Report a peer whose certificate was not accepted (NNG_EPEERAUTH)."""

    _code = 27
    _reason = "the peer could not be authenticated"


class NoArgument(NNGException):
    """Report a missing argument (NNG_ENOARG)."""

    _code = 28
    _reason = "an argument is missing"


class Ambiguous(NNGException):
    """Report a question with more than one answer (NNG_EAMBIGUOUS)."""

    _code = 29
    _reason = "ambiguous"


class BadType(NNGException):
    """Report an option of another type (NNG_EBADTYPE)."""

    _code = 30
    _reason = "wrong type"


class ConnectionShutdown(NNGException, BrokenPipeError, trio.BrokenResourceError):
    """Report a connection that was shut down for writing (NNG_ECONNSHUT)."""

    _code = 31
    _os_errno = os_errno.EPIPE
    _reason = "connection shut down"


class Internal(NNGException):
    """Report a bug inside nng (NNG_EINTERNAL)."""

    _code = 1000
    _reason = "internal error of nng"


class MessageStateError(NNGException, RuntimeError):
    """Report a message that has been sent already and is no longer ours."""

    _reason = "the message has already been sent"


class EventsLost(NNGException, RuntimeError):
    """Report a reader of pipe events that fell behind: from here on events are missing."""

    _reason = (
        "events were not read for too long, and some are missing from here on; subscribe again"
    )


class UsedAfterFork(NNGException, RuntimeError):
    """Report that nng, or an object of the parent process, is used in a forked child."""

    _reason = (
        "nng cannot be used in a process forked from one that used it; start processes with "
        "multiprocessing's 'spawn' or 'forkserver', or with subprocess"
    )


BY_CODE: Final[dict[int, type[NNGException]]] = {
    error._code: error for error in NNGException.__subclasses__() if error._code is not None
}

# The shim's own numbers (TNNG_SUPERSEDED and those beside it in nng/api/completion_queue.h).
BY_OWN_CODE: Final[dict[int, type[NNGException]]] = {
    -2: Superseded,
    -3: UsedAfterFork,
    -5: EventsLost,
    -6: OutOfThreads,
    -7: MessageStateError,
}


def error_for(
    code: int, operation: str, url: str | None = None, reason: str | None = None
) -> NNGException:
    """Make the exception for an error number of nng or of the shim; never fails.

    Args:
        code: what the C call answered.
        operation: what was attempted, as the user would say it: "dial", "set recv_timeout".
        url: where, when there is a where.
        reason: what is known beyond the number.

    Returns:
        An exception to raise; a plain `NNGException` when the number is not known.
    """
    attempted = operation if url is None else f"{operation} {url}"
    kind = BY_OWN_CODE.get(code)
    if kind is not None:
        return kind(f"{attempted}: {reason or kind._reason}", url=url)
    kind = BY_CODE.get(code)
    if kind is not None:
        return kind(f"{attempted}: {reason or kind._reason}", code=code, url=url)
    if code >= 0 and code & SYSTEM_ERROR:
        number = code & ~SYSTEM_ERROR
        error = NNGException(f"{attempted}: {_system_reason(number)}", code=code, url=url)
        error.errno = number
        return error
    if code >= 0 and code & TRANSPORT_ERROR:
        reason = f"error {code & ~TRANSPORT_ERROR} of the transport"
    else:
        reason = f"unknown error {code} of nng"
    return NNGException(f"{attempted}: {reason}", code=code, url=url)


def _system_reason(number: int) -> str:
    try:
        return os.strerror(number)
    except (OverflowError, ValueError):
        return f"error {number} of the operating system"

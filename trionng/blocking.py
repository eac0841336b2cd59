"""The same sockets for scripts, threads and the REPL: plain calls that block.

Every class of `trionng` has its twin of the same name here, with the same arguments, options and
exceptions; calls that are awaited there take `timeout=` seconds here. Ctrl-C interrupts any wait of
the main thread, other signal handlers run and the wait goes on, and closing a socket wakes every
thread that waits in it with `Closed`. Any number of threads may share a socket.

Example:
    from trionng import blocking

    with blocking.Req0(dial="tcp://127.0.0.1:5555") as req:
        print(req.request(b"What is your name?", timeout=2))
"""

from __future__ import annotations

import typing as _typing

from trionng import exceptions as exceptions
from trionng._addresses import (
    AbstractAddr as AbstractAddr,
    In6Addr as In6Addr,
    InAddr as InAddr,
    InprocAddr as InprocAddr,
    IPCAddr as IPCAddr,
    SockAddr as SockAddr,
)
from trionng._admission import Admission as Admission
from trionng._blocking import (
    Bus0 as Bus0,
    Pair0 as Pair0,
    Pair1 as Pair1,
    Pub0 as Pub0,
    Pull0 as Pull0,
    Push0 as Push0,
    Rep0 as Rep0,
    Replies as Replies,
    Req0 as Req0,
    ReqContext as ReqContext,
    Respondent0 as Respondent0,
    Sub0 as Sub0,
    SubContext as SubContext,
    Surveyor0 as Surveyor0,
    SurveyorContext as SurveyorContext,
)
from trionng._blocking_pipes import Pipe as Pipe, PipeEvents as PipeEvents
from trionng._blocking_serve import Service as Service, serve_rep as serve_rep
from trionng._blocking_socket import (
    Context as Context,
    Dialer as Dialer,
    Listener as Listener,
    Socket as Socket,
)
from trionng._build import BuildInfo as BuildInfo, Fix as Fix, build_info as build_info
from trionng._errors import (
    AddressInUse as AddressInUse,
    AddressInvalid as AddressInvalid,
    AlreadyExists as AlreadyExists,
    Ambiguous as Ambiguous,
    AuthenticationError as AuthenticationError,
    BadState as BadState,
    BadType as BadType,
    Busy as Busy,
    Canceled as Canceled,
    Closed as Closed,
    ConnectionAborted as ConnectionAborted,
    ConnectionRefused as ConnectionRefused,
    ConnectionReset as ConnectionReset,
    ConnectionShutdown as ConnectionShutdown,
    CryptoError as CryptoError,
    DestinationUnreachable as DestinationUnreachable,
    EventsLost as EventsLost,
    Internal as Internal,
    Interrupted as Interrupted,
    InvalidOperation as InvalidOperation,
    MessageStateError as MessageStateError,
    MessageTooLarge as MessageTooLarge,
    NNGException as NNGException,
    NoArgument as NoArgument,
    NoEntry as NoEntry,
    NoMemory as NoMemory,
    NotSupported as NotSupported,
    OutOfFiles as OutOfFiles,
    OutOfSpace as OutOfSpace,
    OutOfThreads as OutOfThreads,
    PermissionDenied as PermissionDenied,
    ProtocolError as ProtocolError,
    ReadOnly as ReadOnly,
    Superseded as Superseded,
    Timeout as Timeout,
    TryAgain as TryAgain,
    UsedAfterFork as UsedAfterFork,
    WriteOnly as WriteOnly,
)
from trionng._ffi import nng_version as nng_version
from trionng._message import Message as _Message
from trionng._names import name_methods as _name_methods
from trionng._pipes import PipeEvent as PipeEvent
from trionng._sealed import show_as
from trionng._statistics import SocketStatistics as SocketStatistics
from trionng._tls import TLSConfig as TLSConfig

if _typing.TYPE_CHECKING:
    Message = _Message[Pipe]
else:
    Message = _Message

__all__ = (
    "AbstractAddr",
    "AddressInUse",
    "AddressInvalid",
    "Admission",
    "AlreadyExists",
    "Ambiguous",
    "AuthenticationError",
    "BadState",
    "BadType",
    "BuildInfo",
    "Bus0",
    "Busy",
    "Canceled",
    "Closed",
    "ConnectionAborted",
    "ConnectionRefused",
    "ConnectionReset",
    "ConnectionShutdown",
    "Context",
    "CryptoError",
    "DestinationUnreachable",
    "Dialer",
    "EventsLost",
    "Fix",
    "IPCAddr",
    "In6Addr",
    "InAddr",
    "InprocAddr",
    "Internal",
    "Interrupted",
    "InvalidOperation",
    "Listener",
    "Message",
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
    "Pair0",
    "Pair1",
    "PermissionDenied",
    "Pipe",
    "PipeEvent",
    "PipeEvents",
    "ProtocolError",
    "Pub0",
    "Pull0",
    "Push0",
    "ReadOnly",
    "Rep0",
    "Replies",
    "Req0",
    "ReqContext",
    "Respondent0",
    "Service",
    "SockAddr",
    "Socket",
    "SocketStatistics",
    "Sub0",
    "SubContext",
    "Superseded",
    "Surveyor0",
    "SurveyorContext",
    "TLSConfig",
    "Timeout",
    "TryAgain",
    "UsedAfterFork",
    "WriteOnly",
    "build_info",
    "exceptions",
    "nng_version",
    "serve_rep",
)

show_as(__name__, globals(), __all__)
_name_methods(globals())

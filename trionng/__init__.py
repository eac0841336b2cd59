"""nng (the Scalability Protocols) for Trio.

Sockets whose sends and receives obey cancel scopes, `async for` over messages, requests that are
one call. Start with `Req0` and `Rep0`, `Pub0` and `Sub0`, `Push0` and `Pull0`, or `Pair0`.
"""

from __future__ import annotations

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
from trionng._forward import (
    Forwarder as Forwarder,
    ForwardStatistics as ForwardStatistics,
    forward as forward,
)
from trionng._message import Message as Message
from trionng._names import name_methods as _name_methods
from trionng._nursery import (
    reply_error as reply_error,
    run_pull as run_pull,
    run_rep as run_rep,
    run_respondent as run_respondent,
    run_sub as run_sub,
    serve_pull as serve_pull,
    serve_rep as serve_rep,
    serve_respondent as serve_respondent,
    serve_sub as serve_sub,
)
from trionng._peer_services import PipeChannel as PipeChannel, serve_pipes as serve_pipes
from trionng._pipes import PipeEvent as PipeEvent
from trionng._sealed import show_as
from trionng._services import Service as Service
from trionng._sockets import (
    Bus0 as Bus0,
    Pair0 as Pair0,
    Pair1 as Pair1,
    Pub0 as Pub0,
    Pull0 as Pull0,
    Push0 as Push0,
    Rep0 as Rep0,
    Req0 as Req0,
    ReqContext as ReqContext,
    Sub0 as Sub0,
    SubContext as SubContext,
)
from trionng._statistics import (
    ServiceStatistics as ServiceStatistics,
    SocketStatistics as SocketStatistics,
)
from trionng._surveys import (
    Replies as Replies,
    Respondent0 as Respondent0,
    Surveyor0 as Surveyor0,
    SurveyorContext as SurveyorContext,
)
from trionng._tls import TLSConfig as TLSConfig
from trionng._trio_pipes import Pipe as Pipe, PipeEvents as PipeEvents
from trionng._trio_socket import (
    Context as Context,
    Dialer as Dialer,
    Listener as Listener,
    Socket as Socket,
)

__version__ = "0.1.0"

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
    "ForwardStatistics",
    "Forwarder",
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
    "PipeChannel",
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
    "ServiceStatistics",
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
    "forward",
    "nng_version",
    "reply_error",
    "run_pull",
    "run_rep",
    "run_respondent",
    "run_sub",
    "serve_pipes",
    "serve_pull",
    "serve_rep",
    "serve_respondent",
    "serve_sub",
)

show_as(__name__, globals(), __all__)
_name_methods(globals())

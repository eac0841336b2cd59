"""nng (the Scalability Protocols) for Trio.

Sockets whose sends and receives obey cancel scopes, `async for` over messages, requests that are one
call. Start with `Req0` and `Rep0`, `Pub0` and `Sub0`, `Push0` and `Pull0`, or `Pair0`.
"""

from __future__ import annotations

from trionng import exceptions as exceptions
from trionng._errors import AddressInUse as AddressInUse
from trionng._errors import AddressInvalid as AddressInvalid
from trionng._errors import AlreadyExists as AlreadyExists
from trionng._errors import Ambiguous as Ambiguous
from trionng._errors import AuthenticationError as AuthenticationError
from trionng._errors import BadState as BadState
from trionng._errors import BadType as BadType
from trionng._errors import Busy as Busy
from trionng._errors import Canceled as Canceled
from trionng._errors import Closed as Closed
from trionng._errors import ConnectionAborted as ConnectionAborted
from trionng._errors import ConnectionRefused as ConnectionRefused
from trionng._errors import ConnectionReset as ConnectionReset
from trionng._errors import ConnectionShutdown as ConnectionShutdown
from trionng._errors import CryptoError as CryptoError
from trionng._errors import DestinationUnreachable as DestinationUnreachable
from trionng._errors import Internal as Internal
from trionng._errors import Interrupted as Interrupted
from trionng._errors import InvalidOperation as InvalidOperation
from trionng._errors import MessageStateError as MessageStateError
from trionng._errors import MessageTooLarge as MessageTooLarge
from trionng._errors import NNGException as NNGException
from trionng._errors import NoArgument as NoArgument
from trionng._errors import NoEntry as NoEntry
from trionng._errors import NoMemory as NoMemory
from trionng._errors import NotSupported as NotSupported
from trionng._errors import OutOfFiles as OutOfFiles
from trionng._errors import OutOfSpace as OutOfSpace
from trionng._errors import PermissionDenied as PermissionDenied
from trionng._errors import ProtocolError as ProtocolError
from trionng._errors import ReadOnly as ReadOnly
from trionng._errors import Superseded as Superseded
from trionng._errors import Timeout as Timeout
from trionng._errors import TryAgain as TryAgain
from trionng._errors import UsedAfterFork as UsedAfterFork
from trionng._errors import WriteOnly as WriteOnly
from trionng._addresses import AbstractAddr as AbstractAddr
from trionng._addresses import In6Addr as In6Addr
from trionng._addresses import InAddr as InAddr
from trionng._addresses import InprocAddr as InprocAddr
from trionng._addresses import IPCAddr as IPCAddr
from trionng._addresses import SockAddr as SockAddr
from trionng._ffi import nng_version as nng_version
from trionng._message import Message as Message
from trionng._pipes import Pipe as Pipe
from trionng._sockets import Pair0 as Pair0
from trionng._sockets import Pub0 as Pub0
from trionng._sockets import Pull0 as Pull0
from trionng._sockets import Push0 as Push0
from trionng._sockets import Rep0 as Rep0
from trionng._sockets import Req0 as Req0
from trionng._sockets import ReqContext as ReqContext
from trionng._sockets import Sub0 as Sub0
from trionng._sockets import SubContext as SubContext
from trionng._trio_socket import Context as Context
from trionng._trio_socket import Dialer as Dialer
from trionng._trio_socket import Listener as Listener
from trionng._trio_socket import Socket as Socket

__version__ = "0.1.0"

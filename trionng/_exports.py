"""The names that both APIs export: exceptions, addresses, TLS, events, facts about libnng."""

from trionng import exceptions as exceptions
from trionng._base.errors import *  # noqa: F403
from trionng._core.addresses import (
    AbstractAddr as AbstractAddr,
    In6Addr as In6Addr,
    InAddr as InAddr,
    InprocAddr as InprocAddr,
    IPCAddr as IPCAddr,
    SockAddr as SockAddr,
)
from trionng._core.admission import Admission as Admission
from trionng._core.build import BuildInfo as BuildInfo, Fix as Fix, build_info as build_info
from trionng._core.pipes import PipeEvent as PipeEvent
from trionng._core.statistics import SocketStatistics as SocketStatistics
from trionng._core.tls import TLSConfig as TLSConfig
from trionng._ffi import nng_version as nng_version

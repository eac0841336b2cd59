"""Addresses of connections and listeners (`nng_sockaddr`)."""

from __future__ import annotations

import ipaddress
import os

import attrs

from trionng._base.errors import shown
from trionng._ffi import Address


@attrs.frozen
class SockAddr:
    """An address of no known family."""

    family: int

    @property
    def family_as_str(self) -> str:
        """The name of the family, one of inproc, ipc, inet, inetv6, abstract or unspecified."""
        return _FAMILY_NAMES.get(self.family, "unspecified")

    def __str__(self) -> str:
        return "unspecified"


@attrs.frozen
class InprocAddr(SockAddr):
    """A name inside this process."""

    name: str

    def __str__(self) -> str:
        return f"inproc://{self.name}"


@attrs.frozen
class IPCAddr(SockAddr):
    """A path of the file system; bytes in it that are no text are as `os.fsdecode` has them."""

    path: str

    def __str__(self) -> str:
        return shown(f"ipc://{self.path}")


@attrs.frozen
class AbstractAddr(SockAddr):
    """A Linux abstract socket name, any bytes."""

    name: bytes

    def __str__(self) -> str:
        safe = "".join(chr(c) if 0x20 < c < 0x7F and c != 0x25 else f"%{c:02x}" for c in self.name)
        return f"abstract://{safe}"


@attrs.frozen
class InAddr(SockAddr):
    """An IPv4 address and port."""

    addr: ipaddress.IPv4Address
    port: int

    @property
    def host(self) -> str:
        """The address as a URL has it."""
        return str(self.addr)

    def __str__(self) -> str:
        return f"{self.addr}:{self.port}"


@attrs.frozen
class In6Addr(SockAddr):
    """An IPv6 address, port and scope."""

    addr: ipaddress.IPv6Address
    port: int
    scope: int

    @property
    def host(self) -> str:
        """The address as a URL has it."""
        scope = f"%{self.scope}" if self.scope else ""
        return f"[{self.addr}{scope}]"

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


INPROC, IPC, INET, INET6, ABSTRACT = 1, 2, 3, 4, 6
_FAMILY_NAMES = {
    INPROC: "inproc",
    IPC: "ipc",
    INET: "inet",
    INET6: "inetv6",
    ABSTRACT: "abstract",
}


def from_native(addr: Address) -> SockAddr:
    """Return the class for an address that the shim copied out."""
    family, port, scope, data = addr
    if family == INPROC:
        # nng (1.5.2 and 1.11 alike) has the whole URL in the place of the name.
        return InprocAddr(family, data.decode(errors="replace").removeprefix("inproc://"))
    if family == IPC:
        return IPCAddr(family, os.fsdecode(data))
    if family == ABSTRACT:
        return AbstractAddr(family, data)
    if family == INET:
        return InAddr(family, ipaddress.IPv4Address(data), port)
    if family == INET6:
        return In6Addr(family, ipaddress.IPv6Address(data), port, scope)
    return SockAddr(family)

"""Options of sockets, contexts, dialers, listeners and pipes, by nng's own names and types."""

from __future__ import annotations

from trionng._ffi.load import ffi, lib
from trionng._ffi.pipe import Address, address

ON_SOCKET = lib.TNNG_ON_SOCKET
ON_CONTEXT = lib.TNNG_ON_CONTEXT
ON_DIALER = lib.TNNG_ON_DIALER
ON_LISTENER = lib.TNNG_ON_LISTENER
ON_PIPE = lib.TNNG_ON_PIPE

# The C types of those kinds of options that are not called like one.
_TYPES = {"ms": "int32_t", "size": "size_t", "uint64": "uint64_t"}


def set_number(on: int, number: int, kind: str, name: str, value: int) -> int:
    """Set an int, bool, ms or size option; returns nng's code."""
    code: int = getattr(lib, f"tnng_set_{kind}")(on, number, name.encode(), value)
    return code


def get_number(on: int, number: int, kind: str, name: str) -> tuple[int, int]:
    """Read an int, bool, ms, size or uint64 option."""
    out = ffi.new(f"{_TYPES.get(kind, kind)} *")
    return getattr(lib, f"tnng_get_{kind}")(on, number, name.encode(), out), out[0]


def set_text(on: int, number: int, name: str, value: str) -> int:
    return lib.tnng_set_string(on, number, name.encode(), value.encode())


def get_text(on: int, number: int, name: str) -> tuple[int, str]:
    needed = ffi.new("size_t *")
    room = ffi.new("char[]", 4096)
    code = lib.tnng_copy_string(on, number, name.encode(), room, 4096, needed)
    return code, ffi.string(room).decode(errors="replace")


def set_bytes(on: int, number: int, name: str, value: bytes) -> int:
    return lib.tnng_set_bytes(on, number, name.encode(), value, len(value))


def get_address(on: int, number: int, name: str) -> tuple[int, Address | None]:
    out = ffi.new("tnng_addr *")
    code = lib.tnng_get_addr(on, number, name.encode(), out)
    return code, (address(out) if code == 0 else None)


# Limits what a peer may send, `room` bytes of header not counted; 0 is as good as no limit.
set_max_message = lib.tnng_set_max_message


def get_max_message(on: int, number: int, room: int) -> tuple[int, int]:
    """Read that limit."""
    out = ffi.new("size_t *")
    return lib.tnng_get_max_message(on, number, out, room), out[0]

"""Options of sockets, contexts, dialers, listeners and pipes, by nng's own names and types."""

from __future__ import annotations

from typing import Any

from trionng._ffi.load import ffi, lib
from trionng._ffi.pipe import Address, address

ON_SOCKET: int = lib.TNNG_ON_SOCKET
ON_CONTEXT: int = lib.TNNG_ON_CONTEXT
ON_DIALER: int = lib.TNNG_ON_DIALER
ON_LISTENER: int = lib.TNNG_ON_LISTENER
ON_PIPE: int = lib.TNNG_ON_PIPE

_SETTERS: dict[str, Any] = {
    "int": lib.tnng_set_int,
    "bool": lib.tnng_set_bool,
    "ms": lib.tnng_set_ms,
    "size": lib.tnng_set_size,
}
_GETTERS: dict[str, tuple[str, Any]] = {
    "int": ("int *", lib.tnng_get_int),
    "bool": ("bool *", lib.tnng_get_bool),
    "ms": ("int32_t *", lib.tnng_get_ms),
    "size": ("size_t *", lib.tnng_get_size),
    "uint64": ("uint64_t *", lib.tnng_get_uint64),
}


def set_number(on: int, number: int, kind: str, name: str, value: int) -> int:
    """Set an int, bool, ms or size option; returns nng's code."""
    code: int = _SETTERS[kind](on, number, name.encode(), value)
    return code


def get_number(on: int, number: int, kind: str, name: str) -> tuple[int, int]:
    """Read an int, bool, ms, size or uint64 option."""
    ctype, getter = _GETTERS[kind]
    out = ffi.new(ctype)
    return getter(on, number, name.encode(), out), out[0]


def set_text(on: int, number: int, name: str, value: str) -> int:
    code: int = lib.tnng_set_string(on, number, name.encode(), value.encode())
    return code


def get_text(on: int, number: int, name: str) -> tuple[int, str]:
    needed = ffi.new("size_t *")
    room = ffi.new("char[]", 4096)
    code = lib.tnng_copy_string(on, number, name.encode(), room, 4096, needed)
    return code, ffi.string(room).decode(errors="replace")


def set_bytes(on: int, number: int, name: str, value: bytes) -> int:
    code: int = lib.tnng_set_bytes(on, number, name.encode(), value, len(value))
    return code


def get_address(on: int, number: int, name: str) -> tuple[int, Address | None]:
    out = ffi.new("tnng_addr *")
    code = lib.tnng_get_addr(on, number, name.encode(), out)
    return code, (address(out) if code == 0 else None)


def set_max_message(on: int, number: int, size: int, room: int) -> int:
    """Limit what a peer may send, `room` bytes of header not counted; 0 is as good as no limit."""
    code: int = lib.tnng_set_max_message(on, number, size, room)
    return code


def get_max_message(on: int, number: int, room: int) -> tuple[int, int]:
    """Read that limit."""
    out = ffi.new("size_t *")
    return lib.tnng_get_max_message(on, number, out, room), out[0]

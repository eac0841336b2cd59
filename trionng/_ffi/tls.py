"""nng's TLS configurations."""

from __future__ import annotations

from trionng._ffi.load import ffi, lib

ws_is_hardened: bool = lib.tnng_ws_is_hardened()
tells_tls_names: bool = lib.tnng_tells_tls_names()


# Says whether a server name that begins with \\1 is sent to the server and not checked.
can_send_unchecked_name = lib.tnng_tls_sends_unchecked_names


class NativeTLS:
    """One `nng_tls_config`; freed with this object, unless an endpoint still has it.

    Every method returns nng's code. Bytes must not contain NUL.
    """

    def __init__(self, *, server: bool) -> None:
        out = ffi.new("nng_tls_config **")
        self.code: int = lib.tnng_tls_new(server, out)
        self._config = ffi.gc(out[0], lib.tnng_tls_free) if self.code == 0 else ffi.NULL

    def set_server_name(self, name: bytes) -> int:
        return lib.tnng_tls_server_name(self._config, name)

    def add_ca_chain(self, chain: bytes, revoked: bytes | None) -> int:
        return lib.tnng_tls_ca_chain(self._config, chain, revoked or ffi.NULL)

    def add_own_cert(self, cert: bytes, key: bytes, password: bytes | None) -> int:
        return lib.tnng_tls_own_cert(self._config, cert, key, password or ffi.NULL)

    def set_auth_mode(self, mode: int) -> int:
        return lib.tnng_tls_auth_mode(self._config, mode)

    def put(self, on: int, number: int) -> int:
        """Give it to a dialer or listener; what it connects from now on uses it."""
        return lib.tnng_tls_set(on, number, self._config)

    def is_on(self, on: int, number: int) -> bool:
        """Say whether this is the configuration a dialer or listener has."""
        same: bool = lib.tnng_tls_get(on, number) == self._config
        return same

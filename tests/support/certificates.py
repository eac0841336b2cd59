"""Certificates for tests, made by trustme, and configurations of them."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import trustme

from trionng import TLSConfig

if TYPE_CHECKING:
    import datetime

# Ours, and one that no peer trusts.
CA, STRANGER = trustme.CA(), trustme.CA()
TRUSTED = CA.cert_pem.bytes()

Identity = tuple[bytes, bytes]


@functools.cache
def identity(
    name: str = "localhost",
    *,
    of: trustme.CA = CA,
    common_name: str | None = None,
    not_before: datetime.datetime | None = None,
    not_after: datetime.datetime | None = None,
) -> Identity:
    """Return a certificate with its chain, and its key, PEM; with `name` "" no alternative name."""
    issued = of.issue_cert(
        *((name,) if name else ()),
        common_name=common_name,
        not_before=not_before,
        not_after=not_after,
    )
    chain = b"".join(each.bytes() for each in issued.cert_chain_pems)
    return chain, issued.private_key_pem.bytes()


def server(who: Identity | None = None, *, trust: bytes | None = None) -> TLSConfig:
    """Return the configuration of a server that may want certificates of its clients."""
    cert, key = who or identity()
    return TLSConfig.server(own_cert_string=cert, own_key_string=key, ca_string=trust)


def client(
    who: Identity | None = None,
    *,
    trust: bytes = TRUSTED,
    server_name: str | None = None,
    check_hostname: bool = True,
) -> TLSConfig:
    """Return the configuration of a client that may have a certificate."""
    cert, key = who or (None, None)
    return TLSConfig.client(
        ca_string=trust,
        own_cert_string=cert,
        own_key_string=key,
        server_name=server_name,
        check_hostname=check_hostname,
    )


def tls_of(transport: str) -> tuple[TLSConfig | None, TLSConfig | None]:
    """Return what the listener and the dialers of a transport need."""
    if transport not in ("tls+tcp", "wss"):
        return None, None
    return server(), client(server_name="localhost")

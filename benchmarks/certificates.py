"""Certificates for the rows over TLS: made by the runner, read by the peers."""

from __future__ import annotations

import os
from pathlib import Path

_FOLDER = "BENCH_CERTIFICATES"
NAME = "localhost"


def write(folder: str) -> None:
    """Make an authority and a certificate for `NAME`; the peers' environment says where."""
    import trustme

    authority = trustme.CA()
    authority.cert_pem.write_to_path(os.path.join(folder, "ca.pem"))
    authority.issue_cert(NAME).private_key_and_cert_chain_pem.write_to_path(
        os.path.join(folder, "server.pem")
    )
    os.environ[_FOLDER] = folder


def path(name: str) -> str:
    """Where ca.pem or server.pem is."""
    return str(Path(os.environ[_FOLDER]) / name)

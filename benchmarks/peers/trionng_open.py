"""Options of trionng's sockets, for both APIs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trionng
from benchmarks import certificates

if TYPE_CHECKING:
    from benchmarks.job import Job


def options(job: Job) -> dict[str, Any]:
    """Lift the limit for large messages: 1 MiB and the protocol's header are more than 1 MiB."""
    options: dict[str, Any] = {"recv_max_size": 0} if job.large else {}
    if job.tls:
        options["tls_config"] = (
            trionng.TLSConfig.server(cert_key_file=certificates.path("server.pem"))
            if job.role == "server"
            else trionng.TLSConfig.client(
                ca_files=certificates.path("ca.pem"), server_name=certificates.NAME
            )
        )
    return options

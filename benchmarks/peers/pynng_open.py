"""Options of pynng's sockets, for its async and sync API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pynng

from benchmarks import certificates

if TYPE_CHECKING:
    from benchmarks.job import Job


def options(job: Job) -> dict[str, Any]:
    """Give a socket its buffers, and its TLS."""
    given: dict[str, Any] = {}
    if job.kind == "pair":
        given = {"send_buffer_size": job.buffers, "recv_buffer_size": job.buffers}
    if job.tls:
        given["tls_config"] = (
            pynng.TLSConfig(
                pynng.TLSConfig.MODE_SERVER, cert_key_file=certificates.path("server.pem")
            )
            if job.role == "server"
            else pynng.TLSConfig(
                pynng.TLSConfig.MODE_CLIENT,
                server_name=certificates.NAME,
                ca_files=[certificates.path("ca.pem")],
            )
        )
    return given

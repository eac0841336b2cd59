"""What `help` and the reference say of each option: unit, default, range, nng's name of it.

The descriptors of `options.py` take their text from here, so each option is described once.
"""

from __future__ import annotations

from typing import Final

_ENDPOINTS: Final = "On a socket: it changes the endpoints there are, and is the default for later"
_BUFFER: Final = "Messages that the socket keeps"

_TEXTS: Final = {
    "recv_timeout": """Milliseconds that a receive may wait, then it raises `Timeout`.

        Default -1: without limit; 0 polls. trionng measures it by Trio's clock (`trionng.blocking`:
        by the monotonic clock); nng's own option `NNG_OPT_RECVTIMEO` is not used. A deadline of a
        cancel scope is in seconds, and ends whichever call it surrounds.""",
    "send_timeout": """Milliseconds that a send may wait, then it raises `Timeout`.

        Default -1: without limit; 0 polls. trionng measures it by Trio's clock (`trionng.blocking`:
        by the monotonic clock); nng's own option `NNG_OPT_SENDTIMEO` is not used.""",
    "recv_max_size": f"""The largest message that a peer may send, in bytes (`NNG_OPT_RECVMAXSZ`).

        Default 1048576 (1 MiB); 0 is no limit. A larger message ends its connection:
        `statistics().oversize` counts it, and one line in the log says so. inproc has no limit.
        {_ENDPOINTS} ones.""",
    "recv_buffer_size": f"""{_BUFFER} for receives to come (`NNG_OPT_RECVBUF`).

        Default 0 on Pair0 and Pair1: a message waits at the sender. At most 8192. On a polyamorous
        Pair1 it can only be set before the first `listen` or `dial`.""",
    "send_buffer_size": f"""{_BUFFER} while no connection has room (`NNG_OPT_SENDBUF`).

        Default 0: `send` waits until a connection takes the message. At most 8192. On a polyamorous
        Pair1 it can only be set before the first `listen` or `dial`.""",
    "Bus0.recv_buffer_size": f"""{_BUFFER} for receives to come (`NNG_OPT_RECVBUF`).

        Default 16 (1 before nng 1.6), at most 8192; a message without room is dropped. It can only
        be set before the first `listen` or `dial`.""",
    "Bus0.send_buffer_size": """Messages kept for each connection (`NNG_OPT_SENDBUF`).

        Default 16, at most 8192; a message without room is dropped. Before nng 1.6 each connection
        always has 16, and this is a buffer in front of them, default 0. It can only be set before
        the first `listen` or `dial`.""",
    "Pub0.send_buffer_size": """Messages kept for each subscriber (`NNG_OPT_SENDBUF`).

        Default 16, 1 to 8192. A subscriber that is further behind misses the oldest.""",
    "Sub0.recv_buffer_size": """Messages kept for receives to come (`NNG_OPT_RECVBUF`).

        Default 128, 1 to 8192. When it is full, a message is dropped: see `Sub0.prefer_new`.""",
    "SubContext.recv_buffer_size": """Messages kept for receives to come (`NNG_OPT_RECVBUF`).

        Default 128, 1 to 8192. When it is full, a message is dropped: see `Sub0.prefer_new`.""",
    "reconnect_time_min": f"""Milliseconds before the first attempt to connect again.

        Default 1000 (`NNG_OPT_RECONNMINT`). {_ENDPOINTS} dialers.""",
    "reconnect_time_max": f"""The longest pause between attempts to connect, in milliseconds.

        The pause doubles after each attempt that fails, up to this. Default 0: the pause stays
        `reconnect_time_min` (`NNG_OPT_RECONNMAXT`). {_ENDPOINTS} dialers.""",
    "tcp_nodelay": f"""Send small messages at once (`NNG_OPT_TCP_NODELAY`).

        Default True; for tcp, tls+tcp, ws and wss. {_ENDPOINTS} ones.""",
    "tcp_keepalive": f"""Let the system probe idle connections (`NNG_OPT_TCP_KEEPALIVE`).

        Default False; for tcp, tls+tcp, ws and wss. {_ENDPOINTS} ones.""",
    "tls_config": """The `TLSConfig` for tls+tcp and wss (`NNG_OPT_TLS_CONFIG`); it can only be set.

        The default for endpoints that are made later without one of their own.""",
    "name": """A name for logs, UTF-8 of at most 63 bytes (`NNG_OPT_SOCKNAME`).

        Default: the number of the socket.""",
    "linger": """Seconds that a close may wait until accepted messages are written.

        Default 0: what is queued is dropped. Not an option of nng; see `flush`.""",
    "raw": "Whether the socket is raw (`NNG_OPT_RAW`); the constructor decides.",
    "protocol": "The number of the protocol (`NNG_OPT_PROTO`).",
    "protocol_name": 'The name of the protocol, such as "req" (`NNG_OPT_PROTONAME`).',
    "peer": "The number of the protocol that peers speak (`NNG_OPT_PEER`).",
    "peer_name": 'The name of the protocol that peers speak, such as "rep" (`NNG_OPT_PEERNAME`).',
    "recv_fd": """A descriptor for other event loops, readable while `recv_nowait` may succeed.

        Also readable when the socket is closed, so pollers wake up and get `Closed`. The socket
        owns the descriptor: do not read from it or close it. From the first use on, the socket
        takes one message from nng ahead, which the next receive returns; a Rep0 does so only after
        its last request was replied to. It stands for `NNG_OPT_RECVFD`, and also counts messages
        that trionng has taken from nng.

        Raises:
            Closed: the socket is closed.
            OutOfFiles: the process has no descriptor left.""",
    "send_fd": """A descriptor for other event loops, readable while `send_nowait` may succeed.

        Readable, not writable, as nng has it (`NNG_OPT_SENDFD`); also readable when the socket is
        closed. The socket owns the descriptor: do not read from it or close it. On Pub0 and Bus0,
        and on a polyamorous Pair1 with a peer, it is always readable. With nng 1.5 that
        of a Pair1 with a `send_buffer_size` that has lost its peer is not, though the buffer may
        have room.

        Raises:
            NotSupported: Pair0 with libnng before 1.6, which would never close it.
            Closed: the socket is closed.
            OutOfFiles: the process has no descriptor left.""",
    "ttl_max": """How many devices a message may have passed; more, and it is dropped.

        Default 8, 1 to 15 (`NNG_OPT_MAXTTL`).""",
    "resend_time": """Milliseconds until a request without a reply is sent again.

        Default 60000; -1: never, and a lost connection raises `ConnectionReset`
        (`NNG_OPT_REQ_RESENDTIME`).""",
    "survey_time": """Milliseconds that a survey lasts.

        Default 1000; -1: without end. Then a receive raises `Timeout` once all replies are read.
        trionng measures it; nng's own option `NNG_OPT_SURVEYOR_SURVEYTIME` is kept at its
        maximum.""",
    "prefer_new": """Which message is dropped when the buffer is full (`NNG_OPT_SUB_PREFNEW`).

        Default True: the oldest. False: the one that arrives.""",
}


def text_of(owner: type, name: str) -> str | None:
    """Return what is said of an option of a class; its protocol may have a text of its own."""
    protocol = owner.__name__.removesuffix("Base")
    return _TEXTS.get(f"{protocol}.{name}", _TEXTS.get(name))

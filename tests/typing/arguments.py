"""What constructors and calls take."""

import trionng
from trionng import blocking


async def sockets() -> None:
    async with trionng.Req0(listen="tcp://127.0.0.1:0", dial=[b"ipc:///x", "ipc:///y"]) as req:
        req.listen(b"tcp://127.0.0.1:0", ipc_permissions=0o600)
        await req.dial(b"tcp://127.0.0.1:5", block=True)
        req.recv_timeout = 5
    trionng.Req0("tcp://127.0.0.1:0")  # E
    trionng.Req0(recv_timout=5)  # E
    trionng.Req0(topics="news")  # E
    trionng.Req0(listen=5)  # E
    trionng.Sub0(topics=["a", b"b"], recv_timeout=0.5)  # E
    blocking.Sub0("ipc:///x")  # E
    blocking.Pair1(polyamorous=True, listen=b"ipc:///x")


def configurations(config: trionng.TLSConfig) -> None:
    config.set_server_name(None)
    config.set_server_name(b"x")  # E
    trionng.Pair0(tls_config="own.pem")  # E
    trionng.Pair0(tls_config=config)

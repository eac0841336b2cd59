"""Connected sockets, and URLs that no other test has."""

from __future__ import annotations

import contextlib
import os
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager as Block
from typing import Final, Literal, TypeVar, overload

import trio

from trionng._base.errors import InvalidOperation
from trionng._base.util import meant
from trionng._sockets import Bus0, Pair0, Pair1, Pub0, Pull0, Push0, Rep0, Req0, Sub0
from trionng._trio.socket import Socket
from trionng._trio.surveys import Respondent0, Surveyor0

A = TypeVar("A", bound=Socket)
B = TypeVar("B", bound=Socket)

_URLS: Final[dict[str, str]] = {
    "inproc": "inproc://{name}",
    "ipc": "ipc://{directory}/{name}",
    "abstract": "abstract://{name}",
    "tcp": "tcp://127.0.0.1:0",
    "tcp4": "tcp4://127.0.0.1:0",
    "tcp6": "tcp6://[::1]:0",
    "ws": "ws://127.0.0.1:0/{name}",
}
_TLS_URLS: Final = {"tls+tcp": "tls+tcp://localhost:0", "wss": "wss://localhost:0/"}
# What the two sockets of a pair are; the first one listens.
_PAIRS: Final[dict[str, tuple[Callable[[], Socket], Callable[[], Socket]]]] = {
    "pair0": (Pair0, Pair0),
    "pair1": (Pair1, Pair1),
    "pair1_polyamorous": (lambda: Pair1(polyamorous=True), lambda: Pair1(polyamorous=True)),
    "reqrep": (Req0, Rep0),
    "pubsub": (Pub0, lambda: Sub0(topics="")),
    "pushpull": (Push0, Pull0),
    "survey": (Surveyor0, Respondent0),
    "bus": (Bus0, Bus0),
}


def new_url(transport: str = "inproc", directory: str | os.PathLike[str] | None = None) -> str:
    """Return a URL to listen on that no other test has.

    For tcp and ws its port is 0: the system chooses one, and `listener.url` has it.

    Args:
        transport: "inproc", "ipc", "abstract", "tcp", "tcp4", "tcp6" or "ws".
        directory: where the file of an ipc URL is to be; default: that for temporary files. nng
            takes a path of at most 107 bytes (103 outside Linux), and removes the file when the
            listener closes.

    Raises:
        InvalidOperation: there is no such transport here.
    """
    if transport not in _URLS:
        instead = meant(transport, _URLS)
        if transport in _TLS_URLS:
            instead = f"; certificates are for a name: listen on {_TLS_URLS[transport]}"
        raise InvalidOperation(f"new_url: no transport {transport!r}: {', '.join(_URLS)}{instead}")
    return _URLS[transport].format(
        name=f"trionng-{uuid.uuid4().hex[:12]}", directory=directory or tempfile.gettempdir()
    )


@contextlib.asynccontextmanager
async def _closing(*sockets: Socket) -> AsyncIterator[None]:
    """Close sockets at the end of a block; what the block raises is never lost to a Cancelled.

    The close wakes tasks of the test with Closed. Their nursery then cancels this task, too.
    """
    async with contextlib.AsyncExitStack() as stack:
        for socket in sockets:
            stack.push_async_callback(socket.aclose)
        try:
            yield
        except BaseException:
            with trio.CancelScope(shield=True):
                await stack.aclose()
            raise


@contextlib.asynccontextmanager
async def connected(
    listening: A, dialing: B, transport: str = "inproc"
) -> AsyncIterator[tuple[A, B]]:
    """Connect two sockets for the time of a block, and close both at its end.

    The block owns the sockets from here on: they are closed if it cannot begin, too. Closing one
    of them in the block is fine.

    Cancellation: closes both, then raises.

    Args:
        listening: gets a listener on a URL of its own.
        dialing: dials it, and waits until the connection is usable.
        transport: "inproc", "ipc", "abstract", "tcp", "tcp4", "tcp6" or "ws".

    Returns:
        The two sockets.

    Raises:
        ProtocolError: the sockets do not speak to each other.
        InvalidOperation: there is no such transport here.

    Example:
        async with connected(Pull0(recv_buffer_size=8), Push0(), "tcp") as (pull, push):
            await push.send(b"job")
    """
    async with _closing(listening, dialing):
        url = listening.listen(new_url(transport)).url
        await dialing.dial(url, block=True)
        await listening.wait_connected()
        yield listening, dialing


@overload
def open_pair(
    kind: Literal["pair0"], *, transport: str = "inproc"
) -> Block[tuple[Pair0, Pair0]]: ...
@overload
def open_pair(
    kind: Literal["pair1", "pair1_polyamorous"], *, transport: str = "inproc"
) -> Block[tuple[Pair1, Pair1]]: ...
@overload
def open_pair(
    kind: Literal["reqrep"], *, transport: str = "inproc"
) -> Block[tuple[Req0, Rep0]]: ...
@overload
def open_pair(
    kind: Literal["pubsub"], *, transport: str = "inproc"
) -> Block[tuple[Pub0, Sub0]]: ...
@overload
def open_pair(
    kind: Literal["pushpull"], *, transport: str = "inproc"
) -> Block[tuple[Push0, Pull0]]: ...
@overload
def open_pair(
    kind: Literal["survey"], *, transport: str = "inproc"
) -> Block[tuple[Surveyor0, Respondent0]]: ...
@overload
def open_pair(kind: Literal["bus"], *, transport: str = "inproc") -> Block[tuple[Bus0, Bus0]]: ...
def open_pair(kind: str, *, transport: str = "inproc") -> Block[tuple[Socket, Socket]]:
    """Open two sockets that are connected for the time of a block, and closed at its end.

    Both ends know of the connection when the block begins. The sockets have the options of their
    classes' constructors by default; a Sub0 is subscribed to everything. For other options make
    the sockets, and use `connected`. Closing a socket in the block is fine.

    Cancellation: closes both, then raises.

    Args:
        kind: "pair0", "pair1", "pair1_polyamorous", "reqrep", "pubsub", "pushpull", "survey",
            "bus". The sockets come in the order that the name says; the first one listens.
        transport: "inproc", "ipc", "abstract", "tcp", "tcp4", "tcp6" or "ws".

    Returns:
        A block for `async with`, with the two sockets.

    Raises:
        InvalidOperation: there is no such kind, or no such transport.

    Example:
        async with open_pair("reqrep") as (req, rep):
            await req.send(b"question")
    """
    if kind not in _PAIRS:
        raise InvalidOperation(
            f"open_pair: no kind {kind!r}: {', '.join(_PAIRS)}{meant(kind, _PAIRS)}"
        )
    new_url(transport)  # refuses a transport before there are sockets
    first, second = _PAIRS[kind]
    return _opened(first, second, transport)


@contextlib.asynccontextmanager
async def _opened(
    first: Callable[[], Socket], second: Callable[[], Socket], transport: str
) -> AsyncIterator[tuple[Socket, Socket]]:
    # The sockets are made when the block begins: a block that never does leaves none behind.
    listening = first()
    try:
        dialing = second()
    except BaseException:
        await listening.aclose()
        raise
    async with connected(listening, dialing, transport) as pair:
        yield pair

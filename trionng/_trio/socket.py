"""The Trio socket that every protocol builds on: endpoints, waiting for peers, closing."""

from __future__ import annotations

import math
import warnings
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, final

import trio

from trionng._base.errors import ETIMEDOUT, NNGException, error_for
from trionng._base.types import Self
from trionng._base.util import check_bool
from trionng._core.arguments import suggests
from trionng._core.context import ContextBase
from trionng._core.endpoints import DialerBase, Endpoint, ListenerBase, close_failed
from trionng._core.flush import FlushWatch
from trionng._core.options import INT_MAX, check_int
from trionng._core.pipes import DEFAULT_CAPACITY
from trionng._core.socket import CLOSE_WITHIN, SocketBase
from trionng._core.tls import TLSConfig
from trionng._trio.io import AsyncIO
from trionng._trio.pipes import Pipe, PipeEvents
from trionng._trio.wait import (
    checkpoint,
    checkpoint_if_cancelled,
    enable_ki_protection,
    real_time_limit,
    real_wait,
    run_shielded,
    sleep_in_real_time,
    wait_for,
)

# For so many seconds a call that makes or awaits a connection keeps the clock of a test from
# jumping: nng connects, pauses and finds out about a refusal in real time. A call that takes longer
# waits for a peer.
_CONNECT_TAKES = 1.0


class AsyncEndpoint(Endpoint):
    """How dialers and listeners are closed."""

    if TYPE_CHECKING:

        @property
        def socket(self) -> Socket | None: ...

    def close(self) -> None:
        """Stop, and drop the connections that were made here, in the background."""
        socket = self._leave_socket()
        if socket is not None:
            self._close_native(socket, None, 0)

    async def aclose(self) -> None:
        """Stop, and drop the connections that were made here.

        Cancellation: closes, then raises.
        """
        socket = None if self._closed else self._leave_socket()
        if socket is None:
            await checkpoint()
            return
        try:
            code = await run_shielded(partial(self._close_native, socket), CLOSE_WITHIN)
        except NNGException:
            self._rejoin_socket(socket)
            raise
        if code == ETIMEDOUT:
            warnings.warn(f"{self!r}: nng has not closed it in {CLOSE_WITHIN} s", stacklevel=2)
        elif close_failed(code):
            raise self._close_failed(socket, code)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()


@final
class Dialer(AsyncEndpoint, DialerBase):
    """Makes a connection, and makes it again when it is lost (`nng_dialer`)."""


@final
class Listener(AsyncEndpoint, ListenerBase):
    """Accepts connections (`nng_listener`). Closing it closes the connections it accepted."""


class Socket(AsyncIO, SocketBase[Dialer, Listener, Pipe]):
    """A socket for Trio; use one of the protocol classes.

    It may be made outside a Trio run, and belongs to the run whose tasks wait on it. Constructing
    never waits: `listen=` binds at once, `dial=` connects in the background and retries.

    Args:
        listen: one URL or several to accept connections on.
        dial: one URL or several to connect to in the background.
        recv_timeout, send_timeout: milliseconds; -1, the default, waits for ever; 0 polls.
        recv_max_size: largest message a peer may send, bytes; default 1 MiB; 0 is no limit.
        reconnect_time_min, reconnect_time_max: milliseconds between attempts to connect.
        tcp_nodelay, tcp_keepalive: for endpoints made later.
        name: for statistics and logs.
        tls_config: for tls+tcp and wss endpoints that get none of their own.
        raw: see and write the protocol's own header in `Message.header`, for proxies; no contexts,
            no conversation.
        accept: rule for peers of listeners that get none of their own; default: all peers.
        linger: seconds `aclose` may wait for accepted messages to be written; default 0: nng drops
            them.
    """

    _dialer_type: type[Dialer] = Dialer
    _listener_type: type[Listener] = Listener
    _pipe_type: type[Pipe] = Pipe

    def _dial_from_constructor(self, url: str | bytes) -> None:
        self._dial_in_background(self._make_dialer(url, {}))

    @enable_ki_protection
    @suggests
    async def dial(
        self,
        url: str | bytes,
        *,
        block: bool | None = None,
        tls_config: TLSConfig | None = None,
        recv_max_size: int | None = None,
        reconnect_time_min: int | None = None,
        reconnect_time_max: int | None = None,
        tcp_nodelay: bool | None = None,
        tcp_keepalive: bool | None = None,
    ) -> Dialer:
        """Connect to `url`, and connect again whenever the connection is lost (`nng_dialer_start`).

        Cancellation: a dial that was cancelled leaves no dialer behind.

        Args:
            url: such as `tcp://host:5555`, `ipc:///run/app.sock`, `inproc://name`; bytes for a path
                that is no text.
            block: True awaits the first attempt and raises its failure, a peer that refuses
                included. False connects in the background. None awaits the first attempt; its
                failure is logged, and retried in the background. A peer that refuses can take along
                messages that are sent while nng connects; True before the first send avoids that.
            tls_config: for tls+tcp and wss; default: the socket's.
            recv_max_size: largest message the peer may send, bytes; default: the socket's.
            reconnect_time_min, reconnect_time_max: milliseconds between attempts; default: the
                socket's.
            tcp_nodelay, tcp_keepalive: default: the socket's.

        Returns:
            The dialer. When the attempt was awaited, the connection is usable.

        Raises:
            ConnectionRefused: no peer listens there (with `block=True`).
            AddressInvalid: the URL cannot be parsed, or its host is not known.
            NotSupported: the libnng in use has no such transport.
            ProtocolError: the peer refused, or speaks another protocol (with `block=True`).
            Closed: the socket was closed.
        """
        options = {
            "recv_max_size": recv_max_size,
            "reconnect_time_min": reconnect_time_min,
            "reconnect_time_max": reconnect_time_max,
            "tcp_nodelay": tcp_nodelay,
            "tcp_keepalive": tcp_keepalive,
        }
        if block is not None:
            check_bool("dial: block", block)
        await checkpoint_if_cancelled()
        dialer = self._make_dialer(url, options, tls_config)
        try:
            if block is False:
                self._dial_in_background(dialer)
                await checkpoint()
                return dialer
            with real_wait(_CONNECT_TAKES):
                code, _ = await wait_for(partial(self._native.dial, dialer.id, block is True))
        except BaseException:
            self._drop_dialer(dialer)
            raise
        self._dialled(dialer, code, block=block)
        return dialer

    async def wait_connected(self, n: int = 1) -> None:
        """Wait until `n` peers are connected now; returns at once when they are.

        Raises:
            Closed: the socket was closed.
        """
        check_int(f"{type(self).__name__}.wait_connected", n, 0, INT_MAX)
        with real_wait(_CONNECT_TAKES):
            code, _ = await wait_for(partial(self._native.wait_pipes, n))
        if code != 0:
            raise self._failed(code, "wait_connected")

    def pipe_events(self, *, capacity: int = DEFAULT_CAPACITY) -> PipeEvents:
        """Subscribe to what happens to the connections (`nng_pipe_notify`).

        It begins with one "connected" for every connection of this moment. There may be any number
        of subscriptions; each gets every event.

        Args:
            capacity: how many events are kept for a slow reader, beside those it begins with; a
                reader that falls further behind gets `EventsLost` after them.

        Returns:
            The subscription: `async with` it, and iterate.

        Raises:
            Closed: the socket is closed.

        Example:
            async with socket.pipe_events() as events:
                async for event in events:
                    print(event.kind, event.pipe.remote_address)
        """
        return PipeEvents(self, Pipe, check_int("capacity", capacity, 1, INT_MAX))

    async def flush(self) -> None:
        """Wait until every accepted message was handed to the operating system.

        nng accepts messages before it writes them, and drops them when the socket closes. `flush`
        compares what the connections were given with what they have written, on every transport. It
        waits for as long as a peer does not read: bound it with a cancel scope. On inproc the last
        message of a connection may be with the peer or not. There, and where messages can be
        dropped (a broadcast to a slow peer, a polyamorous Pair1, replies of raw sockets, a
        connection of a pair that went), it returns when nothing has moved for 100 ms. With libnng
        as a library of its own (`TRIONNG_LINK=shared`) ws and wss do not count: it returns after
        100 ms of them.

        Cancellation: only the wait ends.

        Raises:
            Closed: the socket is closed.
        """
        watch = FlushWatch(self)
        while True:
            code, _ = await wait_for(watch.submit)
            if watch.is_flushed(code):
                return
            await sleep_in_real_time(watch.pause())

    async def aclose(self) -> None:
        """Close the socket and wake every task that waits on it with `Closed` (`nng_close`).

        Closing it again does nothing. With `linger`, accepted messages are flushed first. Returns
        within 5 s even when nng hangs, with a warning.

        Cancellation: closes, then raises.

        Raises:
            OutOfThreads, OutOfFiles: it could not begin; its endpoints are still open, and it can
                be closed again.
        """
        if self._close_done:
            await checkpoint()
            return
        try:
            if (
                self.linger > 0
                and not self._closed
                and trio.current_effective_deadline() > -math.inf
            ):
                with real_time_limit(self.linger):
                    await self.flush()
        except trio.ClosedResourceError:
            pass
        finally:
            await self._close()

    async def _close(self) -> None:
        was_closed, self._closed = self._closed, True
        try:
            code = await run_shielded(self._native.close, CLOSE_WITHIN)
        except NNGException:  # it did not begin
            self._closed = was_closed
            raise
        except BaseException:
            self._mark_closed()
            raise
        if close_failed(code):
            raise error_for(code, f"close {type(self).__name__}", self._urls())
        self._mark_closed()
        if code == ETIMEDOUT:
            # nng's one reaper thread hangs then: later closes may wait as well.
            warnings.warn(
                f"{self!r}: nng has not closed it in {CLOSE_WITHIN} s; it goes on trying, and "
                "other sockets of this process may be slow to close too",
                stacklevel=3,
            )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __enter__(self) -> NoReturn:
        raise RuntimeError(f"closing a {type(self).__name__} waits: use `async with`, not `with`")

    def __exit__(self, *exc: object) -> None:
        """Do nothing; without this method `with` would not call `__enter__`, which explains."""

    def new_context(self) -> Context:
        """Open a context: a state of its own on the same connections (`nng_ctx_open`).

        Raises:
            NotSupported: the protocol has none.
            Closed: the socket is closed.
        """
        return Context(self, self._open_context())


class Context(AsyncIO, ContextBase):
    """A conversation of its own on the connections of a socket (`nng_ctx`).

    Req0 contexts have one request each in flight, Rep0 contexts one request each to answer, Sub0
    contexts their own topics and buffer. Timeouts start with the socket's. Made by `new_context`.
    """

    _socket: Socket

    @property
    def socket(self) -> Socket:
        """The socket it belongs to."""
        return self._socket

    async def aclose(self) -> None:
        """Close the context and wake its tasks with `Closed` (`nng_ctx_close`).

        Closing it again does nothing.

        Cancellation: closes, then raises.
        """
        self._close_ctx()
        await checkpoint()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

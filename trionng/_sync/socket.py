"""The socket of the sync API that every protocol builds on; counterpart of `_trio/socket.py`."""

from __future__ import annotations

import time
import warnings
from functools import partial
from typing import TYPE_CHECKING, final

from trionng._base.errors import ETIMEDOUT, Closed, NNGException, Timeout, error_for
from trionng._base.types import Self
from trionng._base.util import check_bool, in_trio_task
from trionng._core.arguments import suggests
from trionng._core.context import ContextBase
from trionng._core.endpoints import DialerBase, Endpoint, ListenerBase, close_failed
from trionng._core.flush import FlushWatch
from trionng._core.options import INT_MAX, check_int
from trionng._core.pipes import DEFAULT_CAPACITY
from trionng._core.socket import CLOSE_WITHIN, SocketBase
from trionng._core.tls import TLSConfig
from trionng._sync.io import SyncIO
from trionng._sync.pipes import Pipe, PipeEvents
from trionng._sync.wait import deadline, wait_for

_FOR_EVER = -1


class SyncEndpoint(Endpoint):
    """How dialers and listeners are closed."""

    if TYPE_CHECKING:

        @property
        def socket(self) -> Socket | None: ...

    def close(self, *, timeout: float | None = None) -> None:
        """Stop, and drop the connections that were made here: sync counterpart of `aclose`.

        Args:
            timeout: seconds to wait for nng, which goes on by itself; default 5.
        """
        socket = None if self._closed else self._leave_socket()
        if socket is None:
            return
        within = CLOSE_WITHIN if timeout is None else timeout
        try:
            code = wait_for(partial(self._close_native, socket), within, must_end=True)
        except NNGException:
            self._rejoin_socket(socket)
            raise
        if code == ETIMEDOUT:
            warnings.warn(f"{self!r}: nng has not closed it in {within} s", stacklevel=2)
        elif close_failed(code):
            raise self._close_failed(socket, code)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


@final
class Dialer(SyncEndpoint, DialerBase):
    """Makes a connection, and makes it again: sync counterpart of `trionng.Dialer`."""


@final
class Listener(SyncEndpoint, ListenerBase):
    """Accepts connections: sync counterpart of `trionng.Listener`."""


class Socket(SyncIO, SocketBase[Dialer, Listener, Pipe]):
    """A socket for scripts and threads; use one of the protocol classes.

    Sync counterpart of `trionng.Socket`, with the same arguments. Any number of threads may use it.
    `dial=` waits for the first attempt, as `dial(url)` does.
    """

    _dialer_type: type[Dialer] = Dialer
    _listener_type: type[Listener] = Listener
    _pipe_type: type[Pipe] = Pipe

    def _dial_from_constructor(self, url: str | bytes) -> None:
        self.dial(url)

    @suggests
    def dial(
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
        timeout: float | None = None,
    ) -> Dialer:
        """Connect to `url`, and keep connected: sync counterpart of `trionng.Socket.dial`.

        Args:
            url: such as `tcp://host:5555`, `ipc:///run/app.sock`, `inproc://name`; bytes for a path
                that is no text.
            block: True waits for the first attempt and raises its failure. False connects in the
                background. None waits for the first attempt; its failure is logged, and retried in
                the background. A peer that refuses can take along messages that are sent while nng
                connects; True before the first send avoids that.
            tls_config: for tls+tcp and wss; default: the socket's.
            recv_max_size: largest message the peer may send, bytes; default: the socket's.
            reconnect_time_min, reconnect_time_max: milliseconds between attempts; default: the
                socket's.
            tcp_nodelay, tcp_keepalive: default: the socket's.
            timeout: seconds for the first attempt; None is for ever; when they are over, `Timeout`
                is raised, and no dialer is left behind.
        """
        self._check("dial")
        options = {
            "recv_max_size": recv_max_size,
            "reconnect_time_min": reconnect_time_min,
            "reconnect_time_max": reconnect_time_max,
            "tcp_nodelay": tcp_nodelay,
            "tcp_keepalive": tcp_keepalive,
        }
        if block is not None:
            check_bool("dial: block", block)
        until = deadline(timeout, _FOR_EVER)
        dialer = self._make_dialer(url, options, tls_config)
        try:
            if block is False:
                self._dial_in_background(dialer)
                return dialer
            code = wait_for(partial(self._native.dial, dialer.id, block is True), timeout)
            out_of_time = code == ETIMEDOUT and until is not None and time.monotonic() >= until
            self._dialled(dialer, code, block=True if out_of_time else block)
        except BaseException:
            if not dialer._closed:
                self._drop_dialer(dialer)
            raise
        return dialer

    def wait_connected(self, n: int = 1, *, timeout: float | None = None) -> None:
        """Wait until `n` peers are connected: sync counterpart of `trionng.Socket.wait_connected`.

        Args:
            n: how many peers.
            timeout: seconds; None is for ever; when they are over, `Timeout` is raised.
        """
        self._check("wait_connected")
        check_int(f"{type(self).__name__}.wait_connected", n, 0, INT_MAX)
        code = wait_for(partial(self._native.wait_pipes, n), timeout)
        if code != 0:
            raise self._failed(code, "wait_connected", self._over(code, timeout, _FOR_EVER))

    def pipe_events(self, *, capacity: int = DEFAULT_CAPACITY) -> PipeEvents:
        """Subscribe to pipe events: sync counterpart of `trionng.Socket.pipe_events`.

        Args:
            capacity: how many events are kept for a reader that is busy.
        """
        return PipeEvents(self, Pipe, check_int("capacity", capacity, 1, INT_MAX))

    def flush(self, *, timeout: float | None = None) -> None:
        """Wait until every message was written: sync counterpart of `trionng.Socket.flush`.

        Args:
            timeout: seconds; None is for ever; when they are over, `Timeout` is raised.
        """
        self._check("flush")
        until = deadline(timeout, _FOR_EVER)
        watch = FlushWatch(self)
        while not watch.is_flushed(wait_for(watch.submit)):
            if until is not None and time.monotonic() >= until:
                raise self._failed(ETIMEDOUT, "flush", self._over(ETIMEDOUT, timeout, _FOR_EVER))
            time.sleep(watch.pause())

    def close(self, *, timeout: float | None = None) -> None:
        """Close the socket and wake every thread in it with `Closed`: sync counterpart of `aclose`.

        Ctrl-C: nng goes on closing, and KeyboardInterrupt is raised at once.

        Args:
            timeout: seconds to wait for nng, which goes on by itself; default 5.

        Raises:
            OutOfThreads: it could not begin; its endpoints are still open, and it can be closed
                again.
        """
        if self._close_done:
            return
        within = CLOSE_WITHIN if timeout is None else timeout
        try:
            self._check("close", "aclose")
            if self.linger > 0 and not self._closed:
                try:
                    self.flush(timeout=self.linger)
                except (Timeout, Closed):
                    pass
            self._closed = True
            code = wait_for(self._native.close, within, must_end=True)
        except BaseException:
            self._abort()
            self._mark_closed()
            raise
        if close_failed(code):
            raise error_for(code, f"close {type(self).__name__}", self._urls())
        self._mark_closed()
        if code == ETIMEDOUT:
            # nng's one reaper thread hangs then: later closes may wait as well.
            warnings.warn(
                f"{self!r}: nng has not closed it in {within} s; it goes on trying, and other "
                "sockets of this process may be slow to close too",
                stacklevel=2,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, exc_type: type[BaseException] | None, *exc: object) -> None:
        if exc_type is not None and in_trio_task():
            self._abort()  # the block has raised that the sync API blocks the Trio loop
        else:
            self.close()

    def new_context(self) -> Context:
        """Open a context: sync counterpart of `trionng.Socket.new_context`."""
        return Context(self, self._open_context())


class Context(SyncIO, ContextBase):
    """A conversation of its own on a socket: sync counterpart of `trionng.Context`."""

    _socket: Socket

    @property
    def socket(self) -> Socket:
        """The socket it belongs to."""
        return self._socket

    def close(self) -> None:
        """Close the context and wake its threads with `Closed`: sync counterpart of `aclose`."""
        self._close_ctx()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

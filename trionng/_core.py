"""What a socket is whatever way one waits on it (floor 4): options, endpoints, pipes, topics.

Nothing here waits, except `listen`, which may look up a name. A Core owns the native socket;
dialers, listeners and pipes only refer to it. Closing is the flavour's business, because it waits;
a Core that is dropped without it closes in the background and says so.
"""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from trionng import _ffi
from trionng._endpoints import DialerCore, ListenerCore, endpoint_error, warn_of_old_ws
from trionng._errors import Ambiguous, Closed, error_for
from trionng._options import BoolOption, IntOption, SizeLimit, TextOption
from trionng._pipes import Pipe
from trionng._tls import TLSConfig, TLSOption
from trionng._util import as_topic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trionng._addresses import SockAddr

D = TypeVar("D", bound=DialerCore, covariant=True)
L = TypeVar("L", bound=ListenerCore, covariant=True)


class Core(Generic[D, L]):
    """The colourless part of every socket.

    Times are integer milliseconds as in nng. Options set here hold for endpoints made later.
    """

    _protocol: ClassVar[int]
    _dialer_type: type[D]
    _listener_type: type[L]

    recv_max_size: SizeLimit = SizeLimit()
    reconnect_time_min: IntOption = IntOption("reconnect-time-min", "ms")
    reconnect_time_max: IntOption = IntOption("reconnect-time-max", "ms")
    tcp_nodelay: BoolOption = BoolOption("tcp-nodelay")
    tcp_keepalive: BoolOption = BoolOption("tcp-keepalive")
    name: TextOption = TextOption("socket-name")
    tls_config: TLSOption = TLSOption()
    raw: BoolOption = BoolOption("raw", writable=False)
    protocol: IntOption = IntOption("protocol", "int", writable=False)
    protocol_name: TextOption = TextOption("protocol-name", writable=False)
    peer: IntOption = IntOption("peer", "int", writable=False)
    peer_name: TextOption = TextOption("peer-name", writable=False)

    def __init__(self, *, raw: bool = False) -> None:
        self._closed = True
        self._gone = True
        self._had_endpoint = False
        self._has_queues = self._has_queues or raw
        self._tls_config: TLSConfig | None = None
        self._dialers: dict[int, D] = {}
        self._listeners: dict[int, L] = {}
        self._pipe_cache: dict[int, Pipe] = {}
        code, native = _ffi.open_socket(self._choose_protocol(), raw=raw)
        if native is None:
            raise error_for(code, f"open {type(self).__name__}{' raw' if raw else ''}")
        self._native = native
        self._closed = self._gone = False
        code, lane = native.open_lane(context=False)
        if lane is None:
            raise error_for(code, f"open {type(self).__name__}")
        self._lane = lane

    # Bus0, polyamorous Pair1 and raw sockets keep their messages in nng's generic queues (C8).
    _has_queues = False

    @property
    def _buffers_are_fixed(self) -> bool:
        return self._has_queues and self._had_endpoint

    def _choose_protocol(self) -> int:
        return self._protocol

    def __del__(
        self,
        _finalizing: Callable[[], bool] = sys.is_finalizing,
        _warn: Callable[[str, type[Warning], int, object], None] = warnings.warn,
        _warning: type[Warning] = ResourceWarning,
        _forked: Callable[[], bool] = _ffi.is_forked,
    ) -> None:
        # Helpers are bound as defaults: at interpreter exit the modules may have gone. The native
        # socket closes itself.
        if not getattr(self, "_closed", True) and not _finalizing() and not _forked():
            _warn(f"{self!r} was never closed", _warning, 2, self)

    def _where(self) -> str | None:
        """Return the URLs this socket uses, for error messages."""
        urls = [end.url for end in (*self._listeners.values(), *self._dialers.values())]
        return ", ".join(urls) or None

    def _error(self, code: int, operation: str) -> Exception:
        return error_for(code, f"{type(self).__name__}.{operation}", self._where())

    def _option_target(self) -> tuple[int, int, str | None]:
        if self._closed:
            raise Closed(f"{type(self).__name__} is closed")
        return _ffi.ON_SOCKET, self._native.id, self._where()

    def _set_options(self, options: Mapping[str, object]) -> None:
        """Set what was given; None is nng's or our own default."""
        for option, value in options.items():
            if value is not None:
                if not hasattr(type(self), option):
                    raise TypeError(f"{type(self).__name__} has no option {option}")
                setattr(self, option, value)

    def _take_tls_config(self, config: TLSConfig) -> None:
        self._tls_config = config

    def listen(
        self,
        url: str,
        *,
        tls_config: TLSConfig | None = None,
        recv_max_size: int | None = None,
        tcp_nodelay: bool | None = None,
        tcp_keepalive: bool | None = None,
        ipc_permissions: int | None = None,
    ) -> L:
        """Accept connections on `url` (`nng_listener_create`, `nng_listener_start`).

        Binds before it returns; a host name is looked up on a helper thread, and Ctrl-C interrupts
        that.
        Port 0 lets the system choose: `listener.url` has the port.

        Args:
            url: such as `tcp://127.0.0.1:0`, `ipc:///run/app.sock`, `inproc://name`.
            tls_config: for tls+tcp and wss; default: the socket's.
            recv_max_size: largest message a peer may send, bytes; 0 is no limit; default: the
                socket's.
            tcp_nodelay: send small messages at once.
            tcp_keepalive: let the system probe idle connections.
            ipc_permissions: mode bits of the socket file, such as 0o600.

        Returns:
            The listener; it lives until it or the socket is closed.

        Raises:
            AddressInUse: somebody listens there already.
            AddressInvalid: the URL cannot be parsed, or its host is not known.
            NotSupported: the libnng in use has no such transport.
            Closed: the socket is closed.
        """
        if self._closed:
            raise Closed(f"{type(self).__name__}.listen {url}: the socket is closed", url=url)
        warn_of_old_ws(url)
        self._had_endpoint = True
        code, number = self._native.create_listener(url.encode())
        if code != 0:
            raise endpoint_error(code, "listen", url)
        listener = self._listener_type(self, number, url)
        try:
            listener._set_options(
                {
                    "recv_max_size": recv_max_size,
                    "tcp_nodelay": tcp_nodelay,
                    "tcp_keepalive": tcp_keepalive,
                }
            )
            listener._prepare(tls_config, self._tls_config)
            if ipc_permissions is not None:
                code = _ffi.set_number(
                    _ffi.ON_LISTENER, number, "int", "ipc:permissions", ipc_permissions
                )
                if code != 0:
                    raise endpoint_error(code, "set ipc_permissions", url)
            code = self._native.start_listener(number)
            if code != 0:
                raise listener._start_error(code, "listen")
        except BaseException:
            listener._closed = True
            self._native.close_listener(number, None, 0)
            raise
        listener._resolve()
        self._listeners[number] = listener
        return listener

    def _make_dialer(
        self, url: str, options: Mapping[str, object], tls_config: TLSConfig | None = None
    ) -> D:
        """Create a dialer that has not started."""
        if self._closed:
            raise Closed(f"{type(self).__name__}.dial {url}: the socket is closed", url=url)
        self._had_endpoint = True
        code, number = self._native.create_dialer(url.encode())
        if code != 0:
            raise endpoint_error(code, "dial", url)
        dialer = self._dialer_type(self, number, url)
        self._dialers[number] = dialer
        try:
            dialer._set_options(options)
            dialer._prepare(tls_config, self._tls_config)
        except BaseException:
            self._drop_dialer(dialer)
            raise
        return dialer

    def _drop_dialer(self, dialer: DialerCore) -> None:
        dialer._leave_socket()
        self._native.close_dialer(dialer.id, None, 0)

    def _dial_in_background(self, dialer: DialerCore) -> None:
        code = self._native.start_dialer(dialer.id)
        if code != 0:
            self._drop_dialer(dialer)
            raise dialer._start_error(code, "dial")

    @property
    def dialers(self) -> tuple[D, ...]:
        """The dialers that are active."""
        return tuple(self._dialers.values())

    @property
    def listeners(self) -> tuple[L, ...]:
        """The listeners that are active."""
        return tuple(self._listeners.values())

    @property
    def pipes(self) -> tuple[Pipe, ...]:
        """The connections there are now."""
        infos = () if self._closed else self._native.pipes()
        known = self._pipe_cache
        self._pipe_cache = {info.id: known.get(info.id) or Pipe(self, info) for info in infos}
        return tuple(self._pipe_cache.values())

    def _pipe(self, number: int) -> Pipe | None:
        """Return the connection a message came through, unless it has gone already."""
        if number not in self._pipe_cache:
            self.pipes  # noqa: B018
        return self._pipe_cache.get(number)

    @property
    def local_address(self) -> SockAddr:
        """The address of the only listener, else of the only connection, else `Ambiguous`."""
        if len(self._listeners) == 1:
            return next(iter(self._listeners.values())).local_address
        pipes = self.pipes
        if len(pipes) == 1 and not self._listeners:
            return pipes[0].local_address
        raise Ambiguous(f"local_address: {len(self._listeners)} listeners, {len(pipes)} pipes")

    def __repr__(self) -> str:
        state = "closed" if self._closed else self._where() or "not connected"
        return f"<{type(self).__name__} {state}>"


AnyCore = Core[DialerCore, ListenerCore]


class Topics:
    """The topics of a Sub0 socket or context.

    nng filters what arrives. What had been taken before an unsubscribe is filtered here, so that no
    message of that topic is delivered after it.
    """

    def __init__(self, on: int, number: int) -> None:
        self._on = on
        self._number = number
        self._topics: tuple[bytes, ...] = ()
        self.narrowed = False

    def add(self, topic: str | bytes) -> None:
        wanted = as_topic(topic)
        code = _ffi.set_bytes(self._on, self._number, "sub:subscribe", wanted)
        if code != 0:
            raise error_for(code, f"subscribe {wanted!r}")
        if wanted not in self._topics:
            self._topics = (*self._topics, wanted)

    def remove(self, topic: str | bytes) -> None:
        unwanted = as_topic(topic)
        code = _ffi.set_bytes(self._on, self._number, "sub:unsubscribe", unwanted)
        if code != 0:
            raise error_for(code, f"unsubscribe {unwanted!r}: not subscribed")
        self._topics = tuple(each for each in self._topics if each != unwanted)
        self.narrowed = True

    def filter(self, batch: list[bytes]) -> list[bytes]:
        """Return those of the messages taken before that may still be delivered."""
        if not self.narrowed:
            return batch
        return [data for data in batch if data.startswith(self._topics)]

    def want(self, msg: _ffi.Msg) -> bool:
        """Say whether a message taken before may still be delivered."""
        return not self.narrowed or _ffi.starts_with(msg, self._topics)

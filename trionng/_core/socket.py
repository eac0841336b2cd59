"""What the sockets of both APIs share: opening, options, endpoints, pipes.

Nothing here waits, except `listen`, which may look up a name. A `SocketBase` owns the native
socket; dialers, listeners and pipes hold weak references to it. Closing waits, so each API has its
own. A socket that is garbage collected without a close closes in the background, with a
ResourceWarning.
"""

from __future__ import annotations

import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import ClassVar, Final, Generic, TypedDict, TypeVar
from weakref import WeakValueDictionary

from trionng import _ffi
from trionng._base.errors import (
    ECANCELED,
    ECLOSED,
    EINVAL,
    ENOTSUP,
    Ambiguous,
    Closed,
    error_for,
    shown,
)
from trionng._base.util import check_bool, warn_once
from trionng._core import old_libnng
from trionng._core.abc import AnyEndpoint, AnySocket
from trionng._core.addresses import SockAddr
from trionng._core.admission import Admission
from trionng._core.arguments import TakesNames, suggests
from trionng._core.endpoints import (
    NONE_GIVEN,
    DialerBase,
    ListenerBase,
    endpoint_error,
    endpoint_of,
)
from trionng._core.io import BaseIO
from trionng._core.options import (
    BoolOption,
    IntOption,
    LingerOption,
    NameOption,
    SizeLimit,
    TextOption,
)
from trionng._core.pipes import PipeBase
from trionng._core.reports import log
from trionng._core.statistics import SocketStatistics, statistics_of
from trionng._core.tls import TLSConfig, TLSOption
from trionng._core.urls import WEB, as_urls, read_url

# Seconds. nng can hang in a close (H1, where fixes/aio_stopped.c is off); the caller must not.
CLOSE_WITHIN = 5.0

# EINVAL and ENOTSUP: every further attempt of the dial would fail as well. So would the shim's own
# codes, except the two that a peer causes.
_NEVER_HEALS: Final = (EINVAL, ENOTSUP)
_PEER_REFUSED: Final = (_ffi.REFUSED, _ffi.ALREADY_PAIRED)
# How many closed endpoints a socket remembers, as it does connections (PIPES_REMEMBERED).
_REMEMBERED = 64
# Protocol, its name, the peer's, its name: by the protocol, as reading them takes a while.
_protocol_ids: dict[int, tuple[int, str, int, str]] = {}

D = TypeVar("D", bound=DialerBase, covariant=True)
L = TypeVar("L", bound=ListenerBase, covariant=True)
P = TypeVar("P", bound=PipeBase, covariant=True)


class SocketOptions(TypedDict, total=False):
    """The constructor arguments every socket has."""

    listen: str | bytes | Iterable[str | bytes] | None
    dial: str | bytes | Iterable[str | bytes] | None
    recv_timeout: int | None
    send_timeout: int | None
    recv_max_size: int | None
    recv_buffer_size: int | None
    send_buffer_size: int | None
    reconnect_time_min: int | None
    reconnect_time_max: int | None
    tcp_nodelay: bool | None
    tcp_keepalive: bool | None
    name: str | None
    tls_config: TLSConfig | None
    linger: float
    accept: Admission | None
    raw: bool


class SocketBase(BaseIO, TakesNames, Generic[D, L, P]):
    """What the sockets of both APIs share.

    Times are integer milliseconds as in nng. Options of endpoints that are set here
    are set on those there are, and hold for those made later.
    """

    _protocol: ClassVar[int]
    _dialer_type: type[D]
    _listener_type: type[L]
    _pipe_type: type[P]
    _linger: float = 0
    # What most sockets keep for their whole life costs nothing when they are made.
    _closed = _close_done = True
    _accept: Admission | None = None
    _tls_config: TLSConfig | None = None
    _had_endpoint = _is_raw = _drops_unknown = False
    # Late messages and events still ask which endpoint made their pipe.
    _closed_endpoints: deque[AnyEndpoint] | None = None
    # One object a pipe of any socket, by its serial number, while the program has a reference.
    _pipes: WeakValueDictionary[int, P] = WeakValueDictionary()  # noqa: RUF012
    # What BadState means on this protocol, for sending and receiving.
    _wrong_order: ClassVar[dict[str, str]] = {}

    recv_max_size: SizeLimit = SizeLimit()
    reconnect_time_min: IntOption = IntOption("reconnect-time-min", "ms")
    reconnect_time_max: IntOption = IntOption("reconnect-time-max", "ms")
    tcp_nodelay: BoolOption = BoolOption("tcp-nodelay")
    tcp_keepalive: BoolOption = BoolOption("tcp-keepalive")
    name: NameOption = NameOption()
    linger: LingerOption = LingerOption()
    tls_config: TLSOption = TLSOption()
    raw: BoolOption = BoolOption("raw", writable=False)
    protocol: IntOption = IntOption("protocol", "int", writable=False)
    protocol_name: TextOption = TextOption("protocol-name")
    peer: IntOption = IntOption("peer", "int", writable=False)
    peer_name: TextOption = TextOption("peer-name")

    def __init__(
        self,
        *,
        listen: str | bytes | Iterable[str | bytes] | None = None,
        dial: str | bytes | Iterable[str | bytes] | None = None,
        recv_timeout: int | None = None,
        send_timeout: int | None = None,
        recv_max_size: int | None = None,
        recv_buffer_size: int | None = None,
        send_buffer_size: int | None = None,
        reconnect_time_min: int | None = None,
        reconnect_time_max: int | None = None,
        tcp_nodelay: bool | None = None,
        tcp_keepalive: bool | None = None,
        name: str | None = None,
        tls_config: TLSConfig | None = None,
        linger: float = 0,
        accept: Admission | None = None,
        raw: bool = False,
    ) -> None:
        if not hasattr(type(self), "_protocol"):
            raise TypeError(
                "Socket is not a protocol: use Req0, Rep0, Pub0, Sub0, Push0, Pull0, Pair0 ..."
            )
        if linger is not SocketBase._linger:
            self.linger = linger
        if accept is not None:
            self._accept = accept
        try:
            self._open(raw=check_bool(f"{type(self).__name__}: raw", raw))
            self._set_options(
                {
                    "recv_timeout": recv_timeout,
                    "send_timeout": send_timeout,
                    "recv_max_size": recv_max_size,
                    "recv_buffer_size": recv_buffer_size,
                    "send_buffer_size": send_buffer_size,
                    "reconnect_time_min": reconnect_time_min,
                    "reconnect_time_max": reconnect_time_max,
                    "tcp_nodelay": tcp_nodelay,
                    "tcp_keepalive": tcp_keepalive,
                    "name": name,
                    "tls_config": tls_config,
                    **self._protocol_options(),
                }
            )
            for url in as_urls(f"{type(self).__name__}: listen", listen):
                self.listen(url)
            for url in as_urls(f"{type(self).__name__}: dial", dial):
                self._dial_from_constructor(url)
        except BaseException:
            if hasattr(self, "_native"):
                self._abort()
            raise

    def _open(self, *, raw: bool) -> None:
        warn_once("fixes", old_libnng.missing_fixes)
        if raw:
            self._is_raw = self._has_queues = True
        self._dialers: dict[int, D] = {}
        self._listeners: dict[int, L] = {}
        number = self._choose_protocol()
        code, native = _ffi.open_socket(number, raw=raw)
        if native is None:
            attempted = f"open {type(self).__name__}{' raw' if raw else ''}"
            raise error_for(code, attempted, None, _ffi.why_not_opened(code))
        self._native = native
        self._closed = self._close_done = False
        code, ctx = native.open_context(context=False)
        if ctx is None:
            raise error_for(code, f"open {type(self).__name__}")
        self._ctx = ctx
        if number not in _protocol_ids:
            _protocol_ids[number] = (self.protocol, self.protocol_name, self.peer, self.peer_name)
        self._protocol_ids = _protocol_ids[number]

    def _protocol_options(self) -> Mapping[str, object]:
        """Return what a protocol's own constructor arguments set."""
        return {}

    def _abort(self) -> None:
        """Close in the background, where no caller waits for it."""
        self._mark_closed()
        self._native.close(None, 0)

    def _mark_closed(self) -> None:
        self._closed = self._close_done = True
        self._dialers.clear()
        self._listeners.clear()

    def _dial_from_constructor(self, url: str | bytes) -> None:
        """Do what the constructor's `dial=` means in this API."""
        raise NotImplementedError

    # Bus0, polyamorous Pair1 and raw sockets keep their messages in nng's generic queues (C8).
    _has_queues = False
    # Whether a message goes to the connection it names.
    _chooses_pipe = False

    @property
    def _buffers_are_fixed(self) -> bool:
        return self._has_queues and self._had_endpoint

    def _choose_protocol(self) -> int:
        return self._protocol

    def __del__(self) -> None:
        self._warn_if_open()

    def _warn_if_open(
        self,
        finalizing: Callable[[], bool] = sys.is_finalizing,
        warn: Callable[[str, type[Warning], int, object], None] = warnings.warn,
        warning: type[Warning] = ResourceWarning,
        forked: Callable[[], bool] = _ffi.is_forked,
    ) -> None:
        # Bound as defaults: at interpreter exit module globals may be None. The native socket
        # closes itself.
        if not getattr(self, "_closed", True) and not finalizing() and not forked():
            warn(f"{self!r} was never closed", warning, 3, self)

    def _urls(self) -> str | None:
        """Return the URLs this socket uses, for error messages."""
        urls = [end.url for end in (*self._listeners.values(), *self._dialers.values())]
        return ", ".join(urls) or None

    def _get_socket(self) -> AnySocket:
        return self

    def _open_context(self) -> _ffi.Context:
        code, ctx = self._native.open_context(context=True)
        if ctx is None:
            why = "this protocol has no contexts; Req0, Rep0, Surveyor0, Respondent0 and Sub0 have"
            if self._is_raw:
                why = "a raw socket has no contexts, and no conversation"
            raise self._failed(code, "new_context", why if code == ENOTSUP else None)
        return ctx

    def _is_alone(self) -> bool:
        """Tell whether it has no peer, the most frequent cause of a timeout."""
        return not self._closed and self._native.pipe_count() == 0

    @property
    def _header_room(self) -> int:
        return self._native.header_room

    def _option_target(self, attempted: str) -> tuple[int, int, str | None]:
        if self._closed:
            raise Closed(f"{attempted}: the socket is closed")
        return _ffi.ON_SOCKET, self._native.id, self._urls()

    def _set_options(self, options: Mapping[str, object]) -> None:
        """Set the options that are given; None leaves the default."""
        if set(map(type, options.values())) == NONE_GIVEN:
            return
        for option, value in options.items():
            if value is not None:
                if not hasattr(type(self), option):
                    raise TypeError(f"{type(self).__name__} has no option {option}")
                setattr(self, option, value)

    def _take_tls_config(self, config: TLSConfig) -> None:
        self._tls_config = config

    @suggests
    def listen(
        self,
        url: str | bytes,
        *,
        tls_config: TLSConfig | None = None,
        accept: Admission | None = None,
        recv_max_size: int | None = None,
        tcp_nodelay: bool | None = None,
        tcp_keepalive: bool | None = None,
        ipc_permissions: int | None = None,
    ) -> L:
        """Accept connections on `url` (`nng_listener_create`, `nng_listener_start`).

        Binds before it returns. A host name is looked up on a helper thread, and Ctrl-C interrupts
        the lookup. With port 0 the system chooses one: `listener.url` has it.

        Args:
            url: such as `tcp://127.0.0.1:0`, `ipc:///run/app.sock`, `inproc://name`; bytes for a
                path that is no text. A tcp URL needs a port.
            tls_config: for tls+tcp and wss; default: the socket's.
            accept: rule for peers, from the first connection on; default: the socket's.
            recv_max_size: largest message a peer may send, bytes; 0 is no limit; default: the
                socket's.
            tcp_nodelay: send small messages at once.
            tcp_keepalive: let the system probe idle connections.
            ipc_permissions: mode bits of the socket file, such as 0o600; ipc only.

        Returns:
            The listener; it lives until it or the socket is closed.

        Raises:
            AddressInUse: another listener has the address, and is not disturbed; or the ipc path is
                a file of another kind. The file of a socket that is no longer served is replaced.
            AddressInvalid: the URL cannot be parsed, or its host is not known.
            InvalidOperation: no peer can ever meet `accept` on this URL; or its transport lacks an
                option that was given.
            NotSupported: the libnng in use has no such transport.
            Closed: the socket is closed.
        """
        where = read_url("listen", url, listens=True)
        if self._closed:
            text = where.text
            raise Closed(f"{type(self).__name__}.listen {text}: the socket is closed", url=text)
        if where.scheme in WEB and not _ffi.ws_is_hardened:
            warn_once("ws", partial(old_libnng.old_ws_server, where.text))
        self._had_endpoint = True
        code, number = self._native.create_listener(where.native)
        if code != 0:
            raise endpoint_error(code, "listen", where)
        listener = self._listener_type(self, number, where)
        try:
            # Before the start: nng would not apply them to connections made at once.
            listener._set_options(
                {
                    "recv_max_size": recv_max_size,
                    "tcp_nodelay": tcp_nodelay,
                    "tcp_keepalive": tcp_keepalive,
                }
            )
            listener._prepare(tls_config, self._tls_config)
            listener._admit(self._accept if accept is None else accept)
            if ipc_permissions is not None:
                listener._permit(ipc_permissions)
            code = self._native.start_listener(number)
            if code != 0:
                raise listener._start_error(code, "listen")
            listener._resolve()
            self._listeners[number] = listener
        except BaseException:
            listener._leave_socket()
            self._native.close_listener(number, None, 0)
            raise
        return listener

    def _make_dialer(
        self, url: str | bytes, options: Mapping[str, object], tls_config: TLSConfig | None = None
    ) -> D:
        """Create a dialer that has not started."""
        where = read_url("dial", url, listens=False)
        if self._closed:
            text = where.text
            raise Closed(f"{type(self).__name__}.dial {text}: the socket is closed", url=text)
        self._had_endpoint = True
        code, number = self._native.create_dialer(where.native)
        if code != 0:
            raise endpoint_error(code, "dial", where)
        dialer = self._dialer_type(self, number, where)
        self._dialers[number] = dialer
        try:
            dialer._set_options(options)
            dialer._prepare(tls_config, self._tls_config)
        except BaseException:
            self._drop_dialer(dialer)
            raise
        return dialer

    def _find_endpoint(self, side: int, number: int) -> AnyEndpoint | None:
        return endpoint_of(listener=side == _ffi.ON_LISTENER, number=number)

    def _only_url(self) -> str:
        """Return the URL of the only listener: that of a service."""
        if len(self._listeners) != 1:
            raise Ambiguous(f"url: {len(self._listeners)} listeners", url=self._urls())
        return next(iter(self._listeners.values())).url

    def _add_endpoint(self, endpoint: AnyEndpoint) -> None:
        if isinstance(endpoint, self._dialer_type):
            self._dialers[endpoint.id] = endpoint
        elif isinstance(endpoint, self._listener_type):
            self._listeners[endpoint.id] = endpoint

    def _remove_endpoint(self, endpoint: AnyEndpoint) -> None:
        active = self._dialers if isinstance(endpoint, DialerBase) else self._listeners
        active.pop(endpoint.id, None)
        if self._closed_endpoints is None:
            self._closed_endpoints = deque(maxlen=_REMEMBERED)
        self._closed_endpoints.append(endpoint)

    def _drop_dialer(self, dialer: DialerBase) -> None:
        dialer._leave_socket()
        self._native.close_dialer(dialer.id, None, 0)

    def _dialled(self, dialer: DialerBase, code: int, *, block: bool | None) -> None:
        """Turn the result of a dial attempt into a return or an exception."""
        url = dialer.url
        if code == 0:
            return
        if self._closed or code == ECLOSED or (code == ECANCELED and dialer._closed):
            raise Closed(f"dial {url}: closed while it was dialling", url=url)
        error = dialer._start_error(code, "dial")
        heals = code not in _NEVER_HEALS and (code > 0 or code in _PEER_REFUSED)
        if block is True or not heals:
            self._drop_dialer(dialer)
            raise error
        log.warning("%s; trying on in the background", error)
        # After a refusal nng has connected already, and tries again by itself.
        self._native.start_dialer(dialer.id)

    def _dial_in_background(self, dialer: DialerBase) -> None:
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
    def pipes(self) -> tuple[P, ...]:
        """The connections there are now."""
        natives = () if self._closed else self._native.pipes()
        return tuple(self._known_pipe(each) for each in natives)

    def _known_pipe(self, native: _ffi.NativePipe) -> P:
        """Return the one object of a pipe."""
        serial = native.info.serial
        pipe = self._pipes.get(serial)
        if pipe is None:
            pipe = self._pipes.setdefault(serial, self._pipe_type(self, native))
        return pipe

    def _pipe(self, number: int) -> P | None:
        """Return the pipe with this id, also when it closed lately."""
        pipe = self._pipes.get(self._native.pipe_serial(number))
        if pipe is None:
            native = self._native.find_pipe(number)
            pipe = None if native is None else self._known_pipe(native)
        return pipe

    def statistics(self) -> SocketStatistics:
        """Return the counters of this socket and its contexts.

        A closed socket returns its last numbers.

        Concurrency: any task or thread, at any time.

        Raises:
            UsedAfterFork: the socket belongs to the parent of this forked process.

        Example:
            print(socket.statistics().messages_received)
        """
        return statistics_of(self)

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
        state = "closed" if self._closed else self._urls() or "not connected"
        return f"<{type(self).__name__} {shown(state)}>"

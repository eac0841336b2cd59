"""How each kind of service is made (floor 6): its socket, where its messages come from, its tasks.

Also the types of what `serve_*` and `run_*` take.
"""

from __future__ import annotations

import contextvars
from functools import partial
from typing import TYPE_CHECKING, Final, NoReturn, TypedDict, TypeVar

import attrs
import trio

from trionng import _ffi
from trionng._callables import check_async, check_nursery, check_on_error
from trionng._errors import Closed, InvalidOperation
from trionng._handlers import Work
from trionng._message import Message
from trionng._services import Service
from trionng._sockets import Sub0
from trionng._urls import as_urls
from trionng._util import as_topics
from trionng._wait_trio import checkpoint

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from typing_extensions import Buffer

    from trionng._admission import Admission
    from trionng._inboxes import Inbox
    from trionng._sockets import Pull0, Rep0
    from trionng._surveys import Respondent0
    from trionng._tls import TLSConfig
    from trionng._trio_socket import Socket

    Urls = str | bytes | Iterable[str | bytes] | None
    Topics = str | bytes | Iterable[str | bytes] | None

    # A handler, and what `on_error` is: with messages=True they get a Message, else bytes.
    T = TypeVar("T", bytes, Message)
    Reply = Buffer | Message
    Answer = Callable[[T], Awaitable[Reply]]
    MayAnswer = Callable[[T], Awaitable[Reply | None]]
    Handle = Callable[[T], Awaitable[object]]
    ErrorReply = Callable[[Exception, T], Reply | Awaitable[Reply | None] | None] | None
    ErrorHandle = Callable[[Exception, T], object] | None

    AnyHandler = Callable[[bytes], Awaitable[object]] | Callable[[Message], Awaitable[object]]
    AnyOnError = (
        Callable[[Exception, bytes], object] | Callable[[Exception, Message], object] | None
    )

# No more tasks than this are worth having for the messages of one socket.
_MOST_WORKERS: Final = 65536
_MOST_UNREAD: Final = 65536
MAX_UNREAD: Final = 64


class ServeOptions(TypedDict, total=False):
    """What all `serve_*` and `run_*` take."""

    listen: Urls
    dial: Urls
    tls_config: TLSConfig | None
    accept: Admission | None
    recv_max_size: int | None
    workers: int


class RepOptions(ServeOptions, total=False):
    """What `serve_rep` and `run_rep` take."""

    socket: Rep0 | None
    max_unread: int
    cancel_on_disconnect: bool


class RespondentOptions(ServeOptions, total=False):
    """What `serve_respondent` and `run_respondent` take."""

    socket: Respondent0 | None
    max_unread: int


class PullOptions(ServeOptions, total=False):
    """What `serve_pull` and `run_pull` take."""

    socket: Pull0 | None


class SubOptions(ServeOptions, total=False):
    """What `serve_sub` and `run_sub` take."""

    socket: Sub0 | None
    topics: Topics


@attrs.frozen
class Endpoints:
    """Where a service is: URLs, with what holds for their connections, or a socket."""

    listen: Urls
    dial: Urls
    socket: Socket | None
    tls_config: TLSConfig | None
    accept: Admission | None
    recv_max_size: int | None

    def check(self, name: str, kind: type[Socket]) -> None:
        """Refuse what cannot be served, before anything is opened."""
        if self.socket is None:
            if self.listen is None and self.dial is None:
                raise TypeError(f"{name}: say where: listen=, dial= or socket=")
            if self.accept is not None and self.listen is None:
                raise TypeError(f"{name}: accept= is for those who connect: it needs listen=")
            return
        for option in ("listen", "dial", "tls_config", "accept", "recv_max_size"):
            if getattr(self, option) is not None:
                raise TypeError(f"{name}: socket= has its own endpoints and options: no {option}=")
        if not isinstance(self.socket, kind):
            given = type(self.socket)
            other = " of trionng.blocking" if given.__name__ == kind.__name__ else ""
            raise TypeError(f"{name}: socket is a {kind.__name__}, not {given.__name__}{other}")
        if self.socket.raw:
            raise InvalidOperation(f"{name}: a raw socket has no requests: use forward")


@attrs.frozen
class How:
    """How a service works."""

    workers: int
    messages: bool
    max_unread: int = MAX_UNREAD
    topics: Topics = None
    cancel_on_disconnect: bool = False

    def check(self, name: str) -> None:
        """Refuse numbers that are none, or that nothing can be done with."""
        for option, most in (("workers", _MOST_WORKERS), ("max_unread", _MOST_UNREAD)):
            number = getattr(self, option)
            if isinstance(number, bool) or not isinstance(number, int):
                raise TypeError(f"{name}: {option} is a number, not {type(number).__name__}")
            if not 1 <= number <= most:
                raise InvalidOperation(f"{name}: {option}={number} is not 1 to {most}")


class ServiceSpec:
    """How one kind of service is made: its socket, its inbox, what it replies."""

    def __init__(
        self,
        name: str,
        kind: type[Socket],
        make_inbox: Callable[[Socket, How], Inbox],
        *,
        must_reply: bool = False,
        may_reply: bool = False,
    ) -> None:
        self.name = name
        self.kind = kind
        self.make_inbox = make_inbox
        self.must_reply = must_reply
        self.may_reply = may_reply

    async def serve(
        self,
        nursery: trio.Nursery,
        handler: AnyHandler,
        on_error: AnyOnError,
        endpoints: Endpoints,
        how: How,
    ) -> Service:
        """Start the service in the nursery; return when it listens."""
        check_nursery(self.name, nursery)
        await checkpoint()
        start = partial(self._own, nursery, handler, on_error, endpoints, how)
        service: Service = await nursery.start(start, name=self.name)
        return service

    async def run(
        self,
        handler: AnyHandler,
        on_error: AnyOnError,
        endpoints: Endpoints,
        how: How,
        task_status: trio.TaskStatus[Service],
    ) -> NoReturn:
        """Be the service, in a nursery of its own."""
        async with trio.open_nursery() as nursery:
            service = await self.serve(nursery, handler, on_error, endpoints, how)
            task_status.started(service)
            await service._ended.wait()
        raise Closed(f"{self.name}: the service was closed")

    async def _open(self, endpoints: Endpoints, how: How) -> tuple[Socket, Inbox]:
        used = endpoints.socket
        if used is None:
            used = self.kind(
                tls_config=endpoints.tls_config,
                accept=endpoints.accept,
                recv_max_size=endpoints.recv_max_size,
            )
        try:
            if isinstance(used, Sub0):
                for topic in as_topics(how.topics):
                    used.subscribe(topic)
            for url in as_urls(f"{self.name}: listen", endpoints.listen):
                used.listen(url)
            for url in as_urls(f"{self.name}: dial", endpoints.dial):
                await used.dial(url, block=False)
            return used, self.make_inbox(used, how)
        except BaseException:
            if endpoints.socket is None:
                await used.aclose()
            raise

    async def _own(
        self,
        nursery: trio.Nursery,
        handler: AnyHandler,
        on_error: AnyOnError,
        endpoints: Endpoints,
        how: How,
        *,
        task_status: trio.TaskStatus[Service],
    ) -> None:
        """Be the task that owns a service, from opening to the end."""
        how.check(self.name)
        endpoints.check(self.name, self.kind)
        check_async(self.name, handler)
        check_on_error(self.name, on_error)
        used, inbox = await self._open(endpoints, how)
        service = Service(
            self.name,
            used,
            inbox,
            how.workers,
            nursery,
            owns_socket=endpoints.socket is None,
            cancel_on_disconnect=how.cancel_on_disconnect,
        )
        started = partial(task_status.started, service)
        must = {"must_reply": self.must_reply, "may_reply": self.may_reply}
        given = self.name, handler, on_error
        context = contextvars.copy_context()
        # `messages` says which of the two the handler takes.
        if how.messages:
            work = Work[Message](*given, used._received, context, **must)  # type: ignore[arg-type]
            await service.run(work, started)
        else:
            data = Work[bytes](*given, _ffi.take_bytes, context, **must)  # type: ignore[arg-type]
            await service.run(data, started)

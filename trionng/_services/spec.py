"""How each kind of service is made (floor 6): its socket, where its messages come from, its tasks.

`ServiceOptions` states once what `serve_*` and `run_*` take by name, with its defaults; which of it
a function takes, and with which types, is said beside the function.
"""

from __future__ import annotations

import contextvars
import inspect
from functools import partial
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

import attrs
import trio

from trionng import _ffi
from trionng._base.callables import check_async, check_nursery, check_on_error
from trionng._base.errors import Closed, InvalidOperation
from trionng._base.util import as_topics, meant
from trionng._core.urls import as_urls
from trionng._services.handlers import Work
from trionng._services.service import Service
from trionng._sockets import Sub0
from trionng._trio.pipes import Message
from trionng._trio.wait import checkpoint

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from trionng._core.admission import Admission
    from trionng._core.tls import TLSConfig
    from trionng._services.requests import Inbox
    from trionng._trio.socket import Socket

    Urls = str | bytes | Iterable[str | bytes] | None
    Topics = str | bytes | Iterable[str | bytes] | None
    AnyHandler = Callable[[bytes], Awaitable[object]] | Callable[[Message], Awaitable[object]]
    AnyOnError = (
        Callable[[Exception, bytes], object] | Callable[[Exception, Message], object] | None
    )

F = TypeVar("F")

# No more tasks than this are worth having for the messages of one socket.
_MOST_WORKERS: Final = 65536
_MOST_UNREAD: Final = 65536


@attrs.frozen(kw_only=True)
class ServiceOptions:
    """Where a service is, and how it works."""

    listen: Urls = None
    dial: Urls = None
    socket: Socket | None = None
    tls_config: TLSConfig | None = None
    accept: Admission | None = None
    recv_max_size: int | None = None
    topics: Topics = None
    workers: int = 8
    messages: bool = False
    on_error: AnyOnError = None
    max_unread: int = 64
    cancel_on_disconnect: bool = False

    def check(self, name: str, kind: type[Socket]) -> None:
        """Refuse what cannot be served, before anything is opened."""
        for option, most in (("workers", _MOST_WORKERS), ("max_unread", _MOST_UNREAD)):
            number = getattr(self, option)
            if isinstance(number, bool) or not isinstance(number, int):
                raise TypeError(f"{name}: {option} is a number, not {type(number).__name__}")
            if not 1 <= number <= most:
                raise InvalidOperation(f"{name}: {option}={number} is not 1 to {most}")
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
class ServiceSpec:
    """How one kind of service is made: its socket, its inbox, what it takes and what it replies."""

    name: str
    kind: type[Socket]
    # The TypedDict of its options.
    takes: type
    make_inbox: Callable[[Socket, ServiceOptions], Inbox]
    workers: int = 8
    must_reply: bool = False
    may_reply: bool = False

    def shows_options(self, function: F) -> F:
        """Let `help` and `inspect.signature` show the options one by one, as those of a socket.

        A decorator for a function that takes them as `**options`.
        """
        types = {name: each.__forward_arg__ for name, each in self.takes.__annotations__.items()}
        types |= {"messages": "bool", "on_error": "AnyOnError"}
        defaults = {field.name: field.default for field in attrs.fields(ServiceOptions)}
        defaults["workers"] = self.workers
        signature = inspect.signature(function)  # type: ignore[arg-type]
        shown = [each for each in signature.parameters.values() if each.name != "options"]
        shown += [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=defaults[name], annotation=type
            )
            for name, type in types.items()
        ]
        vars(function)["__signature__"] = signature.replace(parameters=shown)
        return function

    def _read(self, function: str, given: Mapping[str, object]) -> ServiceOptions:
        known = [*self.takes.__annotations__, "messages", "on_error"]
        for option in given:
            if option not in known:
                raise TypeError(
                    f"{function}() got an unexpected keyword argument {option!r}"
                    f"{meant(option, known)}"
                )
        return ServiceOptions(**{"workers": self.workers, **given})  # type: ignore[arg-type]

    async def serve(
        self, nursery: trio.Nursery, handler: AnyHandler, given: Mapping[str, object]
    ) -> Service:
        """Start the service in the nursery; return when it listens."""
        return await self._start(nursery, handler, self._read(self.name, given))

    async def run(
        self,
        handler: AnyHandler,
        task_status: trio.TaskStatus[Service],
        given: Mapping[str, object],
    ) -> NoReturn:
        """Be the service, in a nursery of its own."""
        options = self._read(self.name.replace("serve", "run"), given)
        async with trio.open_nursery() as nursery:
            service = await self._start(nursery, handler, options)
            task_status.started(service)
            await service._ended.wait()
        raise Closed(f"{self.name}: the service was closed")

    async def _start(
        self, nursery: trio.Nursery, handler: AnyHandler, options: ServiceOptions
    ) -> Service:
        check_nursery(self.name, nursery)
        await checkpoint()
        start = partial(self._own, nursery, handler, options)
        service: Service = await nursery.start(start, name=self.name)
        return service

    async def _open(self, options: ServiceOptions) -> tuple[Socket, Inbox]:
        used = options.socket
        if used is None:
            used = self.kind(
                tls_config=options.tls_config,
                accept=options.accept,
                recv_max_size=options.recv_max_size,
            )
        try:
            if isinstance(used, Sub0):
                for topic in as_topics(options.topics):
                    used.subscribe(topic)
            for url in as_urls(f"{self.name}: listen", options.listen):
                used.listen(url)
            for url in as_urls(f"{self.name}: dial", options.dial):
                await used.dial(url, block=False)
            return used, self.make_inbox(used, options)
        except BaseException:
            if options.socket is None:
                await used.aclose()
            raise

    async def _own(
        self,
        nursery: trio.Nursery,
        handler: AnyHandler,
        options: ServiceOptions,
        *,
        task_status: trio.TaskStatus[Service],
    ) -> None:
        """Be the task that owns a service, from opening to the end."""
        options.check(self.name, self.kind)
        check_async(self.name, handler)
        check_on_error(self.name, options.on_error)
        used, inbox = await self._open(options)
        service = Service(
            self.name,
            used,
            inbox,
            options.workers,
            nursery,
            owns_socket=options.socket is None,
            cancel_on_disconnect=options.cancel_on_disconnect,
        )
        started = partial(task_status.started, service)
        must = {"must_reply": self.must_reply, "may_reply": self.may_reply}
        given = self.name, handler, options.on_error
        context = contextvars.copy_context()
        # `messages` says which of the two the handler takes.
        if options.messages:
            work = Work[Message](*given, used._received, context, **must)  # type: ignore[arg-type]
            await service.run(work, started)
        else:
            data = Work[bytes](*given, _ffi.take_bytes, context, **must)  # type: ignore[arg-type]
            await service.run(data, started)

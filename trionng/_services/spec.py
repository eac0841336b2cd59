"""How each kind of service is made: its socket, its source of messages, its tasks."""

from __future__ import annotations

import contextvars
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import NoReturn

import attrs
import trio

from trionng import _ffi
from trionng._base.callables import check_async, check_nursery, check_on_error
from trionng._base.errors import Closed
from trionng._base.util import as_topics
from trionng._core.service_options import OptionSet, ServiceOptions
from trionng._core.urls import as_urls
from trionng._services.handlers import Handler
from trionng._services.requests import RequestSource
from trionng._services.service import Service
from trionng._sockets import Sub0
from trionng._trio.pipes import Message
from trionng._trio.socket import Socket
from trionng._trio.wait import checkpoint

AnyHandler = Callable[[bytes], Awaitable[object]] | Callable[[Message], Awaitable[object]]
AnyOnError = Callable[[Exception, bytes], object] | Callable[[Exception, Message], object] | None


@attrs.frozen
class ServiceSpec:
    """How one kind of service is made: its socket, its source, its options, its replies."""

    name: str
    kind: type[Socket]
    options: OptionSet
    make_source: Callable[[Socket, ServiceOptions], RequestSource]
    must_reply: bool = False
    may_reply: bool = False

    async def serve(
        self, nursery: trio.Nursery, handler: AnyHandler, given: Mapping[str, object]
    ) -> Service:
        """Start the service in the nursery; return when it listens."""
        return await self._start(nursery, handler, self.options.read(self.name, given))

    async def run(
        self,
        handler: AnyHandler,
        task_status: trio.TaskStatus[Service],
        given: Mapping[str, object],
    ) -> NoReturn:
        """Run the service in a nursery of its own."""
        options = self.options.read(self.name.replace("serve", "run"), given)
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

    async def _open(
        self, socket: Socket | None, options: ServiceOptions
    ) -> tuple[Socket, RequestSource]:
        used = socket
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
            return used, self.make_source(used, options)
        except BaseException:
            if socket is None:
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
        """Open the service, own it until it ends, and close it."""
        socket = options.check(self.name, self.kind)
        check_async(self.name, handler)
        check_on_error(self.name, options.on_error)
        used, source = await self._open(socket, options)
        service = Service(
            self.name,
            used,
            source,
            options.workers,
            nursery,
            owns_socket=socket is None,
            cancel_on_disconnect=options.cancel_on_disconnect,
        )
        started = partial(task_status.started, service)
        must = {"must_reply": self.must_reply, "may_reply": self.may_reply}
        given = self.name, handler, options.on_error
        context = contextvars.copy_context()
        # `messages` says which of the two the handler takes.
        if options.messages:
            received = Handler[Message](*given, used._received, context, **must)  # type: ignore[arg-type]
            await service._run(received, started)
        else:
            data = Handler[bytes](*given, _ffi.take_bytes, context, **must)  # type: ignore[arg-type]
            await service._run(data, started)

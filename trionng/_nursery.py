"""Services in the caller's nursery (floor 6): `serve_*`, and `run_*` in the shape of `serve_tcp`.

`serve_*` starts one task that owns the service and, as they are needed, its workers, all directly
in the nursery it is given, so that a handler's exception is an exception of that nursery. `run_*`
has a nursery of its own. How the workers share the work is in `_services`.
"""

from __future__ import annotations

import contextvars
from functools import partial
from typing import TYPE_CHECKING, NoReturn, TypedDict

import trio

from trionng import _ffi
from trionng._callables import check_async, check_on_error
from trionng._errors import Closed, InvalidOperation
from trionng._handlers import Work
from trionng._inboxes import LaneInbox, RepInbox
from trionng._message import Message
from trionng._services import Service
from trionng._sockets import Pull0, Rep0, Sub0
from trionng._surveys import Respondent0
from trionng._urls import as_urls
from trionng._util import as_topics
from trionng._wait_trio import checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from typing_extensions import Buffer, NotRequired

    from trionng._inboxes import Inbox
    from trionng._trio_socket import Socket

    Urls = str | bytes | Iterable[str | bytes] | None
    Topics = str | bytes | Iterable[str | bytes] | None
    # With messages=True it is called with a Message, else with bytes.
    Answering = (
        Callable[[bytes], Coroutine[object, object, Buffer | Message]]
        | Callable[[Message], Coroutine[object, object, Buffer | Message]]
    )
    MayAnswer = (
        Callable[[bytes], Coroutine[object, object, Buffer | Message | None]]
        | Callable[[Message], Coroutine[object, object, Buffer | Message | None]]
    )
    Handling = (
        Callable[[bytes], Coroutine[object, object, object]]
        | Callable[[Message], Coroutine[object, object, object]]
    )
    ErrorReply = (
        Callable[[Exception, bytes], Buffer | Message | None]
        | Callable[[Exception, Message], Buffer | Message | None]
        | None
    )
    ErrorHandling = (
        Callable[[Exception, bytes], object] | Callable[[Exception, Message], object] | None
    )

# No more tasks than this are worth having for the messages of one socket.
_MOST_WORKERS = 65536


def reply_error(exc: Exception, request: bytes | Message) -> bytes:
    """Turn a handler's exception into a reply: its class and its text (`on_error=reply_error`).

    The client gets it as an ordinary reply, and has to know what it looks like. It shows the text
    of the exception to whoever asks: not for strangers.

    Example:
        service = await serve_rep(nursery, handler, listen=url, on_error=reply_error)
    """
    return f"{type(exc).__name__}: {exc}".encode()


class _Plan:
    """How one kind of service is made: its socket, its inbox, what it replies."""

    def __init__(
        self,
        name: str,
        kind: type[Socket],
        make_inbox: Callable[[Socket, int], Inbox],
        *,
        must_reply: bool = False,
        may_reply: bool = False,
    ) -> None:
        self.name = name
        self.kind = kind
        self.make_inbox = make_inbox
        self.must_reply = must_reply
        self.may_reply = may_reply

    def check(self, listen: Urls, dial: Urls, socket: Socket | None, workers: int) -> None:
        """Refuse what cannot be served, before anything is opened."""
        if isinstance(workers, bool) or not isinstance(workers, int):
            raise TypeError(f"{self.name}: workers is a number, not {type(workers).__name__}")
        if not 1 <= workers <= _MOST_WORKERS:
            raise InvalidOperation(f"{self.name}: workers={workers} is not 1 to {_MOST_WORKERS}")
        if socket is None:
            if listen is None and dial is None:
                raise TypeError(f"{self.name}: say where: listen=, dial= or socket=")
            return
        if listen is not None or dial is not None:
            raise TypeError(f"{self.name}: socket= has its own endpoints: no listen=, no dial=")
        if not isinstance(socket, self.kind):
            raise TypeError(
                f"{self.name}: socket is a {self.kind.__name__}, not {type(socket).__name__}"
            )
        if socket.raw:
            raise InvalidOperation(f"{self.name}: a raw socket has no requests: use forward")

    async def own(
        self,
        nursery: trio.Nursery,
        handler: Handling,
        on_error: ErrorHandling,
        *,
        listen: Urls,
        dial: Urls,
        socket: Socket | None,
        workers: int,
        messages: bool,
        topics: Topics = None,
        cancel_on_disconnect: bool = False,
        task_status: trio.TaskStatus[Service],
    ) -> None:
        """Be the task that owns a service, from opening to the end."""
        self.check(listen, dial, socket, workers)
        check_async(self.name, handler)
        check_on_error(self.name, on_error)
        how = {"must_reply": self.must_reply, "may_reply": self.may_reply}
        owned = socket is None
        used = self.kind() if socket is None else socket
        try:
            if isinstance(used, Sub0):
                for topic in as_topics(topics):
                    used.subscribe(topic)
            for url in as_urls(f"{self.name}: listen", listen):
                used.listen(url)
            for url in as_urls(f"{self.name}: dial", dial):
                await used.dial(url, block=False)
            inbox = self.make_inbox(used, workers)
        except BaseException:
            if owned:
                await used.aclose()
            raise
        service = Service(
            self.name,
            used,
            inbox,
            workers,
            nursery,
            owns_socket=owned,
            cancel_on_disconnect=cancel_on_disconnect,
        )
        started = partial(task_status.started, service)
        context = contextvars.copy_context()
        given = self.name, handler, on_error
        # `messages` says which of the two the handler takes.
        if messages:
            own = Work[Message](*given, used._received, context, **how)  # type: ignore[arg-type]
            await service.run(own, started)
        else:
            plain = Work[bytes](*given, _ffi.take_bytes, context, **how)  # type: ignore[arg-type]
            await service.run(plain, started)


def _respondent_inbox(socket: Socket, workers: int) -> Inbox:
    lanes = [socket._open_context() for _ in range(workers)]
    return LaneInbox(socket, lanes, "serve_respondent")


_REP = _Plan("serve_rep", Rep0, RepInbox, must_reply=True, may_reply=True)
_RESPONDENT = _Plan("serve_respondent", Respondent0, _respondent_inbox, may_reply=True)
_PULL = _Plan("serve_pull", Pull0, lambda s, _: LaneInbox(s, [s._lane], "serve_pull"))
_SUB = _Plan("serve_sub", Sub0, lambda s, _: LaneInbox(s, [s._lane], "serve_sub"))


class _Options(TypedDict):
    listen: Urls
    dial: Urls
    socket: Socket | None
    workers: int
    messages: bool
    topics: NotRequired[Topics]
    cancel_on_disconnect: NotRequired[bool]


async def _serve(
    plan: _Plan,
    nursery: trio.Nursery,
    handler: Handling,
    on_error: ErrorHandling,
    options: _Options,
) -> Service:
    await checkpoint()
    start = partial(plan.own, nursery, handler, on_error, **options)
    service: Service = await nursery.start(start, name=plan.name)
    return service


async def _run(
    plan: _Plan,
    handler: Handling,
    on_error: ErrorHandling,
    options: _Options,
    task_status: trio.TaskStatus[Service],
) -> NoReturn:
    async with trio.open_nursery() as nursery:
        service = await _serve(plan, nursery, handler, on_error, options)
        task_status.started(service)
        await service._ended.wait()
    raise Closed(f"{plan.name}: the service was closed")


async def serve_rep(
    nursery: trio.Nursery,
    handler: Answering,
    *,
    listen: Urls = None,
    dial: Urls = None,
    socket: Rep0 | None = None,
    workers: int = 8,
    on_error: ErrorReply = None,
    messages: bool = False,
    cancel_on_disconnect: bool = False,
) -> Service:
    """Answer requests with a handler, several at a time (Rep0).

    `handler(request)` returns the reply. A request that comes while all workers are busy waits in
    the client's connection; nobody loses it while the nursery lives.

    A handler that raises ends the nursery. With `on_error`, what it returns is the reply instead;
    None raises all the same. Beware of poison requests: a Req0 client whose server dies sends its
    request again, to the next server or to the same one when it is back, and kills that too. Use
    `on_error`, or clients with `resend_time=-1`.

    Replies that a client does not read wait in its connection without holding a worker, up to 64
    of them for all clients together. Beyond that each holds one worker, until it is read or its
    client has gone.

    A request whose worker is cancelled stays unanswered; `statistics().abandoned` counts it.

    Cancellation: the service ends with the nursery. Cancelling this call itself starts nothing.

    Args:
        nursery: where the tasks run; an exception of the handler is raised there, in an
            ExceptionGroup, with a note that names the service and the peer.
        handler: an async function; called with bytes, or with a `Message` when `messages` is true.
            It returns a bytes-like object or a `Message`.
        listen: one URL or several to accept connections on.
        dial: one URL or several to connect to in the background.
        socket: a Rep0 of your own instead; it is not closed at the end.
        workers: how many requests are handled at once.
        on_error: called with the exception and the request; `reply_error` is one.
        messages: hand out `Message` objects, which know their `pipe` and copy nothing.
        cancel_on_disconnect: cancel a handler as soon as nng knows that its client has gone, and do
            not start one for a client that has. nng does not know while another request of the same
            connection waits unread.

    Returns:
        The service, once it listens.

    Raises:
        AddressInUse: somebody listens there already.
        AddressInvalid: a URL cannot be parsed, or its host is not known.
        TypeError: no endpoint, or two kinds of them; the wrong socket.
        InvalidOperation: `workers` is not at least 1; the socket is raw.

    Example:
        async with trio.open_nursery() as nursery:
            service = await serve_rep(nursery, handler, listen="tcp://127.0.0.1:0")
            print("listening on", service.url)
    """
    options: _Options = {
        "listen": listen,
        "dial": dial,
        "socket": socket,
        "workers": workers,
        "messages": messages,
        "cancel_on_disconnect": cancel_on_disconnect,
    }
    return await _serve(_REP, nursery, handler, on_error, options)


async def run_rep(
    handler: Answering,
    *,
    listen: Urls = None,
    dial: Urls = None,
    socket: Rep0 | None = None,
    workers: int = 8,
    on_error: ErrorReply = None,
    messages: bool = False,
    cancel_on_disconnect: bool = False,
    task_status: trio.TaskStatus[Service] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """Run `serve_rep` in a nursery of its own, for `await nursery.start(...)`.

    Reports the `Service` when it listens, and never returns: it ends when it is cancelled, with an
    ExceptionGroup when a handler raises, and with `Closed` when the service was closed.

    Example:
        service = await nursery.start(partial(run_rep, handler, listen=url))
    """
    options: _Options = {
        "listen": listen,
        "dial": dial,
        "socket": socket,
        "workers": workers,
        "messages": messages,
        "cancel_on_disconnect": cancel_on_disconnect,
    }
    await _run(_REP, handler, on_error, options, task_status)


async def serve_respondent(
    nursery: trio.Nursery,
    handler: MayAnswer,
    *,
    listen: Urls = None,
    dial: Urls = None,
    socket: Respondent0 | None = None,
    workers: int = 8,
    on_error: ErrorReply = None,
    messages: bool = False,
) -> Service:
    """Answer surveys with a handler, several at a time (Respondent0).

    `handler(survey)` returns the answer, or None to give none. `on_error` is as in `serve_rep`.
    Surveys that come while all workers are busy wait, 128 at most; then the oldest is dropped.

    Cancellation: the service ends with the nursery. Cancelling this call itself starts nothing.

    Args:
        nursery: where the tasks run; an exception of the handler is raised there, in an
            ExceptionGroup, with a note that names the service and the peer.
        handler: an async function; called with bytes, or with a `Message` when `messages` is true.
        listen: one URL or several to accept connections on.
        dial: one URL or several to connect to in the background.
        socket: a Respondent0 of your own instead; it is not closed at the end.
        workers: how many surveys are handled at once.
        on_error: called with the exception and the survey.
        messages: hand out `Message` objects.

    Returns:
        The service, once it listens.

    Raises:
        AddressInUse: somebody listens there already.
        AddressInvalid: a URL cannot be parsed, or its host is not known.
        TypeError: no endpoint, or two kinds of them; the wrong socket.
        InvalidOperation: `workers` is not at least 1; the socket is raw.

    Example:
        service = await serve_respondent(nursery, handler, dial="tcp://127.0.0.1:5555")
    """
    options: _Options = {
        "listen": listen,
        "dial": dial,
        "socket": socket,
        "workers": workers,
        "messages": messages,
    }
    return await _serve(_RESPONDENT, nursery, handler, on_error, options)


async def run_respondent(
    handler: MayAnswer,
    *,
    listen: Urls = None,
    dial: Urls = None,
    socket: Respondent0 | None = None,
    workers: int = 8,
    on_error: ErrorReply = None,
    messages: bool = False,
    task_status: trio.TaskStatus[Service] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """Run `serve_respondent` in a nursery of its own, for `await nursery.start(...)`.

    Reports the `Service` when it listens, and never returns: it ends when it is cancelled, with an
    ExceptionGroup when a handler raises, and with `Closed` when the service was closed.

    Example:
        service = await nursery.start(partial(run_respondent, handler, listen=url))
    """
    options: _Options = {
        "listen": listen,
        "dial": dial,
        "socket": socket,
        "workers": workers,
        "messages": messages,
    }
    await _run(_RESPONDENT, handler, on_error, options, task_status)


async def serve_pull(
    nursery: trio.Nursery,
    handler: Handling,
    *,
    listen: Urls = None,
    dial: Urls = None,
    socket: Pull0 | None = None,
    workers: int = 8,
    on_error: ErrorHandling = None,
    messages: bool = False,
) -> Service:
    """Handle the messages of Push0 sockets, several at a time (Pull0).

    What the handler returns is not looked at. A handler that raises ends the nursery, unless
    `on_error` is given: it is called with the exception and the message, and may raise again.
    Messages that come while all workers are busy wait at the senders. PUSH has no acknowledgement:
    a message whose worker is cancelled is gone, and counted as abandoned.

    Cancellation: the service ends with the nursery. Cancelling this call itself starts nothing.

    Args:
        nursery: where the tasks run; an exception of the handler is raised there, in an
            ExceptionGroup, with a note that names the service and the peer.
        handler: an async function; called with bytes, or with a `Message` when `messages` is true.
        listen: one URL or several to accept connections on.
        dial: one URL or several to connect to in the background.
        socket: a Pull0 of your own instead; it is not closed at the end.
        workers: how many messages are handled at once; with 1 they are handled in order.
        on_error: called with the exception and the message.
        messages: hand out `Message` objects.

    Returns:
        The service, once it listens.

    Raises:
        AddressInUse: somebody listens there already.
        AddressInvalid: a URL cannot be parsed, or its host is not known.
        TypeError: no endpoint, or two kinds of them; the wrong socket.
        InvalidOperation: `workers` is not at least 1; the socket is raw.

    Example:
        service = await serve_pull(nursery, handler, listen="tcp://127.0.0.1:0", workers=4)
    """
    options: _Options = {
        "listen": listen,
        "dial": dial,
        "socket": socket,
        "workers": workers,
        "messages": messages,
    }
    return await _serve(_PULL, nursery, handler, on_error, options)


async def run_pull(
    handler: Handling,
    *,
    listen: Urls = None,
    dial: Urls = None,
    socket: Pull0 | None = None,
    workers: int = 8,
    on_error: ErrorHandling = None,
    messages: bool = False,
    task_status: trio.TaskStatus[Service] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """Run `serve_pull` in a nursery of its own, for `await nursery.start(...)`.

    Reports the `Service` when it listens, and never returns: it ends when it is cancelled, with an
    ExceptionGroup when a handler raises, and with `Closed` when the service was closed.

    Example:
        service = await nursery.start(partial(run_pull, handler, listen=url))
    """
    options: _Options = {
        "listen": listen,
        "dial": dial,
        "socket": socket,
        "workers": workers,
        "messages": messages,
    }
    await _run(_PULL, handler, on_error, options, task_status)


async def serve_sub(
    nursery: trio.Nursery,
    handler: Handling,
    *,
    topics: Topics = None,
    listen: Urls = None,
    dial: Urls = None,
    socket: Sub0 | None = None,
    workers: int = 1,
    on_error: ErrorHandling = None,
    messages: bool = False,
) -> Service:
    """Handle what is published, in order by default (Sub0).

    Otherwise as `serve_pull`; a publisher waits for nobody: what the buffer cannot hold is dropped.

    Cancellation: the service ends with the nursery. Cancelling this call itself starts nothing.

    Args:
        nursery: where the tasks run; an exception of the handler is raised there, in an
            ExceptionGroup, with a note that names the service and the peer.
        handler: an async function; called with bytes, or with a `Message` when `messages` is true.
        topics: subscribe to these; default: nothing, which is right with `socket=` only.
        listen: one URL or several to accept connections on.
        dial: one URL or several to connect to in the background.
        socket: a Sub0 of your own instead; it is not closed at the end.
        workers: how many messages are handled at once; 1, the default, keeps their order.
        on_error: called with the exception and the message.
        messages: hand out `Message` objects.

    Returns:
        The service, once it listens.

    Raises:
        AddressInUse: somebody listens there already.
        AddressInvalid: a URL cannot be parsed, or its host is not known.
        TypeError: no endpoint, or two kinds of them; the wrong socket.
        InvalidOperation: `workers` is not at least 1; the socket is raw.

    Example:
        service = await serve_sub(nursery, handler, topics="news.", dial="tcp://127.0.0.1:5555")
    """
    options: _Options = {
        "listen": listen,
        "dial": dial,
        "socket": socket,
        "topics": topics,
        "workers": workers,
        "messages": messages,
    }
    return await _serve(_SUB, nursery, handler, on_error, options)


async def run_sub(
    handler: Handling,
    *,
    topics: Topics = None,
    listen: Urls = None,
    dial: Urls = None,
    socket: Sub0 | None = None,
    workers: int = 1,
    on_error: ErrorHandling = None,
    messages: bool = False,
    task_status: trio.TaskStatus[Service] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """Run `serve_sub` in a nursery of its own, for `await nursery.start(...)`.

    Reports the `Service` when it listens, and never returns: it ends when it is cancelled, with an
    ExceptionGroup when a handler raises, and with `Closed` when the service was closed.

    Example:
        service = await nursery.start(partial(run_sub, handler, listen=url))
    """
    options: _Options = {
        "listen": listen,
        "dial": dial,
        "socket": socket,
        "topics": topics,
        "workers": workers,
        "messages": messages,
    }
    await _run(_SUB, handler, on_error, options, task_status)

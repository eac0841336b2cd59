"""Services in the caller's nursery (floor 6): `serve_*`, and `run_*` in the shape of `serve_tcp`.

`serve_*` starts one task that owns the service and, as they are needed, its workers, all directly
in the nursery it is given, so that a handler's exception is an exception of that nursery. `run_*`
has a nursery of its own. How a service is made is in `_service_spec`, how the workers share the
work in `_services`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NoReturn, overload

import trio

from trionng._inboxes import DeskInbox, LaneInbox
from trionng._service_spec import MAX_UNREAD, Endpoints, How, ServiceSpec
from trionng._sockets import Pull0, Rep0, Sub0
from trionng._surveys import Respondent0

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from trionng._admission import Admission
    from trionng._inboxes import Inbox
    from trionng._message import Message
    from trionng._service_spec import (
        Answer,
        AnyHandler,
        AnyOnError,
        ErrorHandle,
        ErrorReply,
        Handle,
        MayAnswer,
        PullOptions,
        RepOptions,
        RespondentOptions,
        SubOptions,
        Topics,
        Urls,
    )
    from trionng._services import Service
    from trionng._tls import TLSConfig
    from trionng._trio_socket import Socket


def reply_error(exc: Exception, request: bytes | Message) -> bytes:
    """Turn a handler's exception into a reply: its class and its text (`on_error=reply_error`).

    The client gets it as an ordinary reply, and has to know what it looks like. It shows the text
    of the exception to whoever asks: not for strangers.

    Example:
        service = await serve_rep(nursery, handler, listen=url, on_error=reply_error)
    """
    return f"{type(exc).__name__}: {exc}".encode()


def _desk_spec(name: str, kind: type[Socket], *, must_reply: bool) -> ServiceSpec:
    def make_inbox(socket: Socket, how: How) -> Inbox:
        return DeskInbox(socket, how.workers, how.max_unread, name)

    return ServiceSpec(name, kind, make_inbox, must_reply=must_reply, may_reply=True)


_REP = _desk_spec("serve_rep", Rep0, must_reply=True)
_RESPONDENT = _desk_spec("serve_respondent", Respondent0, must_reply=False)
_PULL = ServiceSpec("serve_pull", Pull0, lambda s, _: LaneInbox(s, "serve_pull"))
_SUB = ServiceSpec("serve_sub", Sub0, lambda s, _: LaneInbox(s, "serve_sub"))


@overload
async def serve_rep(
    nursery: trio.Nursery,
    handler: Answer[bytes],
    *,
    messages: Literal[False] = False,
    on_error: ErrorReply[bytes] = None,
    **options: Unpack[RepOptions],
) -> Service: ...


@overload
async def serve_rep(
    nursery: trio.Nursery,
    handler: Answer[Message],
    *,
    messages: Literal[True],
    on_error: ErrorReply[Message] = None,
    **options: Unpack[RepOptions],
) -> Service: ...


async def serve_rep(
    nursery: trio.Nursery,
    handler: AnyHandler,
    *,
    listen: Urls = None,
    dial: Urls = None,
    socket: Rep0 | None = None,
    tls_config: TLSConfig | None = None,
    accept: Admission | None = None,
    recv_max_size: int | None = None,
    workers: int = 8,
    on_error: AnyOnError = None,
    messages: bool = False,
    max_unread: int = MAX_UNREAD,
    cancel_on_disconnect: bool = False,
) -> Service:
    """Answer requests with a handler, several at a time (Rep0).

    `handler(request)` returns the reply. A request that comes while all workers are busy waits in
    the client's connection; nothing loses it while the nursery lives.

    A handler that raises ends the nursery. With `on_error`, what it returns is the reply instead;
    None raises all the same. Beware of poison requests: a Req0 client whose server dies sends its
    request again, to the next server or to the same one when it is back, and kills that too. Use
    `on_error`, or clients with `resend_time=-1`.

    Replies that a client does not read wait in its connection and hold no worker. One connection
    holds at most `max_unread` of them (and one more for each worker that was busy for it), and 1024
    further requests or 64 MiB of them, which are answered as it reads. A connection that reads
    nothing for a second and asks for more, or asks for more than that, is closed: it is counted
    (`statistics().slow`), and a warning names it. Other clients do not notice.

    A request whose worker is cancelled stays unanswered; `statistics().abandoned` counts it.

    Cancellation: the service ends with the nursery. Cancelling this call itself starts nothing.

    Args:
        nursery: where the tasks run; an exception of the handler is raised there, in an
            ExceptionGroup, with a note that names the service and the peer.
        handler: an async function, or what else returns an awaitable; called with bytes, or with a
            `Message` when `messages` is true. It returns a bytes-like object or a `Message`. Each
            call runs in its own copy of the context (`contextvars`) of the task that called this.
        listen: one URL or several to accept connections on.
        dial: one URL or several to connect to in the background.
        socket: a Rep0 of your own instead; it is not closed at the end.
        tls_config: for tls+tcp and wss URLs.
        accept: which connections to accept; default: all.
        recv_max_size: largest message a peer may send, bytes; default 1 MiB; 0 is no limit.
        workers: how many requests are handled at once.
        on_error: called, and awaited if it is async, with the exception and the request;
            `reply_error` is one.
        messages: hand out `Message` objects, which know their `pipe` and copy nothing.
        max_unread: how many replies may wait for one connection.
        cancel_on_disconnect: cancel a handler as soon as nng knows that its client has gone, and do
            not start one for a client that has. nng does not know while another request of the same
            connection waits unread.

    Returns:
        The service, once it listens.

    Raises:
        AddressInUse: the address is taken.
        AddressInvalid: a URL cannot be parsed, or its host is not known.
        TypeError: no endpoint, or two kinds of them; the wrong socket; a handler that is not async.
        InvalidOperation: `workers` or `max_unread` is not at least 1; the socket is raw.

    Example:
        async with trio.open_nursery() as nursery:
            service = await serve_rep(nursery, handler, listen="tcp://127.0.0.1:0")
            print("listening on", service.url)
    """
    where = Endpoints(listen, dial, socket, tls_config, accept, recv_max_size)
    how = How(workers, messages, max_unread=max_unread, cancel_on_disconnect=cancel_on_disconnect)
    return await _REP.serve(nursery, handler, on_error, where, how)


@overload
async def run_rep(
    handler: Answer[bytes],
    *,
    messages: Literal[False] = False,
    on_error: ErrorReply[bytes] = None,
    task_status: trio.TaskStatus[Service] = ...,
    **options: Unpack[RepOptions],
) -> NoReturn: ...


@overload
async def run_rep(
    handler: Answer[Message],
    *,
    messages: Literal[True],
    on_error: ErrorReply[Message] = None,
    task_status: trio.TaskStatus[Service] = ...,
    **options: Unpack[RepOptions],
) -> NoReturn: ...


async def run_rep(
    handler: AnyHandler,
    *,
    listen: Urls = None,
    dial: Urls = None,
    socket: Rep0 | None = None,
    tls_config: TLSConfig | None = None,
    accept: Admission | None = None,
    recv_max_size: int | None = None,
    workers: int = 8,
    on_error: AnyOnError = None,
    messages: bool = False,
    max_unread: int = MAX_UNREAD,
    cancel_on_disconnect: bool = False,
    task_status: trio.TaskStatus[Service] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """Run `serve_rep` in a nursery of its own, for `await nursery.start(...)`.

    Reports the `Service` when it listens, and never returns: it ends when it is cancelled, with an
    ExceptionGroup when a handler raises, and with `Closed` when the service was closed.

    Example:
        service = await nursery.start(partial(run_rep, handler, listen=url))
    """
    where = Endpoints(listen, dial, socket, tls_config, accept, recv_max_size)
    how = How(workers, messages, max_unread=max_unread, cancel_on_disconnect=cancel_on_disconnect)
    await _REP.run(handler, on_error, where, how, task_status)


@overload
async def serve_respondent(
    nursery: trio.Nursery,
    handler: MayAnswer[bytes],
    *,
    messages: Literal[False] = False,
    on_error: ErrorReply[bytes] = None,
    **options: Unpack[RespondentOptions],
) -> Service: ...


@overload
async def serve_respondent(
    nursery: trio.Nursery,
    handler: MayAnswer[Message],
    *,
    messages: Literal[True],
    on_error: ErrorReply[Message] = None,
    **options: Unpack[RespondentOptions],
) -> Service: ...


async def serve_respondent(
    nursery: trio.Nursery,
    handler: AnyHandler,
    *,
    listen: Urls = None,
    dial: Urls = None,
    socket: Respondent0 | None = None,
    tls_config: TLSConfig | None = None,
    accept: Admission | None = None,
    recv_max_size: int | None = None,
    workers: int = 8,
    on_error: AnyOnError = None,
    messages: bool = False,
    max_unread: int = MAX_UNREAD,
) -> Service:
    """Answer surveys with a handler, several at a time (Respondent0).

    `handler(survey)` returns the answer, or None to give none. `on_error` is as in `serve_rep`.
    Surveys that come while all workers are busy wait, 128 at most; then the oldest is dropped.
    Answers that a surveyor does not read are treated as the replies of `serve_rep` are.

    Cancellation: the service ends with the nursery. Cancelling this call itself starts nothing.

    Args:
        nursery: where the tasks run; an exception of the handler is raised there, in an
            ExceptionGroup, with a note that names the service and the peer.
        handler: an async function, or what else returns an awaitable; called with bytes, or with a
            `Message` when `messages` is true. Each call runs in its own copy of the context
            (`contextvars`) of the task that called this.
        listen: one URL or several to accept connections on.
        dial: one URL or several to connect to in the background.
        socket: a Respondent0 of your own instead; it is not closed at the end.
        tls_config: for tls+tcp and wss URLs.
        accept: which connections to accept; default: all.
        recv_max_size: largest message a peer may send, bytes; default 1 MiB; 0 is no limit.
        workers: how many surveys are handled at once.
        on_error: called, and awaited if it is async, with the exception and the survey.
        messages: hand out `Message` objects.
        max_unread: how many answers may wait for one connection.

    Returns:
        The service, once it listens.

    Raises:
        AddressInUse: the address is taken.
        AddressInvalid: a URL cannot be parsed, or its host is not known.
        TypeError: no endpoint, or two kinds of them; the wrong socket; a handler that is not async.
        InvalidOperation: `workers` or `max_unread` is not at least 1; the socket is raw.

    Example:
        service = await serve_respondent(nursery, handler, dial="tcp://127.0.0.1:5555")
    """
    where = Endpoints(listen, dial, socket, tls_config, accept, recv_max_size)
    how = How(workers, messages, max_unread=max_unread)
    return await _RESPONDENT.serve(nursery, handler, on_error, where, how)


@overload
async def run_respondent(
    handler: MayAnswer[bytes],
    *,
    messages: Literal[False] = False,
    on_error: ErrorReply[bytes] = None,
    task_status: trio.TaskStatus[Service] = ...,
    **options: Unpack[RespondentOptions],
) -> NoReturn: ...


@overload
async def run_respondent(
    handler: MayAnswer[Message],
    *,
    messages: Literal[True],
    on_error: ErrorReply[Message] = None,
    task_status: trio.TaskStatus[Service] = ...,
    **options: Unpack[RespondentOptions],
) -> NoReturn: ...


async def run_respondent(
    handler: AnyHandler,
    *,
    listen: Urls = None,
    dial: Urls = None,
    socket: Respondent0 | None = None,
    tls_config: TLSConfig | None = None,
    accept: Admission | None = None,
    recv_max_size: int | None = None,
    workers: int = 8,
    on_error: AnyOnError = None,
    messages: bool = False,
    max_unread: int = MAX_UNREAD,
    task_status: trio.TaskStatus[Service] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """Run `serve_respondent` in a nursery of its own, for `await nursery.start(...)`.

    Reports the `Service` when it listens, and never returns: it ends when it is cancelled, with an
    ExceptionGroup when a handler raises, and with `Closed` when the service was closed.

    Example:
        service = await nursery.start(partial(run_respondent, handler, listen=url))
    """
    where = Endpoints(listen, dial, socket, tls_config, accept, recv_max_size)
    how = How(workers, messages, max_unread=max_unread)
    await _RESPONDENT.run(handler, on_error, where, how, task_status)


@overload
async def serve_pull(
    nursery: trio.Nursery,
    handler: Handle[bytes],
    *,
    messages: Literal[False] = False,
    on_error: ErrorHandle[bytes] = None,
    **options: Unpack[PullOptions],
) -> Service: ...


@overload
async def serve_pull(
    nursery: trio.Nursery,
    handler: Handle[Message],
    *,
    messages: Literal[True],
    on_error: ErrorHandle[Message] = None,
    **options: Unpack[PullOptions],
) -> Service: ...


async def serve_pull(
    nursery: trio.Nursery,
    handler: AnyHandler,
    *,
    listen: Urls = None,
    dial: Urls = None,
    socket: Pull0 | None = None,
    tls_config: TLSConfig | None = None,
    accept: Admission | None = None,
    recv_max_size: int | None = None,
    workers: int = 8,
    on_error: AnyOnError = None,
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
        handler: an async function, or what else returns an awaitable; called with bytes, or with a
            `Message` when `messages` is true. Each call runs in its own copy of the context
            (`contextvars`) of the task that called this.
        listen: one URL or several to accept connections on.
        dial: one URL or several to connect to in the background.
        socket: a Pull0 of your own instead; it is not closed at the end.
        tls_config: for tls+tcp and wss URLs.
        accept: which connections to accept; default: all.
        recv_max_size: largest message a peer may send, bytes; default 1 MiB; 0 is no limit.
        workers: how many messages are handled at once; with 1 they are handled in order.
        on_error: called, and awaited if it is async, with the exception and the message.
        messages: hand out `Message` objects.

    Returns:
        The service, once it listens.

    Raises:
        AddressInUse: the address is taken.
        AddressInvalid: a URL cannot be parsed, or its host is not known.
        TypeError: no endpoint, or two kinds of them; the wrong socket; a handler that is not async.
        InvalidOperation: `workers` is not at least 1; the socket is raw.

    Example:
        service = await serve_pull(nursery, handler, listen="tcp://127.0.0.1:0", workers=4)
    """
    where = Endpoints(listen, dial, socket, tls_config, accept, recv_max_size)
    how = How(workers, messages)
    return await _PULL.serve(nursery, handler, on_error, where, how)


@overload
async def run_pull(
    handler: Handle[bytes],
    *,
    messages: Literal[False] = False,
    on_error: ErrorHandle[bytes] = None,
    task_status: trio.TaskStatus[Service] = ...,
    **options: Unpack[PullOptions],
) -> NoReturn: ...


@overload
async def run_pull(
    handler: Handle[Message],
    *,
    messages: Literal[True],
    on_error: ErrorHandle[Message] = None,
    task_status: trio.TaskStatus[Service] = ...,
    **options: Unpack[PullOptions],
) -> NoReturn: ...


async def run_pull(
    handler: AnyHandler,
    *,
    listen: Urls = None,
    dial: Urls = None,
    socket: Pull0 | None = None,
    tls_config: TLSConfig | None = None,
    accept: Admission | None = None,
    recv_max_size: int | None = None,
    workers: int = 8,
    on_error: AnyOnError = None,
    messages: bool = False,
    task_status: trio.TaskStatus[Service] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """Run `serve_pull` in a nursery of its own, for `await nursery.start(...)`.

    Reports the `Service` when it listens, and never returns: it ends when it is cancelled, with an
    ExceptionGroup when a handler raises, and with `Closed` when the service was closed.

    Example:
        service = await nursery.start(partial(run_pull, handler, listen=url))
    """
    where = Endpoints(listen, dial, socket, tls_config, accept, recv_max_size)
    how = How(workers, messages)
    await _PULL.run(handler, on_error, where, how, task_status)


@overload
async def serve_sub(
    nursery: trio.Nursery,
    handler: Handle[bytes],
    *,
    messages: Literal[False] = False,
    on_error: ErrorHandle[bytes] = None,
    **options: Unpack[SubOptions],
) -> Service: ...


@overload
async def serve_sub(
    nursery: trio.Nursery,
    handler: Handle[Message],
    *,
    messages: Literal[True],
    on_error: ErrorHandle[Message] = None,
    **options: Unpack[SubOptions],
) -> Service: ...


async def serve_sub(
    nursery: trio.Nursery,
    handler: AnyHandler,
    *,
    topics: Topics = None,
    listen: Urls = None,
    dial: Urls = None,
    socket: Sub0 | None = None,
    tls_config: TLSConfig | None = None,
    accept: Admission | None = None,
    recv_max_size: int | None = None,
    workers: int = 1,
    on_error: AnyOnError = None,
    messages: bool = False,
) -> Service:
    """Handle what is published, in order by default (Sub0).

    Otherwise as `serve_pull`; a publisher never waits: what the buffer cannot hold is dropped.

    Cancellation: the service ends with the nursery. Cancelling this call itself starts nothing.

    Args:
        nursery: where the tasks run; an exception of the handler is raised there, in an
            ExceptionGroup, with a note that names the service and the peer.
        handler: an async function, or what else returns an awaitable; called with bytes, or with a
            `Message` when `messages` is true. Each call runs in its own copy of the context
            (`contextvars`) of the task that called this.
        topics: subscribe to these; default: nothing, which is right with `socket=` only.
        listen: one URL or several to accept connections on.
        dial: one URL or several to connect to in the background.
        socket: a Sub0 of your own instead; it is not closed at the end.
        tls_config: for tls+tcp and wss URLs.
        accept: which connections to accept; default: all.
        recv_max_size: largest message a peer may send, bytes; default 1 MiB; 0 is no limit.
        workers: how many messages are handled at once; 1, the default, keeps their order.
        on_error: called, and awaited if it is async, with the exception and the message.
        messages: hand out `Message` objects.

    Returns:
        The service, once it listens.

    Raises:
        AddressInUse: the address is taken.
        AddressInvalid: a URL cannot be parsed, or its host is not known.
        TypeError: no endpoint, or two kinds of them; the wrong socket; a handler that is not async.
        InvalidOperation: `workers` is not at least 1; the socket is raw.

    Example:
        service = await serve_sub(nursery, handler, topics="news.", dial="tcp://127.0.0.1:5555")
    """
    where = Endpoints(listen, dial, socket, tls_config, accept, recv_max_size)
    how = How(workers, messages, topics=topics)
    return await _SUB.serve(nursery, handler, on_error, where, how)


@overload
async def run_sub(
    handler: Handle[bytes],
    *,
    messages: Literal[False] = False,
    on_error: ErrorHandle[bytes] = None,
    task_status: trio.TaskStatus[Service] = ...,
    **options: Unpack[SubOptions],
) -> NoReturn: ...


@overload
async def run_sub(
    handler: Handle[Message],
    *,
    messages: Literal[True],
    on_error: ErrorHandle[Message] = None,
    task_status: trio.TaskStatus[Service] = ...,
    **options: Unpack[SubOptions],
) -> NoReturn: ...


async def run_sub(
    handler: AnyHandler,
    *,
    topics: Topics = None,
    listen: Urls = None,
    dial: Urls = None,
    socket: Sub0 | None = None,
    tls_config: TLSConfig | None = None,
    accept: Admission | None = None,
    recv_max_size: int | None = None,
    workers: int = 1,
    on_error: AnyOnError = None,
    messages: bool = False,
    task_status: trio.TaskStatus[Service] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """Run `serve_sub` in a nursery of its own, for `await nursery.start(...)`.

    Reports the `Service` when it listens, and never returns: it ends when it is cancelled, with an
    ExceptionGroup when a handler raises, and with `Closed` when the service was closed.

    Example:
        service = await nursery.start(partial(run_sub, handler, listen=url))
    """
    where = Endpoints(listen, dial, socket, tls_config, accept, recv_max_size)
    how = How(workers, messages, topics=topics)
    await _SUB.run(handler, on_error, where, how, task_status)

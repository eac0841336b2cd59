"""Services in the caller's nursery: `serve_*`, and `run_*` in the shape of `trio.serve_tcp`.

`serve_*` starts one task that owns the service, and worker tasks as they are needed. All of them
run directly in the caller's nursery, so an exception of a handler is raised in that nursery.
`run_*` opens a nursery of its own. `_services` has the tasks; `_core.service_options` has the
defaults of all options.

The options of a kind of service are one TypedDict. Two more for each kind tie together, for type
checkers, what the handler gets: bytes, or a `Message` with `messages=True`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Literal, NoReturn, TypedDict, TypeVar, overload

import trio

from trionng._base.types import Buffer, Unpack
from trionng._core.service_options import OptionSet, ServeOptions, Topics
from trionng._services.requests import PoolSource, SocketSource
from trionng._services.service import Service
from trionng._services.spec import AnyHandler, AnyOnError, ServiceSpec
from trionng._sockets import Pull0, Rep0, Sub0
from trionng._trio.pipes import Message
from trionng._trio.surveys import Respondent0

if TYPE_CHECKING:
    from typing_extensions import Required

    # Handlers and `on_error` functions: with messages=True they get a Message, else bytes.
    T = TypeVar("T", bytes, Message)
    Reply = Buffer | Message
    Answer = Callable[[T], Awaitable[Reply]]
    MayAnswer = Callable[[T], Awaitable[Reply | None]]
    Handle = Callable[[T], Awaitable[object]]
    ErrorReply = Callable[[Exception, T], Reply | Awaitable[Reply | None] | None] | None
    ErrorHandle = Callable[[Exception, T], object] | None
    Started = trio.TaskStatus[Service]


class RepOptions(ServeOptions, total=False):
    """The options of `serve_rep` and `run_rep`."""

    socket: Rep0 | None
    max_unread: int
    cancel_on_disconnect: bool


class RespondentOptions(ServeOptions, total=False):
    """The options of `serve_respondent` and `run_respondent`."""

    socket: Respondent0 | None
    max_unread: int


class PullOptions(ServeOptions, total=False):
    """The options of `serve_pull` and `run_pull`."""

    socket: Pull0 | None


class SubOptions(ServeOptions, total=False):
    """The options of `serve_sub` and `run_sub`."""

    socket: Sub0 | None
    topics: Topics


class HandlerOptions(TypedDict, total=False):
    """What the handler gets, and what handles its exceptions."""

    messages: bool
    on_error: AnyOnError


if TYPE_CHECKING:

    class _BytesReply(TypedDict, total=False):
        messages: Literal[False]
        on_error: ErrorReply[bytes]

    class _MessageReply(TypedDict, total=False):
        messages: Required[Literal[True]]
        on_error: ErrorReply[Message]

    class _Bytes(TypedDict, total=False):
        messages: Literal[False]
        on_error: ErrorHandle[bytes]

    class _Message(TypedDict, total=False):
        messages: Required[Literal[True]]
        on_error: ErrorHandle[Message]

    class RepBytes(RepOptions, _BytesReply): ...

    class RepMessage(RepOptions, _MessageReply): ...

    class RespondentBytes(RespondentOptions, _BytesReply): ...

    class RespondentMessage(RespondentOptions, _MessageReply): ...

    class PullBytes(PullOptions, _Bytes): ...

    class PullMessage(PullOptions, _Message): ...

    class SubBytes(SubOptions, _Bytes): ...

    class SubMessage(SubOptions, _Message): ...


_REP = ServiceSpec(
    "serve_rep",
    Rep0,
    OptionSet(RepOptions, HandlerOptions),
    lambda socket, options: PoolSource(socket, options, "serve_rep"),
    must_reply=True,
    may_reply=True,
)
_RESPONDENT = ServiceSpec(
    "serve_respondent",
    Respondent0,
    OptionSet(RespondentOptions, HandlerOptions),
    lambda socket, options: PoolSource(socket, options, "serve_respondent"),
    may_reply=True,
)
_PULL = ServiceSpec(
    "serve_pull",
    Pull0,
    OptionSet(PullOptions, HandlerOptions),
    lambda socket, _: SocketSource(socket, "serve_pull"),
)
_SUB = ServiceSpec(
    "serve_sub",
    Sub0,
    OptionSet(SubOptions, HandlerOptions, workers=1),
    lambda socket, _: SocketSource(socket, "serve_sub"),
)


def reply_error(exc: Exception, request: bytes | Message) -> bytes:
    """Turn a handler's exception into a reply: its class and its text (`on_error=reply_error`).

    The client gets an ordinary reply and must know this format. The reply shows the text of the
    exception, so do not use it for clients that you do not trust.

    Example:
        service = await serve_rep(nursery, handler, listen=url, on_error=reply_error)
    """
    return f"{type(exc).__name__}: {exc}".encode()


@overload
async def serve_rep(
    nursery: trio.Nursery, handler: Answer[bytes], **options: Unpack[RepBytes]
) -> Service: ...


@overload
async def serve_rep(
    nursery: trio.Nursery, handler: Answer[Message], **options: Unpack[RepMessage]
) -> Service: ...


@_REP.options.show
async def serve_rep(nursery: trio.Nursery, handler: AnyHandler, **options: object) -> Service:
    """Answer requests with a handler, several at a time (Rep0).

    `handler(request)` returns the reply. A request that arrives while all workers are busy waits in
    the client's connection and is not lost while the nursery lives.

    An exception of the handler ends the nursery. With `on_error`, the result of `on_error` becomes
    the reply instead; if that is None, the exception is raised all the same. Beware of poison
    requests: a Req0 client whose server dies sends its request again, to the next server or to the
    same one after a restart, and that server dies too. Use `on_error`, or clients with
    `resend_time=-1`.

    Replies that a client does not read wait in its connection and occupy no worker. One connection
    holds at most `max_unread` of them (and one more for each worker that was busy for it), and
    16384 further requests or 64 MiB of requests, which are answered as the client reads. The
    service closes a connection that sends more than that, or that reads nothing for a second (0.1 s
    with more than 1024 held requests) and still sends requests: `statistics().slow` counts it, and
    a warning names it. Other clients do not notice.

    A request whose worker is cancelled stays unanswered; `statistics().abandoned` counts it.

    Cancellation: the service ends with the nursery. Cancelling this call itself starts nothing.

    Args:
        nursery: where the tasks run; an exception of the handler is raised there, in an
            ExceptionGroup, with a note that names the service and the peer.
        handler: an async function, or any callable that returns an awaitable; called with bytes, or
            with a `Message` when `messages` is true. It returns a bytes-like object or a `Message`.
            Each call runs in its own copy of the context (`contextvars`) of the task that called
            `serve_rep`.
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
        cancel_on_disconnect: cancel a handler as soon as nng knows that its client is gone, and
            start none for such a client. nng does not know while another request of the same
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
    return await _REP.serve(nursery, handler, options)


@overload
async def run_rep(
    handler: Answer[bytes], *, task_status: Started = ..., **options: Unpack[RepBytes]
) -> NoReturn: ...


@overload
async def run_rep(
    handler: Answer[Message], *, task_status: Started = ..., **options: Unpack[RepMessage]
) -> NoReturn: ...


@_REP.options.show
async def run_rep(
    handler: AnyHandler,
    *,
    task_status: trio.TaskStatus[Service] = trio.TASK_STATUS_IGNORED,
    **options: object,
) -> NoReturn:
    """Run `serve_rep` in a nursery of its own, for `await nursery.start(...)`.

    Reports the `Service` when it listens, and never returns. It ends when it is cancelled, with an
    ExceptionGroup when a handler raises, and with `Closed` when the service is closed.

    Example:
        service = await nursery.start(partial(run_rep, handler, listen=url))
    """
    await _REP.run(handler, task_status, options)


@overload
async def serve_respondent(
    nursery: trio.Nursery, handler: MayAnswer[bytes], **options: Unpack[RespondentBytes]
) -> Service: ...


@overload
async def serve_respondent(
    nursery: trio.Nursery, handler: MayAnswer[Message], **options: Unpack[RespondentMessage]
) -> Service: ...


@_RESPONDENT.options.show
async def serve_respondent(
    nursery: trio.Nursery, handler: AnyHandler, **options: object
) -> Service:
    """Answer surveys with a handler, several at a time (Respondent0).

    `handler(survey)` returns the answer, or None to send none. `on_error` works as in `serve_rep`.
    At most 128 surveys wait while all workers are busy; after that the oldest is dropped.
    Answers that a surveyor does not read are limited as the replies of `serve_rep` are.

    Cancellation: the service ends with the nursery. Cancelling this call itself starts nothing.

    Args:
        workers: how many surveys are handled at once.
        max_unread: how many answers may wait for one connection.

    The other arguments, Returns, Raises: as `serve_rep`.

    Example:
        service = await serve_respondent(nursery, handler, dial="tcp://127.0.0.1:5555")
    """
    return await _RESPONDENT.serve(nursery, handler, options)


@overload
async def run_respondent(
    handler: MayAnswer[bytes], *, task_status: Started = ..., **options: Unpack[RespondentBytes]
) -> NoReturn: ...


@overload
async def run_respondent(
    handler: MayAnswer[Message], *, task_status: Started = ..., **options: Unpack[RespondentMessage]
) -> NoReturn: ...


@_RESPONDENT.options.show
async def run_respondent(
    handler: AnyHandler,
    *,
    task_status: trio.TaskStatus[Service] = trio.TASK_STATUS_IGNORED,
    **options: object,
) -> NoReturn:
    """Run `serve_respondent` in a nursery of its own, as `run_rep`."""
    await _RESPONDENT.run(handler, task_status, options)


@overload
async def serve_pull(
    nursery: trio.Nursery, handler: Handle[bytes], **options: Unpack[PullBytes]
) -> Service: ...


@overload
async def serve_pull(
    nursery: trio.Nursery, handler: Handle[Message], **options: Unpack[PullMessage]
) -> Service: ...


@_PULL.options.show
async def serve_pull(nursery: trio.Nursery, handler: AnyHandler, **options: object) -> Service:
    """Handle the messages of Push0 sockets, several at a time (Pull0).

    The result of the handler is ignored. An exception of the handler ends the nursery, unless
    `on_error` is given: it is called with the exception and the message, and may raise again.
    Messages wait at the senders while all workers are busy. PUSH has no acknowledgement: a message
    whose worker is cancelled is lost, and `statistics().abandoned` counts it.

    Cancellation: the service ends with the nursery. Cancelling this call itself starts nothing.

    Args:
        workers: how many messages are handled at once; with 1 they are handled in order.

    The other arguments, Returns, Raises: as `serve_rep`.

    Example:
        service = await serve_pull(nursery, handler, listen="tcp://127.0.0.1:0", workers=4)
    """
    return await _PULL.serve(nursery, handler, options)


@overload
async def run_pull(
    handler: Handle[bytes], *, task_status: Started = ..., **options: Unpack[PullBytes]
) -> NoReturn: ...


@overload
async def run_pull(
    handler: Handle[Message], *, task_status: Started = ..., **options: Unpack[PullMessage]
) -> NoReturn: ...


@_PULL.options.show
async def run_pull(
    handler: AnyHandler,
    *,
    task_status: trio.TaskStatus[Service] = trio.TASK_STATUS_IGNORED,
    **options: object,
) -> NoReturn:
    """Run `serve_pull` in a nursery of its own, as `run_rep`."""
    await _PULL.run(handler, task_status, options)


@overload
async def serve_sub(
    nursery: trio.Nursery, handler: Handle[bytes], **options: Unpack[SubBytes]
) -> Service: ...


@overload
async def serve_sub(
    nursery: trio.Nursery, handler: Handle[Message], **options: Unpack[SubMessage]
) -> Service: ...


@_SUB.options.show
async def serve_sub(nursery: trio.Nursery, handler: AnyHandler, **options: object) -> Service:
    """Handle published messages, in order by default (Sub0).

    Otherwise as `serve_pull`; but a publisher never waits: messages that find the buffer full are
    dropped.

    Cancellation: the service ends with the nursery. Cancelling this call itself starts nothing.

    Args:
        topics: one topic or several to subscribe to; default: none (with a `socket=`).
        workers: how many messages are handled at once; 1, the default, keeps their order.

    The other arguments, Returns, Raises: as `serve_rep`.

    Example:
        service = await serve_sub(nursery, handler, topics="news.", dial="tcp://127.0.0.1:5555")
    """
    return await _SUB.serve(nursery, handler, options)


@overload
async def run_sub(
    handler: Handle[bytes], *, task_status: Started = ..., **options: Unpack[SubBytes]
) -> NoReturn: ...


@overload
async def run_sub(
    handler: Handle[Message], *, task_status: Started = ..., **options: Unpack[SubMessage]
) -> NoReturn: ...


@_SUB.options.show
async def run_sub(
    handler: AnyHandler,
    *,
    task_status: trio.TaskStatus[Service] = trio.TASK_STATUS_IGNORED,
    **options: object,
) -> NoReturn:
    """Run `serve_sub` in a nursery of its own, as `run_rep`."""
    await _SUB.run(handler, task_status, options)

"""One call of a service's handler: its context, its frames, what it may return.

Every call runs in its own copy of the context (`contextvars`) of the task that called `serve_*`.
The worker's task runs it: the first step, up to where the handler waits, inside `Context.run`. From
then on `task.context` is the handler's, and Trio runs each step of the task in it. So a request
that is answered at once costs one copy of a context.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from contextvars import Context
from inspect import isawaitable
from types import CoroutineType, FrameType
from typing import Generic, TypeVar

from trionng import _ffi
from trionng._base.callables import not_awaitable
from trionng._base.types import Buffer
from trionng._base.util import check_buffer
from trionng._core import hooks
from trionng._core.message import AnyMessage, Message
from trionng._trio.wait import current_task

T = TypeVar("T")

# Tells instruments that a handler begins.
Begin = Callable[[], hooks.Finish]


@contextmanager
def observed(begin: Begin) -> Iterator[None]:
    """Tell instruments that a handler begins, and how it ends."""
    finish = begin()
    try:
        yield
    except BaseException as error:
        finish(error)
        raise
    finish(None)


class HandlerCall(Generic[T]):
    """Await it to run a coroutine in a context; `waits` is called when it first waits.

    It has the attributes of a coroutine that waits, and they are those of the one it runs: so
    `Task.iter_await_frames` and debuggers look through it.
    """

    __slots__ = ("_context", "_coroutine", "_outer", "_waits")

    def __init__(
        self,
        coroutine: Coroutine[object, object, T],
        context: Context,
        waits: Callable[[], None],
    ) -> None:
        self._coroutine = coroutine
        self._context = context
        self._waits = waits
        self._outer: Context | None = None

    def __await__(self) -> Generator[object, object, T]:
        return self  # type: ignore[return-value]  # it has what `await` asks of an iterator

    def __iter__(self) -> HandlerCall[T]:
        return self

    def __next__(self) -> object:
        if self._outer is not None:
            return self.send(None)
        trap = self._context.run(self._coroutine.send, None)
        task = current_task()
        self._outer = task.context
        task.context = self._context
        self._waits()
        return trap

    def send(self, value: object) -> object:
        """Go on with what Trio answers."""
        try:
            return self._coroutine.send(value)
        except BaseException:
            self._leave()
            raise

    def throw(self, exc: BaseException) -> object:
        """Go on with an exception."""
        try:
            return self._coroutine.throw(exc)
        except BaseException:
            self._leave()
            raise

    def close(self) -> None:
        """End it: the task that ran it will not go on."""
        self._coroutine.close()

    def _leave(self) -> None:
        if self._outer is not None:
            current_task().context = self._outer

    @property
    def cr_frame(self) -> FrameType | None:
        """The frame of the coroutine it runs."""
        return getattr(self._coroutine, "cr_frame", None)

    @property
    def cr_await(self) -> object:
        """What that coroutine waits for."""
        return getattr(self._coroutine, "cr_await", None)

    @property
    def cr_running(self) -> bool:
        """Whether that coroutine is running just now."""
        return bool(getattr(self._coroutine, "cr_running", False))


def _stackscope_install_glue_() -> None:
    """Let stackscope look through a call; it calls this itself when it meets the module."""
    import stackscope

    def coroutine_of(call: HandlerCall[object]) -> object:
        return call._coroutine

    stackscope.unwrap_stackitem.register(HandlerCall, coroutine_of)


class Handler(Generic[T]):
    """What a service does with a message: the user's function, and what it may return."""

    def __init__(
        self,
        name: str,
        function: Callable[[T], Awaitable[object]],
        on_error: Callable[[Exception, T], object] | None,
        open_message: Callable[[_ffi.Msg], T],
        context: Context,
        *,
        must_reply: bool,
        may_reply: bool,
    ) -> None:
        self._name = name
        self._function = function
        self._on_error = on_error
        self.open_message = open_message
        self.context = context
        self._must_reply = must_reply
        self._may_reply = may_reply

    def call(
        self, message: T, waits: Callable[[], None], begin: Begin | None = None
    ) -> HandlerCall[Buffer | AnyMessage | None]:
        """Return what runs the handler, and answers with the reply, if there is to be one.

        `begin` tells instruments, in the context of the handler.
        """
        return HandlerCall(self._run(message, begin), self.context.copy(), waits)

    async def _run(self, message: T, begin: Begin | None) -> Buffer | AnyMessage | None:
        try:
            awaitable = self._function(message) if begin is None else self._observed(message, begin)
            is_async = type(awaitable) is CoroutineType or isawaitable(awaitable)
            if is_async:
                return self._check(await awaitable)
        except Exception as exc:
            if self._on_error is None:
                raise
            reply = self._on_error(exc, message)
            if isawaitable(reply):
                reply = await reply
            if reply is None and self._may_reply:
                raise
            return self._check(reply)
        raise not_awaitable(self._name, self._function, awaitable)

    async def _observed(self, message: T, begin: Begin) -> object:
        with observed(begin):
            awaitable = self._function(message)
            if not isawaitable(awaitable):
                raise not_awaitable(self._name, self._function, awaitable)
            return await awaitable

    def _check(self, reply: object) -> Buffer | AnyMessage | None:
        if not self._may_reply or (reply is None and not self._must_reply):
            return None
        if isinstance(reply, Message):
            return reply
        if reply is None:
            raise TypeError("the handler must return the reply, a bytes-like object, not None")
        check_buffer(reply)
        return reply  # type: ignore[return-value]

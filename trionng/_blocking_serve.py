"""A server of threads for scripts (floor 5): `serve_rep`."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from trionng._blocking import Rep0
from trionng._errors import Closed, InvalidOperation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from typing_extensions import Buffer, Self

    from trionng._blocking_socket import Context, Listener


class Service:
    """Worker threads that answer requests, until they are closed; made by `serve_rep`."""

    def __init__(
        self, socket: Rep0, handler: Callable[[bytes], Buffer], workers: int, *, own: bool
    ) -> None:
        self._socket = socket
        self._handler = handler
        self._own = own
        self._failure: BaseException | None = None
        self._ended = threading.Event()
        self._contexts: list[Context] = []
        self._threads: list[threading.Thread] = []
        try:
            for number in range(workers):
                context = socket.new_context()
                self._contexts.append(context)
                thread = threading.Thread(
                    target=self._work,
                    args=(context,),
                    name=f"trionng serve_rep {number}",
                    daemon=True,
                )
                self._threads.append(thread)
                thread.start()
        except BaseException:
            self.close()
            raise

    def _work(self, context: Context) -> None:
        try:
            while True:
                request = context.recv()
                context.send(self._handler(request))
        except Closed:
            pass
        except BaseException as exc:
            self._failure = self._failure or exc
        finally:
            self._ended.set()

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """What the service listens on."""
        return self._socket.listeners

    @property
    def url(self) -> str:
        """The URL of its first listener."""
        return self._socket.listeners[0].url

    def wait(self, *, timeout: float | None = None) -> bool:
        """Wait until a handler has failed, and raise that; False when the time was up first.

        Args:
            timeout: seconds; None is for ever. Ctrl-C interrupts.
        """
        ended = self._ended.wait(timeout)
        self._raise_failure()
        return ended

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            if hasattr(failure, "add_note"):  # Python 3.11
                failure.add_note("in a handler of trionng.blocking.serve_rep")
            raise failure

    def close(self, *, timeout: float | None = None) -> None:
        """Take no more requests, wait for the handlers that run, and raise what one raised.

        Args:
            timeout: seconds to wait for each handler; None is for ever.
        """
        for context in self._contexts:
            context.close()
        if self._own:
            self._socket.close()
        for thread in self._threads:
            if thread.ident is not None and thread is not threading.current_thread():
                thread.join(timeout)
        self._raise_failure()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def serve_rep(
    handler: Callable[[bytes], Buffer],
    *,
    listen: str | Iterable[str] | None = None,
    dial: str | Iterable[str] | None = None,
    socket: Rep0 | None = None,
    workers: int = 8,
) -> Service:
    """Answer requests in threads, several at a time: the twin of Trio's `serve_rep`.

    Returns once it listens. An exception in a handler ends that worker, and is raised by `wait` or
    `close`.

    Args:
        handler: gets a request, returns the reply; called in any of the threads.
        listen, dial: one URL or several.
        socket: serve on this socket instead; it is not closed with the service.
        workers: how many requests may be answered at once.

    Example:
        with blocking.serve_rep(bytes.upper, listen="tcp://127.0.0.1:5555") as service:
            service.wait()
    """
    if workers < 1:
        raise InvalidOperation(f"serve_rep: {workers} workers are not at least 1")
    own = socket is None
    if socket is None:
        socket = Rep0(listen=listen, dial=dial)
    try:
        return Service(socket, handler, workers, own=own)
    except BaseException:
        if own:
            socket.close()
        raise

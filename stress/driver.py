"""Both APIs called from one thread that is in no Trio run, for `stress.machine`."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any

import trio

import trionng
from stress.common import first_of
from stress.targets import CLASSES
from trionng import blocking


class Pending:
    """A call that is under way in a task or a thread."""

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self.was_cancelled = False
        self._results: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue()

    def end(self, result: Any, error: BaseException | None) -> None:
        """Note how it ended."""
        self._results.put((result, error))

    def result(self, seconds: float) -> Any:
        """Return what it returned, None if it was cancelled, or raise what it raised."""
        result, error = self._results.get(timeout=seconds)
        if error is not None:
            raise error
        return result


class Driver:
    """A Trio run in a thread of its own, to which another thread gives work."""

    def __init__(self) -> None:
        self._started = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._run,), daemon=True)
        self._thread.start()
        self._started.wait()

    async def _run(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._stop = trio.Event()
        async with trio.open_nursery() as self._nursery:
            self._started.set()
            await self._stop.wait()
            self._nursery.cancel_scope.cancel()

    def stop(self) -> None:
        """End the run."""
        self._token.run_sync_soon(self._stop.set)
        self._thread.join(30)
        if self._thread.is_alive():
            raise AssertionError("the Trio run does not end")

    def start(self, function: Callable[..., Any], *args: Any) -> Pending:
        """Start a call in a task."""
        pending = Pending()

        async def run() -> None:
            with pending.scope:
                try:
                    result = await function(*args)
                except Exception as error:
                    pending.end(None, error)
                else:
                    pending.end(result, None)
                return
            pending.was_cancelled = True
            pending.end(None, None)

        self._token.run_sync_soon(self._nursery.start_soon, run)
        return pending

    def cancel(self, pending: Pending) -> None:
        """Cancel a call."""
        self._token.run_sync_soon(pending.scope.cancel)

    def open(self, protocol: str, *, is_trio: bool, **options: Any) -> Any:
        """Open a socket of either API."""
        return getattr(trionng if is_trio else blocking, CLASSES[protocol])(**options)

    def begin(self, function: Any, *args: Any, is_trio: bool, seconds: float) -> Pending:
        """Begin a call of either API that has so much time."""
        if is_trio:

            async def within() -> Any:
                try:
                    with trio.fail_after(seconds):
                        return await function(*args)
                except trio.TooSlowError:
                    raise trionng.Timeout("the machine's own") from None

            return self.start(within)
        pending = Pending()

        def run() -> None:
            try:
                result = function(*args, timeout=seconds)
            except Exception as error:
                pending.end(None, error)
            else:
                pending.end(result, None)

        threading.Thread(target=run, daemon=True).start()
        return pending

    def call(self, function: Any, *args: Any, is_trio: bool, seconds: float = 10) -> Any:
        """Make a call of either API; blocking calls are made by this thread itself."""
        if is_trio:
            return self.begin(function, *args, is_trio=True, seconds=seconds).result(seconds + 20)
        return function(*args, timeout=seconds)

    def serve(self, start: Callable[..., Any], handler: Any, **options: Any) -> Any:
        """Start a service of Trio in a nursery of its own; it may end with its socket."""

        async def own(*, task_status: trio.TaskStatus[Any]) -> None:
            try:
                async with trio.open_nursery() as nursery:
                    task_status.started(await start(nursery, handler, **options))
            except Exception as error:
                if not isinstance(first_of(error), trionng.Closed):
                    raise

        async def run() -> Any:
            return await self._nursery.start(own)

        return self.start(run).result(60)

    def close(self, socket: Any) -> None:
        """Close a socket, context, endpoint or service."""
        with contextlib.suppress(trionng.Closed):
            if hasattr(socket, "aclose"):
                self.start(socket.aclose).result(60)
            else:
                socket.close()

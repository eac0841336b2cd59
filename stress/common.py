"""What the stress programs share: chances, books, addresses, and how a run ends."""

from __future__ import annotations

import argparse
import collections
import contextlib
import faulthandler
import math
import random
import secrets
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import trio

import trionng
from tests.support.certificates import tls_of

T = TypeVar("T")

TRANSPORTS = ("inproc", "ipc", "tcp", "abstract", "tls+tcp", "ws", "wss")
# Those whose bytes a proxy can pass on.
STREAMS = TRANSPORTS[1:]


# How many dials in a row may be too slow: with little of a processor those of wss all are.
MOST_SLOW = 200
_REFUSED = (trionng.ConnectionRefused, trionng.ConnectionShutdown)


class Lost(Exception):
    """Say that a promise was broken: a message lost, doubled, out of order, not what was sent."""


class Chances(random.Random):
    """What is chosen in one piece of work; the seed and the names make it again."""

    def __init__(self, seed: int, *names: object) -> None:
        super().__init__("/".join(map(str, (seed, *names))))

    def patience(self) -> float:
        """Return the seconds until a call is cancelled: often none, often forever."""
        return self.choice(
            (0.0, self.expovariate(2e4), self.expovariate(2e3), self.expovariate(2e2), math.inf)
        )


class Address(NamedTuple):
    """Where to listen, and what the two ends need for it."""

    url: str
    server: trionng.TLSConfig | None
    client: trionng.TLSConfig | None

    @property
    def transport(self) -> str:
        """The scheme of the URL."""
        return self.url.partition("://")[0]


class Addresses:
    """Gives addresses that no other work has."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="tng-")
        self._count = 0

    def __enter__(self) -> Addresses:
        """Have a directory for the time of a block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove it."""
        self._directory.cleanup()

    def new(self, transport: str) -> Address:
        """Return an address of a transport; tcp has a port that the system chooses."""
        self._count += 1
        name = f"stress-{self._count}"
        rest = {
            "inproc": name,
            "ipc": f"{self._directory.name}/{name}",
            "abstract": f"{self._directory.name}/{name}",
            "tcp": "127.0.0.1:0",
            "tls+tcp": "localhost:0",
            "ws": f"127.0.0.1:0/{name}",
            "wss": f"localhost:0/{name}",
        }[transport]
        return Address(f"{transport}://{rest}", *tls_of(transport))


Books = collections.Counter[str]


def is_old() -> bool:
    """Say whether libnng has errors in its ws server that no shim can mend: before 1.6."""
    return tuple(map(int, trionng.nng_version.split(".")[:2])) < (1, 6)


class Dials:
    """Says which dials may fail, in a process that many others keep waiting.

    libnng gives the HTTP upgrade of ws two seconds, and a handshake ten. A Pair0 may then still
    have the connection of which the dial has given up, and refuse the next.
    """

    def __init__(self, url: str) -> None:
        self._limit = 1.9 if url.startswith("ws") else 9.9
        self._begin = time.monotonic()
        self.slow = 0

    def failed(self, error: trionng.NNGException) -> None:
        """Count a dial that was slow; raise the error of any other."""
        seconds = time.monotonic() - self._begin
        if seconds < self._limit and not (self.slow and isinstance(error, _REFUSED)):
            raise error
        if self.slow == MOST_SLOW:
            raise Lost(f"{self.slow} dials, each slow; the last: {error}") from error
        self.slow += 1
        self._begin = time.monotonic()


async def dial(socket: Any, url: str, tls: trionng.TLSConfig | None) -> int:
    """Dial until it is connected; return how many dials were too slow."""
    dials = Dials(url)
    while True:
        try:
            await socket.dial(url, tls_config=tls, block=True)
        except trionng.NNGException as error:
            dials.failed(error)
            await trio.sleep(0.1)
        else:
            return dials.slow


async def in_thread(function: Callable[[], T]) -> T:
    """Run a function in a thread of its own, which is gone when this returns.

    Trio's own threads stay for ten seconds, so the number of threads would not be flat.
    """
    token = trio.lowlevel.current_trio_token()
    done = trio.Event()
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(function())
        except BaseException as error:
            errors.append(error)
        with contextlib.suppress(trio.RunFinishedError):
            token.run_sync_soon(done.set)

    thread = threading.Thread(target=run)
    thread.start()
    with trio.CancelScope(shield=True):
        await done.wait()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def first_of(error: BaseException) -> BaseException:
    """Return the first exception of a group that is not a cancellation."""
    inner = getattr(error, "exceptions", ())
    found = [first_of(each) for each in inner if not isinstance(each, trio.Cancelled)]
    return next(iter(found), error)


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of the arguments that every program has."""
    result = argparse.ArgumentParser(description=description)
    result.add_argument("--minutes", type=float, default=1.0)
    result.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    return result


@contextlib.contextmanager
def watchdog(minutes: float) -> Iterator[None]:
    """End a process that hangs, and say where each of its threads stands."""
    faulthandler.enable()
    faulthandler.dump_traceback_later(minutes * 60 + 1200, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


def finish(name: str, seed: int, figures: dict[str, object], failures: list[str]) -> None:
    """Print the line of figures, and end the process: 0 if there is no failure."""
    words = " ".join(f"{key}={value}" for key, value in figures.items())
    print(f"{name} {'FAILED' if failures else 'ok'} seed={seed} {words}", flush=True)
    for failure in failures:
        print(f"{name}: {failure}", file=sys.stderr)
    sys.exit(1 if failures else 0)

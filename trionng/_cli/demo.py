"""`trionng demo`: this process asks and subscribes, another (`demo_peer`) answers and publishes.

Rules of the file:
* Whatever ends the demo - the show itself, the other process, a signal, the clock - goes through
  `_Ending.decide`; the first one wins and cancels the rest.
* A failure is one line on stderr, never a traceback.
* The other process and the directory of the ipc files never outlive `_play`.
"""

from __future__ import annotations

import functools
import logging
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import trio

import trionng

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator

_QUESTIONS = range(1, 6)
_LIMIT_SECONDS = 9.0


class _Failed(Exception):
    """Something that was shown is not what it should be; the text is for the user."""


@attrs.define
class _Ending:
    """How the demo ends."""

    scope: trio.CancelScope
    performed: bool = False  # everything was shown, the other process may leave
    decided: bool = False
    code: int = 0
    line: str = ""

    def decide(self, code: int, line: str = "") -> None:
        """End the demo with this exit code and last line, unless it is ending already."""
        if not self.decided:
            self.decided, self.code, self.line = True, code, line
        self.scope.cancel()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare no arguments: the demo has none."""


def run(_arguments: argparse.Namespace) -> int:
    """Run the demo; return the exit code of the command."""
    # The other process may be killed: the line of the command says so.
    logging.getLogger("trionng").addHandler(logging.NullHandler())
    ending = trio.run(_play)
    try:
        if ending.line:
            print(ending.line, file=sys.stderr if ending.code else sys.stdout)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of stdout has closed it; the interpreter's last flush must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ending.code


async def _play() -> _Ending:
    """Start the other process, show everything, and leave nothing behind."""
    with (
        trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals,
        tempfile.TemporaryDirectory(prefix="trionng-", ignore_cleanup_errors=True) as directory,
    ):
        requests, news = (_ipc_url(directory, name) for name in ("requests", "news"))
        command = [sys.executable, "-m", "trionng", "demo-peer"]
        command += ["--requests", requests, "--news", news]
        async with trio.open_nursery() as nursery:
            ending = _Ending(nursery.cancel_scope)
            nursery.start_soon(_watch_signals, signals, ending)
            nursery.start_soon(_watch_clock, ending)
            start = functools.partial(
                trio.run_process,
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                check=False,
                deliver_cancel=_kill,
                start_new_session=True,  # Ctrl-C is for this process alone
            )
            process: trio.Process = await nursery.start(start)
            nursery.start_soon(_watch_process, process, ending)
            await _perform(process, requests, news, ending)
    return ending


def _ipc_url(directory: str, name: str) -> str:
    return f"ipc://{Path(directory, name).as_posix()}"


async def _kill(process: trio.Process) -> None:
    process.kill()


# What may end the demo.


async def _watch_signals(signals: AsyncIterator[int], ending: _Ending) -> None:
    async for number in signals:
        ending.decide(128 + number)


async def _watch_clock(ending: _Ending) -> None:
    await trio.sleep(_LIMIT_SECONDS)
    ending.decide(1, f"trionng demo: not finished after {_LIMIT_SECONDS:.0f} seconds, giving up")


async def _watch_process(process: trio.Process, ending: _Ending) -> None:
    code = await process.wait()
    if ending.performed and code == 0:
        ending.decide(0, f"\nProcess {process.pid} has ended too. Everything arrived.")
    else:
        how = (
            f"ended with exit code {code}" if code >= 0 else f"was killed by {_signal_name(-code)}"
        )
        ending.decide(
            1, f"trionng demo: the other process ({process.pid}) {how} before the demo was over"
        )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


async def _perform(process: trio.Process, requests: str, news: str, ending: _Ending) -> None:
    try:
        await _show(process, requests, news)
    except Exception as error:
        # If the other process has gone, that is the better explanation: leave it to its watcher.
        await trio.sleep(1)
        ending.decide(1, f"trionng demo: {_innermost(error)}")
    else:
        ending.performed = True
        assert process.stdin is not None
        await process.stdin.aclose()  # the end of its input tells the other process to leave


def _innermost(error: object) -> object:
    """Return the first leaf of an exception group (whose type Python 3.10 does not have)."""
    inner: object = getattr(error, "exceptions", None)
    return _innermost(inner[0]) if isinstance(inner, tuple) else error


# What is shown.


def _say(text: str) -> None:
    print(text, flush=True)


async def _show(process: trio.Process, requests: str, news: str) -> None:
    _say(f"Two processes: this one is {os.getpid()}, it has started {process.pid}.")
    requests_tcp, news_tcp, *rooms = (await _first_line(process)).split()
    for url in (requests, requests_tcp):
        await _show_requests(process.pid, url)
    await _show_news(process.pid, news, news_tcp)
    await _show_survey(process.pid, rooms)


async def _first_line(process: trio.Process) -> str:
    """Read the tcp URLs, whose ports the other process learned from the operating system."""
    assert process.stdout is not None
    text = b""
    while not text.endswith(b"\n"):
        chunk = await process.stdout.receive_some()
        if not chunk:
            raise _Failed("the other process did not say where it listens")
        text += chunk
    return text.decode()


async def _show_requests(peer: int, url: str) -> None:
    """Have several questions in flight at once on one socket."""
    _say(f"\nREQ/REP over {url}")
    _say(f"  {os.getpid()} asks {len(_QUESTIONS)} questions at once, each is 0.3 s of work:")
    async with trionng.Req0() as req:
        await req.dial(url, block=True)
        begin = trio.current_time()
        async with trio.open_nursery() as nursery:
            for number in _QUESTIONS:
                nursery.start_soon(_ask, req, number, peer)
        _say(f"  all answered after {trio.current_time() - begin:.2f} s")


async def _ask(req: trionng.Req0, number: int, peer: int) -> None:
    answer = (await req.request(str(number).encode())).decode()
    _say(f"  {number} squared?  {answer}")
    if answer != f"{number * number}, says process {peer}":
        raise _Failed(f"a wrong answer: {answer!r}")


async def _show_news(peer: int, ipc: str, tcp: str) -> None:
    """Have two subscribers, on two transports, that each get their topic and nothing else."""
    _say(f"\nPUB/SUB: {peer} publishes weather, sport and market news without being asked")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_follow, "weather.", ipc, 4, peer)
        nursery.start_soon(_follow, "sport.", tcp, 2, peer)


async def _follow(topic: str, url: str, count: int, peer: int) -> None:
    async with trionng.Sub0(topics=topic) as sub:
        await sub.dial(url, block=True)
        _say(f"  subscribed to {topic!r} over {url}")
        for _ in range(count):
            item = (await sub.recv()).decode()
            _say(f"  {topic:8} subscriber: {item}")
            if not (item.startswith(topic) and item.endswith(f"says process {peer}")):
                raise _Failed(f"news that was not asked for: {item!r}")


async def _show_survey(peer: int, rooms: list[str]) -> None:
    """Send a survey, and receive the replies that come in time."""
    _say(f"\nSURVEY: {os.getpid()} asks all peers, for half a second")
    async with trionng.Surveyor0() as surveyor:
        for url in rooms:
            await surveyor.dial(url, block=True)
        async with surveyor.survey(b"who is there?", timeout=0.5) as replies:
            found = sorted([reply.decode() async for reply in replies])
    for reply in found:
        _say(f"  found: {reply}")
    if found != sorted(f"the {room}, in process {peer}" for room in ("kitchen", "cellar")):
        raise _Failed(f"a peer did not answer the survey: {found}")

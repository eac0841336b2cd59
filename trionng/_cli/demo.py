"""`trionng demo`: this process asks and subscribes, another (`demo_peer`) answers and publishes.

Rules of the file:
* What goes wrong raises `Failure` in a task of the nursery, which ends the demo: something shown is
  wrong, the other process ends, or the clock.
* The other process and the directory of the ipc files never outlive `_play`.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
import trio

import trionng
from trionng._cli.console import Console
from trionng._cli.process import OK, Failure, run as run_process
from trionng._cli.values import duration

if TYPE_CHECKING:
    from trionng._cli.parser import Parser

EXAMPLES = """
trionng demo     # two processes talk to each other
"""

_QUESTIONS: Final = range(1, 6)
_TOPICS: Final = (("weather.", 4), ("sport.", 2))


class Arguments(argparse.Namespace):
    """The options of the command."""

    limit: float


def add_arguments(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--limit", type=duration, default=9, metavar="TIME", help="give up after so long (9s)"
    )


def run(arguments: Arguments, parser: Parser) -> int:
    """Run the demo; return the exit code of the command."""
    # Quiet: the other process may be killed, and the last line says so.
    console = Console(parser.command, quiet=True)
    return run_process(partial(_play, arguments.limit, console), console)


async def _play(limit: float, console: Console) -> int:
    """Start the other process, show everything, and leave nothing behind."""
    with tempfile.TemporaryDirectory(prefix="trionng-", ignore_cleanup_errors=True) as directory:
        requests, news = (f"ipc://{Path(directory, name)}" for name in ("requests", "news"))
        command = [sys.executable, "-m", "trionng", "demo-peer"]
        command += ["--requests", requests, "--news", news]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_watch_clock, limit)
            start = partial(
                trio.run_process,
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                check=False,
                deliver_cancel=_kill,
                start_new_session=True,  # Ctrl-C is for this process alone
            )
            process: trio.Process = await nursery.start(start)
            watched = await nursery.start(_watch_process, process)
            try:
                await _Show(console, process).all(requests, news)
            except (trionng.NNGException, Failure):
                # If the other process has gone, that is the better explanation.
                await trio.sleep(1)
                raise
            watched.cancel()
            assert process.stdin is not None
            await process.stdin.aclose()  # the end of its input tells the other process to leave
            if await process.wait() != 0:
                raise Failure(_how_it_ended(process))
            nursery.cancel_scope.cancel()
    await console.line(f"\nProcess {process.pid} has ended too. Everything arrived.")
    return OK


async def _kill(process: trio.Process) -> None:
    process.kill()


async def _watch_clock(limit: float) -> None:
    await trio.sleep(limit)
    raise Failure(f"not finished after {limit:g} seconds, giving up")


async def _watch_process(
    process: trio.Process, task_status: trio.TaskStatus[trio.CancelScope]
) -> None:
    with trio.CancelScope() as scope:
        task_status.started(scope)
        await process.wait()
        raise Failure(_how_it_ended(process))


def _how_it_ended(process: trio.Process) -> str:
    code = process.returncode or 0
    how = f"ended with exit code {code}" if code >= 0 else f"was killed by {_signal_name(-code)}"
    return f"the other process ({process.pid}) {how} before the demo was over"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


@attrs.frozen
class _Show:
    """What is shown."""

    console: Console
    process: trio.Process

    async def all(self, requests: str, news: str) -> None:
        """Show requests, news and a survey."""
        say, peer = self.console.line, self.process.pid
        await say(f"Two processes: this one is {os.getpid()}, it has started {peer}.")
        requests_tcp, news_tcp, *rooms = (await self._first_line()).split()
        for url in (requests, requests_tcp):
            await self._requests(url)
        await say(f"\nPUB/SUB: {peer} publishes weather, sport and market news without being asked")
        async with trio.open_nursery() as nursery:
            for (topic, count), url in zip(_TOPICS, (news, news_tcp), strict=True):
                nursery.start_soon(self._follow, topic, url, count)
        await self._survey(rooms)

    async def _first_line(self) -> str:
        """Read the tcp URLs, whose ports the other process learned from the operating system."""
        assert self.process.stdout is not None
        text = b""
        while not text.endswith(b"\n"):
            chunk = await self.process.stdout.receive_some()
            if not chunk:
                raise Failure("the other process did not say where it listens")
            text += chunk
        return text.decode()

    async def _requests(self, url: str) -> None:
        """Have several questions in flight at once on one socket."""
        await self.console.line(f"\nREQ/REP over {url}")
        text = f"  {os.getpid()} asks {len(_QUESTIONS)} questions at once, each is 0.3 s of work:"
        await self.console.line(text)
        async with trionng.Req0() as req:
            await req.dial(url, block=True)
            begin = trio.current_time()
            async with trio.open_nursery() as nursery:
                for number in _QUESTIONS:
                    nursery.start_soon(self._ask, req, number)
            seconds = trio.current_time() - begin
            await self.console.line(f"  all answered after {seconds:.2f} s")

    async def _ask(self, req: trionng.Req0, number: int) -> None:
        answer = (await req.request(str(number).encode())).decode()
        await self.console.line(f"  {number} squared?  {answer}")
        if answer != f"{number * number}, says process {self.process.pid}":
            raise Failure(f"a wrong answer: {answer!r}")

    async def _follow(self, topic: str, url: str, count: int) -> None:
        """Subscribe to one topic, and get that and nothing else."""
        async with trionng.Sub0(topics=topic) as sub:
            await sub.dial(url, block=True)
            await self.console.line(f"  subscribed to {topic!r} over {url}")
            for _ in range(count):
                item = (await sub.recv()).decode()
                await self.console.line(f"  {topic:8} subscriber: {item}")
                if not (
                    item.startswith(topic) and item.endswith(f"says process {self.process.pid}")
                ):
                    raise Failure(f"news that was not asked for: {item!r}")

    async def _survey(self, rooms: list[str]) -> None:
        """Send a survey, and receive a reply of each peer."""
        await self.console.line(f"\nSURVEY: {os.getpid()} asks all peers, for 5 seconds at most")
        async with trionng.Surveyor0() as surveyor:
            for url in rooms:
                await surveyor.dial(url, block=True)
            found: list[str] = []
            async with surveyor.survey(b"who is there?", timeout=5) as replies:
                async for reply in replies:
                    found.append(reply.decode())
                    if len(found) == len(rooms):
                        break
        for each in sorted(found):
            await self.console.line(f"  found: {each}")
        peer = self.process.pid
        if sorted(found) != sorted(
            f"the {room}, in process {peer}" for room in ("kitchen", "cellar")
        ):
            raise Failure(f"a peer did not answer the survey: {found}")

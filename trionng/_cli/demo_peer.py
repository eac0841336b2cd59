"""`trionng demo-peer` (hidden): the other process of `trionng demo`.

It answers requests, publishes news and responds to surveys. Its first line of output has its tcp
URLs. It ends when its input ends, which also happens when the process that started it dies.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import os
from typing import TYPE_CHECKING

import trio

import trionng
from trionng._cli.console import Console
from trionng._cli.process import OK, run as run_process

if TYPE_CHECKING:
    from trionng._cli.parser import Parser

EXAMPLES = "trionng demo   # starts it"

_WORKERS = 5
_WORK_SECONDS = 0.3
_NEWS_SECONDS = 0.1
_ROOMS = ("kitchen", "cellar")
_NEWS = (
    ("weather.paris", "sunny, 21 degrees"),
    ("sport.tennis", "6:4 and 3:6"),
    ("market.gold", "up by a little"),
    ("weather.oslo", "snow, -3 degrees"),
)


class _Arguments(argparse.Namespace):
    requests: str
    news: str


def add_arguments(parser: Parser) -> None:
    """Declare the URLs on which requests are answered and news is published."""
    parser.add_argument("--requests", required=True, metavar="URL")
    parser.add_argument("--news", required=True, metavar="URL")


def run(arguments: _Arguments, parser: Parser) -> int:
    """Serve requests and publish news on the given URLs and on a free tcp port each."""
    console = Console(parser.command)
    return run_process(functools.partial(_serve, arguments.requests, arguments.news), console)


async def _serve(requests: str, news: str) -> int:
    async with trionng.Rep0(listen=requests) as rep, trionng.Pub0(listen=news) as pub:
        urls = [socket.listen("tcp://127.0.0.1:0").url for socket in (rep, pub)]
        async with trio.open_nursery() as nursery:
            for room in _ROOMS:
                service = await trionng.serve_respondent(
                    nursery, functools.partial(_report, room), listen="tcp://127.0.0.1:0"
                )
                urls.append(service.url)
            await trionng.serve_rep(nursery, _answer, socket=rep, workers=_WORKERS)
            nursery.start_soon(_publish, pub)
            print(*urls, flush=True)
            await trio.to_thread.run_sync(os.read, 0, 1, abandon_on_cancel=True)
            nursery.cancel_scope.cancel()
    return OK


async def _answer(question: bytes) -> bytes:
    await trio.sleep(_WORK_SECONDS)
    return f"{int(question) ** 2}, says process {os.getpid()}".encode()


async def _report(room: str, _survey: bytes) -> bytes:
    return f"the {room}, in process {os.getpid()}".encode()


async def _publish(pub: trionng.Pub0) -> None:
    for topic, text in itertools.cycle(_NEWS):
        await pub.send(f"{topic}: {text}, says process {os.getpid()}".encode())
        await trio.sleep(_NEWS_SECONDS)

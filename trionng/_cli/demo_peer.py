"""`trionng demo-peer` (hidden): the other process of `trionng demo`.

It answers requests, publishes news and responds to surveys. Its first line of output has its tcp
URLs. It ends when its input ends, which also happens when the process that started it dies.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import os
import signal
import sys

import trio

import trionng

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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the URLs on which requests are answered and news is published."""
    parser.add_argument("--requests", required=True, metavar="URL")
    parser.add_argument("--news", required=True, metavar="URL")


def run(arguments: _Arguments) -> int:
    """Serve requests and publish news on the given URLs and on a free tcp port each."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback after Ctrl-C
    try:
        trio.run(_serve, arguments.requests, arguments.news)
    except trionng.NNGException as error:
        print(f"trionng demo-peer: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(requests: str, news: str) -> None:
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


async def _answer(question: bytes) -> bytes:
    await trio.sleep(_WORK_SECONDS)
    return f"{int(question) ** 2}, says process {os.getpid()}".encode()


async def _report(room: str, _survey: bytes) -> bytes:
    return f"the {room}, in process {os.getpid()}".encode()


async def _publish(pub: trionng.Pub0) -> None:
    for topic, text in itertools.cycle(_NEWS):
        await pub.send(f"{topic}: {text}, says process {os.getpid()}".encode())
        await trio.sleep(_NEWS_SECONDS)

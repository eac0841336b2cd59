"""zenoh with plain calls: queryables and subscribers of another process, without a router."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import zenoh

from benchmarks import loops_sync as work
from benchmarks.job import SUBSCRIBERS, Job, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "bench"
VERSIONS = f"eclipse-zenoh {importlib.metadata.version('eclipse-zenoh')}"


@contextlib.contextmanager
def session(job: Job) -> Iterator[Any]:
    """Open a session that listens or connects, and looks for no others."""
    config = zenoh.Config()
    port = urlsplit(job.url).port
    address = json.dumps([f"tcp/127.0.0.1:{port}"])
    config.insert_json5("mode", '"peer"')
    config.insert_json5("scouting/multicast/enabled", "false")
    config.insert_json5("scouting/gossip/enabled", "false")
    config.insert_json5("listen/endpoints", address if job.role == "server" else "[]")
    config.insert_json5("connect/endpoints", "[]" if job.role == "server" else address)
    opened = zenoh.open(config)
    try:
        yield opened
    finally:
        opened.close()


def rtt(job: Job) -> None:
    with session(job) as opened:
        if job.role == "server":
            queries = opened.declare_queryable(KEY)
            waiting: list[Any] = []

            def receive() -> bytes:
                waiting.append(queries.recv())
                return waiting[-1].payload.to_bytes()

            def send(data: bytes) -> None:
                with waiting.pop() as query:
                    query.reply(KEY, data)

            work.answer(job, receive, send)
            return
        querier = opened.declare_querier(KEY)
        replies: list[Any] = []

        def ask(data: bytes) -> None:
            replies.append(querier.get(payload=data))

        def reply() -> bytes:
            return replies.pop().recv().ok.payload.to_bytes()

        while not querier.matching_status.matching:
            pass
        work.ask(job, ask, reply)


def pubsub(job: Job) -> None:
    """Publish with back-pressure, as its defaults drop; a session for each subscriber."""
    block = zenoh.CongestionControl.BLOCK
    news_key, acks_key = f"{KEY}/news", f"{KEY}/acks"
    with contextlib.ExitStack() as stack:
        opened = [
            stack.enter_context(session(job))
            for _ in range(1 if job.role == "server" else SUBSCRIBERS)
        ]
        if job.role == "server":
            acks = opened[0].declare_subscriber(acks_key)
            publisher = opened[0].declare_publisher(news_key, congestion_control=block)

            def hear() -> bool:
                return acks.try_recv() is not None

            work.publish(job, publisher.put, lambda: acks.recv().payload.to_bytes(), hear)
            return
        ends = []
        for each in opened:
            publisher = each.declare_publisher(acks_key, congestion_control=block)
            while not publisher.matching_status.matching:
                pass
            ends.append((each.declare_subscriber(news_key).recv, publisher.put))
        work.subscribe(job, ends, lambda sample: sample.payload.to_bytes())


ROLES = {"rtt": rtt, "pubsub": pubsub}

if __name__ == "__main__":
    serve("zenoh_sync", VERSIONS, lambda job: ROLES[job.kind](job))

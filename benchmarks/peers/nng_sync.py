"""The package `nng` with plain calls."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import nng
from benchmarks import loops_sync as work
from benchmarks.job import SUBSCRIBERS, Job, now, serve
from benchmarks.peers.nng_open import VERSIONS, dialled, listening, subscribed, to_bytes


def rtt(job: Job) -> None:
    view = job.mode == "view"
    with ExitStack() as stack:
        rep = req = None
        if job.role != "client":
            rep = listening(stack.enter_context(nng.RepSocket()), job.url)
        if job.role != "server":
            req = dialled(stack.enter_context(nng.ReqSocket()), job.url)

        def receive() -> bytes:
            return rep.recv().to_bytes()

        if req is None:
            work.answer(job, rep.recv if view else receive, rep.send)
            return
        if rep is not None:
            work.answer_beside(receive, rep.send, nng.NngError)
        work.ask(job, req.send, req.recv, memoryview if view else to_bytes)


def pushpull(job: Job) -> None:
    if job.role == "server":
        with nng.PullSocket() as pull:
            work.receive_stream(job, listening(pull, job.url).recv, to_bytes)
    else:
        with nng.PushSocket() as push:
            push.send_buf = job.buffers
            work.send_stream(job, dialled(push, job.url).send)


def pair(job: Job) -> None:
    with nng.PairSocket() as pair:
        pair.send_buf = pair.recv_buf = job.buffers
        if job.role == "server":
            work.receive_stream(job, listening(pair, job.url).recv, to_bytes)
        else:
            work.send_stream(job, dialled(pair, job.url).send)


def pubsub(job: Job) -> None:
    with ExitStack() as stack:
        enter = stack.enter_context
        if job.role == "server":
            pub = enter(nng.PubSocket())
            pub.send_buf = job.buffers
            listening(pub, job.url)
            acks = listening(enter(nng.PullSocket()), job.back)

            def hear() -> bool:
                acks.recv_timeout = 5
                try:
                    acks.recv()
                except nng.NngTimeout:
                    return False
                finally:
                    acks.recv_timeout = -1
                return True

            work.publish(job, pub.send, acks.recv, hear, to_bytes)
            return
        ends = []
        for _ in range(SUBSCRIBERS):
            sub = subscribed(enter(nng.SubSocket()), job.topics)
            sub.recv_buf = job.buffers
            dialled(sub, job.url)
            push = dialled(enter(nng.PushSocket()), job.back)
            ends.append((sub.recv, push.send))
        work.subscribe(job, ends, to_bytes)


def cycle(job: Job) -> None:
    messages, mask = job.messages, job.mask
    job.ready()
    for count in job.rounds():
        start = now()
        for i in range(count):
            with nng.PairSocket() as server, nng.PairSocket() as client:
                listening(server, job.url)
                dialled(client, job.url).send(messages[i & mask])
                if server.recv().to_bytes() != messages[i & mask]:
                    job.wrong(i)
        job.result(start, now(), count)


ROLES: dict[str, Any] = {
    "rtt": rtt,
    "pushpull": pushpull,
    "pair": pair,
    "pubsub": pubsub,
    "cycle": cycle,
}

if __name__ == "__main__":
    serve("nng_sync", VERSIONS, lambda job: ROLES[job.kind](job))

"""pyzmq with plain calls."""

from __future__ import annotations

from typing import Any

import zmq

from benchmarks import loops_sync as work
from benchmarks.job import SUBSCRIBERS, Job, now, serve
from benchmarks.peers.pyzmq_open import VERSIONS, bound, connected, make


def rtt(job: Job, context: Any) -> None:
    view = job.mode == "view"
    rep = bound(make(context, zmq.REP), job.url) if job.role != "client" else None
    if job.role == "server":
        if view:
            work.answer(
                job,
                lambda: rep.recv(copy=False),
                lambda frame: rep.send(frame, copy=False),
            )
        else:
            work.answer(job, rep.recv, rep.send)
        return
    req = connected(make(context, zmq.REQ), job.url)
    if rep is not None:
        # The thread takes the socket over, and closes it when the context ends.
        work.answer_beside(rep.recv, rep.send, zmq.ZMQError, rep.close)
    work.ask(job, req.send, (lambda: req.recv(copy=False).buffer) if view else req.recv)
    req.close()


def pushpull(job: Job, context: Any) -> None:
    if job.role == "server":
        pull = bound(make(context, zmq.PULL, job.buffers), job.url)
        work.receive_stream(job, pull.recv)
    else:
        push = connected(make(context, zmq.PUSH, job.buffers), job.url)
        work.send_stream(job, push.send)


def pair(job: Job, context: Any) -> None:
    pair = make(context, zmq.PAIR, job.buffers)
    if job.role == "server":
        work.receive_stream(job, bound(pair, job.url).recv)
    else:
        work.send_stream(job, connected(pair, job.url).send)


def pubsub(job: Job, context: Any) -> None:
    if job.role == "server":
        pub = bound(make(context, zmq.PUB, max(job.buffers, 2 * job.flows)), job.url)
        acks = bound(make(context, zmq.PULL), job.back)

        def hear() -> bool:
            if acks.poll(5):
                acks.recv()
                return True
            return False

        work.publish(job, pub.send, acks.recv, hear)
        return
    ends = []
    for _ in range(SUBSCRIBERS):
        # A subscription counts as a message.
        sub = make(context, zmq.SUB, max(job.buffers, 2 * job.flows))
        for topic in job.topics:
            sub.subscribe(topic)
        connected(sub, job.url)
        ends.append((sub.recv, connected(make(context, zmq.PUSH), job.back).send))
    work.subscribe(job, ends)


def cycle(job: Job, context: Any) -> None:
    messages, mask = job.messages, job.mask
    job.ready()
    for count in job.rounds():
        start = now()
        for i in range(count):
            with make(context, zmq.PAIR) as server, make(context, zmq.PAIR) as client:
                bound(server, job.url)
                connected(client, job.url).send(messages[i & mask])
                if server.recv() != messages[i & mask]:
                    job.wrong(i)
        job.result(start, now(), count)


ROLES: dict[str, Any] = {
    "rtt": rtt,
    "pushpull": pushpull,
    "pair": pair,
    "pubsub": pubsub,
    "cycle": cycle,
}


def _main(job: Job) -> None:
    context = zmq.Context()
    try:
        ROLES[job.kind](job, context)
    finally:
        if job.role == "alone" and job.kind == "rtt":
            context.term()
        else:
            context.destroy(linger=0)


if __name__ == "__main__":
    serve("pyzmq_sync", VERSIONS, _main)

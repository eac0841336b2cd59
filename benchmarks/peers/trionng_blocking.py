"""trionng.blocking: the same sockets with plain calls."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import Any

import trionng
from benchmarks import loops_sync as work
from benchmarks.job import SUBSCRIBERS, Job, now, serve
from benchmarks.peers.trionng_open import options

try:
    from trionng import blocking
except ImportError:
    print("absent trionng.blocking is not there yet", flush=True)
    sys.exit()


def rtt(job: Job) -> None:
    with ExitStack() as stack:
        rep = req = None
        if job.role != "client":
            rep = stack.enter_context(blocking.Rep0(listen=job.url, **options(job)))
        if job.role != "server":
            req = stack.enter_context(blocking.Req0(**options(job)))
            req.dial(job.url)
        if req is None:
            work.answer(job, rep.recv, rep.send)
            return
        if rep is not None:
            work.answer_beside(rep.recv, rep.send, trionng.Closed)
        if job.mode == "separate":
            work.ask(job, req.send, req.recv)
        elif job.mode == "view":
            work.ask(job, req.send, req.recv_msg, lambda msg: msg.body)
        else:
            work.ask_with(job, req.request)


def pushpull(job: Job) -> None:
    if job.role == "server":
        with blocking.Pull0(listen=job.url, recv_buffer_size=job.buffers) as pull:
            work.receive_stream(job, pull.recv)
    else:
        with blocking.Push0(send_buffer_size=job.buffers) as push:
            push.dial(job.url)
            work.send_stream(job, push.send)


def pair(job: Job) -> None:
    with blocking.Pair0(
        recv_buffer_size=job.buffers, send_buffer_size=job.buffers, **options(job)
    ) as pair:
        if job.role == "server":
            pair.listen(job.url)
            work.receive_stream(job, pair.recv)
        else:
            pair.dial(job.url)
            work.send_stream(job, pair.send)


def pubsub(job: Job) -> None:
    with ExitStack() as stack:
        enter = stack.enter_context
        if job.role == "server":
            pub = enter(blocking.Pub0(send_buffer_size=job.buffers, listen=job.url))
            acks = enter(blocking.Pull0(listen=job.back))

            def hear() -> bool:
                try:
                    acks.recv(timeout=0.005)
                except trionng.Timeout:
                    return False
                return True

            work.publish(job, pub.send, acks.recv, hear)
            return
        ends = []
        for _ in range(SUBSCRIBERS):
            sub = enter(blocking.Sub0(topics=job.topics, recv_buffer_size=job.buffers))
            push = enter(blocking.Push0())
            sub.dial(job.url)
            push.dial(job.back)
            ends.append((sub.recv, push.send))
        work.subscribe(job, ends)


def cycle(job: Job) -> None:
    messages, mask = job.messages, job.mask
    job.ready()
    for count in job.rounds():
        start = now()
        for i in range(count):
            with blocking.Pair0(listen=job.url) as server, blocking.Pair0() as client:
                client.dial(job.url)
                client.send(messages[i & mask])
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

if __name__ == "__main__":
    serve(
        "trionng_blocking",
        f"trionng {trionng.__version__}, libnng {trionng.nng_version}",
        lambda job: ROLES[job.kind](job),
    )

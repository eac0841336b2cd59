"""pynng with plain calls."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pynng

from benchmarks import loops_sync as work
from benchmarks.job import SUBSCRIBERS, Job, now, serve
from benchmarks.peers.pynng_open import options


def rtt(job: Job) -> None:
    with ExitStack() as stack:
        rep = None
        if job.role != "client":
            rep = stack.enter_context(pynng.Rep0(listen=job.url, **options(job)))
        if job.role == "server":
            work.answer(job, rep.recv, rep.send)
            return
        req = stack.enter_context(pynng.Req0(dial=job.url, block_on_dial=True, **options(job)))
        if rep is not None:
            work.answer_beside(rep.recv, rep.send, pynng.Closed)
        work.ask(job, req.send, req.recv)


def pushpull(job: Job) -> None:
    if job.role == "server":
        with pynng.Pull0(recv_buffer_size=job.buffers, listen=job.url) as pull:
            work.receive_stream(job, pull.recv)
    else:
        with pynng.Push0(send_buffer_size=job.buffers, dial=job.url, block_on_dial=True) as push:
            work.send_stream(job, push.send)


def pair(job: Job) -> None:
    if job.role == "server":
        with pynng.Pair0(listen=job.url, **options(job)) as pair:
            work.receive_stream(job, pair.recv)
    else:
        with pynng.Pair0(dial=job.url, block_on_dial=True, **options(job)) as pair:
            work.send_stream(job, pair.send)


def pubsub(job: Job) -> None:
    with ExitStack() as stack:
        enter = stack.enter_context
        if job.role == "server":
            pub = enter(pynng.Pub0(send_buffer_size=job.buffers, listen=job.url))
            acks = enter(pynng.Pull0(listen=job.back))

            def hear() -> bool:
                acks.recv_timeout = 5
                try:
                    acks.recv()
                except pynng.Timeout:
                    return False
                finally:
                    acks.recv_timeout = -1
                return True

            work.publish(job, pub.send, acks.recv, hear)
            return
        ends = []
        for _ in range(SUBSCRIBERS):
            sub = enter(pynng.Sub0(recv_buffer_size=job.buffers, topics=job.topics))
            sub.dial(job.url, block=True)
            push = enter(pynng.Push0(dial=job.back, block_on_dial=True))
            ends.append((sub.recv, push.send))
        work.subscribe(job, ends)


def cycle(job: Job) -> None:
    messages, mask = job.messages, job.mask
    job.ready()
    for count in job.rounds():
        start = now()
        for i in range(count):
            with (
                pynng.Pair0(listen=job.url) as server,
                pynng.Pair0(dial=job.url, block_on_dial=True) as client,
            ):
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
    nng = pynng.ffi.string(pynng.lib.nng_version()).decode()
    serve(
        "pynng_sync",
        f"pynng {pynng.__version__} with its own nng {nng}",
        lambda job: ROLES[job.kind](job),
    )

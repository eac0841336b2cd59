"""The work itself for peers that block, as in loops_async; concurrent work runs in threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from benchmarks.job import BURST, HELLO, SUBSCRIBERS, Credit, Job, now

Send = Callable[[bytes], object]
Receive = Callable[[], Any]
Read = Callable[[Any], bytes]


def answer(job: Job, receive: Receive, send: Send) -> None:
    """REP: send each message back."""
    job.ready()
    for count in job.rounds():
        start = now()
        for _ in range(count):
            send(receive())
        job.result(start, now(), count)


def answer_beside(
    receive: Receive,
    send: Send,
    ended: type[BaseException],
    close: Callable[[], object] | None = None,
) -> None:
    """Answer in a thread, until closing the socket raises `ended` there; then call `close`."""

    def loop() -> None:
        try:
            while True:
                send(receive())
        except ended:
            if close is not None:
                close()

    threading.Thread(target=loop, daemon=True).start()


def ask(job: Job, send: Send, receive: Receive, read: Read | None = None) -> None:
    """REQ with a send and a receive."""
    messages, mask, large = job.messages, job.mask, job.large
    job.ready()
    for count in job.rounds():
        reply: Any = b""
        start = now()
        for i in range(count):
            data = messages[i & mask]
            send(data)
            reply = receive()
            if read is not None:
                reply = read(reply)
            if large:
                job.check_large(reply, i)
            elif reply != data:
                job.wrong(i)
        end = now()
        if large:
            job.check_large(reply, count - 1, whole=True)
        job.result(start, end, count)


def ask_with(job: Job, request: Callable[[bytes], bytes]) -> None:
    """REQ with one call for both."""
    replies: list[bytes] = []

    def send(data: bytes) -> None:
        replies.append(request(data))

    ask(job, send, replies.pop)


def send_stream(job: Job, send: Send) -> None:
    messages, mask = job.messages, job.mask
    job.ready()
    for count in job.rounds():
        start = now()
        for i in range(count):
            send(messages[i & mask])
        job.result(start, now(), count)


def receive_stream(job: Job, receive: Receive, read: Read | None = None) -> None:
    messages, mask = job.messages, job.mask
    job.ready()
    for count in job.rounds():
        start = now()
        for i in range(count):
            data = receive()
            if read is not None:
                data = read(data)
            if data != messages[i & mask]:
                job.wrong(i)
        job.result(start, now(), count)


def publish(
    job: Job,
    send: Send,
    receive_ack: Receive,
    hear_ack: Callable[[], bool],
    read: Read | None = None,
) -> None:
    """PUB: bursts of messages, never more than two of them unacknowledged by any subscriber.

    `hear_ack` waits a moment for one, and says whether it came.
    """
    messages, mask = job.messages, job.mask
    job.ready()
    heard = 0
    while heard < SUBSCRIBERS:
        send(HELLO)
        heard += hear_ack()
    for count in job.rounds():
        credit = Credit(count)
        start = now()
        for burst in range(credit.bursts + 1):
            while credit.must_wait(burst):
                ack = receive_ack()
                credit.ack(ack if read is None else read(ack))
            if burst < credit.bursts:
                for i in range(burst * BURST, (burst + 1) * BURST):
                    send(messages[i & mask])
        job.result(start, now(), count)


def subscribe(job: Job, ends: list[tuple[Receive, Send]], read: Read | None = None) -> None:
    """Run four subscribers, a thread each."""
    messages, mask = job.messages, job.mask

    received = [0] * SUBSCRIBERS

    def one(number: int, count: int) -> None:
        receive, send_ack = ends[number]
        ack = bytes([number])
        i = 0
        while i < count:
            data = receive()
            if read is not None:
                data = read(data)
            if data != messages[i & mask]:
                if i == 0 and data == HELLO:
                    continue
                job.wrong(i)
            i += 1
            if i % BURST == 0:
                send_ack(ack)
        received[number] = i

    for number, (receive, send_ack) in enumerate(ends):
        receive()
        send_ack(bytes([number]))
    job.ready()
    for count in job.rounds():
        start = now()
        threads = [
            threading.Thread(target=one, args=(number, count)) for number in range(SUBSCRIBERS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        job.result(start, now(), min(received))
        received[:] = [0] * SUBSCRIBERS

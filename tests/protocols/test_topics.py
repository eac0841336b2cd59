"""Topics of Sub0 and its contexts: many of them, and messages taken before one was given up."""

from __future__ import annotations

import time

import pytest
import trio

import trionng
from trionng import _ffi
from trionng._core.topics import Topics
from trionng.testing import connected


def cost(call, topics) -> float:
    """Return the time of this thread for one topic."""
    began = time.thread_time()
    for topic in topics:
        call(topic)
    return (time.thread_time() - began) / len(topics)


@pytest.mark.parametrize("change", ["add", "remove"])
def test_topic_costs_the_same_however_many_there_are(change, monkeypatch):
    """Beside what nng takes, the last of 20 000 topics costs what the first did."""
    monkeypatch.setattr(_ffi, "set_bytes", lambda *_: 0)
    topics = Topics(_ffi.ON_SOCKET, 0)
    few = [b"few%05d" % number for number in range(1000)]
    many = [b"%07d" % number for number in range(20_000)]
    for topic in few:
        topics.add(topic)
    alone = cost(getattr(topics, change), few)
    for topic in (*few, *many):
        topics.add(topic)
    assert cost(getattr(topics, change), few) < 10 * alone


def test_message_is_compared_with_each_length_once(monkeypatch):
    """What was taken before is judged in the same time, with 20 topics or 20 000."""
    monkeypatch.setattr(_ffi, "set_bytes", lambda *_: 0)
    costs = []
    for count in (20, 20_000):
        topics = Topics(_ffi.ON_SOCKET, 0)
        for number in range(count):
            topics.add(b"%07d" % number)
        topics.remove(b"%07d" % 0)
        costs.append(cost(lambda data, topics=topics: topics.filter([data]), [b"nothing"] * 2000))
    assert costs[1] < 10 * costs[0]


@pytest.mark.parametrize("on", ["socket", "context"])
async def test_message_taken_before_unsubscribe_is_not_delivered(on):
    """Topics of several lengths, one in another, doubled and empty: what is given up is gone."""
    with trio.fail_after(60):
        async with connected(trionng.Pub0(), trionng.Sub0(), "inproc") as (pub, sub):
            reader = sub if on == "socket" else sub.new_context()
            for topic in ("a", "ab", "ab", "abc", "z", ""):
                reader.subscribe(topic)
            for topic in ("", "ab", "z"):
                reader.unsubscribe(topic)
            with pytest.raises(trionng.NoEntry):
                reader.unsubscribe("ab")
            for data in (b"zebra", b"", b"b", b"abd", b"a", b"abc"):
                await pub.send(data)
            assert [await reader.recv() for _ in range(3)] == [b"abd", b"a", b"abc"]
            reader.unsubscribe("a")
            await pub.send(b"a")
            await pub.send(b"abc2")
            assert await reader.recv() == b"abc2"

"""F2: messages that a slow subscriber loses are counted, and logged once a socket."""

from __future__ import annotations

import logging

import pytest
import trio

import trionng
from tests.support.fixes import needs_fix
from tests.support.sockets import ALL_TRANSPORTS
from tests.support.sp import raw_peer
from tests.support.subprocesses import run_test_build
from tests.support.waiting import wait_until
from trionng import blocking
from trionng.testing import connected, new_url

SUB0, RESPONDENT0 = 0x21, 0x63
SENT = 500
KEPT_REPLIES = 128 + 16  # in the queue of the survey, and in the receives that wait in nng

pytestmark = needs_fix("F2")


def dropped_by(socket: trionng.Socket | blocking.Socket) -> int:
    """Return the number, which must be known."""
    number = socket.statistics().dropped
    assert number is not None
    return number


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if "too slow" in each.getMessage()]


async def settle(read, expected):
    """Wait until only threads of nng, which no event tells of, have brought a number about."""
    with trio.fail_after(60):
        while read() != expected:
            assert read() <= expected
            await trio.sleep(0.001)


@pytest.mark.parametrize("transport", ALL_TRANSPORTS)
@pytest.mark.filterwarnings("ignore:.*memory errors:RuntimeWarning")
async def test_sub_that_is_slow_counts_each_message_it_lost(transport):
    """What a Sub0 did not receive in time is counted: received and dropped make what was sent."""
    sub = trionng.Sub0(topics="", recv_buffer_size=10)
    pub = trionng.Pub0(send_buffer_size=SENT)
    async with connected(sub, pub, transport):
        for number in range(SENT):
            await pub.send(b"%d" % number)
        await settle(lambda: dropped_by(sub), SENT - 10)

        got = [await sub.recv() for _ in range(10)]

        assert got == [b"%d" % number for number in range(SENT - 10, SENT)]
        assert (dropped_by(pub), dropped_by(sub)) == (0, SENT - 10)
        await pub.send(b"there is room again")
        assert await sub.recv() == b"there is room again"
        assert dropped_by(sub) == SENT - 10
    assert dropped_by(sub) == SENT - 10


async def test_sub_counts_only_messages_of_its_topics_and_contexts():
    """A context counts what it lost, and a message of no topic is not lost."""
    async with connected(trionng.Sub0(), trionng.Pub0(send_buffer_size=SENT), "tcp") as (sub, pub):
        async with sub.new_context() as one, sub.new_context() as two:
            one.subscribe("a")
            two.subscribe("")
            one.recv_buffer_size = two.recv_buffer_size = 5
            for number in range(100):
                await pub.send(b"a" if number % 2 else b"b")
            await settle(lambda: dropped_by(sub), 50 - 5 + 100 - 5)
            await pub.send(b"a the last")
            await settle(lambda: dropped_by(sub), 50 - 5 + 100 - 5 + 2)

            two.unsubscribe("")
            assert [await one.recv() for _ in range(5)] == [b"a"] * 4 + [b"a the last"]
            assert dropped_by(sub) == 142


async def test_sub_that_receives_while_messages_come_counts_exactly():
    """Messages received while others are dropped are not counted as dropped."""
    sub = trionng.Sub0(topics="", recv_buffer_size=2)
    pub = trionng.Pub0(send_buffer_size=8192)
    got = []

    async def receive():
        while not got or got[-1] != b"end":
            got.append(await sub.recv())
            if len(got) % 7 == 0:
                await trio.sleep(0.0005)

    async with connected(sub, pub, "tcp"), trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        for number in range(5000):
            await pub.send(b"%d" % number)
        with trio.fail_after(60):
            await pub.flush()
            await pub.send(b"end")
            while not got or got[-1] != b"end":
                await trio.sleep(0.001)

    assert dropped_by(sub) > 0
    assert sub.statistics().messages_received == len(got)
    assert len(got) + dropped_by(sub) == 5001


@pytest.mark.parametrize("raw", [False, True])
async def test_pub_counts_what_a_subscriber_did_not_read_in_time(raw, caplog):
    """What a subscriber gets and what the Pub0 has dropped make what was sent; one warning."""
    with caplog.at_level(logging.WARNING, "trionng"):
        async with trionng.Pub0(raw=raw, listen="tcp://127.0.0.1:0", send_buffer_size=4) as pub:
            async with raw_peer(pub.listeners[0].url) as peer:
                await peer.greet(SUB0)
                await pub.wait_connected()
                for _ in range(SENT):
                    await pub.send(bytes(50_000))
                await pub.send(b"end")
                counted = dropped_by(pub)
                assert counted > 0
                with trio.fail_after(60):
                    read = 0
                    while await peer.receive() != b"end":
                        read += 1

                wait_until(lambda: warnings_of(caplog))
                assert read + counted == SENT
                assert dropped_by(pub) == counted
    [warning] = warnings_of(caplog)
    assert warning.startswith("tcp://127.0.0.1:")
    assert "a subscriber is too slow, messages for it are dropped" in warning


async def test_surveyor_counts_surveys_that_found_no_room(caplog):
    """What a respondent that stopped to read gets and what is dropped make what was sent."""
    sent = 0
    with caplog.at_level(logging.WARNING, "trionng"):
        async with trionng.Surveyor0(listen="tcp://127.0.0.1:0") as surveyor:
            async with raw_peer(surveyor.listeners[0].url) as peer:
                await peer.greet(RESPONDENT0)
                await surveyor.wait_connected()
                with trio.fail_after(60):
                    while dropped_by(surveyor) < 3:
                        await surveyor.send(bytes(200_000))
                        sent += 1
                    counted = dropped_by(surveyor)
                    for _ in range(sent - counted):
                        assert len(await peer.receive()) == 4 + 200_000
                    await surveyor.send(b"end")
                    assert (await peer.receive())[4:] == b"end"
                wait_until(lambda: warnings_of(caplog))
                assert dropped_by(surveyor) == counted
    [warning] = warnings_of(caplog)
    assert "a respondent, or the task that reads replies, is too slow" in warning


async def test_surveyor_counts_replies_that_no_task_reads():
    """What is read and what is dropped make the replies that came; late ones are not counted."""
    async with trionng.Surveyor0(listen="tcp://127.0.0.1:0", survey_time=60_000) as surveyor:
        async with raw_peer(surveyor.listeners[0].url) as peer:
            await peer.greet(RESPONDENT0)
            await surveyor.wait_connected()
            await surveyor.send(b"?")
            survey = (await peer.receive())[:4]
            for _ in range(SENT):
                await peer.send(survey + b"reply")
            await settle(lambda: dropped_by(surveyor), SENT - KEPT_REPLIES)

            got = [await surveyor.recv() for _ in range(KEPT_REPLIES)]

            assert got == [b"reply"] * KEPT_REPLIES
            await peer.send(b"\0\0\0\1of no survey")
            await peer.send(survey + b"there is room again")
            assert await surveyor.recv() == b"there is room again"
            assert dropped_by(surveyor) == SENT - KEPT_REPLIES
            await peer.send(b"bad")
            with trio.fail_after(60):
                while surveyor.pipes:
                    await trio.sleep(0.001)
        assert dropped_by(surveyor) == SENT - KEPT_REPLIES


async def test_pub_without_subscribers_has_dropped_nothing():
    """A message sent while no subscriber is connected is for none; it is not counted."""
    async with trionng.Pub0(listen="tcp://127.0.0.1:0") as pub:
        await pub.send_many([b"to none"] * 100)

        assert dropped_by(pub) == 0


def test_sub_in_a_script_counts_and_logs_once(caplog):
    """The sync counterpart counts the same, and one warning names the URL and the option."""
    with (
        caplog.at_level(logging.WARNING, "trionng"),
        blocking.Pub0(send_buffer_size=SENT, listen=new_url("tcp", "")) as pub,
        blocking.Sub0(topics="", recv_buffer_size=10, dial=pub.listeners[0].url) as sub,
    ):
        pub.wait_connected(timeout=60)
        pub.send_many([b"news"] * 100, timeout=60)
        wait_until(lambda: dropped_by(sub) == 90)
        wait_until(lambda: warnings_of(caplog))
        pub.send_many([b"news"] * 100, timeout=60)
        wait_until(lambda: dropped_by(sub) == 190)
        url = pub.listeners[0].url
    [warning] = warnings_of(caplog)
    assert warning.startswith(f"{url}: this Sub0 is too slow, messages are dropped")


async def test_sub_that_keeps_old_messages_does_not_know_what_it_drops():
    """With `prefer_new=False` nng drops before it compares topics: None, from then on."""
    async with trionng.Sub0(topics="") as sub:
        assert sub.statistics().dropped == 0
        sub.prefer_new = False
        assert sub.statistics().dropped is None
        sub.prefer_new = True
        assert sub.statistics().dropped is None


async def burst() -> None:
    """Print what a slow Sub0 and its Pub0 have counted."""
    async with connected(trionng.Sub0(topics=""), trionng.Pub0(), "tcp") as (sub, pub):
        for _ in range(1000):
            await pub.send(b"news")
        print(sub.statistics().dropped, pub.statistics().dropped)


@pytest.mark.parametrize("without", ["F1", "F2"])
def test_drops_without_the_fix_are_not_known(without: str):
    """Neither side knows a number, and nothing is logged."""
    finished = run_test_build(burst, without=without)

    assert (finished.clean, finished.output) == (True, "None None\n"), finished

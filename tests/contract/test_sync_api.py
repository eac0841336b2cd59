"""The sync API by itself: blocks, loops and timeouts that only it has."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

import pytest

import trionng
from trionng import blocking

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def surveyed(request: pytest.FixtureRequest) -> Iterator[blocking.Surveyor0]:
    """A surveyor with one respondent, which replies to every survey with what it received."""
    url = f"inproc://{request.node.name}"
    with (
        blocking.Surveyor0(listen=url, survey_time=60_000) as surveyor,
        blocking.Respondent0(dial=url) as respondent,
    ):

        def reply() -> None:
            try:
                for survey in respondent:
                    respondent.send(survey)
            except trionng.Closed:
                pass

        thread = threading.Thread(target=reply)
        thread.start()
        surveyor.wait_connected(timeout=60)
        yield surveyor
        respondent.close()
        thread.join()


def test_survey_iterates_over_its_replies_and_ends(surveyed: blocking.Surveyor0) -> None:
    """The loop over the replies of a survey ends with the survey, without an exception."""
    answers: list[bytes] = []
    while not answers:  # on a busy machine the first one can be too late
        with surveyed.survey(b"ready?", timeout=0.2) as replies:
            answers = list(replies)
    assert answers == [b"ready?"]


def test_survey_replies_can_be_received_in_batches(surveyed: blocking.Surveyor0) -> None:
    """`recv_many` of the replies returns those that are ready."""
    with surveyed.survey(b"ready?", timeout=60) as replies:
        assert replies.recv_many(5) == [b"ready?"]


def test_survey_sent_as_a_message_starts_a_survey(surveyed: blocking.Surveyor0) -> None:
    """`send_msg` of a surveyor and of its contexts starts a survey, as `send` does."""
    for surveyor in (surveyed, surveyed.new_context()):
        surveyor.send_msg(trionng.blocking.Message(b"ready?"), timeout=60)
        assert surveyor.recv(timeout=60) == b"ready?"


def test_endpoint_is_closed_at_the_end_of_its_block() -> None:
    """`with` of a dialer and of a listener closes them."""
    with blocking.Pull0() as pull, blocking.Push0() as push:
        with pull.listen("inproc://block") as listener:
            with push.dial("inproc://block") as dialer:
                assert pull.listeners == (listener,)
                assert push.dialers == (dialer,)
            assert push.dialers == ()
        assert pull.listeners == ()


def test_events_are_read_in_a_loop_until_the_socket_is_closed() -> None:
    """`with` and `for` over the events of connections; closing the socket ends the loop."""
    with blocking.Pull0(listen="inproc://events") as pull, pull.pipe_events() as events:
        assert iter(events) is events
        with blocking.Push0(dial="inproc://events"):
            assert next(events).kind == "connected"
        pull.close()
        assert [event.kind for event in events] == ["disconnected"]


@pytest.mark.parametrize("timeout", [-1, math.nan])
def test_timeout_that_is_no_duration_raises(timeout: float) -> None:
    """A negative timeout, or none at all, is a mistake and not a poll."""
    with blocking.Pair0() as pair, pytest.raises(ValueError, match="not a number of seconds"):
        pair.recv(timeout=timeout)


def test_infinite_timeout_waits() -> None:
    """`math.inf` is no limit, whatever `recv_timeout` says."""
    with (
        blocking.Pair0(listen="inproc://infinite", recv_timeout=1) as one,
        blocking.Pair0(dial="inproc://infinite") as other,
    ):
        timer = threading.Timer(0.1, other.send, [b"late"])
        timer.start()
        assert one.recv(timeout=math.inf) == b"late"
        timer.join()


def test_batch_that_is_all_unsubscribed_is_waited_for_anew() -> None:
    """Messages of a topic that was unsubscribed never come in a batch, and never end the wait."""
    with (
        blocking.Pub0(listen="inproc://batch") as pub,
        blocking.Sub0(topics=["a", "b"], dial="inproc://batch") as sub,
    ):
        pub.wait_connected()
        pub.send(b"a1")
        assert sub.recv(timeout=60) == b"a1"
        pub.send(b"a2")
        pub.send(b"b1")
        sub.unsubscribe("a")
        assert sub.recv_many(5, timeout=60) == [b"b1"]


def test_close_waits_for_linger_at_most() -> None:
    """A message that no peer takes holds `close` up for `linger` seconds, not for ever."""
    with blocking.Push0(send_buffer_size=1, linger=0.1) as push:
        push.send(b"never taken")
    assert push.statistics().messages_sent == 1


def test_pipe_is_equal_to_itself_alone() -> None:
    """A pipe compares equal to the same connection, and unequal to anything else."""
    with blocking.Pair0(listen="inproc://equal") as one, blocking.Pair0(dial="inproc://equal"):
        one.wait_connected()
        (pipe,) = one.pipes
        assert pipe != 5
        assert pipe == one.pipes[0]

"""One contract for both APIs: the same steps, awaited under Trio, called in a thread for
`trionng.blocking`."""

from __future__ import annotations

import pytest
import trio

import trionng
from trionng.testing import new_url


@pytest.fixture
async def pair(api):
    """Two connected Pair0 sockets."""
    url = new_url()
    ours, theirs = api.module.Pair0(listen=url), api.module.Pair0()
    await api.call(theirs.dial, url, block=True)
    await api.call(ours.wait_connected)
    yield ours, theirs
    for each in (ours, theirs):
        await api.close(each)


async def test_message_sent_is_received_as_bytes_and_as_message(api, pair):
    """What is sent arrives, as bytes or as a Message that names its connection."""
    ours, theirs = pair

    await api.call(theirs.send, b"one")
    assert await api.call(ours.recv) == b"one"
    await api.call(theirs.send_msg, trionng.Message(b"two"))
    message = await api.call(ours.recv_msg)

    assert (message.bytes, message.pipe) == (b"two", ours.pipes[0])


async def test_timeout_option_that_expires_raises_and_loses_nothing(api, pair):
    """recv_timeout raises Timeout, names the call and the URL, and the next message comes."""
    ours, theirs = pair
    ours.recv_timeout = 20

    with pytest.raises(trionng.Timeout, match=r"Pair0\.recv inproc://.*20 ms are over"):
        await api.call(ours.recv)
    ours.recv_timeout = 20_000
    await api.call(theirs.send, b"later")

    assert await api.call(ours.recv) == b"later"


async def test_send_that_times_out_leaves_the_message_to_its_owner(api):
    """A Message that could not be sent in time can be sent again."""
    push = api.module.Push0(send_timeout=20)
    message = trionng.Message(b"mine")

    with pytest.raises(trionng.Timeout):
        await api.call(push.send_msg, message)

    assert message.bytes == b"mine"
    await api.close(push)


async def test_iteration_gives_messages_and_ends_with_closed(api, pair):
    """A loop receives; a socket closed under it raises Closed."""
    ours, theirs = pair

    await api.call(theirs.send, b"x")
    assert await api.next(ours) == b"x"
    await api.close(ours)

    with pytest.raises(trionng.Closed):
        await api.next(ours)


async def test_batches_are_sent_and_received_in_order(api):
    """send_many and recv_many keep the order, large messages between small ones too."""
    url = new_url()
    push = api.module.Push0(listen=url, send_buffer_size=64)
    pull = api.module.Pull0(recv_buffer_size=64)
    await api.call(pull.dial, url, block=True)
    messages = [b"%d" % i * (70_000 if i % 10 == 5 else 1) for i in range(40)]

    assert await api.call(push.send_many, messages) == 40
    got = []
    while len(got) < 40:
        batch = await api.call(pull.recv_many, 7)
        assert 1 <= len(batch) <= 7
        got += batch

    assert got == messages
    for each in (push, pull):
        await api.close(each)


async def test_request_is_answered_and_wrong_order_is_refused(api):
    """request() gets its own answer; an answer without a request is a BadState."""
    url = new_url()
    rep, req = api.module.Rep0(listen=url), api.module.Req0()
    await api.call(req.dial, url, block=True)

    with pytest.raises(trionng.BadState):
        await api.call(rep.send, b"nobody asked")
    with pytest.raises(trionng.BadState):
        await api.call(req.recv)
    answers = []

    async def ask() -> None:
        answers.append(await api.call(req.request, b"?"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        assert await api.call(rep.recv) == b"?"
        await api.call(rep.send, b"!")

    assert answers == [b"!"]
    for each in (rep, req):
        await api.close(each)


async def test_context_copies_socket_timeouts_and_closes_alone(api):
    """Timeouts are the socket's until they are set; a closed context leaves its socket open."""
    req = api.module.Req0(recv_timeout=20, send_timeout=30)
    context = req.new_context()

    assert (context.recv_timeout, context.send_timeout) == (20, 30)
    context.recv_timeout = 40
    assert (context.recv_timeout, req.recv_timeout) == (40, 20)
    await api.close(context)

    with pytest.raises(trionng.Closed):
        await api.call(context.send, b"?")
    with pytest.raises(trionng.Timeout, match="30 ms"):
        await api.call(req.send, b"?")
    await api.close(req)


async def test_subscriber_receives_only_its_topics(api):
    """Sub0 receives what starts with a topic, and nothing of one it has given back."""
    url = new_url()
    pub, sub = api.module.Pub0(listen=url), api.module.Sub0(topics=["a", "b"])
    await api.call(sub.dial, url, block=True)
    await api.call(pub.wait_connected)

    for data in (b"c0", b"a1", b"b2", b"a3"):
        await api.call(pub.send, data)
    assert await api.call(sub.recv) == b"a1"
    sub.unsubscribe("b")

    assert await api.call(sub.recv) == b"a3"
    for each in (pub, sub):
        await api.close(each)


async def test_survey_ends_by_its_time(api):
    """Replies come until survey_time is over; then recv raises Timeout that says so."""
    url = new_url()
    boss = api.module.Surveyor0(listen=url, survey_time=60_000)
    crew = api.module.Respondent0()
    await api.call(crew.dial, url, block=True)
    await api.call(boss.wait_connected)

    await api.call(boss.send, b"who?")
    assert await api.call(crew.recv) == b"who?"
    await api.call(crew.send, b"I")

    assert await api.call(boss.recv) == b"I"
    boss.survey_time = 30
    await api.call(boss.send, b"who else?")
    with pytest.raises(trionng.Timeout, match="the survey is over"):
        await api.call(boss.recv)
    for each in (boss, crew):
        await api.close(each)


async def test_dial_that_fails_raises_and_leaves_no_dialer(api):
    """block=True raises the failure of the first attempt."""
    ours = api.module.Pair0()

    with pytest.raises(trionng.ConnectionRefused):
        await api.call(ours.dial, new_url(), block=True)

    assert ours.dialers == ()
    await api.close(ours)


async def test_pipe_events_tell_of_connections_and_end_with_the_socket(api):
    """Connected, then disconnected, then the end when the socket is closed."""
    url = new_url()
    ours, theirs = api.module.Pair1(listen=url, polyamorous=True), api.module.Pair1()
    events = ours.pipe_events()

    await api.call(theirs.dial, url, block=True)
    first = await api.next(events)
    await api.call(first.pipe.send, b"to this very peer")
    assert await api.call(theirs.recv) == b"to this very peer"
    await api.close(theirs)
    second = await api.next(events)
    await api.close(ours)

    assert (first.kind, second.kind) == ("connected", "disconnected")
    assert first.pipe is second.pipe
    with pytest.raises(api.ends):
        await api.next(events)


async def test_linger_writes_what_was_accepted(api, tmp_path):
    """With linger, closing hands every accepted message to the system first."""
    url = new_url("ipc", tmp_path)
    push = api.module.Push0(listen=url, send_buffer_size=128, linger=60)
    pull = api.module.Pull0()
    await api.call(pull.dial, url, block=True)
    await api.call(push.wait_connected)

    assert await api.call(push.send_many, [b"%d" % i for i in range(100)]) == 100
    await api.close(push)

    assert [await api.call(pull.recv) for _ in range(100)] == [b"%d" % i for i in range(100)]
    await api.close(pull)

"""One contract for both flavours: the same steps, awaited under Trio, called in a thread for
`trionng.blocking`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

import trionng
from tests.support.helpers import url_of
from trionng import blocking

if TYPE_CHECKING:
    from collections.abc import Callable


class TrioFlavour:
    """Awaits."""

    module = trionng

    async def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    async def next(self, iterable: Any) -> Any:
        return await iterable.__anext__()

    async def close(self, thing: Any) -> None:
        await thing.aclose()

    ends = StopAsyncIteration


class BlockingFlavour:
    """Calls in a thread of its own."""

    module = blocking

    async def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return await trio.to_thread.run_sync(lambda: function(*args, **kwargs))

    async def next(self, iterable: Any) -> Any:
        # StopIteration cannot leave a coroutine.
        nothing = object()
        value = await trio.to_thread.run_sync(next, iterable, nothing)
        if value is nothing:
            raise StopAsyncIteration
        return value

    async def close(self, thing: Any) -> None:
        await trio.to_thread.run_sync(thing.close)

    ends = StopAsyncIteration


@pytest.fixture(params=[TrioFlavour(), BlockingFlavour()], ids=["trio", "blocking"])
def flavour(request):
    return request.param


@pytest.fixture
async def pair(flavour):
    """Two connected Pair0 sockets."""
    url = url_of("inproc", "")
    ours, theirs = flavour.module.Pair0(listen=url), flavour.module.Pair0()
    await flavour.call(theirs.dial, url, block=True)
    await flavour.call(ours.wait_connected)
    yield ours, theirs
    for each in (ours, theirs):
        await flavour.close(each)


async def test_message_sent_is_received_as_bytes_and_as_message(flavour, pair):
    """What is sent arrives, as bytes or as a Message that names its connection."""
    ours, theirs = pair

    await flavour.call(theirs.send, b"one")
    assert await flavour.call(ours.recv) == b"one"
    await flavour.call(theirs.send_msg, trionng.Message(b"two"))
    message = await flavour.call(ours.recv_msg)

    assert (message.bytes, message.pipe) == (b"two", ours.pipes[0])


async def test_timeout_option_that_expires_raises_and_loses_nothing(flavour, pair):
    """recv_timeout raises Timeout, names the call and the URL, and the next message comes."""
    ours, theirs = pair
    ours.recv_timeout = 20

    with pytest.raises(trionng.Timeout, match=r"Pair0\.recv inproc://.*20 ms are over"):
        await flavour.call(ours.recv)
    ours.recv_timeout = 20_000
    await flavour.call(theirs.send, b"later")

    assert await flavour.call(ours.recv) == b"later"


async def test_send_that_times_out_leaves_the_message_to_its_owner(flavour):
    """A Message that could not be sent in time can be sent again."""
    push = flavour.module.Push0(send_timeout=20)
    message = trionng.Message(b"mine")

    with pytest.raises(trionng.Timeout):
        await flavour.call(push.send_msg, message)

    assert message.bytes == b"mine"
    await flavour.close(push)


async def test_iteration_gives_messages_and_ends_with_closed(flavour, pair):
    """A loop receives; a socket closed under it raises Closed."""
    ours, theirs = pair

    await flavour.call(theirs.send, b"x")
    assert await flavour.next(ours) == b"x"
    await flavour.close(ours)

    with pytest.raises(trionng.Closed):
        await flavour.next(ours)


async def test_batches_are_sent_and_received_in_order(flavour):
    """send_many and recv_many keep the order, large messages between small ones too."""
    url = url_of("inproc", "")
    push = flavour.module.Push0(listen=url, send_buffer_size=64)
    pull = flavour.module.Pull0(recv_buffer_size=64)
    await flavour.call(pull.dial, url, block=True)
    messages = [b"%d" % i * (70_000 if i % 10 == 5 else 1) for i in range(40)]

    assert await flavour.call(push.send_many, messages) == 40
    got = []
    while len(got) < 40:
        batch = await flavour.call(pull.recv_many, 7)
        assert 1 <= len(batch) <= 7
        got += batch

    assert got == messages
    for each in (push, pull):
        await flavour.close(each)


async def test_request_is_answered_and_wrong_order_is_refused(flavour):
    """request() gets its own answer; an answer without a request is a BadState."""
    url = url_of("inproc", "")
    rep, req = flavour.module.Rep0(listen=url), flavour.module.Req0()
    await flavour.call(req.dial, url, block=True)

    with pytest.raises(trionng.BadState):
        await flavour.call(rep.send, b"nobody asked")
    with pytest.raises(trionng.BadState):
        await flavour.call(req.recv)
    answers = []

    async def ask() -> None:
        answers.append(await flavour.call(req.request, b"?"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        assert await flavour.call(rep.recv) == b"?"
        await flavour.call(rep.send, b"!")

    assert answers == [b"!"]
    for each in (rep, req):
        await flavour.close(each)


async def test_context_begins_with_the_timeouts_of_its_socket_and_ends_alone(flavour):
    """Timeouts are the socket's until they are set; a closed context leaves its socket open."""
    req = flavour.module.Req0(recv_timeout=20, send_timeout=30)
    context = req.new_context()

    assert (context.recv_timeout, context.send_timeout) == (20, 30)
    context.recv_timeout = 40
    assert (context.recv_timeout, req.recv_timeout) == (40, 20)
    await flavour.close(context)

    with pytest.raises(trionng.Closed):
        await flavour.call(context.send, b"?")
    with pytest.raises(trionng.Timeout, match="30 ms"):
        await flavour.call(req.send, b"?")
    await flavour.close(req)


async def test_subscriber_receives_only_its_topics(flavour):
    """Sub0 receives what starts with a topic, and nothing of one it has given back."""
    url = url_of("inproc", "")
    pub, sub = flavour.module.Pub0(listen=url), flavour.module.Sub0(topics=["a", "b"])
    await flavour.call(sub.dial, url, block=True)
    await flavour.call(pub.wait_connected)

    for data in (b"c0", b"a1", b"b2", b"a3"):
        await flavour.call(pub.send, data)
    assert await flavour.call(sub.recv) == b"a1"
    sub.unsubscribe("b")

    assert await flavour.call(sub.recv) == b"a3"
    for each in (pub, sub):
        await flavour.close(each)


async def test_survey_ends_by_its_time(flavour):
    """Replies come until survey_time is over; then recv raises Timeout that says so."""
    url = url_of("inproc", "")
    boss = flavour.module.Surveyor0(listen=url, survey_time=300)
    crew = flavour.module.Respondent0()
    await flavour.call(crew.dial, url, block=True)
    await flavour.call(boss.wait_connected)

    await flavour.call(boss.send, b"who?")
    assert await flavour.call(crew.recv) == b"who?"
    await flavour.call(crew.send, b"I")

    assert await flavour.call(boss.recv) == b"I"
    with pytest.raises(trionng.Timeout, match="the survey is over"):
        await flavour.call(boss.recv)
    for each in (boss, crew):
        await flavour.close(each)


async def test_dial_that_fails_raises_and_leaves_no_dialer(flavour):
    """block=True raises the failure of the first attempt."""
    ours = flavour.module.Pair0()

    with pytest.raises(trionng.ConnectionRefused):
        await flavour.call(ours.dial, url_of("inproc", ""), block=True)

    assert ours.dialers == ()
    await flavour.close(ours)


async def test_pipe_events_tell_of_connections_and_end_with_the_socket(flavour):
    """Connected, then disconnected, then the end when the socket is closed."""
    url = url_of("inproc", "")
    ours, theirs = flavour.module.Pair1(listen=url, polyamorous=True), flavour.module.Pair1()
    events = ours.pipe_events()

    await flavour.call(theirs.dial, url, block=True)
    first = await flavour.next(events)
    await flavour.call(first.pipe.send, b"to this very peer")
    assert await flavour.call(theirs.recv) == b"to this very peer"
    await flavour.close(theirs)
    second = await flavour.next(events)
    await flavour.close(ours)

    assert (first.kind, second.kind) == ("connected", "disconnected")
    assert first.pipe is second.pipe
    with pytest.raises(flavour.ends):
        await flavour.next(events)


async def test_linger_writes_what_was_accepted(flavour, tmp_path):
    """With linger, closing hands every accepted message to the system first."""
    url = url_of("ipc", tmp_path)
    push = flavour.module.Push0(listen=url, send_buffer_size=128, linger=10)
    pull = flavour.module.Pull0()
    await flavour.call(pull.dial, url, block=True)
    await flavour.call(push.wait_connected)

    assert await flavour.call(push.send_many, [b"%d" % i for i in range(100)]) == 100
    await flavour.close(push)

    assert [await flavour.call(pull.recv) for _ in range(100)] == [b"%d" % i for i in range(100)]
    await flavour.close(pull)

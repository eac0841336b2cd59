"""recv_fd and send_fd: descriptors for loops of one's own, which tell the truth."""

from __future__ import annotations

import contextlib
import os
import select

import pytest
import trio
import trio.testing

import trionng
from tests.support.fixes import fix_state
from trionng import blocking
from trionng.testing import connected

RECEIVING = {
    "Pair0": "Pair0",
    "Pair1": "Pair1",
    "Bus0": "Bus0",
    "Pull0": "Push0",
    "Sub0": "Pub0",
    "Rep0": "Req0",
    "Respondent0": "Surveyor0",
    "Req0": "Rep0",
    "Surveyor0": "Respondent0",
}
ASKING = ("Req0", "Surveyor0")  # one answer for one question
ANSWERING = ("Rep0", "Respondent0")
STREAMING = [name for name in RECEIVING if name not in ASKING]

receiving = pytest.mark.parametrize("protocol", RECEIVING)


def is_readable(descriptor: int, seconds: float = 0) -> bool:
    """Look at a descriptor as any loop does."""
    watched = select.poll()
    watched.register(descriptor, select.POLLIN)
    return bool(watched.poll(seconds * 1000))


class Feed:
    """Makes messages arrive at a socket, in the way of its protocol."""

    def __init__(self, receiver, sender) -> None:
        self.receiver = receiver
        self.sender = sender
        self.name = type(receiver).__name__
        self._contexts = contextlib.AsyncExitStack()

    async def ask(self) -> None:
        """Ask, where something is to be asked before anything can be received."""
        if self.name in ASKING:
            await self.receiver.send(b"?")
            await self.sender.recv()

    async def send(self, data: bytes) -> None:
        """Send one message, or ask one more question."""
        if self.name in ANSWERING:
            context = await self._contexts.enter_async_context(self.sender.new_context())
            await context.send(data)
        else:
            await self.sender.send(data)

    async def take(self) -> bytes:
        """Receive as a loop of one's own does: wait for the descriptor, then take."""
        await trio.lowlevel.wait_readable(self.receiver.recv_fd)
        data = self.receiver.recv_nowait()
        if self.name in ANSWERING:
            await self.receiver.send(b"answer")
        return data

    def is_drained(self) -> bool:
        """Whether nothing is to be had, and the descriptor says so."""
        if is_readable(self.receiver.recv_fd):
            return False
        with pytest.raises((trionng.TryAgain, trionng.BadState)):
            self.receiver.recv_nowait()
        return True


@contextlib.asynccontextmanager
async def feeding(protocol):
    """Connect a socket that receives, and yield what feeds it."""
    with trio.fail_after(60):
        pair = getattr(trionng, protocol)(), getattr(trionng, RECEIVING[protocol])()
        if protocol == "Sub0":
            pair[0].subscribe(b"")
        if protocol == "Surveyor0":
            pair[0].survey_time = 60_000
        async with connected(*pair, "inproc") as (receiver, sender):
            feed = Feed(receiver, sender)
            async with feed._contexts:
                yield feed


@receiving
async def test_recv_fd_watched_tells_of_each_message(protocol):
    """It is readable while something can be received, and not otherwise, message by message."""
    async with feeding(protocol) as feed:
        assert feed.is_drained()
        for text in (b"1", b"2", b"3"):
            await feed.ask()
            assert feed.is_drained()
            await feed.send(text)
            assert await feed.take() == text
            assert feed.is_drained()


@pytest.mark.parametrize("protocol", STREAMING)
async def test_recv_fd_with_several_messages_stays_readable(protocol):
    """Several messages are told of one after the other, in order, until the last is taken."""
    texts = [bytes([number]) for number in range(4)]
    if protocol == "Bus0":
        texts = texts[:2]  # more might be dropped
    async with feeding(protocol) as feed:
        assert feed.is_drained()
        sent = trio.Event()

        async def send_all():
            for text in texts:
                await feed.send(text)
            sent.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_all)
            assert [await feed.take() for _ in texts] == texts
        assert sent.is_set()
        assert feed.is_drained()


@receiving
async def test_recv_fd_asked_late_tells_of_what_is_there(protocol):
    """A message that came before the first use is told of, and so is one a cancelled task left."""
    async with feeding(protocol) as feed:
        await feed.ask()
        await feed.send(b"early")
        assert await feed.take() == b"early"


@receiving
async def test_recv_fd_with_a_receive_standing_leaves_it_the_message(protocol):
    """A task that waits in recv is served first, and the descriptor stays silent meanwhile."""
    async with feeding(protocol) as feed:
        assert feed.is_drained()
        await feed.ask()
        got = []

        async def wait():
            got.append(await feed.receiver.recv())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            await feed.send(b"for the task")
        assert got == [b"for the task"]
        if protocol in ANSWERING:
            await feed.receiver.send(b"answer")
        assert feed.is_drained()
        await feed.ask()
        await feed.send(b"for the loop")
        assert await feed.take() == b"for the loop"


@receiving
async def test_recv_fd_after_a_cancelled_receive_tells_of_the_message(protocol):
    """A receive that was cancelled hides nothing, asked before the first use or after it."""
    async with feeding(protocol) as feed:
        for text in (b"first", b"second"):
            await feed.ask()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(feed.receiver.recv)
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
            assert feed.is_drained()
            await feed.send(text)
            assert await feed.take() == text


@receiving
async def test_recv_fd_held_message_is_what_recv_returns(protocol):
    """What was told of is the next message of every kind of receive, and can be answered."""
    async with feeding(protocol) as feed:
        assert feed.is_drained()
        await feed.ask()
        await feed.send(b"held")
        await trio.lowlevel.wait_readable(feed.receiver.recv_fd)
        assert (await feed.receiver.recv_msg()).bytes == b"held"
        if protocol in ANSWERING:
            await feed.receiver.send(b"answer")
        assert feed.is_drained()


@receiving
async def test_recv_fd_of_a_closed_socket_is_readable(protocol):
    """Closing makes it readable, the receive says Closed, and there is no new descriptor."""
    async with feeding(protocol) as feed:
        descriptor = feed.receiver.recv_fd
        assert descriptor == feed.receiver.recv_fd
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.lowlevel.wait_readable, descriptor)
            await trio.testing.wait_all_tasks_blocked()
            await feed.receiver.aclose()
        with pytest.raises(trionng.Closed):
            feed.receiver.recv_nowait()
        with pytest.raises(trionng.Closed, match=f"get {protocol}.recv_fd"):
            _ = feed.receiver.recv_fd


@pytest.mark.parametrize("protocol", ANSWERING)
async def test_recv_fd_held_request_is_answered_to_its_sender(protocol):
    """Watching a server's descriptor loses no request and mixes up no answers."""
    async with feeding(protocol) as feed:
        first, second = feed.sender.new_context(), feed.sender.new_context()
        async with first, second:
            descriptor = feed.receiver.recv_fd
            for context, text in ((first, b"1"), (second, b"2")):
                await context.send(text)
            for _ in range(2):
                await trio.lowlevel.wait_readable(descriptor)
                text = feed.receiver.recv_nowait()
                await feed.receiver.send(b"answer to " + text)
            assert await first.recv() == b"answer to 1"
            assert await second.recv() == b"answer to 2"


async def test_recv_fd_of_rep0_is_silent_until_the_answer():
    """A request that waits is told of when the one before it has been answered, never before."""
    async with feeding("Rep0") as feed:
        descriptor = feed.receiver.recv_fd
        await feed.send(b"1")
        await feed.send(b"2")
        await trio.lowlevel.wait_readable(descriptor)
        assert feed.receiver.recv_nowait() == b"1"
        assert not is_readable(descriptor)
        await feed.receiver.send(b"answer")
        await trio.lowlevel.wait_readable(descriptor)
        assert feed.receiver.recv_nowait() == b"2"


async def test_recv_fd_of_req0_superseded_is_silent():
    """The answer to a request that was given up is told of nowhere."""
    async with feeding("Req0") as feed:
        await feed.ask()
        await feed.send(b"old")
        await trio.lowlevel.wait_readable(feed.receiver.recv_fd)
        await feed.ask()
        assert feed.is_drained()
        await feed.send(b"new")
        assert await feed.take() == b"new"


def test_recv_fd_of_threads_works_with_select():
    """A thread selects, and takes what is there."""
    with blocking.Pull0() as pull, blocking.Push0() as push:
        push.dial(pull.listen("tcp://127.0.0.1:0").url)
        descriptor = pull.recv_fd
        assert not is_readable(descriptor)
        push.send(b"1")
        assert is_readable(descriptor, 10)
        assert pull.recv_nowait() == b"1"
        assert not is_readable(descriptor)
    assert is_readable(descriptor)


@pytest.mark.parametrize("protocol", ["Push0", "Pair1"])
@pytest.mark.parametrize("room", [0, 2])
async def test_send_fd_tells_whether_a_send_would_wait(protocol, room):
    """It is readable exactly while send_nowait works: no peer, a peer, full, drained."""
    peer = {"Push0": "Pull0"}.get(protocol, protocol)
    with trio.fail_after(60):
        async with getattr(trionng, protocol)(send_buffer_size=room) as sender:
            assert is_readable(sender.send_fd) == (room > 0)
            if not room:
                with pytest.raises(trionng.TryAgain):
                    sender.send_nowait(b"nobody")
            async with getattr(trionng, peer)() as receiver:
                await receiver.dial(sender.listen("inproc://" + os.urandom(8).hex()).url)
                sent = 0
                # A full pipe takes one more when nng has moved the message before.
                while is_readable(sender.send_fd, 0.1):
                    sender.send_nowait(bytes([sent]))
                    sent += 1
                assert sent > room
                with pytest.raises(trionng.TryAgain):
                    sender.send_nowait(b"too many")
                assert await receiver.recv() == b"\0"
                await trio.lowlevel.wait_readable(sender.send_fd)
                sender.send_nowait(b"one more")


@pytest.mark.parametrize("protocol", ["Pub0", "Bus0"])
async def test_send_fd_of_protocol_that_never_waits_is_readable(protocol):
    """Pub0 and Bus0 can always send."""
    async with getattr(trionng, protocol)() as sender:
        assert is_readable(sender.send_fd)


@pytest.mark.parametrize("protocol", ["Push0", "Pair1", "Pub0", "Bus0"])
async def test_send_fd_of_a_closed_socket_is_readable(protocol):
    """Closing makes it readable, and the send says Closed."""
    with trio.fail_after(60):
        sender = getattr(trionng, protocol)()
        descriptor = sender.send_fd
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.lowlevel.wait_readable, descriptor)
            await sender.aclose()
        assert is_readable(descriptor)
        with pytest.raises(trionng.Closed):
            sender.send_nowait(b"late")
        with pytest.raises(trionng.Closed, match="send_fd"):
            _ = sender.send_fd


@pytest.mark.skipif(not fix_state("L1").needed, reason="this libnng closes them")
async def test_send_fd_of_pair0_on_old_nng_is_refused_with_the_reason():
    """L1: a descriptor that would never be closed is not made."""
    async with trionng.Pair0() as pair:
        with pytest.raises(trionng.NotSupported, match=r"Pair0\.send_fd: libnng before 1\.6"):
            _ = pair.send_fd


@pytest.mark.parametrize("module", [trionng, blocking], ids=["trio", "blocking"])
def test_descriptor_of_other_classes_is_absent(module):
    """Only protocols that receive have recv_fd, only those that can try a send have send_fd."""
    may_send = {"Pair0", "Pair1", "Bus0", "Push0", "Pub0"}
    for name in {*RECEIVING, *RECEIVING.values()}:
        assert hasattr(getattr(module, name), "recv_fd") == (name in RECEIVING), name
        assert hasattr(getattr(module, name), "send_fd") == (name in may_send), name
    for cls in (module.Context, module.SubContext, module.ReqContext):
        assert not hasattr(cls, "recv_fd")
    with blocking.Pair0() as pair:
        for name in ("recv_fd", "send_fd"):
            with pytest.raises(trionng.ReadOnly):
                setattr(pair, name, 0)

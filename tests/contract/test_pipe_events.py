"""Pipe events: what happens to the connections of a socket, in order, and nothing of it lost."""

from __future__ import annotations

import contextlib
import gc
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

import trionng
from tests.support.sockets import TRANSPORTS
from tests.support.sp import PAIR0, PUSH0, RawPeer, raw_peer
from tests.support.subprocesses import run_test_build
from trionng._ffi import testing
from trionng.testing import connected, new_url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SECONDS = 60
WITHIN = 40_000


async def read(events: trionng.PipeEvents, count: int) -> list[trionng.PipeEvent[trionng.Pipe]]:
    return [await anext(events) for _ in range(count)]


def kinds(events: list[trionng.PipeEvent[trionng.Pipe]]) -> list[str]:
    return [event.kind for event in events]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_connection_that_comes_and_goes_is_reported_in_order(transport, tmp_path):
    """A connection is connected, then disconnected, and both events name the same pipe."""
    with trio.fail_after(SECONDS):
        async with trionng.Pull0() as pull, pull.pipe_events() as events:
            url = pull.listen(new_url(transport, tmp_path)).url
            async with trionng.Push0() as push:
                await push.dial(url, block=True)
                first = await anext(events)
                assert (first.kind, first.pipe) == ("connected", pull.pipes[0])
                assert not first.pipe.closed
            second = await anext(events)

    assert second.kind == "disconnected"
    assert second.pipe is first.pipe
    assert second.pipe.closed
    assert second.pipe.url == url


async def test_subscription_begins_with_the_connected_peers():
    """A new subscription starts with one connected event for each connection of that moment."""
    with trio.fail_after(SECONDS):
        async with trionng.Pull0() as pull, trionng.Push0() as one, trionng.Push0() as other:
            url = pull.listen(new_url()).url
            await one.dial(url, block=True)
            await other.dial(url, block=True)
            await pull.wait_connected(2)
            async with pull.pipe_events() as events:
                begins = await read(events, 2)
                with trio.move_on_after(0) as scope:
                    await anext(events)

    assert kinds(begins) == ["connected"] * 2
    assert len({event.pipe for event in begins}) == 2
    assert scope.cancelled_caught


async def test_subscriptions_of_one_socket_are_each_told_everything():
    """Two subscriptions see the same events."""
    with trio.fail_after(SECONDS):
        async with trionng.Pull0() as pull, pull.pipe_events() as a, pull.pipe_events() as b:
            url = pull.listen(new_url()).url
            async with trionng.Push0() as push:
                await push.dial(url, block=True)
            assert await read(a, 2) == await read(b, 2)


async def test_peer_of_another_protocol_is_rejected_once():
    """A peer that speaks another protocol gives one rejected event, and its pipe tells who it was.

    Its connected or disconnected never come.
    """
    with trio.fail_after(SECONDS):
        async with trionng.Pull0() as pull, pull.pipe_events() as events:
            url = pull.listen("tcp://127.0.0.1:0").url
            async with raw_peer(url) as peer:
                await peer.greet(PAIR0)
                await peer.wait_dropped()
                seen = await read(events, 1)
            async with raw_peer(url) as peer:
                await peer.greet(PUSH0)
                seen += await read(events, 1)

    assert kinds(seen) == ["rejected", "connected"]
    assert str(seen[0].pipe.local_address) in url
    assert seen[0].pipe.closed


async def test_iteration_of_a_closed_socket_reads_the_rest_and_ends():
    """When the socket closes, unread events are still read, then the iteration ends by itself."""
    with trio.fail_after(SECONDS):
        async with connected(trionng.Pull0(), trionng.Push0(), "inproc") as (pull, _):
            events = pull.pipe_events()
            await pull.aclose()
            assert kinds([event async for event in events]) == ["connected"]
            with pytest.raises(StopAsyncIteration):
                await anext(events)
            with pytest.raises(trionng.Closed):
                pull.pipe_events()


async def test_reader_that_waits_when_the_socket_closes_ends():
    """A parked reader is woken by the close of the socket, and its loop ends."""
    ended = trio.Event()

    async def loop(events):
        async for _ in events:
            pass
        ended.set()

    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            async with trionng.Pull0() as pull:
                nursery.start_soon(loop, pull.pipe_events())
                await trio.testing.wait_all_tasks_blocked()
            await ended.wait()


async def test_reader_waiting_when_its_subscription_ends_gets_closed():
    """Leaving the block of a subscription wakes another task that reads it, with Closed."""
    with trio.fail_after(SECONDS):
        async with trionng.Pull0() as pull, trio.open_nursery() as nursery:

            async def loop(events):
                with pytest.raises(trionng.Closed, match="this subscription is closed"):
                    await anext(events)

            async with pull.pipe_events() as events:
                nursery.start_soon(loop, events)
                await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trionng.Closed):
                await anext(events)


async def test_reader_that_falls_behind_reads_the_kept_and_the_count():
    """Beyond its capacity a subscription says EventsLost after what it kept, and says it again."""
    with trio.fail_after(SECONDS):
        async with trionng.Pull0() as pull, pull.pipe_events(capacity=3) as events:
            url = pull.listen(new_url()).url
            async with pull.pipe_events() as control:
                for _ in range(2):
                    async with trionng.Push0() as push:
                        await push.dial(url, block=True)
                    await read(control, 2)
            assert kinds(await read(events, 3)) == ["connected", "disconnected", "connected"]
            for _ in range(2):
                with pytest.raises(trionng.EventsLost, match="subscribe again"):
                    await anext(events)


@pytest.mark.parametrize("capacity", [0, -1, 2**31])
async def test_capacity_out_of_range_is_refused(capacity):
    """A capacity must be positive."""
    async with trionng.Pull0() as pull:
        with pytest.raises(trionng.InvalidOperation, match="capacity"):
            pull.pipe_events(capacity=capacity)


async def test_cancelled_readers_lose_no_event():
    """Readers that are cancelled all the time, at any moment, together read every event once."""
    rounds = 60
    seen = []

    with trio.fail_after(SECONDS):
        async with trionng.Pull0() as pull, pull.pipe_events() as events:
            url = pull.listen(new_url()).url

            async def read_impatiently(seconds):
                while len(seen) < 2 * rounds:
                    with trio.move_on_after(seconds):
                        seen.append(await anext(events))

            async with trio.open_nursery() as nursery:
                for seconds in (0.0001, 0.0005, 0.003):
                    nursery.start_soon(read_impatiently, seconds)
                for _ in range(rounds):
                    async with trionng.Push0() as push:
                        await push.dial(url, block=True)

    assert len(seen) == len({(event.kind, event.pipe) for event in seen}) == 2 * rounds
    for pipe in {event.pipe for event in seen}:
        assert sorted(kinds([e for e in seen if e.pipe is pipe])) == ["connected", "disconnected"]


async def test_reading_an_event_is_a_checkpoint_also_when_there_is_one():
    """`anext` looks at cancellation first, and keeps the event for the next reader."""
    with trio.fail_after(SECONDS):
        async with connected(trionng.Pull0(), trionng.Push0(), "inproc") as (pull, _):
            async with pull.pipe_events() as events:
                with trio.CancelScope() as scope:
                    scope.cancel()
                    await anext(events)
                assert scope.cancelled_caught
                with trio.testing.assert_checkpoints():
                    assert (await anext(events)).kind == "connected"


async def test_subscription_dropped_while_open_is_freed():
    """A subscription without references leaves the socket as it was."""
    with trio.fail_after(SECONDS):
        async with connected(trionng.Pull0(), trionng.Push0(), "inproc") as (pull, _):
            for _ in range(100):
                pull.pipe_events()
            gc.collect()
            async with pull.pipe_events() as events:
                assert kinds(await read(events, 1)) == ["connected"]


# What nng's threads may do in any order, forced with pause points.


@contextlib.asynccontextmanager
async def peer_not_yet_added(url: str) -> AsyncIterator[RawPeer]:
    """Connect a peer, and hold up the thread that would report it."""
    testing.arm_pause("pipe.added")
    async with raw_peer(url) as peer:
        await peer.greet(PUSH0)
        assert await trio.to_thread.run_sync(testing.pause_reached, "pipe.added", WITHIN)
        yield peer


async def let_it_be_added(url: str, events: trionng.PipeEvents) -> None:
    """Let the thread go on; after the events of a later peer, those of the late one have come."""
    testing.open_pause("pipe.added")
    async with raw_peer(url) as peer:
        await peer.greet(PUSH0)
        print(*kinds(await read(events, 1)))
    print(*kinds(await read(events, 1)))


async def lose_a_pipe_before_it_is_added():
    """Let the pipe go while the thread that would report it connected is held up."""
    with trio.fail_after(60):
        async with trionng.Pull0() as pull, pull.pipe_events() as events:
            url = pull.listen("tcp://127.0.0.1:0").url
            async with peer_not_yet_added(url):
                pass
            print(*kinds(await read(events, 1)))
            await let_it_be_added(url, events)
            print(len(pull.pipes))


async def read_from_a_pipe_before_it_is_added():
    """The same, when a message of it was received."""
    with trio.fail_after(60):
        async with trionng.Pull0() as pull, pull.pipe_events() as events:
            url = pull.listen("tcp://127.0.0.1:0").url
            async with peer_not_yet_added(url) as peer:
                await peer.send_raw(peer.frame(b"early"))
                message = await pull.recv_msg()
                assert pull.pipes == (message.pipe,)
            print(*kinds(await read(events, 2)), message.bytes.decode())
            await let_it_be_added(url, events)
            print(len(pull.pipes))


async def subscribe_while_a_pipe_is_added_or_goes():
    """Subscribe in the middle: what the subscription begins with and what follows fit together."""
    with trio.fail_after(60):
        async with trionng.Pull0() as pull:
            url = pull.listen("tcp://127.0.0.1:0").url
            async with peer_not_yet_added(url):
                early = pull.pipe_events()
                testing.open_pause("pipe.added")
                print((await anext(early)).kind)
                testing.arm_pause("pipe.gone")
            assert await trio.to_thread.run_sync(testing.pause_reached, "pipe.gone", WITHIN)
            late = pull.pipe_events()
            testing.open_pause("pipe.gone")
            print((await anext(early)).kind)
            print((await anext(late)).kind)
            print((await anext(late)).kind)


@pytest.mark.parametrize(
    ("scenario", "output"),
    [
        (lose_a_pipe_before_it_is_added, "rejected connected disconnected 0"),
        (
            read_from_a_pipe_before_it_is_added,
            "connected disconnected early connected disconnected 0",
        ),
        (
            subscribe_while_a_pipe_is_added_or_goes,
            "connected disconnected connected disconnected",
        ),
    ],
)
def test_callbacks_in_an_unlucky_order_give_events_in_order(scenario, output):
    """Gone before connected is rejected, unless something was read; a late connect is swallowed.

    A snapshot has no gap.
    """
    finished = run_test_build(scenario)

    assert finished.clean, finished
    assert finished.output.split() == output.split()

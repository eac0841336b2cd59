"""What a caller knows after Cancelled, Timeout and Closed: rows of docs/guide/cancellation.md.

Other files test the other rows.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import pytest
import trio
import trio.testing

import trionng
from tests.protocols.test_replies import busy_connection
from trionng import blocking, exceptions
from trionng.testing import connected, new_url

PATIENCE = 60
A_MOMENT = 0.05


@contextlib.contextmanager
def cut_short():
    """Cancel a block after a moment, and insist that it was cancelled."""
    with trio.move_on_after(A_MOMENT) as scope:
        yield
    assert scope.cancelled_caught


async def test_send_out_of_time_was_not_sent(api):
    """A send that ended in Timeout never arrives, and the same bytes can be sent again."""
    with trio.fail_after(PATIENCE):
        push = api.module.Push0(send_timeout=20)
        async with trionng.Pull0(listen=new_url()) as pull:
            with pytest.raises(exceptions.Timeout):
                await api.call(push.send, b"too late")
            await api.call(push.dial, pull.listeners[0].url)
            await api.call(push.send, b"in time")
            assert await pull.recv() == b"in time"
            with cut_short():
                await pull.recv()
        await api.close(push)


async def test_send_cancelled_was_not_sent():
    """A send that was cancelled never arrives."""
    with trio.fail_after(PATIENCE):
        async with trionng.Push0() as push, trionng.Pull0(listen=new_url()) as pull:
            with cut_short():
                await push.send(b"cancelled")
            await push.dial(pull.listeners[0].url)
            await push.send(b"the next")
            assert await pull.recv() == b"the next"
            with cut_short():
                await pull.recv()


async def test_send_of_a_request_cancelled_gives_up_the_earlier_one():
    """A Req0 that was cancelled in `send` has no request: not the new one, nor the one before."""
    with trio.fail_after(PATIENCE):
        async with trionng.Req0(listen=new_url()) as req:
            url = req.listeners[0].url
            async with trionng.Rep0() as rep:
                await rep.dial(url, block=True)
                await req.send(b"first")
                assert await rep.recv() == b"first"
            while req.pipes:
                await trio.sleep(0.001)
            with cut_short():
                await req.send(b"second")
            async with trionng.Rep0() as rep:
                await rep.dial(url, block=True)
                with cut_short():
                    await rep.recv()
            with pytest.raises(exceptions.BadState):
                await req.recv()


@pytest.mark.parametrize("limit", ["cancelled", "timed out"])
async def test_reply_given_up_cannot_be_sent_again(limit):
    """A reply that was cancelled or timed out has lost its request; the client asks again."""
    async with busy_connection() as (_rep, context, _peer):
        if limit == "cancelled":
            with cut_short():
                await context.send(b"reply")
        else:
            context.send_timeout = 50
            with pytest.raises(exceptions.Timeout):
                await context.send(b"reply")
        with pytest.raises(exceptions.BadState):
            await context.send(b"reply")


async def test_send_many_out_of_time_says_how_many_went(api):
    """Timeout of a send_many names the limit that was given, and how many messages were sent."""
    with trio.fail_after(PATIENCE):
        push = api.module.Push0(send_buffer_size=3, send_timeout=50)
        with pytest.raises(exceptions.Timeout, match="50 ms are over; 3 of 5 messages were sent"):
            await api.call(push.send_many, [b"x"] * 5)
        assert push.statistics().messages_sent == 3
        await api.close(push)


def test_blocking_send_many_out_of_time_names_its_timeout():
    """The text has the seconds of the caller, not those that were left."""
    with blocking.Push0(send_buffer_size=2) as push:
        with pytest.raises(exceptions.Timeout, match=r"0\.05 s are over; 2 of 3 messages"):
            push.send_many([b"x"] * 3, timeout=0.05)


async def test_request_ignores_the_timeout_options():
    """`request` waits longer than recv_timeout and send_timeout; its deadline is a cancel scope."""
    with trio.fail_after(PATIENCE):
        async with trionng.Req0(recv_timeout=1, send_timeout=1) as req:
            with cut_short():
                await req.request(b"no peer yet")


async def test_survey_cancelled_is_over_and_the_next_one_works():
    """Leaving the block of a survey ends it; its late replies reach no other survey."""
    with trio.fail_after(PATIENCE):
        async with connected(trionng.Surveyor0(), trionng.Respondent0(), "inproc") as (
            surveyor,
            respondent,
        ):
            with cut_short():
                async with surveyor.survey(b"first", timeout=60) as replies:
                    async for _ in replies:
                        pass
            assert await respondent.recv() == b"first"
            await respondent.send(b"late")
            async with surveyor.survey(b"second", timeout=60) as replies:
                assert await respondent.recv() == b"second"
                await respondent.send(b"in time")
                assert await anext(replies) == b"in time"


async def test_survey_that_outlasts_a_receive_timeout_goes_on():
    """After Timeout of `recv_timeout` the next receive still gets a reply."""
    with trio.fail_after(PATIENCE):
        async with connected(
            trionng.Surveyor0(recv_timeout=30, survey_time=20_000), trionng.Respondent0(), "inproc"
        ) as (surveyor, respondent):
            await surveyor.send(b"survey")
            with pytest.raises(exceptions.Timeout, match="30 ms"):
                await surveyor.recv()
            assert await respondent.recv() == b"survey"
            await respondent.send(b"reply")
            surveyor.recv_timeout = -1
            assert await surveyor.recv() == b"reply"


async def test_survey_whose_socket_closes_raises_closed():
    """A task that iterates over replies gets Closed, not the end of the iteration."""
    with trio.fail_after(PATIENCE):
        surveyor = trionng.Surveyor0()
        async with trio.open_nursery() as nursery:

            async def ask():
                async with surveyor.survey(b"survey", timeout=60) as replies:
                    with pytest.raises(exceptions.Closed):
                        await anext(replies)

            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked(A_MOMENT)
            await surveyor.aclose()


async def test_handler_of_serve_pull_cancelled_is_counted():
    """A message whose handler was cancelled counts as abandoned."""
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            started = trio.Event()

            async def handler(_message):
                started.set()
                await trio.sleep_forever()

            service = await trionng.serve_pull(nursery, handler, listen=new_url())
            async with trionng.Push0(dial=service.url) as push:
                await push.send(b"lost")
                await started.wait()
                nursery.cancel_scope.cancel()
        assert service.statistics().abandoned == 1


def test_blocking_service_closed_in_time_leaves_its_handlers():
    """`close(timeout=)` raises nothing when handlers still run, and counts their requests."""
    goes_on = threading.Event()

    def handler(request):
        assert goes_on.wait(PATIENCE)
        return request

    service = blocking.serve_rep(handler, listen=new_url())
    with blocking.Req0(dial=service.url) as req:
        req.send(b"unanswered")
        while service.statistics().busy == 0:
            time.sleep(0.001)
        service.close(timeout=0.05)
        assert service.statistics().abandoned == 1
        goes_on.set()


async def test_close_drops_what_was_received_and_not_handed_out():
    """After a close `recv` raises Closed, also when messages had arrived."""
    with trio.fail_after(PATIENCE):
        async with connected(trionng.Pair0(recv_buffer_size=8), trionng.Pair0(), "inproc") as (
            here,
            there,
        ):
            await there.send(b"unread")
            await here.recv_many(1)
            await there.send(b"unread too")
            await there.flush()
            await here.aclose()
            with pytest.raises(exceptions.Closed):
                await here.recv()


async def test_flush_cancelled_leaves_the_messages_under_way():
    """A flush that was cancelled ends only the wait: the messages still arrive."""
    with trio.fail_after(PATIENCE):
        async with trionng.Push0(send_buffer_size=2) as push, trionng.Pull0() as pull:
            await push.send(b"accepted")
            with cut_short():
                await push.flush()
            pull.listen(new_url())
            await push.dial(pull.listeners[0].url)
            assert await pull.recv() == b"accepted"


async def test_wait_for_an_event_cancelled_loses_no_event():
    """An event that comes after the wait for it was cancelled is the next one."""
    with trio.fail_after(PATIENCE):
        async with (
            trionng.Pull0(listen=new_url()) as pull,
            pull.pipe_events() as events,
            trionng.Push0() as push,
        ):
            with cut_short():
                await anext(events)
            await push.dial(pull.listeners[0].url, block=True)
            assert (await anext(events)).kind == "connected"


async def test_drain_cancelled_leaves_the_service_draining():
    """After a drain that was cancelled the service still takes no new request."""
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            done = trio.Event()

            async def handler(request):
                await done.wait()
                return request

            service = await trionng.serve_rep(nursery, handler, listen=new_url())
            async with trionng.Req0(dial=service.url) as first:
                async with trionng.Req0(dial=service.url) as second:
                    async with trio.open_nursery() as requests:
                        requests.start_soon(first.request, b"taken")
                        while service.statistics().busy == 0:
                            await trio.sleep(0.001)
                        with cut_short():
                            await service.drain()
                        with cut_short():
                            await second.request(b"not taken")
                        done.set()
            assert service.statistics().received == 1
            nursery.cancel_scope.cancel()


async def test_close_of_a_service_cancelled_closes_it():
    """`Service.aclose` in a cancelled scope ends the service all the same."""
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:

            async def handler(request):
                return request

            service = await trionng.serve_rep(nursery, handler, listen=new_url())
            with trio.CancelScope() as scope:
                scope.cancel()
                await service.aclose()
            assert scope.cancelled_caught
        with pytest.raises(exceptions.Closed):
            service.socket.listen(new_url())


def test_blocking_dial_out_of_time_leaves_no_dialer():
    """A dial that ran into its timeout is no longer tried."""
    with socket.create_server(("127.0.0.1", 0)) as silent, blocking.Pair0() as pair:
        url = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(exceptions.Timeout):
            pair.dial(url, timeout=0.05)
        assert pair.dialers == ()


def test_blocking_flush_out_of_time_leaves_the_messages():
    """A flush that ran into its timeout ends only the wait."""
    with blocking.Push0(send_buffer_size=2) as push, blocking.Pull0() as pull:
        push.send(b"accepted")
        with pytest.raises(exceptions.Timeout):
            push.flush(timeout=0.05)
        pull.listen(new_url())
        push.dial(pull.listeners[0].url)
        assert pull.recv(timeout=PATIENCE) == b"accepted"

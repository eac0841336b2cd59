"""The rules of cancellation, one by one, on real sockets."""

from __future__ import annotations

import functools

import pytest
import trio
import trio.testing

import trionng
from tests.support.sockets import TRANSPORTS
from trionng import exceptions
from trionng.testing import connected


async def drain(receiver):
    async for _ in receiver:
        pass


async def test_loop_of_sends_that_never_block_is_stopped_by_a_timeout():
    """`while True: await pub.send(x)` under `move_on_after(0.1)` stops."""
    with trio.fail_after(60):
        async with trionng.Pub0(listen="inproc://endless") as pub:
            with trio.move_on_after(0.1) as scope:
                while True:
                    await pub.send(b"x")
            assert scope.cancelled_caught


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_loop_with_a_ready_peer_is_stopped_by_a_timeout(transport):
    """Endless sends to, and endless receives from, a peer that is always ready stop."""
    with trio.fail_after(60):
        async with connected(trionng.Push0(send_buffer_size=100), trionng.Pull0(), transport) as (
            push,
            pull,
        ):

            async def send():
                while True:
                    await push.send(b"x")

            async with trio.open_nursery() as nursery:
                nursery.start_soon(drain, pull)
                with trio.move_on_after(0.1) as scope:
                    await send()
                assert scope.cancelled_caught
                nursery.cancel_scope.cancel()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send)
                with trio.move_on_after(0.1) as scope:
                    await drain(pull)
                assert scope.cancelled_caught
                nursery.cancel_scope.cancel()
            # nng (1.5 and 1.12) can hang when a stream is closed while messages pour in.
            while pull.statistics().messages_received < push.statistics().messages_sent:
                await pull.recv()


async def test_cancelled_scope_neither_sends_nor_receives():
    """In a scope that is cancelled already nothing is sent and nothing taken."""
    with trio.fail_after(60):
        async with connected(trionng.Push0(send_buffer_size=10), trionng.Pull0(), "inproc") as (
            push,
            pull,
        ):
            await push.send(b"1")
            message = trionng.Message(b"kept")
            for call in (
                lambda: push.send(b"never"),
                lambda: push.send_msg(message),
                lambda: push.send_many([b"never"]),
                pull.recv,
                pull.recv_msg,
                lambda: pull.recv_many(5),
            ):
                with trio.CancelScope() as scope:
                    scope.cancel()
                    await call()
                assert scope.cancelled_caught
            assert message.bytes == b"kept"
            await push.send(b"2")
            assert [await pull.recv(), await pull.recv()] == [b"1", b"2"]
            with pytest.raises(exceptions.TryAgain):
                pull.recv_nowait()


async def test_request_cancelled_at_once_leaves_the_socket_usable():
    """A request in a cancelled scope never reaches the server; the next one is answered."""
    with trio.fail_after(60):
        async with connected(trionng.Rep0(), trionng.Req0(), "inproc") as (rep, req):
            with trio.CancelScope() as scope:
                scope.cancel()
                await req.request(b"never")
            assert scope.cancelled_caught
            async with trio.open_nursery() as nursery:

                async def serve():
                    assert await rep.recv() == b"asked"
                    await rep.send(b"answered")

                nursery.start_soon(serve)
                assert await req.request(b"asked") == b"answered"


async def test_receive_overtaken_by_a_new_request_raises_superseded():
    """A receive that waits for an answer ends with Superseded when a new request is sent."""
    with trio.fail_after(60):
        async with connected(trionng.Rep0(), trionng.Req0(), "tcp") as (rep, req):
            for owner in (req, req.new_context()):
                await owner.send(b"old")

                async def wait(owner=owner):
                    with pytest.raises(exceptions.Superseded, match=r"recv tcp://"):
                        await owner.recv()

                async with trio.open_nursery() as nursery:
                    nursery.start_soon(wait)
                    await trio.testing.wait_all_tasks_blocked(0.01)
                    await owner.send(b"new")
                while await rep.recv() != b"new":
                    pass
                await rep.send(b"answer to new")
                assert await owner.recv() == b"answer to new"


@pytest.mark.parametrize("context", [False, True])
async def test_second_caller_on_a_conversation_gets_busy(context):
    """One task at a time per Req0, Rep0 and context; a second one gets Busy, the first goes on."""
    with trio.fail_after(60):
        async with connected(trionng.Rep0(), trionng.Req0(), "inproc") as (rep, req):
            answering = rep.new_context() if context else rep
            asking = req.new_context() if context else req
            got = []

            async def receive(owner):
                got.append(await owner.recv())

            async with trio.open_nursery() as nursery:
                nursery.start_soon(receive, answering)
                await trio.testing.wait_all_tasks_blocked(0.01)
                for call in (answering.recv, answering.recv_msg, lambda: answering.send(b"x")):
                    with pytest.raises(trio.BusyResourceError):
                        await call()
                with pytest.raises(exceptions.Busy):
                    answering.recv_nowait()
                await asking.send(b"ask")
                nursery.start_soon(receive, asking)
                while got != [b"ask"]:
                    await trio.sleep(0.001)
                await trio.testing.wait_all_tasks_blocked()
                with pytest.raises(exceptions.Busy):
                    await asking.recv()
                await answering.send(b"answer")
            assert got == [b"ask", b"answer"]


async def test_receive_while_a_send_is_pending_gets_busy():
    """On Req0 a receive before its request was sent is Busy, and nng never sees it (C2)."""
    with trio.fail_after(60):
        async with trionng.Req0() as req, trio.open_nursery() as nursery:
            nursery.start_soon(req.send, b"waits for a peer")
            await trio.testing.wait_all_tasks_blocked(0.01)
            with pytest.raises(exceptions.Busy):
                await req.recv()
            with pytest.raises(exceptions.Busy):
                await req.send(b"second")
            nursery.cancel_scope.cancel()


async def test_rep_that_receives_again_gives_up_the_earlier_request():
    """Once another receive waits, the request before it can no longer be answered."""
    with trio.fail_after(60):
        async with connected(trionng.Rep0(), trionng.Req0(), "inproc") as (rep, req):
            await req.send(b"forgotten")
            assert await rep.recv() == b"forgotten"
            with trio.move_on_after(0.01):
                await rep.recv()
            with pytest.raises(exceptions.BadState):
                await rep.send(b"too late")


async def test_timeout_options_raise_timeout_and_zero_polls():
    """A timeout option that expires raises Timeout, which is a TimeoutError; 0 tries once."""
    with trio.fail_after(60):
        async with connected(
            trionng.Push0(send_timeout=20), trionng.Pull0(recv_timeout=20), "inproc"
        ) as (push, pull):
            with pytest.raises(TimeoutError, match=r"Pull0\.recv inproc://.*20 ms"):
                await pull.recv()
            with pytest.raises(TimeoutError, match="send"):  # noqa: PT012
                while True:
                    await push.send(b"x")
            pull.recv_timeout = 0
            taken = 0
            while True:
                try:
                    await pull.recv()
                except exceptions.Timeout:
                    break
                taken += 1
            assert taken > 0
            async with trionng.Push0(send_timeout=0) as lonely:
                with pytest.raises(exceptions.Timeout):
                    await lonely.send(b"x")


async def test_timeout_of_a_receive_loses_nothing():
    """A message that comes after a receive timed out is what the next one returns."""
    with trio.fail_after(60):
        async with connected(trionng.Pair0(), trionng.Pair0(recv_timeout=10), "ipc") as (a, b):
            with pytest.raises(exceptions.Timeout):
                await b.recv()
            await a.send(b"late")
            b.recv_timeout = -1
            assert await b.recv() == b"late"


async def test_public_call_that_completes_at_once_is_a_checkpoint():
    """Each awaited call is a checkpoint though it need not wait."""
    with trio.fail_after(60):
        async with (
            connected(trionng.Pair0(send_buffer_size=9), trionng.Pair0(), "inproc") as (a, b),
            connected(trionng.Rep0(), trionng.Req0(), "inproc") as (rep, req),
            connected(trionng.Pub0(), trionng.Sub0(topics=""), "inproc") as (pub, sub),
        ):

            async def check(call, *args):
                with trio.testing.assert_checkpoints():
                    return await call(*args)

            await check(a.send, b"1")
            await check(a.send_msg, trionng.Message(b"2"))
            assert await check(a.send_many, [b"3", b"4"]) == 2
            assert await check(a.send_many, []) == 0
            assert await check(b.recv) == b"1"
            assert (await check(b.recv_msg)).bytes == b"2"
            assert await check(b.receive) == b"3"
            assert await check(b.recv_many, 5) == [b"4"]
            await check(a.send, b"5")
            assert await check(b.__anext__) == b"5"
            await check(pub.send, b"news")
            assert await check(sub.recv) == b"news"
            await check(req.send, b"ask")
            assert await check(rep.recv) == b"ask"
            await check(rep.send, b"answer")
            assert await check(req.recv) == b"answer"
            await check(a.wait_connected)
            await check(a.flush)
            context = sub.new_context()
            await check(context.aclose)
            await check(context.aclose)
            dialer = await check(lambda: a.dial("inproc://nobody", block=False))
            await check(dialer.aclose)
            await check(dialer.aclose)
            listener = a.listen("inproc://checkpoints")
            await check(listener.aclose)
            await check(a.aclose)
            await check(a.aclose)
            for refused in (lambda: a.send(b"x"), a.recv, a.wait_connected):
                with trio.testing.assert_checkpoints(), pytest.raises(exceptions.Closed):
                    await refused()


async def test_every_public_call_is_a_checkpoint_when_it_has_to_wait():
    """Each awaited call is a checkpoint when it parks."""
    with trio.fail_after(60):
        async with (
            connected(trionng.Push0(), trionng.Pull0(), "inproc") as (push, pull),
            connected(trionng.Rep0(), trionng.Req0(), "inproc") as (rep, req),
        ):

            async def later(call, *args):
                await trio.testing.wait_all_tasks_blocked(0.005)
                return await call(*args)

            async def check(call, *args):
                with trio.testing.assert_checkpoints():
                    return await call(*args)

            async with trio.open_nursery() as nursery:
                for receive in (pull.recv, pull.recv_msg, lambda: pull.recv_many(3)):
                    nursery.start_soon(later, push.send, b"x")
                    await check(receive)

                async def serve():
                    await rep.send(await check(rep.recv))

                nursery.start_soon(later, serve)
                assert await check(req.request, b"ask") == b"ask"
                async with trionng.Push0() as full, trionng.Pull0() as slow:
                    url = full.listen("inproc://parked-sends").url
                    nursery.start_soon(later, functools.partial(slow.dial, url, block=False))
                    await check(full.send, b"1")
                    await check(full.wait_connected)

"""Batches: recv_many and send_many, and the sockets that have several peers."""

from __future__ import annotations

import pytest
import trio

import trionng
from trionng import exceptions
from trionng.testing import connected, new_url

PAIRS = [
    (trionng.Push0, trionng.Pull0),
    (trionng.Pair0, trionng.Pair0),
    (trionng.Pair1, trionng.Pair1),
    (trionng.Bus0, trionng.Bus0),
    (trionng.Pub0, trionng.Sub0),
]


def subscribe_all(socket):
    if isinstance(socket, trionng.Sub0):
        socket.subscribe(b"")


@pytest.mark.parametrize("transport", ["inproc", "ipc", "tcp"])
@pytest.mark.parametrize(("sending", "receiving"), PAIRS)
async def test_send_many_and_recv_many_keep_every_message_in_order(
    sending, receiving, transport, tmp_path
):
    """What send_many sends, recv_many receives, complete and in order."""
    count = 2000
    credits = trio.Semaphore(64)
    with trio.fail_after(60):
        async with sending(listen=new_url(transport, tmp_path)) as a, receiving() as b:
            subscribe_all(b)
            await b.dial(a.listeners[0].url, block=True)
            await a.wait_connected()
            got = []

            async def send():
                sent = 0
                while sent < count:
                    batch = []
                    await credits.acquire()
                    batch.append(b"%d" % sent)
                    # Never more on the way than the smallest queue holds: a broadcast drops.
                    while sent + len(batch) < count and len(batch) < 8:
                        try:
                            credits.acquire_nowait()
                        except trio.WouldBlock:
                            break
                        batch.append(b"%d" % (sent + len(batch)))
                    if sending in (trionng.Pub0, trionng.Bus0):
                        for data in batch:
                            assert await a.send_many([data]) == 1
                            while len(got) < int(data):
                                await trio.lowlevel.checkpoint()
                    else:
                        assert await a.send_many(batch) == len(batch)
                    sent += len(batch)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(send)
                while len(got) < count:
                    batch = await b.recv_many(50)
                    assert 1 <= len(batch) <= 50
                    got += batch
                    for _ in batch:
                        credits.release()
            assert got == [b"%d" % number for number in range(count)]


async def test_recv_many_takes_messages_of_any_size():
    """Large, small and empty messages come out of one batch as they went in."""
    sizes = [0, 1, 70_000, 3, 65_536, 65_535, 200_000, 0, 5]
    with trio.fail_after(60):
        async with (
            trionng.Pair0(listen="inproc://any-size", send_buffer_size=20) as a,
            trionng.Pair0(dial="inproc://any-size", recv_buffer_size=20) as b,
        ):
            await a.wait_connected()
            sent = [bytes([number]) * size for number, size in enumerate(sizes)]
            assert await a.send_many(sent) == len(sent)
            got = []
            while len(got) < len(sent):
                got += await b.recv_many(100)
            assert got == sent


async def test_send_many_cancelled_returns_how_many_went():
    """A cancelled send_many that sent some returns their number; one that sent none raises."""
    with trio.fail_after(60):
        async with trionng.Push0(send_buffer_size=3) as push, trionng.Pull0() as pull:
            with trio.move_on_after(0.05) as scope:
                sent = await push.send_many([b"1", b"2", b"3", b"4", b"5"])
            assert sent == 3
            assert scope.cancel_called
            assert not scope.cancelled_caught
            with trio.move_on_after(0.05) as scope:
                await push.send_many([b"6"])
            assert scope.cancelled_caught
            pull.listen("inproc://cancelled-many")
            await push.dial("inproc://cancelled-many", block=True)
            assert [await pull.recv() for _ in range(3)] == [b"1", b"2", b"3"]
            with pytest.raises(exceptions.TryAgain):
                pull.recv_nowait()


async def test_pull_buffer_takes_ahead_only_what_it_may():
    """Half of `recv_buffer_size` messages to all of them are taken ahead, and none by default."""
    with trio.fail_after(60):
        async with (
            trionng.Push0(listen="inproc://ahead", send_buffer_size=100) as push,
            trionng.Pull0(dial="inproc://ahead") as pull,
        ):
            await push.wait_connected()
            await push.send_many([b"%d" % number for number in range(50)])
            assert await pull.recv() == b"0"
            assert pull._ctx.prefetched() == 0
            pull.recv_buffer_size = 10
            assert pull.recv_buffer_size == 10
            assert await pull.recv() == b"1"
            while pull._ctx.prefetched() < 5:
                await trio.sleep(0.001)
            await trio.sleep(0.01)
            assert 5 <= pull._ctx.prefetched() <= 10
            rest = []
            while len(rest) < 48:
                rest += await pull.recv_many(7)
            assert rest == [b"%d" % number for number in range(2, 50)]
            with pytest.raises(exceptions.InvalidOperation):
                pull.recv_buffer_size = 0


async def test_pair1_polyamorous_message_goes_to_the_pipe_it_names():
    """A polyamorous Pair1 answers the peer it means."""
    with trio.fail_after(60):
        async with (
            trionng.Pair1(listen="tcp://127.0.0.1:0", polyamorous=True) as hub,
            trionng.Pair1() as one,
            trionng.Pair1() as two,
        ):
            assert hub.polyamorous
            for peer in (one, two):
                await peer.dial(hub.listeners[0].url, block=True)
            await hub.wait_connected(2)
            for name, peer in ((b"one", one), (b"two", two)):
                await peer.send(name)
                message = await hub.recv_msg()
                assert message.bytes == name
                await hub.send_msg(trionng.Message(b"hello " + name, message.pipe))
                assert await peer.recv() == b"hello " + name
                await hub.send_msg(message)
                assert await peer.recv() == name


async def test_bus_sends_to_all_peers_and_forwards_nothing():
    """What a Bus0 sends reaches its peers, and not their peers."""
    with trio.fail_after(60):
        async with (
            trionng.Bus0(listen="inproc://bus") as hub,
            trionng.Bus0(dial="inproc://bus") as one,
            trionng.Bus0(dial="inproc://bus") as two,
        ):
            await hub.wait_connected(2)
            await one.wait_connected()
            await two.wait_connected()
            await hub.send(b"all")
            assert await one.recv() == b"all"
            assert await two.receive() == b"all"
            await one.send(b"hub only")
            assert await hub.recv() == b"hub only"
            with trio.move_on_after(0.05) as scope:
                await two.recv()
            assert scope.cancelled_caught


@pytest.mark.parametrize(
    "make",
    [
        trionng.Bus0,
        lambda **options: trionng.Pair1(polyamorous=True, **options),
        lambda **options: trionng.Pair0(raw=True, **options),
    ],
    ids=["bus", "polyamorous", "raw"],
)
async def test_buffer_size_after_the_first_endpoint_is_fixed(make):
    """C8: a buffer that nng would resize unsafely is fixed once there can be messages."""
    async with make(recv_buffer_size=8) as socket:
        socket.recv_buffer_size = 4
        socket.listen("inproc://fixed-buffers")
        with pytest.raises(exceptions.BadState, match="recv_buffer_size"):
            socket.recv_buffer_size = 2
        with pytest.raises(exceptions.BadState, match="send_buffer_size"):
            socket.send_buffer_size = 2
        assert socket.recv_buffer_size == 4


@pytest.mark.parametrize("back", ["inproc", "tcp"])
async def test_raw_sockets_carry_the_route_in_the_header(back, tmp_path):
    """A raw Rep0 sees the way a request came, and answers by giving it back."""
    with trio.fail_after(60):
        async with (
            trionng.Rep0(listen=new_url(back, tmp_path), raw=True) as rep,
            trionng.Req0() as req,
            trio.open_nursery() as nursery,
        ):
            assert rep.raw
            await req.dial(rep.listeners[0].url, block=True)

            async def serve():
                for _ in range(3):
                    message = await rep.recv_msg()
                    assert len(message.header) == 8
                    reply = trionng.Message(message.bytes.upper(), header=message.header)
                    await rep.send_msg(reply)

            nursery.start_soon(serve)
            for data in (b"a", b"b", b"c"):
                assert await req.request(data) == data.upper()
            with pytest.raises(exceptions.NotSupported):
                rep.new_context()


def test_message_header_over_64_bytes_is_refused():
    """A header nng has no room for is refused at once."""
    assert trionng.Message(b"", header=b"h" * 64).header == b"h" * 64
    with pytest.raises(exceptions.InvalidOperation, match="65 bytes"):
        trionng.Message(b"", header=b"h" * 65)


@pytest.mark.parametrize(
    "kind",
    [
        trionng.Pair0,
        trionng.Pair1,
        trionng.Pub0,
        trionng.Sub0,
        trionng.Push0,
        trionng.Pull0,
        trionng.Req0,
        trionng.Rep0,
        trionng.Surveyor0,
        trionng.Respondent0,
        trionng.Bus0,
    ],
)
async def test_every_protocol_has_a_raw_mode(kind):
    """Every protocol opens raw, and says so."""
    async with kind(raw=True) as raw, kind() as cooked:
        assert (raw.raw, cooked.raw) == (True, False)


async def test_send_many_takes_every_kind_of_buffer():
    """Bytes, bytearrays and memory views are messages alike, in their order."""
    push = trionng.Push0(send_buffer_size=3)
    with trio.fail_after(60):
        async with connected(push, trionng.Pull0(), "inproc") as (_, pull):
            assert await push.send_many([b"a", bytearray(b"b"), memoryview(b"c")]) == 3
            assert [await pull.recv() for _ in range(3)] == [b"a", b"b", b"c"]

"""Raw sockets: a round trip on every protocol, and what its header says."""

from __future__ import annotations

import struct

import pytest
import trio

import trionng
from tests.support.sockets import TRANSPORTS
from trionng.testing import connected, new_url

A_NUMBER = b"\x80\0\0\1"  # of a request or survey, as it is on the wire
HOPS = struct.Struct(">I")


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("sending", "receiving"),
    [
        (trionng.Pair0, trionng.Pair0),
        (trionng.Push0, trionng.Pull0),
        (trionng.Pub0, trionng.Sub0),
    ],
)
@pytest.mark.parametrize("raw_sender", [True, False])
@pytest.mark.parametrize("raw_receiver", [True, False])
async def test_raw_one_way_protocols_pass_the_body_alone(
    sending, receiving, transport, raw_sender, raw_receiver
):
    """Without a header of their own, they carry the body; a raw Sub0 receives every topic."""
    with trio.fail_after(60):
        sockets = sending(raw=raw_sender), receiving(raw=raw_receiver)
        async with connected(*sockets, transport) as (sender, receiver):
            if isinstance(receiver, trionng.Sub0) and not raw_receiver:
                receiver.subscribe("")
            await sender.send_msg(trionng.Message(b"body"))
            message = await receiver.recv_msg()
            assert (message.bytes, message.header) == (b"body", b"")
            assert message.pipe in receiver.pipes


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("raw_answerer", [True, False])
@pytest.mark.parametrize(
    ("asking", "answering"),
    [(trionng.Req0, trionng.Rep0), (trionng.Surveyor0, trionng.Respondent0)],
)
async def test_raw_questions_come_back_with_their_number(
    asking, answering, transport, raw_answerer
):
    """A raw question has its number in the header, and its answer has the same."""
    with trio.fail_after(60):
        sockets = asking(raw=True), answering(raw=raw_answerer)
        async with connected(*sockets, transport) as (requester, responder):
            await requester.send_msg(trionng.Message(b"question", header=A_NUMBER))
            question = await responder.recv_msg()
            assert question.bytes == b"question"
            # A raw responder sees the way back in front of the number.
            assert len(question.header) == (8 if raw_answerer else 0)
            assert question.header.endswith(A_NUMBER if raw_answerer else b"")
            await responder.send_msg(trionng.Message(b"answer", header=question.header))
            answer = await requester.recv_msg()
            assert (answer.bytes, answer.header) == (b"answer", A_NUMBER)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_raw_pair1_counts_hops_in_the_header(transport):
    """The header of a raw Pair1 is the number of hops; a cooked one sends and receives without."""
    with trio.fail_after(60):
        sockets = trionng.Pair1(raw=True), trionng.Pair1()
        async with connected(*sockets, transport) as (raw, cooked):
            await cooked.send(b"there")
            message = await raw.recv_msg()
            assert (message.bytes, HOPS.unpack(message.header)) == (b"there", (1,))
            await raw.send_msg(trionng.Message(b"back", header=HOPS.pack(1)))
            assert await cooked.recv() == b"back"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_raw_bus_excludes_the_connection_in_the_header(transport, tmp_path):
    """A raw Bus0 says which connection a message came from, and sends it to all the others."""
    with trio.fail_after(60):
        async with (
            trionng.Bus0(raw=True, listen=new_url(transport, tmp_path)) as hub,
            trionng.Bus0(dial=hub.listeners[0].url) as one,
            trionng.Bus0(dial=hub.listeners[0].url) as other,
        ):
            for socket, peers in ((hub, 2), (one, 1), (other, 1)):
                await socket.wait_connected(peers)
            await one.send(b"from one")
            message = await hub.recv_msg()
            assert message.pipe is not None
            assert HOPS.unpack(message.header) == (message.pipe.id,)
            await hub.send_msg(message)
            assert await other.recv() == b"from one"
            await hub.send_msg(trionng.Message(b"to all"))
            # Had the first come back to its sender, it would be in front of this.
            assert await one.recv() == await other.recv() == b"to all"


async def test_raw_sub_refuses_topics():
    """A raw Sub0 receives every message; subscribe says so."""
    async with trionng.Sub0(raw=True) as raw:
        for topic in ("", "topic"):
            with pytest.raises(trionng.NotSupported, match="receives every message"):
                raw.subscribe(topic)
    with pytest.raises(trionng.NotSupported, match="receives every message"):
        trionng.Sub0(raw=True, topics="topic")

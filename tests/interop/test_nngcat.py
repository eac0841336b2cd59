"""Interoperation with `nngcat`: the C library at both ends, trionng at one of them only.

`nngcat` is Debian's (nng-utils). Its `--pair` is broken there, so `--pair0` is used. Messages have
all 256 byte values, handed over in a file and printed by `nngcat` as quoted strings.
"""

from __future__ import annotations

import ast
import contextlib
from typing import TYPE_CHECKING

import pytest
import trio

import trionng
from tests.support.processes import OtherProcess, other_process

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    Connect = Callable[[trionng.Socket, str], contextlib.AbstractAsyncContextManager[OtherProcess]]

OURS = b"ours: " + bytes(range(256))
THEIRS = b"theirs: " + bytes(range(255, -1, -1))
SECONDS = 60
# For what also receives. nngcat ends with an error when it is late by an interval. With 1 second,
# which is also how long its surveys take, it may send one while the last one expires, and nng then
# hangs there for good (C7), with nngcat at both ends too.
AGAIN = "--interval 3"


@pytest.fixture(params=["trionng listens", "nngcat listens"])
def connect(request: pytest.FixtureRequest, free_url: str, tmp_path: Path) -> Connect:
    """Join a socket and an `nngcat` with these options, for the time of a block."""
    theirs = tmp_path / "theirs"
    theirs.write_bytes(THEIRS)

    def nngcat(options: str, *url: str) -> contextlib.AbstractAsyncContextManager[OtherProcess]:
        words = options.replace("THEIRS", str(theirs)).split()
        return other_process("stdbuf", "-oL", "nngcat", "--verbose", *words, *url)

    @contextlib.asynccontextmanager
    async def connected(socket: trionng.Socket, options: str) -> AsyncIterator[OtherProcess]:
        if request.param == "trionng listens":
            listener = socket.listen(free_url)
            async with nngcat(options, "--dial", listener.url) as cat:
                await socket.wait_connected()
                assert await cat.line() == f"Connected to: {listener.url}"
                yield cat
        else:
            # What it sends before it has a peer is lost, and nothing but the next one says so.
            delay = ("--delay", "1") if "--interval" in options else ()
            async with nngcat(options, *delay, "--listen", free_url) as cat:
                url = (await cat.line()).removeprefix("Listening at: ")
                await socket.dial(url, block=True)
                yield cat

    return connected


async def printed(cat: OtherProcess) -> bytes:
    """Return the next message that `nngcat --quoted` prints."""
    message = ast.literal_eval("b" + await cat.line())
    assert isinstance(message, bytes)
    return message


async def test_nngcat_pair0_both_ways_gets_and_gives_every_byte(connect: Connect) -> None:
    """A Pair0 and `nngcat --pair0` receive what the other sends."""
    with trio.fail_after(SECONDS):
        async with (
            trionng.Pair0() as pair,
            connect(pair, "--pair0 --quoted --file THEIRS") as cat,
        ):
            await pair.send(OURS)

            assert await printed(cat) == OURS
            assert await pair.recv() == THEIRS


async def test_nngcat_rep0_asked_by_req0_replies(connect: Connect) -> None:
    """A Req0 gets the reply of `nngcat --rep0`, for one request after the other."""
    with trio.fail_after(SECONDS):
        async with trionng.Req0() as req, connect(req, "--rep0 --quoted --file THEIRS") as cat:
            for number in (b"1", b"2"):
                await req.send(OURS + number)

                assert await printed(cat) == OURS + number
                assert await req.recv() == THEIRS


async def test_nngcat_rep0_asked_by_request_replies(connect: Connect) -> None:
    """`request()` is an ordinary request on the wire."""
    with trio.fail_after(SECONDS):
        async with trionng.Req0() as req, connect(req, "--rep0 --quoted --file THEIRS") as cat:
            reply = await req.request(OURS)

            assert reply == THEIRS
            assert await printed(cat) == OURS


async def test_nngcat_req0_asking_rep0_gets_the_reply(connect: Connect) -> None:
    """A Rep0 gets the request of `nngcat --req0`, and its reply arrives there."""
    with trio.fail_after(SECONDS):
        async with trionng.Rep0() as rep, connect(rep, "--req0 --quoted --file THEIRS") as cat:
            request = await rep.recv()
            await rep.send(OURS)

            assert request == THEIRS
            assert await printed(cat) == OURS


async def test_nngcat_req0_asking_a_context_gets_the_reply(connect: Connect) -> None:
    """A context of a Rep0 serves `nngcat --req0` like the socket itself."""
    with trio.fail_after(SECONDS):
        async with (
            trionng.Rep0() as rep,
            rep.new_context() as context,
            connect(rep, "--req0 --quoted --file THEIRS") as cat,
        ):
            request = await context.recv()
            await context.send(OURS)

            assert request == THEIRS
            assert await printed(cat) == OURS


async def test_nngcat_sub0_of_pub0_prints_its_topic_only(connect: Connect) -> None:
    """`nngcat --sub0` prints what a Pub0 sends on its topic, and nothing else."""
    with trio.fail_after(SECONDS):
        async with (
            trionng.Pub0() as pub,
            connect(pub, "--sub0 --quoted --subscribe ours") as cat,
        ):
            await pub.wait_connected()
            for message in (b"other", OURS, b"oth", OURS + b"2"):
                await pub.send(message)

            assert [await printed(cat) for _ in range(2)] == [OURS, OURS + b"2"]


async def test_nngcat_pub0_to_sub0_delivers_the_topic(connect: Connect) -> None:
    """A Sub0 receives what `nngcat --pub0` publishes (again every second) on its topic."""
    with trio.fail_after(SECONDS):
        async with (
            trionng.Sub0(topics="theirs") as sub,
            connect(sub, "--pub0 --interval 1 --file THEIRS"),
        ):
            assert await sub.recv() == THEIRS


async def test_nngcat_pub0_to_sub0_of_another_topic_delivers_nothing(connect: Connect) -> None:
    """A Sub0 with another topic stays silent while one with the topic hears twice."""
    with trio.fail_after(SECONDS):
        async with (
            trionng.Sub0(topics="other") as sub,
            sub.new_context() as hearing,
            connect(sub, "--pub0 --interval 1 --file THEIRS"),
        ):
            hearing.subscribe("theirs")
            heard = [await hearing.recv() for _ in range(2)]

            assert heard == [THEIRS, THEIRS]
            with pytest.raises(trionng.TryAgain):
                sub.recv_nowait()


async def test_nngcat_pull0_of_push0_prints_in_order(connect: Connect) -> None:
    """`nngcat --pull0` prints what a Push0 sends, in order."""
    messages = [OURS + b"%d" % number for number in range(20)]
    with trio.fail_after(SECONDS):
        async with trionng.Push0() as push, connect(push, "--pull0 --quoted") as cat:
            for message in messages:
                await push.send(message)

            assert [await printed(cat) for _ in messages] == messages


async def test_nngcat_push0_to_pull0_delivers_each(connect: Connect) -> None:
    """A Pull0 receives every message that `nngcat --push0` sends."""
    with trio.fail_after(SECONDS):
        async with (
            trionng.Pull0() as pull,
            connect(pull, "--push0 --count 5 --file THEIRS") as cat,
        ):
            received = [await pull.recv() for _ in range(5)]
            code, _, errors = await cat.end()

            assert received == [THEIRS] * 5
            assert (code, errors) == (0, "")


async def test_nngcat_pair1_both_ways_gets_and_gives_every_byte(connect: Connect) -> None:
    """A Pair1 and `nngcat --pair1` receive what the other sends."""
    with trio.fail_after(SECONDS):
        async with (
            trionng.Pair1() as pair,
            connect(pair, "--pair1 --quoted --file THEIRS") as cat,
        ):
            await pair.send(OURS)

            assert await printed(cat) == OURS
            assert await pair.recv() == THEIRS


async def test_nngcat_pair1_with_a_polyamorous_pair1_gets_and_gives(connect: Connect) -> None:
    """A polyamorous Pair1 talks with `nngcat --pair1` as an ordinary one does."""
    with trio.fail_after(SECONDS):
        async with (
            trionng.Pair1(polyamorous=True) as pair,
            connect(pair, "--pair1 --quoted --file THEIRS") as cat,
        ):
            await pair.wait_connected()
            await pair.send(OURS)

            assert await printed(cat) == OURS
            assert await pair.recv() == THEIRS


async def test_nngcat_respondent0_surveyed_replies(connect: Connect) -> None:
    """A Surveyor0 gets the reply of `nngcat --respondent0`."""
    with trio.fail_after(SECONDS):
        async with (
            trionng.Surveyor0() as surveyor,
            connect(surveyor, "--respondent0 --quoted --file THEIRS") as cat,
        ):
            await surveyor.wait_connected()
            async with surveyor.survey(OURS, timeout=SECONDS) as replies:
                reply = await replies.__anext__()

            assert reply == THEIRS
            assert await printed(cat) == OURS


async def test_nngcat_surveyor0_asking_respondent0_gets_the_reply(connect: Connect) -> None:
    """A Respondent0 gets the survey of `nngcat --surveyor0`, and its reply arrives there."""
    surveys, replies = [], []
    with trio.move_on_after(SECONDS):
        async with (
            trionng.Respondent0() as respondent,
            connect(respondent, f"--surveyor0 {AGAIN} --quoted --file THEIRS") as cat,
            trio.open_nursery() as nursery,
        ):

            async def answer() -> None:
                # Each of them: on a machine that is busy a reply may come too late for its survey.
                while True:
                    surveys.append(await respondent.recv())
                    await respondent.send(OURS)

            nursery.start_soon(answer)
            replies.append(await printed(cat))
            nursery.cancel_scope.cancel()

    assert (replies, set(surveys)) == ([OURS], {THEIRS}), f"{len(surveys)} surveys came"


async def test_nngcat_bus0_both_ways_gets_and_gives_every_byte(connect: Connect) -> None:
    """A Bus0 and `nngcat --bus0` receive what the other sends."""
    with trio.fail_after(SECONDS):
        async with (
            trionng.Bus0() as bus,
            connect(bus, f"--bus0 {AGAIN} --quoted --file THEIRS") as cat,
        ):
            await bus.wait_connected()
            # Until it has sent, it may not listen yet: a bus drops what no peer takes.
            assert await bus.recv() == THEIRS
            await bus.send(OURS)

            assert await printed(cat) == OURS

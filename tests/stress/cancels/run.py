"""What a process of its own runs: the stress with a name, over a transport."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import random
import socket
from typing import TYPE_CHECKING

import trionng
from tests.stress.cancels.receives import GROUP, Answers, Exchanges, Requests, Stream
from tests.stress.cancels.sends import Pour, Replies
from tests.stress.cancels.stress import Scenario, stress
from trionng._trio import wait as trio_wait
from trionng.testing import connected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from contextlib import AsyncExitStack

    from tests.stress.cancels.receives import Answerer, Asking, Receiver, Sender

# So that few messages fill a connection, and a send has to wait.
SIZES = {"inproc": 0, "ipc": 64 * 1024, "tcp": 128 * 1024, "ws": 128 * 1024}
OF_THE_SYSTEM = 64 * 1024


def shrink_buffers() -> None:
    """Make the operating system's buffers of every connection of this process small.

    Left alone, tcp takes megabytes, and wakes a sender only when a third of them is free.
    """
    for name in os.listdir("/proc/self/fd"):
        try:
            connection = socket.socket(fileno=os.dup(int(name)))
        except OSError:
            continue
        with connection:
            if connection.family == socket.AF_INET or connection.getsockname():
                for which in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                    connection.setsockopt(socket.SOL_SOCKET, which, OF_THE_SYSTEM // 2)


class Scenarios:
    """Builds scenarios; everything it opens is closed at the end."""

    def __init__(self, stack: AsyncExitStack, transport: str, rng: random.Random) -> None:
        self._stack = stack
        self._transport = transport
        self._rng = rng

    async def _stream(
        self,
        receiver: Receiver,
        sender: Sender,
        *,
        context: bool = False,
        window: int = 12,
    ) -> Scenario[bytes]:
        credits = trionng.Push0(send_buffer_size=window), trionng.Pull0()
        await self._stack.enter_async_context(connected(*credits, self._transport))
        await self._stack.enter_async_context(connected(receiver, sender, self._transport))
        calling: Receiver | trionng.SubContext = receiver
        if context:
            assert isinstance(receiver, trionng.Sub0)
            calling = await self._stack.enter_async_context(receiver.new_context())
            calling.subscribe("")
        return Stream(calling, sender, credits, self._rng, window)

    async def receive_pair0(self) -> Scenario[bytes]:
        return await self._stream(trionng.Pair0(), trionng.Pair0(send_buffer_size=2))

    async def receive_pair1(self) -> Scenario[bytes]:
        return await self._stream(trionng.Pair1(), trionng.Pair1(send_buffer_size=2))

    async def receive_pair1_polyamorous(self) -> Scenario[bytes]:
        # It drops what a peer does not take, and keeps two messages for each.
        several = trionng.Pair1(polyamorous=True), trionng.Pair1(polyamorous=True)
        return await self._stream(*several, window=2)

    async def receive_bus0(self) -> Scenario[bytes]:
        return await self._stream(trionng.Bus0(), trionng.Bus0())

    async def receive_pull0(self) -> Scenario[bytes]:
        return await self._stream(trionng.Pull0(), trionng.Push0(send_buffer_size=2))

    async def receive_pull0_ahead(self) -> Scenario[bytes]:
        pull = trionng.Pull0(recv_buffer_size=8)
        return await self._stream(pull, trionng.Push0(send_buffer_size=2))

    async def receive_sub0(self) -> Scenario[bytes]:
        return await self._stream(trionng.Sub0(topics=""), trionng.Pub0())

    async def receive_sub0_context(self) -> Scenario[bytes]:
        return await self._stream(trionng.Sub0(), trionng.Pub0(), context=True)

    async def _dialog(self) -> tuple[trionng.Rep0, trionng.Req0]:
        # Never sent again, so that what is lost stays lost.
        sockets = trionng.Rep0(), trionng.Req0(resend_time=-1)
        await self._stack.enter_async_context(connected(*sockets, self._transport))
        return sockets

    async def _inquiry(self) -> tuple[trionng.Respondent0, trionng.Surveyor0]:
        sockets = trionng.Respondent0(), trionng.Surveyor0(survey_time=-1)
        await self._stack.enter_async_context(connected(*sockets, self._transport))
        return sockets

    async def _contexts(self, socket: trionng.Socket, count: int) -> list[trionng.Context]:
        return [await self._stack.enter_async_context(socket.new_context()) for _ in range(count)]

    async def receive_req0(self) -> Scenario[bytes]:
        rep, req = await self._dialog()
        asking: list[Asking] = [req]
        asking += await self._contexts(req, GROUP)
        return Answers(asking, await self._contexts(rep, len(asking)), self._rng)

    async def receive_surveyor0(self) -> Scenario[bytes]:
        respondent, surveyor = await self._inquiry()
        asking: list[Asking] = [surveyor]
        asking += await self._contexts(surveyor, GROUP)
        return Answers(asking, await self._contexts(respondent, len(asking)), self._rng)

    async def request(self) -> Scenario[tuple[int, bytes]]:
        rep, req = await self._dialog()
        return Exchanges(req, await self._contexts(rep, GROUP))

    async def receive_rep0(self) -> Scenario[bytes]:
        rep, req = await self._dialog()
        answering: list[Answerer] = [rep]
        answering += await self._contexts(rep, GROUP)
        return Requests(answering, await self._contexts(req, GROUP))

    async def receive_respondent0(self) -> Scenario[bytes]:
        respondent, surveyor = await self._inquiry()
        answering: list[Answerer] = [respondent]
        answering += await self._contexts(respondent, GROUP)
        return Requests(answering, await self._contexts(surveyor, GROUP))

    async def send_push0(self) -> Scenario[int]:
        push, pull = trionng.Push0(), trionng.Pull0()
        await self._stack.enter_async_context(connected(push, pull, self._transport))
        return self._pour([push] * GROUP, pull)

    async def send_pair0(self) -> Scenario[int]:
        one, other = trionng.Pair0(send_buffer_size=1), trionng.Pair0()
        await self._stack.enter_async_context(connected(one, other, self._transport))
        return self._pour([one] * GROUP, other)

    async def send_pair1(self) -> Scenario[int]:
        one, other = trionng.Pair1(send_buffer_size=1), trionng.Pair1()
        await self._stack.enter_async_context(connected(one, other, self._transport))
        return self._pour([one] * GROUP, other)

    async def send_req0(self) -> Scenario[int]:
        rep, req = await self._dialog()
        return self._pour([req, *await self._contexts(req, GROUP)], rep, group_from=1)

    def _pour(
        self,
        senders: Sequence[trionng.Socket | trionng.Context],
        reader: trionng.Socket,
        group_from: int = 0,
    ) -> Scenario[int]:
        shrink_buffers()
        return Pour(senders, reader, SIZES[self._transport], self._rng, group_from)

    async def send_rep0(self) -> Scenario[int]:
        return await self._replies(trionng.Rep0(), trionng.Req0(raw=True))

    async def send_respondent0(self) -> Scenario[int]:
        return await self._replies(trionng.Respondent0(), trionng.Surveyor0(raw=True))

    async def _replies(
        self,
        answering: trionng.Rep0 | trionng.Respondent0,
        raw: trionng.Req0 | trionng.Surveyor0,
    ) -> Scenario[int]:
        await self._stack.enter_async_context(connected(answering, raw, self._transport))
        shrink_buffers()
        everybody: list[Answerer] = [answering, *await self._contexts(answering, GROUP)]
        return Replies(everybody, raw, SIZES[self._transport], self._rng)


SCENARIOS = sorted(name for name in vars(Scenarios) if not name.startswith("_"))


@contextlib.asynccontextmanager
async def _opened(name: str, transport: str, rng: random.Random) -> AsyncIterator[Scenario[object]]:
    async with contextlib.AsyncExitStack() as stack:
        yield await getattr(Scenarios(stack, transport, rng), name)()


async def run(
    name: str,
    transport: str,
    cancels: str,
    seed: str,
    wakeup: str = "descriptor",
    moments: str = "chosen",
) -> None:
    """Run one stress and print its report as a line of JSON.

    Args:
        name: one of `SCENARIOS`.
        transport: one of `tests.support.sockets.TRANSPORTS`.
        cancels: how many calls to cancel.
        seed: of everything that is chosen; when it happens is up to the machine.
        wakeup: "descriptor", or "token" as where no descriptor can be had.
        moments: "chosen" for each call, or "many" for as many cancels as there is time for.
    """
    trio_wait.use_token_wakeup = wakeup == "token"
    trio_wait.count_cancels = True
    rng = random.Random(int(seed))
    async with _opened(name, transport, rng) as scenario:
        report = await stress(scenario, int(cancels), rng, many=moments == "many")
    counts = report.counts._asdict()
    print(json.dumps(dataclasses.asdict(report) | {"counts": counts}))

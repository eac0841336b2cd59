"""Each api's objects lead to objects of the same api, which are public classes."""

from typing_extensions import assert_type

import trionng
from trionng import blocking


async def of_trio(pair: trionng.Pair1, sub: trionng.Sub0) -> None:
    message = await pair.recv_msg()
    assert_type(message, trionng.Message)
    assert_type(message.pipe, trionng.Pipe | None)
    assert_type(pair.recv_msg_nowait().pipe, trionng.Pipe | None)
    assert_type((await sub.new_context().recv_msg()).pipe, trionng.Pipe | None)
    assert_type(trionng.Message(b"").pipe, trionng.Pipe | None)
    if message.pipe is not None:
        await message.pipe.send(b"")
        assert_type(message.pipe.dialer, trionng.Dialer | None)
        assert_type(message.pipe.listener, trionng.Listener | None)
        assert_type(message.pipe.socket, trionng.Socket | None)
        if message.pipe.listener is not None:
            await message.pipe.listener.aclose()
        if message.pipe.dialer is not None:
            await message.pipe.dialer.aclose()
        if message.pipe.socket is not None:
            await message.pipe.socket.aclose()
        await pair.send_msg(trionng.Message(b"", message.pipe))
    for pipe in pair.pipes:
        assert_type(pipe, trionng.Pipe)
    for dialer in pair.dialers:
        assert_type(dialer.socket, trionng.Socket | None)
    for listener in pair.listeners:
        assert_type(listener.socket, trionng.Socket | None)
    async with pair.pipe_events() as events:
        async for event in events:
            assert_type(event.pipe, trionng.Pipe)
            assert_type(event.pipe.dialer, trionng.Dialer | None)


def of_blocking(pair: blocking.Pair1, sub: blocking.Sub0) -> None:
    message = pair.recv_msg()
    assert_type(message, blocking.Message)
    assert_type(message.pipe, blocking.Pipe | None)
    assert_type(pair.recv_msg_nowait().pipe, blocking.Pipe | None)
    assert_type(sub.new_context().recv_msg().pipe, blocking.Pipe | None)
    if message.pipe is not None:
        message.pipe.send(b"", timeout=5)
        assert_type(message.pipe.dialer, blocking.Dialer | None)
        assert_type(message.pipe.listener, blocking.Listener | None)
        assert_type(message.pipe.socket, blocking.Socket | None)
        if message.pipe.listener is not None:
            message.pipe.listener.close()
        if message.pipe.socket is not None:
            message.pipe.socket.close()
        pair.send_msg(blocking.Message(b"", message.pipe))
    for pipe in pair.pipes:
        assert_type(pipe, blocking.Pipe)
    for dialer in pair.dialers:
        assert_type(dialer.socket, blocking.Socket | None)
    with pair.pipe_events() as events:
        for event in events:
            assert_type(event.pipe, blocking.Pipe)


async def across(here: trionng.Pair0, there: blocking.Pair0, message: trionng.Message) -> None:
    there.send_msg(message)
    await here.send_msg(there.recv_msg())


def annotated(message: blocking.Message) -> None:
    assert_type(message.pipe, blocking.Pipe | None)

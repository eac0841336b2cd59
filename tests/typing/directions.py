"""A direction that a protocol lacks is an error where it is called, and what follows is checked."""

import trionng
from trionng import blocking


async def sends_on_a_receiver(sub: trionng.Sub0, pull: trionng.Pull0) -> None:
    await sub.send(b"")  # E
    wrong: int = "the rest of the function is looked at"  # E
    await sub.send_msg(trionng.Message(b""))  # E
    await sub.send_many([b""])  # E
    sub.send_nowait(b"")  # E
    sub.send_msg_nowait(trionng.Message(b""))  # E
    await pull.send(b"")  # E
    await sub.new_context().send(b"")  # E
    print(wrong)


async def receives_on_a_sender(pub: trionng.Pub0, push: trionng.Push0) -> None:
    await pub.recv()  # E
    wrong: int = "still looked at"  # E
    await pub.recv_msg()  # E
    await pub.recv_many(5)  # E
    pub.recv_nowait()  # E
    pub.recv_msg_nowait()  # E
    await push.recv()  # E
    async for _ in pub:  # E
        pass
    print(wrong)


def blocks(sub: blocking.Sub0, pub: blocking.Pub0) -> None:
    sub.send(b"")  # E
    wrong: int = "still looked at"  # E
    sub.send(b"", timeout=5)  # E
    sub.send_msg(blocking.Message(b""))  # E
    sub.send_nowait(b"")  # E
    pub.recv()  # E
    pub.recv(block=False)  # E
    pub.recv_msg()  # E
    pub.recv_nowait()  # E
    for _ in pub:  # E
        pass
    print(wrong)


async def what_there_is(sub: trionng.Sub0, push: trionng.Push0, pair: trionng.Pair0) -> None:
    data: bytes = await sub.recv()
    await push.send(data)
    await pair.send(await pair.recv())
    async for data in sub:
        await push.send(data)
    await any_socket(sub)
    await any_socket(push)


async def any_socket(socket: trionng.Socket) -> bytes:
    await socket.send(b"")
    return await socket.recv()

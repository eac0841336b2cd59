"""A service that answers calls in JSON, and replies to every client before it stops.

python rpc_service.py serve tcp://127.0.0.1:5555       (stop it with SIGTERM or Ctrl-C)
python rpc_service.py call tcp://127.0.0.1:5555 add 2 3
"""

from __future__ import annotations

import json
import signal
import sys

import trio

import trionng


async def add(*numbers: float) -> float:
    """Add numbers, slowly."""
    await trio.sleep(0.3)
    return sum(numbers)


METHODS = {"add": add}


async def handler(request: bytes) -> bytes:
    """Call the method that the request names."""
    name, arguments = json.loads(request)
    return json.dumps(await METHODS[name](*arguments)).encode()


async def serve(url: str) -> None:
    """Serve until a signal arrives; then answer the requests that were taken, and stop."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            service = await trionng.serve_rep(
                nursery, handler, listen=url, workers=64, on_error=trionng.reply_error
            )
            print(service.url, flush=True)
            async for _ in signals:
                break
            with trio.move_on_after(10):
                await service.drain()
            await service.aclose()
            print("answered", service.statistics().answered, flush=True)


async def call(url: str, name: str, *arguments: str) -> None:
    """Send one call, and print the reply."""
    async with trionng.Req0(dial=url) as req:
        with trio.fail_after(5):
            question = json.dumps([name, [float(each) for each in arguments]])
            print((await req.request(question.encode())).decode(), flush=True)


if __name__ == "__main__":
    trio.run({"serve": serve, "call": call}[sys.argv[1]], *sys.argv[2:])

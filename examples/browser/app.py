"""A heated room in a web page: live temperatures, drawn as they come, and a command.

    pip install -r examples/browser/requirements.txt
    python examples/browser/app.py [PORT [NNG_PORT]]

Then open the page whose address it prints. Hypercorn serves the page, under Trio like the rest.
The page gets each measurement from a Pub0 and asks a Rep0, over WebSocket, with sp.js.
"""

import collections
import functools
import json
import random
import signal
import sys
from pathlib import Path

import hypercorn
import hypercorn.trio
import quart
import quart_trio
import trio

import trionng
from trionng.browser import SP_JS

app = quart_trio.QuartTrio(
    __name__, static_url_path="", static_folder=Path(__file__).parent / "page"
)
urls: dict[str, str] = {}  # of the sockets, for the page


class Room:
    """A room that loses heat, with a heater. One second of ours is a minute there."""

    def __init__(self) -> None:
        self.number, self.wanted, self.temperature = 0, 19.0, 12.0
        self.history = collections.deque[dict[str, float]](maxlen=300)

    def step(self, minutes: float) -> None:
        power = min(max(self.wanted - self.temperature, 0.0), 1.0)
        change = 2.5 * power - 0.06 * (self.temperature - 8)
        self.temperature += minutes * change + random.gauss(0, 0.03)
        self.number += 1
        self.history.append(
            {
                "number": self.number,
                "temperature": round(self.temperature, 2),
                "wanted": self.wanted,
                "power": round(power, 2),
            }
        )

    async def answer(self, request: bytes) -> bytes:
        """Answer a request of a page: JSON, as the reply is."""
        command = json.loads(request)
        if command["do"] == "history":
            return json.dumps(list(self.history)).encode()
        if command["do"] == "want" and 5 <= command["temperature"] <= 30:
            self.wanted = float(command["temperature"])
            return json.dumps({"wanted": self.wanted}).encode()
        return b'{"error": "no such command"}'


@app.get("/")
async def index() -> quart.Response:
    return await app.send_static_file("index.html")


@app.get("/sp.js")
async def sp_js() -> quart.Response:
    return await quart.send_file(SP_JS, mimetype="text/javascript")


@app.get("/sockets.json")
async def sockets() -> dict[str, str]:
    return urls


async def stop_on_signal(
    nursery: trio.Nursery, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            nursery.cancel_scope.cancel()


async def main(port: str = "5681", nng_port: str = "5680") -> None:
    room = Room()
    config = hypercorn.Config()
    config.bind, config.loglevel = [f"127.0.0.1:{port}"], "WARNING"
    async with trionng.Pub0() as pub, trio.open_nursery() as nursery:
        await nursery.start(stop_on_signal, nursery)
        [origin] = await nursery.start(functools.partial(hypercorn.trio.serve, app, config))
        ours = trionng.Admission(origins=[origin])  # no other page of the web
        live = pub.listen(f"ws://127.0.0.1:{nng_port}/live", accept=ours)
        commands = live.url.replace("live", "commands")
        await trionng.serve_rep(nursery, room.answer, listen=commands, accept=ours)
        urls.update(live=live.url, commands=commands)
        print(f"open {origin}", flush=True)
        while True:
            room.step(0.1)
            await pub.send(b"room " + json.dumps(room.history[-1]).encode())
            await trio.sleep(0.1)


trio.run(main, *sys.argv[1:])

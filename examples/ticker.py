"""A ticker with late readers: a reader first gets the state so far, then every change.

python ticker.py publish tcp://127.0.0.1:5556 tcp://127.0.0.1:5557
python ticker.py read tcp://127.0.0.1:5556 tcp://127.0.0.1:5557 NNG 5
"""

from __future__ import annotations

import itertools
import json
import sys

import trio

import trionng


async def publish(news_url: str, state_url: str) -> None:
    """Publish a price ten times a second, and answer requests for the latest prices."""
    prices = {"NNG": 0, "TRIO": 0}

    async def latest(_request: bytes) -> bytes:
        return json.dumps(prices).encode()

    async with trionng.Pub0(listen=news_url) as news, trio.open_nursery() as nursery:
        await trionng.serve_rep(nursery, latest, listen=state_url)
        print("publishing", flush=True)
        for tick in itertools.count(1):
            for name in prices:
                prices[name] = tick
                await news.send(b"%s %d" % (name.encode(), tick))
            await trio.sleep(0.1)


async def read(news_url: str, state_url: str, name: str, count: str) -> None:
    """Subscribe, request the state, then print the changes that are newer."""
    async with trionng.Sub0(topics=f"{name} ") as news, trionng.Req0(dial=state_url) as state:
        await news.dial(news_url)  # subscribed first, so no change falls between the two
        price = json.loads(await state.request(b""))[name]
        print("so far", price, flush=True)
        left = int(count)
        async for line in news:
            tick = int(line.split()[1])
            if tick > price:
                print(name, tick, flush=True)
                left -= 1
                if not left:
                    return


if __name__ == "__main__":
    trio.run({"publish": publish, "read": read}[sys.argv[1]], *sys.argv[2:])

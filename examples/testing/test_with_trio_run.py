"""Tests of weather.py with `trio.run` alone; no plugin is needed."""

from __future__ import annotations

import trio
from weather import NoWeather, answer, ask

import trionng
from trionng.testing import NngClock, new_url, open_pair


def test_station_answers():
    async def main():
        async with trio.open_nursery() as nursery, trionng.Req0() as req:
            service = await trionng.serve_rep(nursery, answer, listen=new_url())
            await req.dial(service.url, block=True)
            assert await ask(req, b"Bergen") == b"rain in Bergen"
            nursery.cancel_scope.cancel()

    trio.run(main)


def test_client_gives_up_after_eight_minutes():
    async def main():
        async with open_pair("reqrep") as (req, rep):
            try:
                await ask(req, b"Bergen")
            except NoWeather:
                return trio.current_time()

    assert trio.run(main, clock=NngClock()) == 450

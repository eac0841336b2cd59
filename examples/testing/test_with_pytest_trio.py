"""Tests of weather.py under pytest-trio (`trio_mode = true`)."""

from __future__ import annotations

import pytest
import trio
from weather import NoWeather, answer, ask

import trionng
from trionng.testing import hold_clock, new_url, open_pair, open_proxy, wait_all_delivered


async def test_station_answers(nursery):
    service = await trionng.serve_rep(nursery, answer, listen=new_url())
    async with trionng.Req0() as req:
        await req.dial(service.url, block=True)
        assert await ask(req, b"Bergen") == b"rain in Bergen"


async def test_client_gives_up_after_eight_minutes(nng_clock):
    """Takes milliseconds: 3 x 30 s and 60 + 120 + 180 s pass on the clock of the test."""
    async with open_pair("reqrep") as (req, rep):
        with pytest.raises(NoWeather):
            await ask(req, b"Bergen")
    assert trio.current_time() == 450


async def test_client_survives_a_network_that_fails(nursery):
    service = await trionng.serve_rep(nursery, answer, listen=new_url("tcp"))
    async with (
        await open_proxy(nursery, service.url) as proxy,
        trionng.Req0(reconnect_time_min=1, resend_time=50) as req,
    ):
        await req.dial(proxy.url, block=True)
        cut = proxy.to_dialer.cut(at=8 + 8 + 4 + 2)  # within the reply
        assert await ask(req, b"Bergen") == b"rain in Bergen"
        assert cut.is_set()


async def test_client_waits_for_a_slow_network(nng_clock, nursery):
    """The delay is on the clock of the test, too."""
    service = await trionng.serve_rep(nursery, answer, listen=new_url("tcp"))
    async with await open_proxy(nursery, service.url) as proxy, trionng.Req0() as req:
        with hold_clock():
            await req.dial(proxy.url, block=True)
        proxy.to_dialer.delay = 20
        assert await ask(req, b"Bergen") == b"rain in Bergen"
        assert trio.current_time() >= 20


async def test_only_the_topic_arrives():
    async with open_pair("pubsub") as (pub, sub):
        sub.subscribe(b"weather")
        sub.unsubscribe(b"")
        await pub.send(b"sports: 1:0")
        await pub.send(b"weather: rain")
        await wait_all_delivered()
        assert sub.recv_nowait() == b"weather: rain"
        with pytest.raises(trionng.TryAgain):
            sub.recv_nowait()

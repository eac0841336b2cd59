"""Tests of weather.py under anyio's plugin, on Trio."""

from __future__ import annotations

import pytest
import trio
from weather import NoWeather, ask

from trionng.testing import open_pair

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend(nng_clock):
    return "trio", {"clock": nng_clock}


async def test_client_gives_up_after_eight_minutes():
    async with open_pair("reqrep") as (req, rep):
        begin = trio.current_time()
        with pytest.raises(NoWeather):
            await ask(req, b"Bergen")
    assert trio.current_time() - begin == 450

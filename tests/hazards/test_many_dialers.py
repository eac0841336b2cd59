"""S6: many dialers of one process whose listener has gone leave it its descriptors, and close."""

from __future__ import annotations

import logging
import os
import resource

import pytest
import trio

import trionng
from tests.support.fixes import needs_fix
from tests.support.resources import descriptors
from tests.support.subprocesses import run_test_build
from trionng.testing import new_url

pytestmark = needs_fix("S6")
DIALERS = 700


async def lose_the_listener_of_many_dialers(seconds: str) -> None:
    """Print whether refused dials take ever more descriptors in this time; close what closes."""
    logging.getLogger("trionng").setLevel(logging.CRITICAL)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    rep = trionng.Rep0()
    url = rep.listen(new_url("abstract")).url
    reqs = [trionng.Req0() for _ in range(DIALERS)]
    for req in reqs:
        await req.dial(url, block=True)
    before = descriptors()
    await rep.aclose()
    with trio.move_on_after(float(seconds)) as waiting:
        while descriptors() < before + DIALERS:
            await trio.sleep(0.02)
    print("few" if waiting.cancelled_caught else "ever more", flush=True)
    if not waiting.cancelled_caught:
        os._exit(0)  # no close would end
    for req in reqs:
        await req.aclose()


def test_many_dialers_without_a_listener_take_few_descriptors():
    """Dials that are refused give their descriptors back, and sockets close."""
    finished = run_test_build(lose_the_listener_of_many_dialers, "1", seconds=120, covered=False)

    assert (finished.clean, finished.output) == (True, "few\n"), finished


@pytest.mark.probabilistic
def test_many_dialers_without_the_fix_take_ever_more():
    """As nng has it, dials are refused faster than their descriptors are closed."""
    finished = run_test_build(
        lose_the_listener_of_many_dialers, "15", without="S6", seconds=120, covered=False
    )

    assert (finished.clean, finished.output) == (True, "ever more\n"), finished

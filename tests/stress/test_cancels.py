"""Stress runs of cancellation: nothing is lost, doubled or reordered, wherever a cancel lands.

Each run has a process of its own, under a watchdog. The shim counts where the cancels landed; a run
that has missed a place has proved nothing, and fails.
"""

from __future__ import annotations

import itertools
import json
import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.stress.cancels.run import SCENARIOS, run
from tests.stress.cancels.stress import RAREST
from tests.support.sockets import TRANSPORTS
from tests.support.subprocesses import run_in_subprocess

QUICK = 1_000
# With RAREST: at least 500 cancels of each stress land in each place, on each of the first three.
FULL = {"inproc": 20_000, "ipc": 20_000, "tcp": 20_000, "ws": 5_000}
# One of each kind over ws when it must be quick; inproc, ipc and tcp have them all.
QUICK_OVER_WS = ("receive_pair1", "receive_sub0", "receive_surveyor0", "request", "send_push0")


def check_stress(
    name: str, transport: str, cancels: int, seconds: float, wakeup: str = "descriptor"
) -> None:
    """Run a stress, check that its books balanced and that it was one."""
    seed = secrets.randbelow(2**32)

    arguments = name, transport, str(cancels), str(seed), wakeup
    finished = run_in_subprocess(run, *arguments, seconds=seconds)

    assert finished.clean, f"{arguments}: {finished}"
    report = json.loads(finished.output)
    assert report["cancels"] >= cancels, report
    for place, count in report["counts"].items():
        assert count >= cancels // RAREST, f"too few cancels landed in {place}: {report}"


@pytest.mark.parametrize(
    ("name", "transport"),
    [
        *itertools.product(SCENARIOS, TRANSPORTS),
        *((name, "ws") for name in QUICK_OVER_WS),
    ],
)
def test_every_call_under_many_cancels_is_accounted_for(name: str, transport: str) -> None:
    """Calls cancelled at awkward moments either happened, once and in order, or never did."""
    check_stress(name, transport, QUICK, 120)


@pytest.mark.parametrize(
    ("name", "transport"),
    [
        ("receive_pull0", "inproc"),
        ("receive_sub0", "ipc"),
        ("request", "tcp"),
        ("send_push0", "ipc"),
    ],
)
def test_calls_woken_by_a_token_under_cancels_are_accounted_for(name: str, transport: str) -> None:
    """Where no descriptor can be had, Trio's token wakes the tasks, and nothing is lost either."""
    check_stress(name, transport, QUICK, 120, wakeup="token")


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_every_call_under_65_000_cancels_is_accounted_for(name: str) -> None:
    """The same at full size, on all transports at once, so that they disturb each other."""
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(check_stress, name, *each, 500) for each in FULL.items()]
    for stress in runs:
        stress.result()

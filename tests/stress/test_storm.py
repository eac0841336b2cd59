"""Storms of cancellation: nothing is lost, doubled or reordered, wherever a cancel lands.

Each storm runs in a process of its own, under a watchdog. The shim counts where the cancels landed;
a storm that has missed a place has proved nothing, and fails.
"""

from __future__ import annotations

import itertools
import json
import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.stress.cancels.run import STORMS, run
from tests.stress.cancels.weather import RAREST
from tests.support.helpers import TRANSPORTS, run_apart

QUICK = 1_000
# With RAREST: at least 500 cancels of each storm land in each place, on each of the first three.
FULL = {"inproc": 20_000, "ipc": 20_000, "tcp": 20_000, "ws": 5_000}
# One of each kind over ws when it must be quick; inproc, ipc and tcp have them all.
QUICK_OVER_WS = ("receive_pair1", "receive_sub0", "receive_surveyor0", "request", "send_push0")


def check_storm(
    name: str, transport: str, cancels: int, seconds: float, bell: str = "descriptor"
) -> None:
    """Run a storm, check that its books balanced and that it was one."""
    seed = secrets.randbelow(2**32)

    arguments = name, transport, str(cancels), str(seed), bell
    finished = run_apart(run, *arguments, seconds=seconds)

    assert finished.clean, f"{arguments}: {finished}"
    report = json.loads(finished.output)
    assert report["cancels"] >= cancels, report
    for place, count in report["counts"].items():
        assert count >= cancels // RAREST, f"too few cancels landed in {place}: {report}"


@pytest.mark.parametrize(
    ("name", "transport"),
    [*itertools.product(STORMS, TRANSPORTS), *((name, "ws") for name in QUICK_OVER_WS)],
)
def test_storm_of_cancels_balances_the_books(name: str, transport: str) -> None:
    """Calls cancelled at awkward moments either happened, once and in order, or never did."""
    check_storm(name, transport, QUICK, 60)


@pytest.mark.parametrize(
    ("name", "transport"),
    [
        ("receive_pull0", "inproc"),
        ("receive_sub0", "ipc"),
        ("request", "tcp"),
        ("send_push0", "ipc"),
    ],
)
def test_storm_with_the_token_bell_balances_the_books(name: str, transport: str) -> None:
    """Where no descriptor can be had, Trio's token wakes the tasks, and nothing is lost either."""
    check_storm(name, transport, QUICK, 60, bell="token")


@pytest.mark.slow
@pytest.mark.parametrize("name", STORMS)
def test_storm_of_65_000_cancels_balances_the_books(name: str) -> None:
    """The same at full size, on all transports at once, so that they disturb each other."""
    with ThreadPoolExecutor() as pool:
        storms = [pool.submit(check_storm, name, *each, 500) for each in FULL.items()]
    for storm in storms:
        storm.result()

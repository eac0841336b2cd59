"""Storms of cancellation: nothing is lost, doubled or reordered, wherever a cancel lands.

Each storm runs in a process of its own, under a watchdog. The shim counts where the cancels landed;
a storm that has missed a place has proved nothing, and fails.
"""

from __future__ import annotations

import json
import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest
from helpers import TRANSPORTS, run_apart
from storm.run import STORMS, run
from storm.weather import RAREST

QUICK, FULL = 1_000, 20_000


def check_storm(
    name: str, transport: str, cancels: int, seconds: float, bell: str = "descriptor"
) -> None:
    """Run a storm, and check that its books balanced and that it was one."""
    seed = secrets.randbelow(2**32)

    arguments = name, transport, str(cancels), str(seed), bell
    finished = run_apart(run, *arguments, seconds=seconds)

    assert finished.clean, f"{arguments}: {finished}"
    report = json.loads(finished.output)
    assert report["cancels"] >= cancels, report
    for place, count in report["counts"].items():
        assert count >= cancels // RAREST, f"too few cancels landed in {place}: {report}"


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("name", STORMS)
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
def test_storm_of_20_000_cancels_balances_the_books(name: str) -> None:
    """The same at full size, on all transports at once, so that they disturb each other."""
    with ThreadPoolExecutor() as pool:
        storms = [pool.submit(check_storm, name, each, FULL, 240) for each in TRANSPORTS]
    for storm in storms:
        storm.result()

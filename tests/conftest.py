"""Options of every test run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.apis import SyncApi, TrioApi
from tests.support.fixes import needs_fix

if TYPE_CHECKING:
    from collections.abc import Generator

# The entry point names it too, once the package is installed.
pytest_plugins = ["pytest_trionng"]


OVER_WS = re.compile(r"(?<![a-z])wss?4?(?![a-z])")


@pytest.fixture(params=[TrioApi(), SyncApi()], ids=["trio", "blocking"])
def api(request: pytest.FixtureRequest) -> TrioApi | SyncApi:
    """Both APIs, one after the other."""
    return request.param


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="count a skipped test as a failure")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what goes over ws where every close of such a connection may crash the process."""
    for item in items:
        if OVER_WS.search(item.nodeid):
            item.add_marker(needs_fix("N1"))


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which --no-skips does not allow: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if item.config.getoption("--no-skips"):
        refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if collector.config.getoption("--no-skips"):
        refuse_skip(report)
    return report

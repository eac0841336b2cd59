"""Options of every test run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.apis import SyncApi, TrioApi

if TYPE_CHECKING:
    from collections.abc import Generator

# The entry point names it too, once the package is installed.
pytest_plugins = ["pytest_trionng"]


@pytest.fixture(params=[TrioApi(), SyncApi()], ids=["trio", "blocking"])
def api(request: pytest.FixtureRequest) -> TrioApi | SyncApi:
    """Both APIs, one after the other."""
    return request.param


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="count a skipped test as a failure")


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

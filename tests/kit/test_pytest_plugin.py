"""The pytest plugin, and suites of users: examples/testing, with every warning an error."""

from __future__ import annotations

import shutil
import subprocess
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio

import trionng
from tests.support.processes import IGNORE_SHARED, PYTHON, ROOT, environment

if TYPE_CHECKING:
    from pathlib import Path

# With pytest's cache, a run would write beside the suite.
PYTEST = (*PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", IGNORE_SHARED)
# Plugins of the project's own tests: a user may have none of them, and they take long to import.
OTHERS = ("hypothesispytest", "xdist", "xdist.looponfail", "pytest_cov")


def run_pytest(directory: Path, *arguments: str) -> tuple[int, str]:
    """Run pytest in a process of its own, as a user does; return its exit code and its output."""
    # Where the package was installed before it had the entry point, -p makes up for it.
    without = [word for name in OTHERS for word in ("-p", f"no:{name}")]
    command = [*PYTEST, *without, "-p", "pytest_trionng", *arguments]
    done = subprocess.run(
        command, cwd=directory, capture_output=True, text=True, timeout=240, env=environment()
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("suite", "tests", "options"),
    [
        ("test_with_pytest_trio.py", 5, ("-o", "trio_mode=true")),
        ("test_with_trio_run.py", 2, ("-p", "no:trio")),
        ("test_with_anyio.py", 1, ()),
    ],
)
def test_suite_of_a_user_passes(tmp_path, suite, tests, options):
    """Under pytest-trio, plain trio.run and anyio's plugin, with `filterwarnings = error`."""
    if suite == "test_with_anyio.py":
        pytest.importorskip("anyio")
    home = tmp_path / "suite"
    shutil.copytree(ROOT / "examples" / "testing", home)
    assert "filterwarnings = error" in (home / "pytest.ini").read_text("utf-8")

    code, output = run_pytest(home, suite, *options)

    assert (code, f"{tests} passed" in output) == (0, True), output


def test_plugin_is_inert_where_no_fixture_is_used(tmp_path):
    """A run of pytest that does not use the plugin imports neither trionng nor Trio."""
    (tmp_path / "example.py").write_text(
        "import sys\n"
        "def test_nothing_was_imported(request):\n"
        "    assert request.config.pluginmanager.has_plugin('pytest_trionng')\n"
        "    assert {'trio', 'trionng', 'cffi', 'outcome'} & set(sys.modules) == set()\n",
        "utf-8",
    )

    code, output = run_pytest(tmp_path, "example.py", "-p", "no:trio", "-p", "no:anyio")

    assert (code, "1 passed" in output) == (0, True), output


def test_second_clock_is_refused_with_both_names(tmp_path):
    """A test that asks for two clocks fails: pytest-trio says which two."""
    (tmp_path / "example.py").write_text(
        "async def test_two(nng_clock, autojump_clock): ...\n", "utf-8"
    )

    code, output = run_pytest(tmp_path, "example.py", "-o", "trio_mode=true")

    assert (code, "at most one Clock" in output) == (1, True), output
    assert "NngClock" in output
    assert "MockClock" in output


# Fixtures that use fixtures, as suites have them.


@pytest.fixture
async def pair(open_pair, nng_clock):
    async with open_pair("pair0", transport="ipc") as sockets:
        yield sockets


@pytest.fixture
async def proxied(pair, open_proxy, nursery, hold_clock):
    listening, dialing = pair
    with hold_clock():
        # Both ends must know that the first connection is gone: else a message may go down with it.
        async with listening.pipe_events() as here, dialing.pipe_events() as there:
            await dialing.dialers[0].aclose()
            for events in (here, there):
                while (await events.__anext__()).kind != "disconnected":
                    pass
        async with await open_proxy(nursery, listening.listeners[0].url) as proxy:
            await dialing.dial(proxy.url, block=True)
            yield proxy


async def test_fixtures_within_fixtures_work_and_close(pair, proxied, wait_all_delivered, new_url):
    """A pair, a proxy between its sockets, a clock: each fixture is the function of its name."""
    listening, dialing = pair
    assert proxied.target == listening.listeners[0].url
    await dialing.send(b"through the proxy")
    await wait_all_delivered()
    assert listening.recv_nowait() == b"through the proxy"
    assert new_url() != new_url()


async def test_failure_of_a_test_closes_its_fixtures(open_pair):
    """The pair is closed, and its exception is not lost when tasks that wait on it get Closed."""
    with pytest.RaisesGroup(ZeroDivisionError, trionng.Closed):
        async with trio.open_nursery() as nursery:
            async with open_pair("reqrep") as (req, rep):
                nursery.start_soon(partial(req.request, b"never answered"))
                await rep.recv()
                _ = 1 // 0
    with pytest.raises(trionng.Closed):
        await rep.recv()

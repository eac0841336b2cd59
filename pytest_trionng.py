"""Fixtures of `trionng.testing` for pytest, which finds this module by its entry point.

pytest loads it in every run, also where no test uses trionng. So it imports nothing but pytest;
a fixture imports the kit when a test asks for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    from trionng import Socket, testing

    Pair = AbstractAsyncContextManager[tuple[Socket, Socket]]


@pytest.fixture
def nng_clock() -> testing.NngClock:
    """A clock that jumps to the next deadline when Trio and nng are idle.

    pytest-trio runs the test with it; elsewhere: `trio.run(main, clock=nng_clock)`.
    """
    from trionng.testing import NngClock

    return NngClock()


@pytest.fixture
def open_pair() -> Callable[..., Pair]:
    """Two connected sockets: `async with open_pair("reqrep") as (req, rep)`."""
    from trionng.testing import open_pair

    return open_pair


@pytest.fixture
def open_proxy() -> Callable[..., Awaitable[testing.FaultyProxy]]:
    """A network that fails on command: `await open_proxy(nursery, listener.url)`."""
    from trionng.testing import open_proxy

    return open_proxy


@pytest.fixture
def new_url() -> Callable[..., str]:
    """A URL that no other test has: `new_url("ipc")`."""
    from trionng.testing import new_url

    return new_url


@pytest.fixture
def hold_clock() -> Callable[[], AbstractContextManager[None]]:
    """Let the clock go as a real one does: `with hold_clock()`."""
    from trionng.testing import hold_clock

    return hold_clock


@pytest.fixture
def wait_all_delivered() -> Callable[..., Awaitable[None]]:
    """Wait until no message is on its way: `await wait_all_delivered()`."""
    from trionng.testing import wait_all_delivered

    return wait_all_delivered

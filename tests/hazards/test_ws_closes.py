"""H2, H3: ws endpoints that are closed while a peer connects are closed at once.

Before nng 2.0 a ws dialer, or a ws listener, closed at the wrong moment hangs nng's only reaper,
or panics. With the workarounds left out one of them soon is.
"""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

import pytest
import trio

import trionng
from tests.support.fixes import needs_fix
from tests.support.subprocesses import Finished, run_test_build
from tests.support.waiting import spin
from tests.transports.test_hostile_peers import plain, upgrade
from trionng.testing import new_url

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

CLIENTS = 20
DIALERS = 2


async def close_again_and_again(once: Callable[[], Awaitable[None]], rounds: int) -> None:
    """Go on until a close hangs; print how many rounds went well."""
    done = 0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        while done < rounds:
            await once()
            if any("nng has not closed it" in str(warning.message) for warning in caught):
                break
            done += 1
    print(done, flush=True)
    os._exit(0)  # a reaper that hangs would hold up the end of the process


async def close_while_asked(rounds: str) -> None:
    """Close a listener to which many have just sent their request."""

    async def once() -> None:
        rep = trionng.Rep0()
        url = rep.listen(new_url("ws", "")).url
        request = upgrade(url)
        clients = [plain(url) for _ in range(CLIENTS)]
        await trio.sleep(0.003)
        for each in clients:
            each.send(request)
        spin(0.0015)
        await rep.aclose()
        for each in clients:
            each.close()

    await close_again_and_again(once, int(rounds))


async def close_while_dialling(rounds: str) -> None:
    """Close sockets whose dialers have just begun to connect."""

    async def once() -> None:
        pushes = [trionng.Push0() for _ in range(DIALERS)]
        for each in pushes:
            await each.dial(url, block=False)
        spin(0.0005)
        async with trio.open_nursery() as nursery:
            for each in pushes:
                nursery.start_soon(each.aclose)

    async with trionng.Pull0() as pull:
        url = pull.listen(new_url("ws", "")).url
        await close_again_and_again(once, int(rounds))


def run(
    function: Callable[..., object], rounds: int, without: str = "", seconds: float = 60
) -> Finished:
    return run_test_build(function, str(rounds), seconds=seconds, without=without)


def goes_wrong(function: Callable[..., object], without: str) -> bool:
    """Whether, in one of a few tries, a close hangs or nng panics."""
    for _ in range(4):
        finished = run(function, 5000, without=without, seconds=40)
        if "panic: " in finished.errors or (finished.clean and int(finished.output) < 5000):
            return True
    return False


@needs_fix("H3")
def test_listener_closed_while_clients_upgrade_closes_at_once() -> None:
    """Whatever a client has got to, the listener closes and the reaper goes on."""
    finished = run(close_while_asked, 200)

    assert (finished.clean, finished.output) == (True, "200\n"), finished


@pytest.mark.probabilistic
def test_listener_closed_while_clients_upgrade_without_fix_hangs() -> None:
    """H3: the close waits for the reaper, and the reaper for what the close holds."""
    assert goes_wrong(close_while_asked, without="H3")


@needs_fix("H2")
def test_dialer_closed_while_it_connects_is_closed_at_once() -> None:
    """Whatever step of its handshake a dialer is closed in, the reaper goes on."""
    finished = run(close_while_dialling, 500)

    assert (finished.clean, finished.output) == (True, "500\n"), finished


@pytest.mark.probabilistic
def test_dialer_closed_connecting_without_fix_hangs_or_panics() -> None:
    """H2: an attempt is finished twice, or never."""
    assert goes_wrong(close_while_dialling, without="H2")


async def test_url_of_a_closed_listener_can_be_listened_on_again() -> None:
    """The address is free when a close has returned, whatever peers are still connected."""
    url = "ws://127.0.0.1:0/path"
    with trio.fail_after(60):
        for _ in range(50):
            async with trionng.Pub0() as pub, trionng.Sub0() as sub:
                url = pub.listen(url).url
                await sub.dial(url, block=True)
                await pub.listeners[0].aclose()
                pub.listen(url)

"""Objects of nng cannot be copied and have no unknown attributes; public names."""

from __future__ import annotations

import copy
import os
import pickle
import pydoc
import re
import subprocess
import sys
import traceback
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
import trio

import trionng
from tests.support.processes import environment
from tests.support.subprocesses import run_in_subprocess
from trionng import blocking, guest, instrument
from trionng.testing import connected, new_url

if TYPE_CHECKING:
    from collections.abc import Callable

COPIES: dict[str, Callable[[Any], object]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": pickle.dumps,
    "oldest pickle": lambda thing: pickle.dumps(thing, 0),
}


def refuse_copies(things: list[Any]) -> None:
    for thing in things:
        for make in COPIES.values():
            with pytest.raises(TypeError, match=f"a {type(thing).__name__} cannot be copied"):
                make(thing)


async def test_copy_of_an_object_of_nng_is_refused_by_name():
    """Sockets, contexts, endpoints, pipes, messages and services cannot be copied, and say so."""
    req, rep = trionng.Req0(), trionng.Rep0()
    async with connected(rep, req, "inproc"), trio.open_nursery() as nursery:

        async def handler(request: bytes) -> bytes:
            return request

        service = await trionng.serve_rep(nursery, handler, listen=new_url())
        context = req.new_context()
        async with trionng.Surveyor0() as surveyor, surveyor.survey(b"", timeout=0.01) as replies:
            refuse_copies(
                [
                    *(req, rep, context, surveyor, replies, service),
                    *(*req.dialers, *rep.listeners, *req.pipes, req.pipe_events()),
                    trionng.Message(b"x"),
                    trionng.TLSConfig(trionng.TLSConfig.MODE_CLIENT),
                ]
            )
        nursery.cancel_scope.cancel()


def test_copy_of_a_sync_socket_is_refused_by_name():
    """The same for those of threads."""
    url = new_url()
    with blocking.Sub0(listen=url) as sub, blocking.Pub0(dial=url) as pub:
        refuse_copies([sub, pub, sub.new_context(), *sub.listeners, *pub.dialers, *pub.pipes])


@pytest.mark.parametrize("module", [trionng, blocking])
def test_attribute_that_does_not_exist_names_the_nearest(module):
    """`req.recv_timout = 5` raises and names `recv_timeout`; so on contexts and endpoints."""
    url = new_url()
    req = module.Req0(listen=url)
    try:
        for thing in (req, req.new_context()):
            with pytest.raises(AttributeError, match="recv_timout'; did you mean 'recv_timeout'"):
                thing.recv_timout = 5
            thing.recv_timeout = 5
            assert thing.recv_timeout == 5
        with pytest.raises(AttributeError, match="did you mean 'reconnect_time_min'"):
            req.reconect_time_min = 5
        with pytest.raises(AttributeError, match=r"Listener has no attribute 'zzz'$"):
            req.listeners[0].zzz = 1
        with pytest.raises(AttributeError, match="TLSConfig has no attribute 'own_key'"):
            module.TLSConfig(module.TLSConfig.MODE_CLIENT).own_key = "x"
    finally:
        req._abort()


def test_subclass_of_a_user_may_have_attributes_of_its_own():
    """What a program adds to a socket in a subclass is its own business."""

    class Client(blocking.Req0):  # final for type checkers
        def __init__(self) -> None:
            super().__init__(recv_timeout=7)
            self.calls = 0

    with Client() as client:
        client.calls += 1
        assert (client.calls, client.recv_timeout) == (1, 7)
        with pytest.raises(TypeError, match="a Client cannot be copied"):
            copy.copy(client)


@pytest.mark.parametrize("module", [trionng, blocking, guest, instrument, trionng.exceptions])
def test_public_names_are_shown_where_their_users_find_them(module):
    """`__all__` is what the module has, and each says the public module it is of."""
    public = {
        name for name, thing in vars(module).items() if name[0].isalpha() and not is_foreign(thing)
    }
    assert set(module.__all__) == public
    for name in public:
        assert getattr(vars(module)[name], "__module__", module.__name__) in (
            "trionng",
            module.__name__,
        ), name


OPTIONAL = ("testing", "guest", "_guest", "browser", "instrument", "_instrument")


def test_import_of_trionng_brings_nothing_that_is_optional():
    """What only some programs use is imported by name."""
    names = {"asyncio", *(f"trionng.{name}" for name in OPTIONAL)}
    code = f"import sys, trionng, trionng.blocking; print({names} & {{*sys.modules}})"
    command = [sys.executable, "-W", "ignore", "-c", code]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment())

    assert done.stdout == "set()\n", done.stderr


def is_foreign(thing: object) -> bool:
    """Say whether it is no public name but a module that was imported."""
    return isinstance(thing, ModuleType) and thing.__name__ != "trionng.exceptions"


def test_help_and_tracebacks_show_public_names():
    """`help(trionng)` has the classes; an exception is `trionng.Timeout`; pickles find it there."""
    text = pydoc.render_doc(trionng, renderer=pydoc.plaintext)  # type: ignore[attr-defined]
    assert re.search(r"^    class Req0\(", text, re.MULTILINE)
    error = trionng.Timeout("too late", url="tcp://x")
    assert traceback.format_exception_only(error) == ["trionng.Timeout: too late\n"]
    assert b"ctrionng\nTimeout\n" in pickle.dumps(error, 0)
    assert repr(pickle.loads(pickle.dumps(error))) == repr(error)
    assert repr(blocking.Req0) == "<class 'trionng.blocking.Req0'>"


def open_in_a_forked_child() -> None:
    """Fork after nng has been used, and open a socket there."""
    with blocking.Pair0() as pair:
        child = os.fork()
        if child == 0:
            for attempt in (blocking.Pair0, trionng.Pair0, lambda: pair.recv(timeout=0)):
                try:
                    attempt()
                except trionng.UsedAfterFork as error:
                    print(error, flush=True)
            os._exit(0)
        os.waitpid(child, 0)


def test_socket_opened_in_a_forked_child_says_what_to_do():
    """nng cannot be used there at all, and the error names spawn and forkserver."""
    done = run_in_subprocess(open_in_a_forked_child)

    lines = done.output.splitlines()
    assert len(lines) == 3, str(done)
    for line in lines:
        assert "nng cannot be used in a process forked from one that used it" in line
        assert "'spawn' or 'forkserver'" in line

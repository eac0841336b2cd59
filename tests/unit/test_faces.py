"""What a maintainer and an IDE see of the public names: help, signatures, types, pickles."""

from __future__ import annotations

import copy
import inspect
import pickle
import pydoc
import re
from typing import TYPE_CHECKING, ForwardRef, get_type_hints

import pytest
import trio

import trionng
from trionng import blocking, exceptions, guest, testing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FACES = {
    "trionng": trionng,
    "trionng.blocking": blocking,
    "trionng.guest": guest,
    "trionng.testing": testing,
}
PUBLIC = {
    f"{path}.{name}": vars(face)[name]
    for path, face in FACES.items()
    for name in face.__all__
    if callable(vars(face)[name])
}
# Private modules, classes and parameters; attrs gives its frozen classes the two that are left out.
PRIVATE = re.compile(r"\btrionng\._|(?<![\w.])_(?!frozen_[sd]e[tl]attrs\b)[a-zA-Z]\w*")
# attrs gives one function to all its classes, which names the last of them (from Python 3.13 on).
OF_ATTRS = re.compile(r"__replace__\(.*\n.*")
SPECIAL = ("__init__", "__enter__", "__exit__", "__iter__", "__next__", "__aenter__", "__aiter__")


async def upper(request: bytes) -> bytes:
    return request.upper()


def callables(thing: object) -> Iterator[Callable[..., object]]:
    """Yield a function, or the public methods and properties of a class that are ours."""
    if inspect.isfunction(thing):
        yield thing
    elif inspect.isclass(thing):
        for name in dir(thing):
            member = inspect.getattr_static(thing, name)
            member = getattr(member, "fget", None) or getattr(member, "__func__", member)
            if (name[0] != "_" or name in SPECIAL) and inspect.isfunction(member):
                if inspect.unwrap(member).__module__.startswith("trionng"):
                    yield member


@pytest.mark.parametrize("name", PUBLIC)
def test_public_object_explains_itself(name):
    """It has help without private names, a signature without `**options`, and types.

    The types can be evaluated.
    """
    thing = PUBLIC[name]
    assert inspect.getdoc(thing)
    text = pydoc.render_doc(thing, renderer=pydoc.plaintext)  # type: ignore[attr-defined]
    assert thing.__name__ in text
    assert not PRIVATE.findall(OF_ATTRS.sub("", text))
    assert thing.__module__ in FACES
    for function in (thing, *callables(thing)):
        hints = get_type_hints(function)
        assert not [each for each in hints.values() if isinstance(each, (str, ForwardRef))]
        if inspect.isclass(function) and issubclass(function, Exception):
            continue  # its signature is that of NNGException
        shown = inspect.signature(function).parameters.values()
        if function.__name__ != "__init__":  # the class itself shows what it takes
            # The arguments of another function (a ParamSpec) may be any.
            rest = [each.annotation for each in shown if each.kind is each.VAR_KEYWORD]
            assert rest in ([], ["P.kwargs"])


@pytest.mark.parametrize("name", exceptions.__all__)
def test_exception_survives_pickle_and_copy(name):
    """A process that gets it from another sees the class, the text, the number and the URL."""
    error = getattr(trionng, name)("dial tcp://x: no", url="tcp://x")
    for same in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(same) is type(error)
        assert (str(same), repr(same)) == (str(error), repr(error))
        assert (same.code, same.errno, same.url) == (error.code, error.errno, "tcp://x")


SERVES = ["serve_rep", "run_rep", "serve_respondent", "run_respondent"]
SERVES += ["serve_pull", "run_pull", "serve_sub", "run_sub"]


@pytest.mark.parametrize("name", SERVES)
def test_service_shows_each_option_with_its_default(name):
    """As a socket's class does; and the types are those of the option."""
    function = getattr(trionng, name)
    shown = inspect.signature(function).parameters
    hints = get_type_hints(function)
    kind = {"rep": "Rep0", "respondent": "Respondent0", "pull": "Pull0", "sub": "Sub0"}

    assert shown["workers"].default == (1 if name.endswith("sub") else 8)
    assert shown["recv_max_size"].annotation == "int | None"
    assert hints["socket"] == getattr(trionng, kind[name.partition("_")[2]]) | None
    assert hints["accept"] == trionng.Admission | None
    assert ("max_unread" in shown) == name.endswith(("rep", "respondent"))
    assert ("cancel_on_disconnect" in shown) == name.endswith("rep")
    assert ("topics" in shown) == name.endswith("sub")


@pytest.mark.parametrize("name", SERVES)
async def test_service_refuses_an_unknown_option_by_name(name):
    """The error is Python's, names the function, and the option that was meant."""
    said = rf"^{name}\(\) got an unexpected keyword argument 'wokers'; did you mean 'workers'\?$"
    async with trio.open_nursery() as nursery:
        first = [nursery] if name.startswith("serve") else []
        with pytest.raises(TypeError, match=said):
            await getattr(trionng, name)(*first, upper, listen="inproc://unused", wokers=3)


def test_blocking_service_refuses_an_unknown_option_by_name():
    """So does the sync API."""
    said = re.escape("serve_rep() got an unexpected keyword argument 'messages'")
    with pytest.raises(TypeError, match=said):
        blocking.serve_rep(bytes.upper, listen="inproc://unused", messages=True)


@pytest.mark.parametrize("face", [trionng, blocking])
def test_missing_direction_says_so_in_help(face):
    """The calls of a direction that a protocol lacks keep their signature and say what they do."""
    for missing, of, lacks in (("send", face.Sub0, "receives"), ("recv", face.Pub0, "sends")):
        for suffix in ("", "_msg", "_many", "_nowait", "_msg_nowait"):
            name = missing + suffix
            call, there = getattr(of, name), getattr(face.Socket, name)
            assert inspect.getdoc(call) == f"Raise NotSupported: this protocol only {lacks}."
            assert inspect.signature(call) == inspect.signature(there)


async def test_repr_says_which_object_it_is():
    """What a debugger shows of an object is not its place in memory."""
    url, there = "inproc://reprs", "<Rep0 inproc://reprs>"
    async with trio.open_nursery() as nursery, trionng.Surveyor0() as surveyor:
        service = await trionng.serve_rep(nursery, upper, listen=url)
        raw = trionng.Pair0(raw=True)
        async with raw, surveyor.survey(b"", timeout=0.01) as replies:
            forwarder = await nursery.start(trionng.forward, raw)
            assert repr(service) == "<serve_rep inproc://reprs>"
            assert repr(service.socket) == there
            assert repr(service.socket.pipe_events()) == f"<PipeEvents of {there}>"
            assert repr(surveyor.new_context()) == "<SurveyorContext of <Surveyor0 not connected>>"
            assert repr(replies) == "<Replies of <Surveyor0 not connected>>"
            assert repr(forwarder) == "<Forwarder, messages=[0, 0]>"
            dialer = await raw.dial("inproc://gone", block=False)
            await dialer.aclose()
            assert repr(dialer) == "<Dialer inproc://gone (closed)>"
            nursery.cancel_scope.cancel()
    assert repr(service) == "<serve_rep ended>"


def test_repr_in_the_sync_api_says_which_object_it_is():
    """The same."""
    with (
        blocking.serve_rep(bytes.upper, listen="inproc://reprs") as service,
        blocking.Surveyor0() as surveyor,
        surveyor.survey(b"", timeout=0.01) as replies,
    ):
        assert repr(service) == "<serve_rep inproc://reprs>"
        assert repr(surveyor.pipe_events()) == "<PipeEvents of <Surveyor0 not connected>>"
        assert repr(surveyor.new_context()) == "<SurveyorContext of <Surveyor0 not connected>>"
        assert repr(replies) == "<Replies of <Surveyor0 not connected>>"
    assert repr(service) == "<serve_rep ended>"

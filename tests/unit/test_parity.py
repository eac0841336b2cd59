"""The two APIs differ in `await` and `timeout` alone, and where it says why here."""

from __future__ import annotations

import inspect

import pytest

import trionng
from trionng import blocking

# Nothing in these waits, or only for a time that is said in another way.
NO_TIMEOUT = {
    "__aenter__": "entering a block does not wait",
    "__aexit__": "leaving closes, within 5 s",
    "__anext__": "a for loop has no arguments: recv_timeout",
    "survey": "has a `timeout` in both, at which the answers end",
    "pipe_events": "nothing waits until it is iterated",
}
NO_TIMEOUT_HERE = {("Context", "aclose"), ("PipeEvents", "aclose")}  # close without waiting
# What a thread can say beside `timeout`.
MORE = {"recv": ["block"], "recv_msg": ["block"]}
SYNC_NAMES = {
    "aclose": "close",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
}
# Public faces that only one api has.
ONLY_TRIO = {
    "serve_pull": "a loop over recv in threads of one's own is as short",
    "serve_respondent": "the same",
    "serve_sub": "the same",
    "run_rep": "for nursery.start",
    "run_respondent": "for nursery.start",
    "run_pull": "for nursery.start",
    "run_sub": "for nursery.start",
    "reply_error": "for on_error of the Trio services",
    "ServiceStatistics": "of the Trio services",
    "serve_pipes": "a task for each connection",
    "run_pipes": "a task for each connection",
    "PipeChannel": "of serve_pipes",
    "forward": "a task",
    "Forwarder": "of forward",
    "ForwardStatistics": "of forward",
}


def classes(module):
    return {
        name: value
        for name, value in vars(module).items()
        if inspect.isclass(value)
        and value.__module__.startswith("trionng")
        and not issubclass(value, Exception)
    }


ASYNC, SYNC = classes(trionng), classes(blocking)
PAIRS = sorted(name for name in ASYNC.keys() & SYNC.keys() if ASYNC[name] is not SYNC[name])
PAIRS.remove("Service")  # a service of tasks and one of threads are used alike, not made alike


def public(cls):
    """List what a class offers: its public methods, and the protocols of `with` and `for`."""
    special = {*SYNC_NAMES, *SYNC_NAMES.values()}
    return {
        name: member
        for name, member in inspect.getmembers(cls)
        if (not name.startswith("_") or name in special) and callable(member)
        if getattr(member, "__module__", "").startswith("trionng")
    }


def is_async(name, member):
    """Say whether a method is awaited, or is an `async with` or `async for`."""
    inner = inspect.unwrap(member)
    return (
        inspect.iscoroutinefunction(inner)
        or inspect.isasyncgenfunction(inner)
        or name in SYNC_NAMES
    )


def parameters(function):
    return [
        (each.name, each.kind, each.default)
        for each in inspect.signature(function).parameters.values()
        if each.name != "self" and each.kind is not each.VAR_POSITIONAL
    ]


@pytest.mark.parametrize("name", PAIRS)
def test_async_method_has_a_sync_counterpart_with_a_timeout(name):
    """Every awaited method exists in blocking, with the same parameters plus `timeout`."""
    counterparts = public(SYNC[name])
    awaited = {key: m for key, m in public(ASYNC[name]).items() if is_async(key, m)}

    for key, member in awaited.items():
        counterpart = counterparts[SYNC_NAMES.get(key, key)]
        if key == "__aexit__":
            continue
        bare_names = {*MORE.get(key, []), "timeout"} - {each[0] for each in parameters(member)}
        extra = [each for each in parameters(counterpart) if each[0] in bare_names]
        assert [
            each for each in parameters(counterpart) if each[0] not in bare_names
        ] == parameters(member), key
        without = key in NO_TIMEOUT or key == "__aiter__"
        without = without or any(
            key == call and issubclass(ASYNC[name], getattr(trionng, owner))
            for owner, call in NO_TIMEOUT_HERE
            if hasattr(trionng, owner)
        )
        if not without:
            assert ("timeout", inspect.Parameter.KEYWORD_ONLY, None) in extra, key
        assert [each[0] for each in extra if each[0] != "timeout"] == MORE.get(key, []), key


@pytest.mark.parametrize("name", PAIRS)
def test_sync_method_has_an_async_counterpart(name):
    """Whatever blocking offers, Trio's api offers; what waits here is awaited there."""
    theirs = public(ASYNC[name])
    async_names = {sync: name for name, sync in SYNC_NAMES.items()}

    for key, member in public(SYNC[name]).items():
        other_name = async_names.get(key, key)
        assert other_name in theirs or key in theirs, key
        if "timeout" in inspect.signature(member).parameters and other_name in theirs:
            assert is_async(other_name, theirs[other_name]), key


@pytest.mark.parametrize("name", PAIRS)
def test_counterparts_have_the_same_attributes(name):
    """Options and other attributes are the same in both APIs."""

    def attributes(cls):
        return {
            key for key in dir(cls) if not key.startswith("_") and not callable(getattr(cls, key))
        }

    assert attributes(ASYNC[name]) == attributes(SYNC[name])


def test_public_names_of_both_apis_are_the_same():
    """What trionng offers is offered by trionng.blocking, or it says here why not."""
    ours = {name for name in vars(blocking) if name[0].isalpha()} - {"annotations"}
    theirs = {
        name
        for name, value in vars(trionng).items()
        if name[0].isalpha() and (name == "exceptions" or not inspect.ismodule(value))
    } - {"annotations"}

    assert theirs - ours <= set(ONLY_TRIO)
    assert ours - theirs == set()
    assert not ours & set(ONLY_TRIO)

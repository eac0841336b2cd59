"""Checks of handlers and other callables: async or not, as far as that is known before a call."""

from __future__ import annotations

import functools
import inspect
import sys
import types
from typing import Final

_SAYS_NOT_ASYNC: Final = frozenset({"bytes", "str", "bytearray", "memoryview", "int", "None"})
_OF_C: Final = (
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.MethodWrapperType,
    types.WrapperDescriptorType,
)


def name_of(function: object) -> str:
    """Name a callable as its author knows it."""
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__qualname__", None)
    return name if isinstance(name, str) else repr(function)


def _innermost(function: object) -> object:
    """Return the function that a partial, a method or a callable object runs."""
    while isinstance(function, functools.partial):
        function = function.func
    if not inspect.isroutine(function) and not inspect.isclass(function):
        function = getattr(type(function), "__call__", function)  # noqa: B004
    return getattr(function, "__func__", function)


def _is_async(function: object) -> bool:
    if inspect.iscoroutinefunction(function):
        return True
    code = getattr(function, "__code__", None)
    flags = code.co_flags if isinstance(code, types.CodeType) else 0
    return bool(flags & (inspect.CO_COROUTINE | inspect.CO_ITERABLE_COROUTINE))


def _is_surely_sync(function: object) -> bool:
    """Tell whether a call surely returns no awaitable, as far as that is known before it."""
    if inspect.isclass(function):
        return not hasattr(function, "__await__")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return True
    if isinstance(function, _OF_C):
        owner = getattr(function, "__objclass__", None) or getattr(function, "__self__", None)
        module = getattr(function, "__module__", None) or getattr(owner, "__module__", None)
        return module is None or str(module).partition(".")[0] in sys.stdlib_module_names
    if hasattr(function, "__wrapped__"):
        return False  # of a decorator: the annotations are those of the function inside
    annotations = getattr(function, "__annotations__", None)
    says = annotations.get("return", "") if isinstance(annotations, dict) else ""
    return (getattr(says, "__name__", says) or "None") in _SAYS_NOT_ASYNC if says != "" else False


def check_async(where: str, function: object) -> None:
    """Refuse a handler that cannot be async, before anything is opened."""
    if inspect.iscoroutine(function):
        function.close()  # or Python would warn of it as well
        raise TypeError(
            f"{where}: the handler is a coroutine object: give the async function itself, without "
            "calling it"
        )
    if not callable(function):
        raise TypeError(
            f"{where}: the handler must be an async function, not {type(function).__name__}"
        )
    inner = _innermost(function)
    if not _is_async(inner) and _is_surely_sync(inner):
        detail = " and yields" if inspect.isasyncgenfunction(inner) else ""
        raise TypeError(
            f"{where}: the handler must be an async function that returns its result; "
            f"{name_of(function)} is {'async' if detail else 'not async'}{detail}"
        )


def check_on_error(where: str, function: object) -> None:
    """Refuse an `on_error` that cannot be called."""
    if inspect.iscoroutine(function):
        function.close()
    if function is not None and not callable(function):
        raise TypeError(f"{where}: on_error must be a function, not {type(function).__name__}")


def not_awaitable(where: str, function: object, result: object) -> TypeError:
    """Make the exception for a handler that returned no awaitable."""
    return TypeError(
        f"{where}: the handler must be async: {name_of(function)} returned "
        f"{type(result).__name__}, which cannot be awaited"
    )


def check_sync(where: str, function: object, async_name: str) -> None:
    """Refuse a handler that a thread cannot call."""
    if inspect.iscoroutine(function):
        function.close()
    if not callable(function):
        raise TypeError(f"{where}: the handler must be a function, not {type(function).__name__}")
    inner = _innermost(function)
    if _is_async(inner) or inspect.isasyncgenfunction(inner):
        raise TypeError(
            f"{where}: the handler {name_of(function)} is async, and this calls plain functions "
            f"in threads: make it a plain function, or serve with {async_name}"
        )


def check_result_is_sync(where: str, function: object, result: object, async_name: str) -> None:
    """Refuse an awaitable that a handler for threads returned."""
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        raise TypeError(
            f"{where}: the handler {name_of(function)} is async: it returned "
            f"{type(result).__name__}; make it a plain function, or serve with {async_name}"
        )


def check_nursery(service: str, nursery: object) -> None:
    """Refuse a first argument of `serve_*` that is no nursery."""
    if not hasattr(nursery, "start") or not hasattr(nursery, "start_soon"):
        raise TypeError(
            f"{service}: the first argument is the nursery whose tasks serve, not "
            f"{type(nursery).__name__}"
        )

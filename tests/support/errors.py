"""Exceptions as tests look at them."""

from __future__ import annotations


def leaves(exc: BaseException) -> list[BaseException]:
    """Return the exceptions that are no groups."""
    inner = getattr(exc, "exceptions", None)
    return [exc] if inner is None else [leaf for each in inner for leaf in leaves(each)]

"""What objects that stand for an object of nng refuse: copies, and unknown attributes."""

from __future__ import annotations

from typing import ClassVar, NoReturn, SupportsIndex

from trionng._base.util import meant


class Uncopied:
    """Refuses `copy` and `pickle`: a copy would use, and close, the same object of nng."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(
            f"a {type(self).__name__} cannot be copied or pickled: it stands for something of nng "
            "in this process; make a new one"
        )


class Sealed(Uncopied):
    """Refuses unknown attributes, too: `req.recv_timout = 5` would have no effect.

    A subclass of the user's may have what it likes.
    """

    __slots__ = ()
    _is_ours: ClassVar[bool] = True

    def __init_subclass__(cls, **options: object) -> None:
        super().__init_subclass__(**options)
        cls._is_ours = cls.__module__.startswith("trionng.")

    def __setattr__(self, name: str, value: object) -> None:
        # Private names are tested first: they are set most often.
        if name[0] != "_" and self._is_ours and not hasattr(type(self), name):
            kind = type(self)
            near = meant(name, [each for each in dir(kind) if each[0] != "_"])
            raise AttributeError(f"{kind.__name__} has no attribute {name!r}{near}")
        # Not through super(), which takes as long as all the rest.
        object.__setattr__(self, name, value)

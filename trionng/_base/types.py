"""Names for annotations that Python 3.10 and 3.11 lack. `typing.get_type_hints` needs them."""

from __future__ import annotations

import collections.abc
import typing
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Buffer as Buffer, Never as Never, Self as Self, Unpack as Unpack
else:

    class _Unknown:
        """Stands for what this Python does not have."""

        def __class_getitem__(cls, _item: object) -> object:
            return Any

    Buffer = getattr(collections.abc, "Buffer", bytes | bytearray | memoryview)
    Never, Self, Unpack = (getattr(typing, name, _Unknown) for name in ("Never", "Self", "Unpack"))

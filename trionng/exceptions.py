"""The exceptions of trionng; `NNGException` says what all of them carry."""

from trionng._base.errors import *  # noqa: F403
from trionng._base.errors import __all__ as __all__

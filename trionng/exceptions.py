"""Everything trionng raises; see `NNGException` for what all of them carry."""

from trionng._errors import *  # noqa: F403
from trionng._errors import __all__ as __all__

"""What both interoperation suites share: the two transports, and who listens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(params=["ipc", "tcp"])
def free_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A URL on which anybody may listen; the port of tcp is the operating system's choice."""
    return f"ipc://{tmp_path}/s" if request.param == "ipc" else "tcp://127.0.0.1:0"

"""What both interoperation suites share: the two transports, and which side listens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(params=["ipc", "tcp"])
def free_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A URL that either side may listen on; the operating system chooses the port of tcp."""
    return f"ipc://{tmp_path}/s" if request.param == "ipc" else "tcp://127.0.0.1:0"

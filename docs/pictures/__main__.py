"""Draw the pictures of the site: `python docs/pictures` (`make pictures`)."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import charts  # noqa: E402
import receive  # noqa: E402
import service  # noqa: E402
import topologies  # noqa: E402


def pictures() -> dict[str, str]:
    """Return the content of each picture by its name."""
    drawn = {
        "receive": receive.draw(),
        "service": service.draw(),
        "topologies": topologies.draw(),
    }
    if charts.DATA.exists():
        drawn |= {name: charts.draw(*chart) for name, chart in charts.CHARTS.items()}
    return {f"{name}.svg": picture.svg() for name, picture in drawn.items()}


if __name__ == "__main__":
    for name, content in pictures().items():
        (HERE / name).write_text(content, "utf-8")

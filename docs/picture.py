"""The directive `{picture} NAME`: a picture of docs/pictures, inline, in the page's colours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from sphinx.application import Sphinx

PICTURES = Path(__file__).with_name("pictures")


class Picture(SphinxDirective):
    """Put the SVG into a box that scrolls where the window is narrow."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the picture as a node."""
        path = PICTURES / f"{self.arguments[0]}.svg"
        self.env.note_dependency(str(path))
        if not path.exists():
            raise self.error(f"no such picture: {path}")
        return [
            nodes.raw("", f'<div class="picture">{path.read_text("utf-8")}</div>', format="html")
        ]


def setup(app: Sphinx) -> dict[str, Any]:
    """Be an extension of Sphinx."""
    app.add_directive("picture", Picture)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

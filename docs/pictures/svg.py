"""Shapes of the pictures of this site, as SVG text: the same bytes on every machine.

A picture stands in a page as inline SVG, so its colours are those of the page: `currentColor` for
lines and text, and the theme's colour for what matters. Shown alone, it follows the reader's
preference for light or dark.
"""

from __future__ import annotations

from html import escape

STYLE = """
.tnng { font: 13px system-ui, sans-serif; max-width: 100%; height: auto }
.tnng text { fill: currentColor }
.tnng .small { font-size: 11.5px }
.tnng .strong { font-weight: 600 }
.tnng .code { font-family: ui-monospace, monospace; font-size: 12px }
.tnng .line { stroke: currentColor; fill: none; stroke-width: 1.3 }
.tnng .faint { stroke: currentColor; fill: none; opacity: .35; stroke-dasharray: 4 4 }
.tnng .box { stroke: currentColor; fill: currentColor; fill-opacity: .06; stroke-width: 1.2 }
.tnng .main { stroke: #2f81c7; fill: #2f81c7; fill-opacity: .2; stroke-width: 1.4 }
.tnng .bar { fill: #2f81c7 } .tnng .other { fill: #b9814b } .tnng .floor { fill: #8a8a8a }
.tnng .head { fill: currentColor }
:root.tnng { background: #fff; color: #222 }
@media (prefers-color-scheme: dark) { :root.tnng { background: #131416; color: #ddd } }
"""


class Picture:
    """Shapes on a canvas."""

    def __init__(self, width: float, height: float, title: str) -> None:
        self._size = (width, height)
        self._title = title
        self._parts: list[str] = []

    def text(self, x: float, y: float, words: str, *, at: str = "middle", look: str = "") -> None:
        """Write a line of text; `at` says which point of it (x, y) is."""
        kind = f' class="{look}"' if look else ""
        self._parts.append(
            f'<text x="{x:g}" y="{y:g}" text-anchor="{at}"{kind}>{escape(words)}</text>'
        )

    def box(
        self, x: float, y: float, width: float, height: float, *lines: str, look: str = "box"
    ) -> None:
        """Draw a box with lines of text in its middle; the first is the name."""
        self._parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6" '
            f'class="{look}"/>'
        )
        top = y + height / 2 - (len(lines) - 1) * 8 + 4.5
        for number, line in enumerate(lines):
            style = "strong" if number == 0 else "small"
            self.text(x + width / 2, top + number * 16, line, look=style)

    def bar(self, x: float, y: float, width: float, height: float, look: str) -> None:
        """Draw a bar of a chart."""
        self._parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" class="{look}"/>'
        )

    def line(self, *points: tuple[float, float], look: str = "line") -> None:
        """Draw a line through points."""
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        self._parts.append(f'<polyline points="{path}" class="{look}"/>')

    def arrow(self, *points: tuple[float, float], both: bool = False) -> None:
        """Draw a line with a head at its end, or at both ends."""
        self.line(*points)
        self._head(points[-2], points[-1])
        if both:
            self._head(points[1], points[0])

    def _head(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        dx, dy = end[0] - start[0], end[1] - start[1]
        length = (dx * dx + dy * dy) ** 0.5
        dx, dy = dx / length, dy / length
        back = (end[0] - 9 * dx, end[1] - 9 * dy)
        corners = (
            end,
            (back[0] - 4 * dy, back[1] + 4 * dx),
            (back[0] + 4 * dy, back[1] - 4 * dx),
        )
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
        self._parts.append(f'<polygon points="{path}" class="head"/>')

    def svg(self) -> str:
        """Return the file."""
        width, height = self._size
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="tnng" role="img" width="{width:g}" '
            f'height="{height:g}" viewBox="0 0 {width:g} {height:g}">\n'
            f"<title>{escape(self._title)}</title>\n<style>{STYLE}</style>\n"
            + "\n".join(self._parts)
            + "\n</svg>\n"
        )

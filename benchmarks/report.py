"""What the runner says: tables with ratios, build/bench.json, and a chart."""

from __future__ import annotations

import json
import os
import platform
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.scenarios import GOALS, SCENARIOS, Scenario

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.run import Peer

    Measured = dict[str, dict[str, Peer]]

_BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
_COLOURS = {"trionng": "#1b6ca8", "c": "#777777", "raw_trio": "#bbbbbb"}


def header(versions: dict[str, str], absent: dict[str, str], rounds: int, seconds: float) -> str:
    lines = [
        f"{platform.platform()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}",
        f"median [lowest..highest] of {rounds} interleaved rounds of about {seconds} s a peer",
        *(f"  {name}: {text.split(': ', 1)[-1]}" for name, text in versions.items()),
        *(f"  absent: {reason}" for reason in absent.values()),
    ]
    return "\n".join(lines)


def table(scenario: Scenario, peers: dict[str, Peer]) -> str:
    """Show a scenario: each peer, and how trionng compares with it."""
    options = [f"{scenario.transport}, {scenario.size} B"]
    if scenario.buffers:
        options.append(f"buffers {scenario.buffers}")
    if scenario.flows:
        options.append(f"{scenario.flows} contexts")
    lines = [
        "",
        f"{scenario.name} ({scenario.what})",
        f"  options: {', '.join(options)}; {scenario.unit}, "
        f"{'lower' if scenario.lower_is_better else 'higher'} is better",
        f"  {'peer':17}{'median':>11}  {'[lowest..highest]':23}{'cpu us each':>12}"
        f"{'trionng / it':>14}{'many / it':>11}",
    ]
    ours = _median(peers, "trionng")
    many = _median(peers, "trionng_many")
    for name, peer in peers.items():
        middle = median(peer.values)
        spread = f"[{_number(min(peer.values))}..{_number(max(peer.values))}]"
        cpu = f"{median(peer.cpu):.1f}" if peer.cpu else ""
        lines.append(
            f"  {name:17}{_number(middle):>11}  {spread:23}{cpu:>12}"
            f"{_ratio(ours, middle):>14}{_ratio(many, middle):>11}"
        )
    return "\n".join(lines)


def _median(peers: dict[str, Peer], name: str) -> float | None:
    return median(peers[name].values) if name in peers else None


def _ratio(ours: float | None, theirs: float) -> str:
    return f"{ours / theirs:.2f}" if ours is not None and theirs else ""


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1f}"


def goals(done: Measured) -> str:
    """Say which goals were reached in this run."""
    lines = ["", "goals (ratios of medians of this run)"]
    for goal in GOALS:
        peers = done.get(goal.scenario, {})
        if goal.peer not in peers or (goal.against and goal.against not in peers):
            continue
        at_most = _BY_NAME[goal.scenario].lower_is_better
        value = median(peers[goal.peer].values)
        if goal.against:
            value /= median(peers[goal.against].values)
        reached = value <= goal.factor if at_most else value >= goal.factor
        lines.append(
            f"  {'ok ' if reached else 'NOT'} {goal.scenario:18}{goal.peer:17}"
            f"{value:9.2f}  {'at most' if at_most else 'at least'} {goal.factor:g}"
            f"{' x ' + goal.against if goal.against else ' B'}"
        )
    return "\n".join(lines)


def write_json(done: Measured, path: Path) -> None:
    content = {
        scenario: {
            name: {
                "median": median(peer.values),
                "unit": _BY_NAME[scenario].unit,
                "rounds": peer.values,
                "cpu_us_each": median(peer.cpu) if peer.cpu else None,
            }
            for name, peer in peers.items()
        }
        for scenario, peers in done.items()
    }
    path.write_text(json.dumps(content, indent=1) + "\n")


def write_chart(done: Measured, path: Path) -> None:
    """Draw a panel a scenario, one bar a peer, with the range of its rounds."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = [(name, peers) for name, peers in done.items() if peers]
    if not shown:
        return
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure, grid = pyplot.subplots(
        rows, columns, figsize=(5.2 * columns, 3.3 * rows), squeeze=False, layout="constrained"
    )
    panels = list(grid.flat)
    for panel, (name, peers) in zip(panels, shown, strict=False):
        scenario = _BY_NAME[name]
        names = list(peers)[::-1]
        middles = [median(peers[each].values) for each in names]
        below = [
            max(0, m - min(peers[each].values)) for m, each in zip(middles, names, strict=True)
        ]
        above = [
            max(0, max(peers[each].values) - m) for m, each in zip(middles, names, strict=True)
        ]
        colours = [
            _COLOURS.get(each if each in _COLOURS else each.split("_")[0], "#d9a25f")
            for each in names
        ]
        panel.barh(names, middles, xerr=[below, above], color=colours, ecolor="#00000055")
        better = "lower" if scenario.lower_is_better else "higher"
        panel.set_title(f"{name}: {scenario.unit}, {better} is better", fontsize=9)
        panel.tick_params(labelsize=8)
    for panel in panels[len(shown) :]:
        panel.set_visible(False)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)

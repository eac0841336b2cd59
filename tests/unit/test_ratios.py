"""benchmarks/ratios.py: the table of docs/performance.md from a run of the benchmark."""

from __future__ import annotations

from benchmarks.ratios import COLUMNS, ROWS, table


def test_table_divides_medians_and_leaves_out_what_is_missing() -> None:
    """A cell is trionng's median divided by that of the other; without a peer it is empty."""
    run = {
        "rtt_ipc": {"trionng": {"median": 30.0}, "c_aio": {"median": 20.0}},
        "pair_tcp": {"c": {"median": 20.0}},
    }

    lines = table(run, COLUMNS, ROWS).splitlines()

    assert lines[2:] == ["| round trip, ipc (time; less is better) | 1.50 |  |  |  |"]
    assert lines[0].count("|") == lines[1].count("|") == lines[2].count("|")

"""Durations, sizes and numbers as words and as text; colors."""

from __future__ import annotations

import argparse
import os

import pytest

from trionng._cli import console, values


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("0.5", 0.5), (".5", 0.5), ("500ms", 0.5), ("20us", 2e-5), ("2m", 120), ("1h", 3600),
     ("1.5d", 129_600), ("3.", 3)],
)  # fmt: skip
def test_duration_is_seconds_or_has_a_unit(text: str, seconds: float) -> None:
    """A number alone is in seconds."""
    assert values.duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "-1", "1 s", "1y", "inf", "nan", "1e3", "ms", "\u0661"])
def test_duration_that_is_none_is_refused(text: str) -> None:
    """What is no duration is named."""
    with pytest.raises(argparse.ArgumentTypeError, match=r"is no duration, such as 0\.5, 500ms"):
        values.duration(text)


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("64", 64), ("10k", 10_240), ("1MiB", 1 << 20), ("2GB", 1 << 31)]
)
def test_size_is_bytes_or_has_a_unit(text: str, size: int) -> None:
    """Units are powers of 1024; what nng cannot hold is refused."""
    if size < 1 << 31:
        assert values.size(text) == size
    else:
        with pytest.raises(argparse.ArgumentTypeError, match="is no size"):
            values.size(text)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (values.show_seconds(1.784e-4), "178 us"),
        (values.show_seconds(9.9996e-4), "1.00 ms"),
        (values.show_seconds(0.0124), "12.4 ms"),
        (values.show_seconds(3.456), "3.46 s"),
        (values.show_seconds(75), "1:15"),
        (values.show_seconds(float("inf")), "-"),
        (values.show_clock(7500), "2:05:00"),
        (values.show_bytes(64), "64 B"),
        (values.show_bytes(1536), "1.50 KiB"),
        (values.show_bytes(5 << 40), "5120 GiB"),
        (values.show_number(1234567), "1 234 567"),
        (values.plural(1, "reply", "replies"), "1 reply"),
        (values.plural(2, "peer"), "2 peers"),
        (values.meant("pign", ["ping", "proxy"]), "; did you mean ping?"),
        (values.meant("xyz", ["ping", "proxy"]), ""),
    ],
)
def test_value_is_shown_with_three_digits_and_a_unit(shown: str, expected: str) -> None:
    """Texts for people are short."""
    assert shown == expected


@pytest.mark.parametrize(
    ("environ", "terminal", "colored"),
    [({}, True, True), ({}, False, False), ({"NO_COLOR": "1"}, True, False),
     ({"NO_COLOR": ""}, True, True), ({"TERM": "dumb"}, True, False)],
)  # fmt: skip
def test_color_is_for_terminals_that_want_it(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], terminal: bool, colored: bool
) -> None:
    """Colors are for a terminal, unless NO_COLOR is set or it is dumb."""
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "isatty", lambda _descriptor: terminal)

    assert console.paint("a", "red") == ("\x1b[31ma\x1b[0m" if colored else "a")

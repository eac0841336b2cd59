"""Commands in a terminal (tmux): the live line, a terminal that becomes narrower, Ctrl-C, Tab."""

from __future__ import annotations

import contextlib
import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import trio

import trionng
from tests.support.processes import environment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.command_line import Commands

SECONDS = 60
WIDE, NARROW = 110, 40


class Terminal:
    """A terminal with windows, none of which anybody looks at."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    async def tmux(self, *words: str) -> str:
        """Run tmux; return what it says."""
        done = await trio.run_process(
            ["tmux", "-f", "/dev/null", "-S", str(self._socket), *words],
            capture_stdout=True,
            env=environment(TERM="screen", NO_COLOR="1", PS1="> "),
        )
        return done.stdout.decode()

    async def open(self, name: str, command: str) -> None:
        """Open a window in which a command runs; the first one starts the terminal."""
        new = ["new-window", "-d"] if self._socket.exists() else ["new-session", "-d", "-s", "0"]
        size = ["-x", str(WIDE), "-y", "24"] if new[0] == "new-session" else []
        await self.tmux(*new, *size, "-n", name, command)
        await self.tmux("set-option", "-w", "-t", name, "window-size", "manual")

    async def lines(self, name: str) -> list[str]:
        """Return the lines of a window that are not empty."""
        screen = await self.tmux("capture-pane", "-p", "-t", name)
        return [line.rstrip() for line in screen.splitlines() if line.strip()]

    async def wait_for(self, name: str, text: str) -> list[str]:
        """Wait until a line of a window begins like this; return all lines."""
        lines: list[str] = []
        with trio.move_on_after(SECONDS):
            while True:
                lines = await self.lines(name)
                if any(re.match(text, line) for line in lines):
                    return lines
                await trio.sleep(0.05)
        raise AssertionError(f"no {text!r} in {name}: {lines}")

    async def keys(self, name: str, *keys: str) -> None:
        """Press keys."""
        await self.tmux("send-keys", "-t", name, *keys)


@pytest.fixture
async def terminal(tmp_path: Path) -> AsyncIterator[Terminal]:
    terminal = Terminal(tmp_path / "tmux")
    yield terminal
    with contextlib.suppress(subprocess.CalledProcessError):
        await terminal.tmux("kill-server")


# A command, how its live line begins, and how it goes on.
LIVE = {
    "ping": ("ping {u} -q -i 20ms", r"\d+ requests?, ", r"\d+ answered, 0 lost \(0 %\); min/"),
    "bench": ("bench ipc --seconds 5m", r"ipc: request", r", \d+:\d\d left"),
    "proxy": ("proxy {u}p {u}", r"A to B: ", r"0 \(0/s, 0 B\); B to A: .* at B"),
    "monitor": ("monitor --req {u}", r"1 connection now; ", "1 came, 0 left, 0 rejected"),
}


async def test_live_line_follows_the_terminal_and_goes_with_ctrl_c(
    terminal: Terminal, tmp_path: Path
) -> None:
    """Each live line is drawn once, fits a terminal that becomes narrow, and leaves nothing."""
    url = f"ipc://{tmp_path}/s"

    async def echo(request: bytes) -> bytes:
        return request

    async def look_at(name: str) -> None:
        _, start, rest = LIVE[name]
        lines = await terminal.wait_for(name, start + rest)
        assert re.match(start + rest, lines[-1]), lines
        assert len(re.findall(start, "".join(lines))) == 1, lines

        await terminal.tmux("resize-window", "-t", name, "-x", str(NARROW))
        # The terminal wraps the line; the next drawing takes all of it away.
        with trio.fail_after(SECONDS):
            while not (lines and re.match(start, lines[-1]) and len(lines[-1]) < NARROW):
                lines = await terminal.lines(name)
        assert len(re.findall(start, "".join(lines))) == 1, lines

        await terminal.keys(name, "C-c")
        lines = await terminal.wait_for(name, "code 130")
        # The last words of proxy and ping are lines of their own, which begin in another way or
        # stand below another line.
        ended = "".join(lines).replace("trionng proxy: A to B", "").partition("---")[0]
        assert re.findall(start, ended) == [], lines
        assert "Traceback" not in ended

    async with trio.open_nursery() as nursery:
        await trionng.serve_rep(nursery, echo, listen=url)
        for name, (words, _, _) in LIVE.items():
            command = f"{shlex.quote(sys.executable)} -m trionng {words.format(u=url)}"
            await terminal.open(name, f"{command}; echo code $?; exec cat")
        async with trio.open_nursery() as looking:
            for name in LIVE:
                looking.start_soon(look_at, name)
        nursery.cancel_scope.cancel()


SHELLS = {
    "bash": "exec bash --norc --noprofile",
    "zsh": "exec zsh -f -i",
}


async def test_tab_completes_in_bash_and_zsh(
    commands: Commands, terminal: Terminal, tmp_path: Path
) -> None:
    """Commands, options, the words of an option, and files are completed."""
    (tmp_path / "my-key.pem").touch()
    for shell, command in SHELLS.items():
        code, script, _ = await commands.run("completion", shell)
        assert code == 0
        (tmp_path / shell).write_text(script)
        await terminal.open(shell, f"cd {tmp_path}; {command}")
    await terminal.keys(
        "zsh", "autoload -Uz compinit; compinit -D -u; . ./zsh; PS1='ready> '", "Enter"
    )
    await terminal.keys("bash", ". ./bash; PS1='ready> '", "Enter")
    for shell in SHELLS:
        await terminal.wait_for(shell, "ready>")
        for typed, completed in (
            ("trionng pi", "ready> trionng ping"),
            ("trionng cat --respo", "ready> trionng cat --respondent"),
            ("trionng --format quo", "ready> trionng --format quoted"),
            ("trionng cat --cert my", "ready> trionng cat --cert my-key.pem"),
            ("trionng bench inp", "ready> trionng bench inproc"),
            ("trionng completion z", "ready> trionng completion zsh"),
        ):
            await terminal.keys(shell, "-l", typed)
            await terminal.keys(shell, "Tab")
            await terminal.wait_for(shell, re.escape(completed))
            await terminal.keys(shell, "C-u")

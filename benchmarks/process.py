"""A peer's process, from the runner's side: asked line by line, killed when it is late."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from benchmarks.scenarios import MODULES, PROGRAMS

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
# Peers with a trionng that is not the one of this repository, and where it is (benchmarks.wheels).
FOLDERS: dict[str, Path] = {}


class PeerError(Exception):
    """A peer failed, was late, or is not there."""


@dataclass(frozen=True)
class Result:
    """What one end of a peer says about one round; times in nanoseconds."""

    start: int
    end: int
    count: int
    cpu: int


class Process:
    """One process of a peer."""

    def __init__(self, peer: str) -> None:
        self.peer = peer
        program = PROGRAMS.get(peer)
        if program is not None:
            command = [str(BUILD / program)]
        else:
            module, *args = MODULES[peer]
            command = [sys.executable, "-m", f"benchmarks.peers.{module}", *args]
        self._process = subprocess.Popen(
            command,
            # The folder in which Python starts comes first on its path.
            cwd=FOLDERS.get(peer, ROOT),
            env={**os.environ, "PYTHONPATH": str(ROOT)} if peer in FOLDERS else None,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._errors: list[str] = []
        self._readers = [
            threading.Thread(target=self._read_lines, daemon=True),
            threading.Thread(target=self._read_errors, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read_lines(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.strip())
        self._lines.put(None)

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._errors.append(line.rstrip())

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # what it said last is told by `expect`

    def expect(self, word: str, within: float) -> str:
        """Wait for a line that starts with `word`; return the rest of it."""
        try:
            line = self._lines.get(timeout=within)
        except queue.Empty:
            raise PeerError(f"{self.peer}: no {word!r} within {within:.0f} s") from None
        if line is None:
            self._readers[1].join(1)
            last = self._errors[-1] if self._errors else "it said nothing"
            raise PeerError(f"{self.peer}: ended, {last}")
        first, _, rest = line.partition(" ")
        if first != word:
            raise PeerError(f"{self.peer}: {line}")
        return rest

    def result(self, within: float) -> Result:
        start, end, count, cpu = map(int, self.expect("result", within).split())
        return Result(start, end, count, cpu)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        for reader in self._readers:
            reader.join(1)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    pass

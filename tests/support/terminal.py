"""Do what a page of the documentation shows: its programs, its commands, from top to bottom."""

from __future__ import annotations

import configparser
import contextlib
import fcntl
import html.parser
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from tests.support.fixes import LINK
from tests.support.javascript import find_node
from tests.support.pages import Block, Command, blocks, difference, pattern
from tests.support.processes import IGNORE_SHARED, PYTHON, STRICT, environment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

WITHIN = 60  # seconds for one program or command
FIXED_PORT = re.compile(r":([1-9]\d{3,4})\b")


@contextlib.asynccontextmanager
async def ports_of(page: str) -> AsyncIterator[None]:
    """Let no other test process run a page with the same fixed ports at the same time."""
    with contextlib.ExitStack() as stack:
        for port in sorted(set(FIXED_PORT.findall(page))):
            path = Path(tempfile.gettempdir()) / f"trionng-page-{os.getuid()}-{port}.lock"
            lock = stack.enter_context(path.open("w"))
            await trio.to_thread.run_sync(fcntl.flock, lock, fcntl.LOCK_EX)
        yield


def page_environment() -> dict[str, str]:
    """Return what a command of a page sees: our Python and Node first, and nothing of pytest."""
    ours = (Path(sys.executable).parent, Path(find_node()).parent)
    path = os.pathsep.join([*map(str, ours), os.environ["PATH"]])
    strict = f"error,{IGNORE_SHARED}"
    changed = environment(PATH=path, PYTHONWARNINGS=strict, PYTHONUNBUFFERED="1", NO_COLOR="1")
    return {name: value for name, value in changed.items() if not name.startswith("PYTEST")}


async def start(command: list[str], folder: Path, output: Path, errors: Path) -> trio.Process:
    """Start a command in a folder, in a process group of its own."""
    with output.open("wb") as out, errors.open("ab") as err:
        return await trio.lowlevel.open_process(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out if errors == output else err,
            env=page_environment(),
            cwd=folder,
            start_new_session=True,
        )


async def end(process: trio.Process) -> None:
    """Kill a process and those that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with trio.CancelScope(shield=True):
        await process.wait()


class Terminal:
    """Runs what a page shows in a folder; what keeps running ends with the page."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._outputs = 0
        self._running: list[trio.Process] = []

    def _new_file(self) -> Path:
        self._outputs += 1
        return self._folder / f".output-{self._outputs}"

    async def program(self, block: Block) -> str | None:
        """Run a program; it prints what the page shows, and nothing on stderr."""
        source = self._folder / (block.file_name or "example.py")
        source.write_text(block.text, "utf-8")
        output, errors = self._new_file(), self._new_file()
        process = await start([*PYTHON, *STRICT, source.name], self._folder, output, errors)
        try:
            with trio.move_on_after(WITHIN) as scope:
                await process.wait()
        finally:
            await end(process)
        if scope.cancelled_caught or process.returncode or errors.read_text("utf-8"):
            how = "did not end" if scope.cancelled_caught else f"ended with {process.returncode}"
            return f"{how}\n{output.read_text('utf-8')}{errors.read_text('utf-8')}"
        return difference(block.output or "", output.read_text("utf-8"))

    async def console(self, block: Block) -> list[str]:
        """Run the commands of a block; return what is wrong."""
        wrong = []
        code = 0
        commands = block.commands
        for command, following in itertools.zip_longest(commands, commands[1:]):
            stays = command.text.endswith("&")
            stays = stays or (following is None and "keeps running" in block.notes)
            code, problem = await self._command(command, code, stays=stays)
            # A failure that the page means to show is followed by `$ echo $?`.
            if problem is None and code and (following is None or "$?" not in following.text):
                problem = f"ended with {code}"
            if problem is not None:
                wrong.append(f"$ {command.text}\n{problem}")
        return wrong

    async def _command(self, command: Command, last: int, *, stays: bool) -> tuple[int, str | None]:
        shell = ["bash", "-c", f"(exit {last}); {command.text.removesuffix('&')}"]
        output = self._new_file()
        process = await start(shell, self._folder, output, output)
        try:
            with trio.fail_after(WITHIN):
                if stays or command.after_interrupt is not None:
                    shown = pattern(command.output)
                    while process.poll() is None and not shown.match(output.read_text("utf-8")):
                        await trio.sleep(0.02)
                if stays and process.poll() is None:
                    self._running.append(process)
                    return 0, None
                if command.after_interrupt is not None:
                    os.killpg(process.pid, signal.SIGINT)
                await process.wait()
        except trio.TooSlowError:
            return 0, f"did not end, or did not print what it must\n{output.read_text('utf-8')}"
        finally:
            if process not in self._running:
                await end(process)
        code = process.returncode or 0
        if command.after_interrupt is not None and code in (-signal.SIGINT, 130):
            code = 0
        expected = command.output + (command.after_interrupt or "")
        return code % 256, difference(expected, output.read_text("utf-8"))

    async def close(self) -> None:
        """End what keeps running, as Ctrl-C does."""
        with trio.CancelScope(shield=True):
            for process in self._running:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGINT)
                with trio.move_on_after(5):
                    await process.wait()
                await end(process)


def parse_html(text: str) -> None:
    html.parser.HTMLParser().feed(text)


def parse_ini(text: str) -> None:
    # A unit of systemd may say the same twice.
    configparser.RawConfigParser(strict=False).read_string(text)


def parse_toml(text: str) -> None:
    if sys.version_info >= (3, 11):
        import tomllib

        tomllib.loads(text)


def parse_js(text: str) -> None:
    command = [find_node(), "--input-type=module", "--check"]
    quiet = subprocess.DEVNULL
    subprocess.run(command, input=text, text=True, check=True, timeout=WITHIN, stderr=quiet)


def parse_sh(text: str) -> None:
    subprocess.run(["bash", "-n"], input=text, text=True, check=True, timeout=WITHIN)


def parse_python(text: str) -> None:
    compile(text, "page", "exec")


def parse_dockerfile(text: str) -> None:
    lines = text.replace("\\\n", "").splitlines()
    words = [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]
    known = {"ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "RUN", "USER"}
    known |= {"HEALTHCHECK", "LABEL", "STOPSIGNAL", "VOLUME", "WORKDIR"}
    if words[0] not in {"ARG", "FROM"} or not known.issuperset(words):
        raise ValueError(f"not all instructions: {words}")


# How a block is read that no test runs. A language that is not here is a mistake of the page.
PARSERS: dict[str, Callable[[str], object]] = {
    "python": parse_python, "js": parse_js, "json": json.loads, "toml": parse_toml,
    "ini": parse_ini, "html": parse_html, "sh": parse_sh, "dockerfile": parse_dockerfile,
    "console": str, "text": str,
}  # fmt: skip


def unreadable(block: Block) -> str | None:
    """Return why a block is not what its language says."""
    try:
        PARSERS[block.language](block.text)
    except Exception as error:
        return f"{block.language} cannot be read: {error!r}"
    return None


async def go_through(page: str, folder: Path) -> list[str]:
    """Do what a page shows, from its first block to its last; return what is wrong."""
    wrong = []
    terminal = Terminal(folder)
    async with ports_of(page):
        try:
            for block in blocks(page):
                if LINK != "static" and "libnng linked in" in block.notes:
                    continue
                problems = [unreadable(block)]
                if block.file_name is not None:
                    (folder / block.file_name).write_text(block.text, "utf-8")
                if block.is_program:
                    problems.append(await terminal.program(block))
                problems.extend(await terminal.console(block))
                wrong += [f"line {block.line}: {each}" for each in problems if each is not None]
        finally:
            await terminal.close()
    return wrong
